"""One word in many contexts: how alike its vectors are, what is near each, and where they lie on a map.

A static vector is the same wherever the word stands: every cosine is 1 and the map shows one point. A contextual model
gives each occurrence its own vector; occurrences that mean the same lie together (Peters et al. 2018, section 5.1; the
"bank" of a river and of money). Cosines of contextual vectors are high in general (Ethayarajh 2019), so the mean cosine
of different words is told beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivium.vectors.projection import Projection, principal_components
from trivium.views.concordance import Concordance, Hit
from trivium.views.markup import Markup, html, joined
from trivium.views.vector_map import vector_map

_SHOWN = 30  # occurrences in the table of cosines
_SAME = 1e-6  # apart by less than this, vectors of length 1 are the same
_MOST_BACKGROUND = 5000  # words that the mean cosine of different words is computed from


@dataclass(frozen=True)
class WordNeighbour:
    """Another word of the text, and how near its nearest occurrence is; ``context``: that occurrence; ``document``: the
    text that it is in, from 0."""

    word: str
    cosine: float
    context: str
    document: int = 0


@dataclass(frozen=True)
class Occurrence:
    """One place of the word. ``nearest``: numbers of other occurrences with their cosines; ``words``: other words;
    ``document``: the text that it is in, from 0, and ``span`` where in it; ``static``: the cosine between its vector
    and the word's own, which is the same in every context, in contextual models that have one."""

    number: int
    before: str
    word: str
    after: str
    point: tuple[float, float]
    nearest: tuple[tuple[int, float], ...]
    words: tuple[WordNeighbour, ...]
    document: int = 0
    span: tuple[int, int] = (0, 0)
    static: float | None = None


@dataclass(frozen=True)
class WordView:
    """A word's occurrences in a text, as one model sees them."""

    word: str
    model: str
    static: bool
    layer: int | None  # None: of a static vector
    lines: int  # that were read
    more: bool  # there may be more occurrences after these
    occurrences: tuple[Occurrence, ...]
    cosines: np.ndarray  # (n, n) float64
    mean_cosine: float | None  # of different occurrences; None for a single one
    background: float | None  # of different words, where there are several
    shares: tuple[float, float]  # of the variance, on the map's axes
    static_cosines: np.ndarray | None = None  # (n, n) float64, before any context: 1 where the tokens are the same


@dataclass(frozen=True)
class Word:
    """A word of the text that may be a neighbour: its spelling, which line it is of, the words around it, the text."""

    text: str
    line: int
    context: str
    document: int = 0


