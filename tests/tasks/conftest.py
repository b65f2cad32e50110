import pytest

from trivium.tokenizers import Tokenizer, train_bpe

LINES = [
    "I'm so excited about the winter storm warning.",
    "It's a snow day! There is snow outside.",
    "The cat sat on the mat, and my dog is hairy; after such a late night we drive home.",
] * 20


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_bpe(LINES, 340)
