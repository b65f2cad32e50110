"""A step of training on a terminal: rows, the files they come from, what each stack reads and what it is asked for.

Marks say all that colours say; those that are met are explained below the rows.
"""

import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from trivium.cli.output import coloured, table
from trivium.views.batches import BatchView, Place, RowView, Side, Target
from trivium.views.tokenisation import legible

_TARGETS = 16  # of a row, as many as fit on a terminal
_LEFT = 10
_MARKS = {"hidden": "[]", "changed": "{}", "kept": "()", "moved": "~~", "added": "++"}
_MEANINGS = {
    "hidden": "not read",
    "changed": "another in its place",
    "kept": "kept, and asked for",
    "moved": "moved",
    "added": "put in",
}
_COLOURS = {"masked": 3, "changed": 0, "moved": 4, "added": 2, "hidden": 1, "kept": 5}


def batch_text(view: BatchView) -> str:
    """The whole of it."""
    of = f" of {view.steps:,}" if view.steps is not None else ""
    parts = f" in {view.micro_batches} micro-batches" if view.micro_batches > 1 else ""
    asked = ", ".join(f"{count:,} {name}" for name, count in view.targets.items())
    lines = [
        f"{view.source}, step {view.step:,}{of}: {view.row_count:,} rows of {view.length:,} tokens{parts}, "
        f"{view.tokens:,} tokens read; targets: {asked}"
    ]
    if view.model is not None:
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in view.losses.items())
        lines.append(f"mean loss by {view.model}, without dropout: {losses}")
    for row in view.rows:
        lines += ["", *_row(row)]
    if len(view.rows) < view.row_count:
        lines += ["", f"{view.row_count - len(view.rows):,} more rows: --rows {view.row_count} shows all"]
    return "\n".join([*lines, "", *_legend(view.rows)])


def _legend(rows: Sequence[RowView]) -> Iterator[str]:
    """The marks and control tokens that were met."""
    places = [place for row in rows for side in row.sides for place in side.places]
    met = {_state(place) for place in places if place.control is None}
    met |= {"hidden" for row in rows for token in row.tokens if not token.seen and token.control is None}
    marks = [f"{_MARKS[state][0]}a{_MARKS[state][1]} {told}" for state, told in _MEANINGS.items() if state in met]
    documents = any(place.document != places[0].document for place in places if place.document >= 0)
    if marks or documents:
        yield "marks: " + ", ".join([*marks, *(["| between documents"] if documents else [])])
    met_tokens = [(each.text, each.control) for row in rows for each in row.tokens]
    controls = {text: role for text, role in [*met_tokens, *((p.text, p.control) for p in places)] if role}
    if controls:
        yield "control tokens: " + ", ".join(f"{text} {role}" for text, role in controls.items())


def _row(row: RowView) -> Iterator[str]:
    lane = f", lane {row.lane}" if row.lane is not None else ""
    yield f"row {row.number} (draw {row.draw:,}, micro-batch {row.micro_batch}{lane})"
    for number, piece in enumerate(row.pieces):
        file = Path(piece.file).name if piece.file is not None else f"source {piece.source}"
        yield (
            f"{'from' if number == 0 else '':<{_LEFT}}{_span(piece.first, piece.last)}: {legible(file)}, "
            f"document {piece.document:,}, tokens {_span(piece.start, piece.start + piece.last - piece.first)} "
            f"of {piece.length:,}"
        )
    text = ((each.text, each.control, "same" if each.seen else "hidden", each.document) for each in row.tokens)
    yield from _wrapped("text", _joined(text))
    for side in row.sides:
        read = ((each.text, each.control, _state(each), each.document) for each in side.places)
        yield from _wrapped(side.stack, _joined(read))
        yield from _ranges(side)
    for answer in row.answers:
        cost = f", cost {answer.cost:.4f}" if answer.cost is not None else ""
        yield f"{'answer':<{_LEFT}}{answer.loss}: {answer.value}{cost}"
    yield from _targets(row)


def _state(place: Place) -> str:
    return "kept" if any(target.how == "kept" for target in place.targets) else place.state


