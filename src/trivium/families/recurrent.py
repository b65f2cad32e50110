"""Recurrent families: no class of ``transformers`` is any of them, so that they are saved as model_type "trivium".

The sizes medium and large are those of Zaremba et al. 2014, with their dropout.
"""

from collections.abc import Mapping

from trivium.families.family import Family, Value
from trivium.recurrent.config import RecurrentConfig
from trivium.tokenizers import specials

DECODERS: Mapping[str, Mapping[str, Value]] = {
    "tiny": {"decoder_layers": 2, "width": 32, "context": 64},
    "mini": {"decoder_layers": 1, "width": 256, "state_width": 512},
    "medium": {"decoder_layers": 2, "width": 650, "dropout": 0.5, "context": 35},
    "large": {"decoder_layers": 2, "width": 1500, "dropout": 0.65, "context": 35},
}


def _decoder(name: str, paper: str) -> Family:
    return Family(
        name=name, paper=paper, hf_type="trivium", config=RecurrentConfig, base={"cell": name}, sizes=DECODERS,
        specials=specials.GPT2,
    )  # fmt: skip


RNN = _decoder("rnn", "Elman 1990, Finding Structure in Time; Mikolov et al. 2010, Recurrent Neural Network Based "
               "Language Model")  # fmt: skip
LSTM = _decoder("lstm", "Hochreiter and Schmidhuber 1997, Long Short-Term Memory; Zaremba et al. 2014, Recurrent "
                "Neural Network Regularization")  # fmt: skip
GRU = _decoder("gru", "Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder")
SEQ2SEQ = Family(
    name="seq2seq",
    paper="Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and Translate; Luong et al. "
    "2015, Effective Approaches to Attention-based Neural Machine Translation",
    hf_type="trivium",
    config=RecurrentConfig,
    base={"cell": "lstm", "attention": "general", "start_token": 0},
    sizes={
        "tiny": {"encoder_layers": 1, "decoder_layers": 2, "width": 32, "context": 64},
        "mini": {"encoder_layers": 1, "decoder_layers": 1, "width": 256, "state_width": 256},
    },
    specials=specials.T5,
)
BILSTM = Family(
    name="bilstm",
    paper="Graves and Schmidhuber 2005, Framewise Phoneme Classification with Bidirectional LSTM",
    hf_type="trivium",
    config=RecurrentConfig,
    base={"cell": "lstm"},
    sizes={
        "tiny": {"encoder_layers": 2, "width": 32, "context": 64},
        "mini": {"encoder_layers": 2, "width": 256, "state_width": 256},
    },
    specials=specials.BERT,
)