def view_of(
    found: Concordance, model: str, layer: int | None, vectors: np.ndarray, lines: Sequence[int], words: Sequence[Word],
    word_vectors: np.ndarray, neighbours: int, static_vectors: np.ndarray | None = None,
) -> WordView:  # fmt: skip
    """``vectors`` (n, W) of the occurrences and the ``lines`` (n,) they are of; ``word_vectors`` (m, W) of ``words``;
    ``static_vectors`` (n, W): what each occurrence begins with, before any context.

    Where vectors are contextual, words of an occurrence's own line are not its neighbours, unless there is one line
    only: they are near because they stand together.
    """
    static = layer is None
    unit, others = _unit(vectors), _unit(word_vectors)
    cosines = _cosines(unit)
    own = None if static_vectors is None else _unit(static_vectors)
    points, shares = principal_components(unit)
    if np.abs(points).max() < _SAME:  # what is left is rounding
        points, shares = np.zeros_like(points), (0.0, 0.0)
    near = _nearest_words(unit, lines, others, words, neighbours, apart=not static and len({*lines}) > 1)
    made = []
    for place, hit in enumerate(found.hits):
        order = [other for other in np.argsort(-cosines[place], kind="stable") if other != place][:neighbours]
        made.append(
            Occurrence(
                place + 1,
                *hit.around(),
                point=(float(points[place, 0]), float(points[place, 1])),
                nearest=tuple((int(other) + 1, float(cosines[place, other])) for other in order),
                words=near[place],
                document=hit.document,
                span=(hit.offset + hit.span[0], hit.offset + hit.span[1]),
                static=None if own is None or own.shape != unit.shape else float(own[place] @ unit[place]),
            )  # fmt: skip
        )
    return WordView(
        word=found.word, model=model, static=static, layer=layer, lines=found.lines, more=found.more,
        occurrences=tuple(made), cosines=cosines, mean_cosine=_mean_apart(unit),
        background=_background(others, words), shares=shares, static_cosines=None if own is None else _cosines(own),
    )  # fmt: skip


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, in float64; a row of zeros stays one."""
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def _cosines(unit: np.ndarray) -> np.ndarray:
    """(n, n) of rows of length 1."""
    cosines = np.clip(unit @ unit.T, -1, 1)
    np.fill_diagonal(cosines, 1.0)
    return cosines


def _mean_apart(unit: np.ndarray) -> float | None:
    """The mean cosine of different rows."""
    count = len(unit)
    if count < 2:
        return None
    lengths = float((unit * unit).sum())
    return min(1.0, (float(np.square(unit.sum(0)).sum()) - lengths) / (count * (count - 1)))


def _background(others: np.ndarray, words: Sequence[Word]) -> float | None:
    """Of one occurrence each of different words, evenly taken from the text."""
    first = list({word.text.casefold(): number for number, word in reversed(list(enumerate(words)))}.values())
    step = max(1, len(first) // _MOST_BACKGROUND)
    return _mean_apart(others[sorted(first)[::step]]) if first else None


def _nearest_words(
    unit: np.ndarray, lines: Sequence[int], others: np.ndarray, words: Sequence[Word], count: int, apart: bool
) -> list[tuple[WordNeighbour, ...]]:
    """For each occurrence the ``count`` words whose nearest occurrence is nearest; ``apart``: in other lines."""
    if not words or count < 1:
        return [() for _ in unit]
    spelt = np.array([word.text.casefold() for word in words])
    line = np.array([word.line for word in words])
    found = []
    for vector, own in zip(unit, lines, strict=True):
        cosines = others @ vector
        order = np.argsort(-cosines, kind="stable")
        if apart:
            order = order[line[order] != own]
        _, first = np.unique(spelt[order], return_index=True)  # the nearest occurrence of each word
        best = order[np.sort(first)[:count]]
        found.append(
            tuple(
                WordNeighbour(words[n].text, min(1.0, float(cosines[n])), words[n].context, words[n].document)
                for n in best.tolist()
            )
        )
    return found


# ---- the picture ----


def occurrence_map(view: WordView) -> Markup:
    """The occurrences as points, numbered as in the list; those that coincide are one point with all their numbers."""
    groups: dict[tuple[float, float], list[Occurrence]] = {}
    size = max(abs(each) for one in view.occurrences for each in one.point) or 1.0
    for one in view.occurrences:
        across, up = (round(each / size, 4) for each in one.point)
        groups.setdefault((across, up), []).append(one)
    labels = [_label(group) for group in groups.values()]
    projection = Projection(tuple(labels), np.array(list(groups)) * size, view.shares)
    return vector_map(projection, caption=_caption(view, len(groups)))


def _label(group: Sequence[Occurrence]) -> str:
    if len(group) == 1:
        one = group[0]
        near = (*one.before.split()[-1:], one.word, *one.after.split()[:1])
        return f"{one.number} {' '.join(near)}"
    return ", ".join(_runs([one.number for one in group]))


def _runs(numbers: Sequence[int]) -> list[str]:
    """1, 2, 3, 7 as 1-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [str(run[0]) if len(run) == 1 else f"{run[0]}\N{EN DASH}{run[-1]}" for run in runs]


def _caption(view: WordView, points: int) -> str:
    count = len(view.occurrences)
    if points == 1 and count > 1:
        why = "its vector is static" if view.static else "this layer gives it the same vector in every context"
        return f"All {count} occurrences of “{view.word}” are one point: {why}."
    first, second = (100 * share for share in view.shares)
    return (
        f"{count} occurrences of “{view.word}” in the two directions in which they differ most, which show "
        f"{first:.0f} % and {second:.0f} % of their variance. Numbers are those of the list."
    )


def context_line(before: str, word: str, after: str) -> Markup:
    """An occurrence as text with the word marked."""
    return html("{}<mark>{}</mark>{}", before, word, after)


def shown_cosines(view: WordView) -> np.ndarray:
    """(n, n): those between the first occurrences, as many as a table holds."""
    return view.cosines[:_SHOWN, :_SHOWN]


def occurrence_list(view: WordView) -> Markup:
    """Every occurrence with its context and what is near it."""
    items = joined(
        html(
            '<li value="{}"><p dir="auto">{}</p><p class="note">{}</p></li>',
            one.number,
            context_line(one.before, one.word, one.after),
            _near(one),
        )
        for one in view.occurrences
    )
    return html('<ol class="occurrences">{}</ol>', items)


def _near(one: Occurrence) -> Markup:
    parts = []
    if one.nearest:
        parts.append("near: " + ", ".join(f"{number} ({cosine:.3f})" for number, cosine in one.nearest))
    if one.words:
        told = (html('<span title="{}">{} ({:.3f})</span>', w.context, w.word, w.cosine) for w in one.words)
        parts.append(html("words: {}", joined(told, ", ")))
    return joined(parts, "; ")


def context_of(text: str, start: int, end: int) -> str:
    """A word with a little around it, to tell one occurrence of it from another."""
    return "".join(Hit(text, (start, end)).around(24))
