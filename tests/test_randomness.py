"""Keyed draws: single numbers are those of the whole table."""

import numpy as np

from trivium.randomness import Draws


def test_numbers_at_places_are_those_of_the_whole() -> None:
    draws = Draws(7, np.array([3, 900, 2**40]))
    whole = draws.uniform("noise", 50)
    rows, columns = np.nonzero(whole < 0.3)
    assert 20 < len(rows) < 80
    assert np.array_equal(draws.uniform_at("noise", rows, columns), whole[rows, columns])
    assert np.array_equal(draws.bits_at("noise", rows, columns), draws.bits("noise", 50)[rows, columns])