def _joined(tokens: Iterable[tuple[str, str | None, str, int]]) -> list[tuple[str, int]]:
    """Words to print with their colours: of (text, role, state, document) of each token."""
    words: list[tuple[str, int]] = []
    before = None
    for text, control, state, document in tokens:
        if before is not None and document != before:
            words.append((" |", -1))
        before = document
        marks = _MARKS.get(state, "") if control is None else ""
        space = " " if text.startswith(" ") or control is not None else ""
        word = f"{space}{marks[:1]}{legible(text.removeprefix(' '))}{marks[1:]}"
        words.append((word, _COLOURS.get(state, -1)))
    return words


def _wrapped(name: str, words: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Lines of the terminal's width, broken before tokens that begin with a space, and anywhere if there are none."""
    width = max(40, shutil.get_terminal_size((100, 24)).columns) - _LEFT
    lines: list[list[tuple[str, int]]] = [[]]
    used = 0
    for word, colour in words:
        if used and used + len(word) > width:
            lines.append([])
            used = 0
        lines[-1].append((word if used else word.removeprefix(" "), colour))
        used += len(word)
    for number, line in enumerate(lines):
        head = name if number == 0 else ""
        yield f"{head:<{_LEFT}}" + "".join(coloured(word, colour) for word, colour in line)


def _ranges(side: Side) -> Iterator[str]:
    """What else a stack is told of its places, as ranges."""
    places = side.places
    facts: list[tuple[str, Callable[[Place], object]]] = []
    if any(place.segment is not None for place in places):
        facts.append(("segments", lambda place: place.segment))
    if any(place.prefix for place in places):
        facts.append(("seen from everywhere", lambda place: "prefix" if place.prefix else None))
    for name, value in facts:
        runs = [(what, first, last) for what, first, last in _runs(places, value) if what is not None]
        yield " " * _LEFT + f"{name}: " + ", ".join(f"{what} at {_span(first, last)}" for what, first, last in runs)
    if any(place.position != place.place for place in places):
        anew = [str(b.place) for a, b in zip(places, places[1:], strict=False) if b.position != a.position + 1]
        yield " " * _LEFT + f"positions: begin anew at {', '.join(anew)}"
    if any(place.order is not None for place in places):
        order = " ".join("-" if place.order is None else str(place.order) for place in places)
        yield from textwrap.wrap(
            f"order: {order}", max(40, shutil.get_terminal_size((100, 24)).columns),
            initial_indent=" " * _LEFT, subsequent_indent=" " * _LEFT,
        )  # fmt: skip
    if side.padding:
        yield " " * _LEFT + f"padding: {side.padding} places"


def _runs(places: Sequence[Place], value: Callable[[Place], object]) -> Iterator[tuple[object, int, int]]:
    first = 0
    for at in range(1, len(places) + 1):
        if at == len(places) or value(places[at]) != value(places[first]):
            yield value(places[first]), places[first].place, places[at - 1].place
            first = at


def _targets(row: RowView) -> Iterator[str]:
    asked: list[tuple[Place, Target]] = [(p, t) for side in row.sides for p in side.places for t in p.targets]
    if not asked:
        return
    several = len({target.loss for _, target in asked}) > 1
    how = any(target.how is not None for _, target in asked)
    scored = any(target.cost is not None for _, target in asked)
    head = ["place", "sees", "target", *(["loss"] if several else []), *(["how"] if how else [])]
    cells = [
        [
            place.place, legible(place.text.strip(" ") or place.text), legible(target.text.strip(" ") or target.text),
            *([target.loss] if several else []),
            *([target.how or ""] if how else []),
            *([f"{target.cost:.3f}" if target.cost is not None else None] if scored else []),
        ]
        for place, target in asked[:_TARGETS]
    ]  # fmt: skip
    ways = [target.how for _, target in asked if target.how is not None]
    counted = ", ".join(f"{ways.count(way)} {way}" for way in dict.fromkeys(ways))
    yield f"{'targets':<{_LEFT}}{len(asked):,}" + (f": {counted}" if counted else "")
    for line in table(cells, [*head, *(["cost"] if scored else [])]).splitlines():
        yield " " * _LEFT + line
    if len(asked) > _TARGETS:
        yield " " * _LEFT + f"{len(asked) - _TARGETS:,} more: --html F and --json show all"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
