"""The sample a vocabulary is learnt from: all of a small text, an even share of a large one."""

import numpy as np

from trivium.tokenizers.sampling import even_sample


def test_a_small_text_is_kept_whole():
    texts = ["a", "bé", "", "c" * 5]
    assert even_sample(iter(texts), 9) == texts
    assert len(even_sample(iter(texts), 8)) < 4


def test_a_large_text_is_thinned_evenly_and_in_order():
    texts = (f"{number:09d}" for number in range(100_000))
    sample = [int(text) for text in even_sample(texts, 90_000)]
    assert 4_000 < len(sample) <= 10_000 and sample == sorted(sample)
    quarters = np.histogram(sample, bins=4, range=(0, 100_000))[0]
    expected = len(sample) / 4
    assert np.sum((quarters - expected) ** 2 / expected) < 21.1  # chi-square, 3 degrees, p = 1e-4


def test_one_text_above_the_limit_is_still_a_sample():
    assert even_sample(["x" * 100, "y" * 100], 10) in (["x" * 100], ["y" * 100])
