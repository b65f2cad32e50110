"""Families of models: named sizes, and the names that Hugging Face gives to their settings and weights."""

from trivium.families.bart import BART
from trivium.families.bert import BERT
from trivium.families.distilbert import DISTILBERT
from trivium.families.elmo import ELMO
from trivium.families.family import Family
from trivium.families.gpt1 import GPT1
from trivium.families.gpt2 import GPT2
from trivium.families.gpt3 import GPT3
from trivium.families.llama import LLAMA
from trivium.families.qwen2 import QWEN2
from trivium.families.recurrent import BILSTM, GRU, LSTM, RNN, SEQ2SEQ
from trivium.families.roberta import ROBERTA
from trivium.families.spanbert import SPANBERT
from trivium.families.t5 import T5
from trivium.families.trivium import TRIVIUM
from trivium.families.xlnet import XLNET

FAMILIES: dict[str, Family] = {
    "bert": BERT,
    "roberta": ROBERTA,
    "distilbert": DISTILBERT,
    "spanbert": SPANBERT,
    "gpt1": GPT1,
    "gpt2": GPT2,
    "gpt3": GPT3,
    "t5": T5,
    "bart": BART,
    "llama": LLAMA,
    "qwen2": QWEN2,
    "xlnet": XLNET,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "seq2seq": SEQ2SEQ,
    "bilstm": BILSTM,
    "elmo": ELMO,
}

__all__ = [
    "BART",
    "BERT",
    "BILSTM",
    "DISTILBERT",
    "ELMO",
    "FAMILIES",
    "GPT1",
    "GPT2",
    "GPT3",
    "GRU",
    "LLAMA",
    "LSTM",
    "QWEN2",
    "RNN",
    "ROBERTA",
    "SEQ2SEQ",
    "SPANBERT",
    "T5",
    "TRIVIUM",
    "XLNET",
    "Family",
]
