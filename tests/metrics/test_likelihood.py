import math

import pytest

from trivium.metrics import likelihood


def test_the_worked_example():
    scores = likelihood(8.0, 5, words=3, characters=14, bytes=15)
    assert scores["perplexity"] == pytest.approx(4.953032, abs=1e-6)
    assert scores["word_perplexity"] == pytest.approx(14.391916, abs=1e-6)
    assert scores["bits_per_character"] == pytest.approx(0.824397, abs=1e-6)
    assert scores["bits_per_byte"] == pytest.approx(0.769437, abs=1e-6)


def test_only_the_counts_given_are_reported_and_nothing_overflows():
    assert likelihood(1e6, 1) == {"loss": 1e6, "perplexity": math.inf}
    with pytest.raises(ValueError, match="no token"):
        likelihood(0.0, 0)
