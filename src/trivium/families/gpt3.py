"""GPT-3 (Brown et al. 2020): the eight rows of Table 2.1, of GPT-2's block and layout, with a context of 2,048.

Two numbers of the table contradict its totals: XL has 16 heads of width 128 and not 24, 13B has width 5,120 and not
5,140. The paper's layers alternate between dense and locally banded attention but it does not say how wide the band
is; so sizes are dense, and ``band`` chooses one. A banded model is no GPT-2 and is saved as model_type "trivium".
"""

from dataclasses import replace

from trivium.families.family import Fields
from trivium.families.gpt2 import GPT2


def row(layers: int, width: int, heads: int) -> Fields:
    return {
        "decoder_layers": layers,
        "width": width,
        "heads": heads,
        "ffn_width": 4 * width,
        "vocab_size": 50257,
        "context": 2048,
    }


GPT3 = replace(
    GPT2,
    name="gpt3",
    paper="Brown et al. 2020, Language Models are Few-Shot Learners",
    sizes={
        "tiny": GPT2.sizes["tiny"],
        "mini": GPT2.sizes["mini"],
        "small": row(12, 768, 12),
        "medium": row(24, 1024, 16),
        "large": row(24, 1536, 16),
        "xl": row(24, 2048, 16),
        "2.7b": row(32, 2560, 32),
        "6.7b": row(32, 4096, 32),
        "13b": row(40, 5120, 40),
        "175b": row(96, 12288, 96),
    },
    size_aliases={"125M": "small", "350M": "medium", "760M": "large", "1.3b": "xl"},
    known_as={"gpt3": "175b"},
)
