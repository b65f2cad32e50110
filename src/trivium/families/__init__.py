"""Families of models: named sizes, and the names that Hugging Face gives to their settings and weights."""

from trivium.families.bert import BERT
from trivium.families.family import Family
from trivium.families.gpt2 import GPT2
from trivium.families.t5 import T5
from trivium.families.trivium import TRIVIUM

FAMILIES: dict[str, Family] = {"bert": BERT, "gpt2": GPT2, "t5": T5}

__all__ = ["BERT", "FAMILIES", "GPT2", "T5", "TRIVIUM", "Family"]
