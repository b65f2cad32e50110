"""ELMo (Peters et al. 2018): published sizes and small ones. No class of ``transformers`` is one."""

from trivium.families.family import Family
from trivium.recurrent.elmo_config import SIZES, ElmoConfig

ELMO = Family(
    name="elmo",
    paper="Peters et al. 2018, Deep Contextualized Word Representations",
    hf_type="trivium",
    config=ElmoConfig,
    base={},
    sizes=SIZES,
)
