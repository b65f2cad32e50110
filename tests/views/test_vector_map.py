"""The map of words: points to scale, labels that do not cover each other, hostile words harmless."""

import re
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest

from trivium.errors import SettingsError
from trivium.vectors.projection import Projection
from trivium.views import vector_map as module
from trivium.views.vector_map import vector_map


def projection(words: list[str], points: list[list[float]] | np.ndarray) -> Projection:
    return Projection(tuple(words), np.asarray(points, np.float64), (0.5, 0.25))


class Drawn(HTMLParser):
    """Dots and labels of a picture."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.dots: list[tuple[float, float, str]] = []
        self.lines: list[str] = []
        self.labels: dict[str, tuple[float, float, str]] = {}
        self._place: tuple[float, float, str] | None = None
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "circle":
            self.dots.append((float(found["cx"]), float(found["cy"]), found["class"]))
        elif tag == "path":
            self.lines.append(found["d"])
        self._place = (float(found["x"]), float(found["y"]), found["text-anchor"]) if tag == "text" else None

    def handle_data(self, data: str) -> None:
        if self._place:
            self.labels[data] = self._place
            self._place = None


def boxes(drawn: Drawn) -> list[tuple[float, float, float, float]]:
    found = []
    for word, (x, y, anchor) in drawn.labels.items():
        width = 6.0 * len(word)
        left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        found.append((left, y - 9, left + width, y + 2))
    return found


def test_distances_are_to_scale_and_up_is_up() -> None:
    drawn = Drawn(vector_map(projection(["a", "b", "c"], [[0, 0], [3, 0], [0, 1]])))
    (ax, ay, _), (bx, by, _), (cx, cy, _) = drawn.dots
    assert ay == pytest.approx(by) and ax == pytest.approx(cx) and cy < ay
    assert (bx - ax) / (ay - cy) == pytest.approx(3, abs=0.01)
    assert set(drawn.labels) == {"a", "b", "c"}


@pytest.mark.parametrize("words", [30, 400])
def test_labels_cover_neither_each_other_nor_dots_nor_the_edge(words: int) -> None:
    points = np.random.default_rng(words).normal(size=(words, 2))
    markup = vector_map(projection([f"word{i}" for i in range(words)], points))
    drawn = Drawn(markup)
    assert len(drawn.dots) == words
    for first, second in combinations(boxes(drawn), 2):
        assert first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]
    for left, top, right, bottom in boxes(drawn):
        assert left >= 0 and right <= 760 and top >= 0
        assert not any(left < x < right and top < y < bottom for x, y, _ in drawn.dots)
    left_out = words - len(drawn.labels)
    assert (f"{left_out} labels found no room" in markup) == (left_out > 0)
    assert len(drawn.labels) > (25 if words == 30 else 60)


def test_groups_have_colours_and_pairs_are_joined() -> None:
    shown = projection(["king", "queen", "oslo"], [[0, 0], [1, 1], [2, 0]])
    drawn = Drawn(vector_map(shown, groups=[["king", "queen"], ["oslo", "king"]], pairs=[("king", "queen")]))
    assert [kind for _, _, kind in drawn.dots] == ["c0", "c0", "c1"]
    (x, y, _), (u, v, _), _ = drawn.dots
    assert drawn.lines == [f"M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}"]


def test_labels_keep_off_the_lines_between_words() -> None:
    drawn = Drawn(
        vector_map(projection(["king", "queen", "far"], [[0, 0], [4, 0.2], [2, 3]]), pairs=[("king", "queen")])
    )
    x, y, _ = drawn.labels["king"]
    (king_x, king_y, _), (queen_x, queen_y, _), _ = drawn.dots
    box = next(box for word, box in zip(drawn.labels, boxes(drawn), strict=True) if word == "king")
    for share in np.linspace(0, 1, 500):
        at = king_x + share * (queen_x - king_x), king_y + share * (queen_y - king_y)
        assert not (box[0] < at[0] < box[2] and box[1] < at[1] < box[3])


def test_words_at_one_place_have_a_map() -> None:
    drawn = Drawn(vector_map(projection(list("abcdefghijklmnop"), np.zeros((16, 2)))))
    assert {(x, y) for x, y, _ in drawn.dots} == {(380.0, 170.0)} and 1 <= len(drawn.labels) < 16


def test_hostile_words_are_text() -> None:
    word = "<script>alert(1)</script>&\"'"
    markup = vector_map(projection([word, "猫" * 50, "c"], [[0, 0], [1, 1], [2, 0]]))
    assert "<script" not in markup and "&lt;script&gt;" in markup
    assert re.search("猫{27}…", markup)


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(SettingsError, match="'x' is joined to another word and not on the map"):
        vector_map(projection(["a", "b", "c"], np.eye(3)[:, :2]), pairs=[("a", "x")])
    many = projection([str(i) for i in range(module.MOST + 1)], np.zeros((module.MOST + 1, 2)))
    with pytest.raises(SettingsError, match="choose 2,000 at most"):
        vector_map(many)
