"""One trained tokenizer for the tests of this folder."""

import pytest

from trivium.tokenizers import Tokenizer, train_bpe

WORDS = (
    "The tokenizer reads the text and the model reads the tokens. I don't know what they'll say: it's 12 or 3! "
    "Merging pairs of neighbouring bytes, most frequent first, builds pieces. "
    "Speakers speak; the speaker spoke, and the newest of the lowest were wider than the widest.\n\n\tx = y + 1\n"
)


@pytest.fixture(scope="session")
def trained() -> Tokenizer:
    return train_bpe([WORDS] * 20, 400, layout="classify")
