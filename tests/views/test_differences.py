"""How an input differs from its text: examples by hand, and a text that was masked in place by chance."""

import numpy as np

from trivium.views.differences import compare

MASK = 99


def states(text: list[int], read: list[int]) -> tuple[list[str], list[int]]:
    found, origin = compare(np.array(text), np.array(read), MASK)
    return list(found), origin.tolist()


def test_masked_in_place() -> None:
    assert states([1, 2, 3, 4], [1, MASK, 7, 4]) == (["same", "masked", "changed", "same"], [0, 1, 2, 3])


def test_a_row_that_is_opened() -> None:
    assert states([1, 2, 3], [50, 1, MASK, 3]) == (["added", "same", "masked", "same"], [-1, 0, 1, 2])


def test_a_span_that_became_one_token() -> None:
    """T5's sentinel stands for no one token, the closing token for none."""
    text = [10, 11, 12, 13, 14, 15, 16, 17]
    assert states(text, [10, 11, 70, 15, 16, 17, 60]) == (
        ["same", "same", "added", "same", "same", "same", "added"], [0, 1, -1, 5, 6, 7, -1],
    )  # fmt: skip


def test_text_moved_right_is_the_same_text() -> None:
    found, origin = states([10, 11, 12, 13], [0, 10, 11, 12])
    assert found == ["added", "same", "same", "same"] and origin == [-1, 0, 1, 2]


def test_another_order() -> None:
    found, origin = states([5, 6, 7, 8, 6], [6, 6, 7, 5, 8])
    assert found == ["moved", "same", "same", "moved", "moved"]
    assert sorted(origin) == sorted(set(origin))
    assert [[5, 6, 7, 8, 6][place] for place in origin] == [6, 6, 7, 5, 8]


def test_heavy_masking_is_found_in_place() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        text = generator.integers(0, 40, 60)
        hidden = generator.random(60) < 0.8
        found, origin = compare(text, np.where(hidden, MASK, text), MASK)
        assert origin.tolist() == list(range(60))
        assert [state == "masked" for state in found] == hidden.tolist()
