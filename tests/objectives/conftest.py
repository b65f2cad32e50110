import numpy as np
import pytest

from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.bpe import train_bpe

WORDS = "the cat sat on a mat and my dog is hairy after such late night we drive home in hard winter snow".split()
MORE = "unbelievably midnight walking talked quickly bright message warning excited season paper river mountain".split()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(WORDS + MORE, 12)) + ", said Alice." for _ in range(400)]
    return train_bpe(lines, 400)


@pytest.fixture(scope="session")
def make_rows(tokenizer):
    """Rows of random text tokens; ``lengths`` real ones each, first and last special where ``framed``."""

    def make(
        lengths: list[int], width: int, first_draw: int = 0, framed: bool = False, seed: int = 0
    ) -> tuple[Rows, Draws]:
        draws = np.arange(first_draw, first_draw + len(lengths))
        text = Draws(seed, draws).integers("text", width, 400 - 300) + 300
        real = np.arange(width) < np.array(lengths)[:, None]
        if framed:
            text[:, 0] = tokenizer.classify
            text[np.arange(len(lengths)), np.array(lengths) - 1] = tokenizer.separator
        rows = Rows(
            tokens=np.where(real, text, 0),
            documents=np.where(real, 0, -1),
            positions=np.where(real, np.arange(width), 0),
            draws=draws,
        )
        return rows, Draws(seed + 1, draws)

    return make
