"""What the pages of aligned models share: curves of the lines of ``metrics.jsonl``, their figures, and samples."""

from collections.abc import Mapping, Sequence
from typing import Any

from trivium.lab import Series, Shown, line_chart, table
from trivium.lab.report import Cell
from trivium.views.markup import Markup, joined

Line = Mapping[str, Any]


def of_kind(lines: Sequence[Line], kind: str) -> list[Line]:
    """With the parts of a loss as figures of their own, where there are any."""
    return [{**line.get("losses", {}), **line} for line in lines if line["kind"] == kind]


def curve(lines: Sequence[Line], name: str, title: str) -> Series:
    """A figure by update, where it is known."""
    kept = [line for line in lines if line.get(name) is not None]
    return Series(title, [line["step"] for line in kept], [line[name] for line in kept])


def chart(series: Sequence[Series], unit: str, label: str, caption: str = "") -> Markup:
    """Curves over updates, with their ``label`` to be read under them, too."""
    kept = [each for each in series if len(each.x)]
    told = f"{label}. {caption}".rstrip()
    return line_chart(kept, x_label="update", y_label=unit, label=label, caption=told)


def digits(value: float) -> Shown:
    """Four of them."""
    return Shown(value, f"{value:.4g}")


def first_and_last(samples: Sequence[Line]) -> list[Markup | str]:
    """What was written at the first evaluation and at the last."""
    kept = [samples[0], *samples[-1:]] if len(samples) > 1 else list(samples)
    rows = [[str(line["step"]), joined(line["text"].splitlines(), "<br>")] for line in kept]
    return [table(("update", "prompt -> response"), rows)]


def banded(lines: Sequence[Line], name: str, title: str) -> list[Series]:
    """A figure by update with the ends of its interval in faint lines."""
    found = [curve(lines, name, title)]
    for end in ("low", "high"):
        each = curve(lines, f"{name}_{end}", title)
        found.append(Series(title, each.x, each.y, faint=True))
    return found


def before_and_after(first: Line, last: Line) -> Markup:
    """All figures of two evaluations, with their intervals where they have any."""
    names = [name for name, value in last.items() if isinstance(value, float) and not name.endswith(("_low", "_high"))]
    rows: list[list[Cell]] = [
        [name, *(cell for line in (first, last) for cell in (_value(line, name), ends(line, name)))] for name in names
    ]
    return table(("figure", "before", "95% interval before", "after", "95% interval"), rows)


def ends(line: Line, name: str) -> str:
    """Of a figure's interval."""
    low, high = (line.get(f"{name}_{end}") for end in ("low", "high"))
    return "-" if low is None or high is None else f"{low:.3g} to {high:.3g}"


def _value(line: Line, name: str) -> Cell:
    return digits(line[name]) if line.get(name) is not None else "-"
