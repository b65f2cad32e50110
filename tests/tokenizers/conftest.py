"""Trained tokenizers for the tests of this folder."""

import argparse
import inspect
import sys
from pathlib import Path

import pytest

from trivium.tokenizers import Tokenizer, train_bpe
from trivium.tokenizers.sentencepiece_bpe import train_sentencepiece_bpe
from trivium.tokenizers.unigram import train_unigram

sys.path.insert(0, str(Path(__file__).parent))  # for algorithms.py, here and in the processes that tests start

WORDS = (
    "The tokenizer reads the text and the model reads the tokens. I don't know what they'll say: it's 12 or 3! "
    "Merging pairs of neighbouring bytes, most frequent first, builds pieces. "
    "Speakers speak; the speaker spoke, and the newest of the lowest were wider than the widest.\n\n\tx = y + 1\n"
)


@pytest.fixture(scope="session")
def trained() -> Tokenizer:
    return train_bpe([WORDS] * 20, 400, layout="classify")


@pytest.fixture(scope="session")
def source_lines() -> list[str]:
    """Lines of text that every Python has, some two thousand."""
    return inspect.getsource(argparse).split("\n")


@pytest.fixture(scope="session")
def unigram_tokenizer(source_lines: list[str]) -> Tokenizer:
    return train_unigram(source_lines, 37 + 256 + 700)


@pytest.fixture(scope="session")
def sentencepiece_bpe_tokenizer(source_lines: list[str]) -> Tokenizer:
    return train_sentencepiece_bpe(source_lines, 37 + 256 + 700)
