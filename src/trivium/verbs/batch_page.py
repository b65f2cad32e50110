"""``inspect batch --html``: a step of training as one offline page, token by token."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trivium.lab import Section, page
from trivium.lab.report import note, table
from trivium.views.batch_picture import legend, side_picture, text_picture
from trivium.views.batches import BatchView, RowView, Side
from trivium.views.markup import Markup


def batch_page(view: BatchView) -> str:
    """The rows of a step: where their text comes from, what each stack reads, and what is to be predicted where."""
    of = f" of {view.steps:,}" if view.steps is not None else ""
    asked = ", ".join(f"{count:,} {name}" for name, count in view.targets.items())
    meta = [
        f"{view.row_count:,} rows of {view.length:,} tokens",
        f"{view.micro_batches:,} micro-batches" if view.micro_batches > 1 else "one batch",
        f"{view.tokens:,} tokens read",
        f"targets: {asked}",
    ]
    if view.model is not None:
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in view.losses.items())
        meta.append(f"mean loss by {view.model}: {losses}")
    sections = [Section(f"Row {row.number}", list(_row(row)), kicker=_kicker(row)) for row in view.rows]
    sections.append(Section("How to read it", [legend(scored=view.model is not None)]))
    return page(f"Step {view.step:,}{of} of {view.source}", sections, subtitle="What the model sees", meta=meta)


def _kicker(row: RowView) -> str:
    lane = f", lane {row.lane}" if row.lane is not None else ""
    return f"draw {row.draw:,}, micro-batch {row.micro_batch}{lane}"


def _row(row: RowView) -> Iterator[Markup]:
    cells = [
        (
            Path(piece.file).name if piece.file is not None else f"source {piece.source}",
            f"{piece.first} to {piece.last}",
            piece.document,
            f"{piece.start:,} to {piece.start + piece.last - piece.first:,} of {piece.length:,}",
        )
        for piece in row.pieces
    ]
    head = ("file", "places in the row", "document", "tokens of the document")
    yield table(head, cells, caption="The text comes from")
    yield text_picture(row)
    for side in row.sides:
        yield side_picture(side)
        if told := _told(side):
            yield note(told)
    for answer in row.answers:
        cost = f", cost {answer.cost:.4f}" if answer.cost is not None else ""
        yield note(f"{answer.loss} of the row: {answer.value}{cost}")


def _told(side: Side) -> str:
    """What is the same all over."""
    parts: list[str] = []
    if side.padding:
        parts.append(f"{side.padding} places of padding are left out")
    counts = _counted([target.how for place in side.places for target in place.targets])
    if counts:
        parts.append(f"targets: {counts}")
    return "; ".join(parts)


def _counted(ways: Sequence[str | None]) -> str:
    return ", ".join(f"{ways.count(way)} {way}" for way in dict.fromkeys(ways) if way is not None)
