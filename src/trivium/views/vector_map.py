"""A map of words: points with labels that keep out of each other's way, as SVG, without a script.

Distances are to scale, one unit the same on both axes. A label is put beside its point where there is room, the first
words first; one for which there is none is left out and counted, and shows on pointing at its dot.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

from trivium.errors import SettingsError
from trivium.vectors.projection import Projection
from trivium.views.markup import Markup, html, joined, number

MOST = 2000  # words on one map
_WIDTH = 760.0
_HEIGHTS = (340.0, 640.0)
_MARGIN = 30.0
_LINE = 14.0  # pixels of a label's height
_LETTER = 6.8  # and of the width of a letter
_LONGEST = 28  # letters
_COLOURS = 6


def vector_map(
    projection: Projection, *, groups: Sequence[Sequence[str]] = (), pairs: Sequence[tuple[str, str]] = (),
    caption: str | None = None,
) -> Markup:  # fmt: skip
    """The picture. ``groups`` colours words by the list they are in; ``pairs`` joins words by lines; ``caption`` stands
    in place of the words on the axes."""
    words = projection.words
    if len(words) > MOST:
        raise SettingsError(f"a map of {len(words):,} words cannot be read: choose {MOST:,} at most")
    at = {word: i for i, word in enumerate(words)}
    if missing := sorted({word for pair in pairs for word in pair} - set(at)):
        raise SettingsError(f"{missing[0]!r} is joined to another word and not on the map: add it to the words")
    points, height = _on_paper(projection.points)
    labels = [_label(word) for word in words]
    joins = [(at[first], at[second]) for first, second in pairs]
    places = _placed(points, [_width(label) for label in labels], height, _along(points, joins))
    colour = {word: i % _COLOURS for i, group in reversed(list(enumerate(groups))) for word in group}
    lines = joined(
        html('<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>', *points[first], *points[second]) for first, second in joins
    )
    dots = joined(
        html(
            '<circle class="c{}" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}</title></circle>',
            colour.get(word, 0),
            x,
            y,
            word,
        )
        for word, (x, y) in zip(words, points, strict=True)
    )
    texts = joined(
        html('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>', *place, label)
        for place, label in zip(places, labels, strict=True)
        if place is not None
    )
    said = _caption(projection, sum(place is None for place in places), caption)
    return html(
        '<figure class="scatter"><div class="scroll" tabindex="0"><svg class="map" width="{0:.0f}" height="{1:.0f}" '
        'viewBox="0 0 {0:.0f} {1:.0f}" role="img" aria-label="map of {2} words">{3}{4}{5}</svg></div>'
        "<figcaption>{6}</figcaption>{7}</figure>",
        *(_WIDTH, height, len(words), lines, dots, texts, said, _numbers(projection)),
    )


def _on_paper(points: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, 2) pixels, y downwards, and the height of the drawing."""
    low, high = points.min(axis=0), points.max(axis=0)
    wide, tall = (float(each) or 1e-12 for each in high - low)
    height = min(max(_WIDTH * tall / wide, _HEIGHTS[0]), _HEIGHTS[1]) if max(wide, tall) > 1e-9 else _HEIGHTS[0]
    inner = np.array([_WIDTH - 4 * _MARGIN, height - 2 * _MARGIN])
    scale = min(inner[0] / wide, inner[1] / tall) if max(wide, tall) > 1e-9 else 0.0
    middle = np.array([_WIDTH, height]) / 2
    return middle + (points - (low + high) / 2) * scale * np.array([1, -1]), height


def _along(points: np.ndarray, joins: Sequence[tuple[int, int]]) -> np.ndarray:
    """(m, 2) points on the lines between words, close enough that no label fits between two."""
    steps = np.linspace(0, 1, 120)[:, None]
    drawn = [points[first] * (1 - steps) + points[second] * steps for first, second in joins]
    return np.concatenate(drawn) if drawn else np.empty((0, 2))


def _placed(
    points: np.ndarray, widths: Sequence[float], height: float, lines: np.ndarray
) -> list[tuple[float, float, str] | None]:
    """For each label x, baseline and anchor: off the lines if possible; None where each place by its point is taken."""
    dots = np.concatenate([points - 4, points + 4], axis=1)  # left, top, right, bottom
    taken = np.empty((0, 4))
    places: list[tuple[float, float, str] | None] = []
    for index, ((x, y), width) in enumerate(zip(points.tolist(), widths, strict=True)):
        others = np.concatenate([np.delete(dots, index, axis=0), taken])
        place, chosen, crossed = None, None, True
        for dx, dy, anchor in _AROUND:
            left = x + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
            box = np.array([left, y + dy - 0.8 * _LINE, left + width, y + dy + 0.2 * _LINE])
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= _WIDTH and box[3] <= height
            apart = (others[:, :2] >= box[2:]) | (others[:, 2:] <= box[:2])
            if not inside or not apart.any(axis=1).all():
                continue
            over = bool(((lines > box[:2]) & (lines < box[2:])).all(axis=1).any())
            if place is None or (crossed and not over):
                place, chosen, crossed = (x + dx, y + dy, anchor), box, over
        places.append(place)
        if chosen is not None:
            taken = np.concatenate([taken, chosen[None]])
    return places


_AROUND = (
    (7.0, 4.0, "start"),
    (-7.0, 4.0, "end"),
    (0.0, -8.0, "middle"),
    (0.0, 17.0, "middle"),
    (6.0, -6.0, "start"),
    (6.0, 14.0, "start"),
    (-6.0, -6.0, "end"),
    (-6.0, 14.0, "end"),
)


def _label(word: str) -> str:
    return word if len(word) <= _LONGEST else word[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _width(label: str) -> float:
    """Pixels, by a guess that is not too small: the page's font is the reader's."""
    return _LETTER * sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in label)


def _caption(projection: Projection, left_out: int, caption: str | None) -> str:
    first, second = (100 * share for share in projection.shares)
    said = caption or (
        f"The two directions in which these words differ most; they show {first:.0f} % and {second:.0f} % of the "
        "variance. Words that are near here may be apart in the other dimensions."
    )
    return said + (f" {left_out} labels found no room: point at a dot to read its word." if left_out else "")


def _numbers(projection: Projection) -> Markup:
    rows = joined(
        html(
            '<tr><th scope="row">{}</th><td class="num">{}</td><td class="num">{}</td></tr>', word, number(x), number(y)
        )
        for word, (x, y) in zip(projection.words, projection.points.tolist(), strict=True)
    )
    return html(
        '<details><summary>The numbers</summary><div class="scroll"><table><thead><tr><th scope="col">word</th>'
        '<th scope="col" class="num">across</th><th scope="col" class="num">up</th></tr></thead><tbody>{}</tbody>'
        "</table></div></details>",
        rows,
    )
