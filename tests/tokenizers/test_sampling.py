"""The sample a vocabulary is learnt from: all of a small text, an even share of a large one."""

import numpy as np
import pytest

from trivium.errors import SettingsError
from trivium.tokenizers.sampling import even_sample


def test_a_small_text_is_kept_whole():
    texts = ["a", "bé", "", "c" * 5]
    whole = even_sample(iter(texts), 9)
    assert whole.texts == texts and whole.share == 1.0 and whole.bytes == whole.of == 9
    part = even_sample(iter(texts), 8)
    assert len(part.texts) < 4 and part.of == 9 and part.bytes == len("".join(part.texts).encode()) <= 8


def test_a_large_text_is_thinned_evenly_and_in_order():
    texts = (f"{number:09d}" for number in range(100_000))
    sample = [int(text) for text in even_sample(texts, 90_000).texts]
    assert 4_000 < len(sample) <= 10_000 and sample == sorted(sample)
    quarters = np.histogram(sample, bins=4, range=(0, 100_000))[0]
    expected = len(sample) / 4
    assert np.sum((quarters - expected) ** 2 / expected) < 21.1  # chi-square, 3 degrees, p = 1e-4


def test_one_text_above_the_limit_is_still_a_sample():
    assert even_sample(["x" * 100, "y" * 100], 10).texts in (["x" * 100], ["y" * 100])


def test_the_seed_says_which_part():
    texts = [f"{number:09d}" for number in range(1000)]
    first, again, other = (even_sample(texts, 2000, seed).texts for seed in (1, 1, 2))
    assert first == again != other


def test_a_long_document_is_drawn_from_in_parts():
    text = "word " * 400_000
    sample = even_sample([text], 600_000)
    assert 0 < sample.bytes <= 600_000 and sample.of == len(text) and len(sample.texts) > 1
    with pytest.raises(SettingsError, match="a sample of 0 bytes"):
        even_sample([text], 0)
