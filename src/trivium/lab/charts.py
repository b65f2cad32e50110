"""Charts as SVG and HTML: the drawing stretches with the page, the lettering stays readable on a phone.

The plot is an SVG in unit coordinates that is stretched to its box, with strokes that keep their width; ticks and
labels are HTML placed in percent. Every chart carries its numbers in a table that can be folded out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trivium.errors import TriviumError
from trivium.views.markup import Markup, html, joined, number

_POINTS = 300  # more are averaged in buckets: they would fall on the same pixels
_COLOURS = 6


@dataclass(frozen=True)
class Series:
    """One line of a chart. ``faint``: a line in the background, such as the noisy loss behind its running mean."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Intervals:
    """One method over the groups of an interval chart: a value with its interval in each group."""

    name: str
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    hollow: bool = False  # for baselines


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between ``low`` and ``high``, at steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high <= low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between ``low`` and ``high``; 1, 2 and 5 times them where the range is short."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    multiples = (1.0,) if high / low >= 30 else (1.0, 2.0, 5.0)
    ticks = [m * 10.0**p for p in powers for m in multiples if low * 0.999 <= m * 10.0**p <= high * 1.001]
    return ticks if len(ticks) > 1 else nice_ticks(low, high, 3)


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, 0 to 100 percent of the axis."""
        if self.log:
            value, low, high = math.log(value), math.log(self.low), math.log(self.high)
        else:
            low, high = self.low, self.high
        return 100 * (value - low) / (high - low) if high > low else 50.0


def line_chart(
    series: Sequence[Series], *, x_label: str, y_label: str, label: str, caption: str = "", log_x: bool = False
) -> Markup:
    """Lines over a common x axis. ``label`` says in words what the chart shows, for those who do not see it.

    Points that are not finite are left out, as are those at x <= 0 on a logarithmic axis.
    """
    lines = [_bucketed(_finite(s, log_x)) for s in series]
    lines = [s for s in lines if len(s.x)]
    if not lines:
        return html('<p class="note">{}: no finite values to draw.</p>', label)
    x_low, x_high = min(min(s.x) for s in lines), max(max(s.x) for s in lines)
    y_low, y_high = min(min(s.y) for s in lines), max(max(s.y) for s in lines)
    margin = 0.04 * (y_high - y_low) or abs(y_high) * 0.1 or 1.0
    x_axis = _Axis(x_low, x_high, log_ticks(x_low, x_high) if log_x else nice_ticks(x_low, x_high), log_x)
    y_axis = _Axis(y_low - margin, y_high + margin, nice_ticks(y_low - margin, y_high + margin))
    colours = {name: i % _COLOURS for i, name in enumerate(dict.fromkeys(s.name for s in lines if not s.faint))}
    drawn = joined(
        html(
            '<path class="{} c{}{}{}" d="{}"/>',
            "line" if len(s.x) > 1 else "dot",  # a line of one point has no length to be seen by
            colours.get(s.name, 0),
            " dashed" if s.dashed else "",
            " faint" if s.faint else "",
            _path(s, x_axis, y_axis),
        )
        for s in sorted(lines, key=lambda s: not s.faint)
    )
    x_ticks = [(x_axis.at(t), number(t)) for t in x_axis.ticks]
    legend = [(s.name, f"c{colours[s.name]}{' dashed' if s.dashed else ''}") for s in lines if not s.faint]
    folded = _line_numbers([s for s in lines if not s.faint], x_label)
    return _figure(drawn, x_ticks, y_axis, x_label, y_label, label, caption, legend, folded)


def interval_chart(
    groups: Sequence[str],
    series: Sequence[Intervals],
    *,
    y_label: str,
    label: str,
    x_label: str = "",
    caption: str = "",
    floor: float | None = 0.0,
) -> Markup:
    """Values with their intervals (say accuracy and 95 % over seeds), side by side within each group.

    ``floor``: where the value axis begins; None: just below the lowest interval.
    """
    for s in series:
        if not len(s.values) == len(s.low) == len(s.high) == len(groups):
            raise TriviumError(f"{s.name}: {len(s.values)} values were given for {len(groups)} groups")
    lows = [v for s in series for v in s.low if math.isfinite(v)]
    highs = [v for s in series for v in s.high if math.isfinite(v)]
    if not highs:
        return html('<p class="note">{}: no finite values to draw.</p>', label)
    top, bottom = max(highs), min(lows) if floor is None else min(floor, *lows)
    margin = 0.06 * (top - bottom) or 1.0
    y_axis = _Axis(bottom - (margin if floor is None else 0), top + margin, ())
    y_axis = _Axis(y_axis.low, y_axis.high, nice_ticks(y_axis.low, y_axis.high))
    band = 100 / len(groups)
    parts: list[Markup] = []
    for g in range(len(groups)):
        if g % 2:
            parts.append(html('<rect class="band" x="{:.3f}" y="0" width="{:.3f}" height="100"/>', g * band, band))
        for i, s in enumerate(series):
            if not all(map(math.isfinite, (s.values[g], s.low[g], s.high[g]))):
                continue
            x = band * (g + 0.16 + 0.68 * (i + 0.5) / len(series))
            low, value, high = (100 - y_axis.at(v) for v in (s.low[g], s.values[g], s.high[g]))
            kind = f"c{i % _COLOURS}"
            parts.append(html('<path class="whisker {}" d="M{:.3f} {:.3f}V{:.3f}"/>', kind, x, low, high))
            parts.append(html('<path class="dot {}" d="M{:.3f} {:.3f}h0"/>', kind, x, value))
            if s.hollow:
                parts.append(html('<path class="dot hollow" d="M{:.3f} {:.3f}h0"/>', x, value))
    legend = [(s.name, f"dot c{i % _COLOURS}{' hollow' if s.hollow else ''}") for i, s in enumerate(series)]
    x_ticks = [(band * (g + 0.5), name) for g, name in enumerate(groups)]
    folded = _interval_numbers(groups, series)
    return _figure(joined(parts), x_ticks, y_axis, x_label, y_label, label, caption, legend, folded)


def _figure(
    drawn: Markup,
    x_ticks: Sequence[tuple[float, str]],
    y_axis: _Axis,
    x_label: str,
    y_label: str,
    label: str,
    caption: str,
    legend: Sequence[tuple[str, str]],
    folded: Markup,
) -> Markup:
    grid = joined(html('<path class="grid" d="M0 {0:.3f}H100"/>', 100 - y_axis.at(tick)) for tick in y_axis.ticks)
    y_labels = joined(
        html('<span style="top:{:.3f}%">{}</span>', 100 - y_axis.at(tick), number(tick)) for tick in y_axis.ticks
    )
    last = len(x_ticks) - 1
    x_labels = joined(
        html(
            '<span style="left:{:.3f}%"{}>{}</span>',
            *(at, Markup(' class="end"') if i == last and at > 93 else "", text),
        )
        for i, (at, text) in enumerate(x_ticks)
    )
    keys = joined(html('<li class="{}">{}</li>', kind, name) for name, kind in legend)
    return html(
        '<figure class="chart"><div class="ylabel">{}</div><div class="plot"><div class="yticks" aria-hidden="true">{}'
        '</div><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{}">{}{}</svg>'
        '<div class="xticks" aria-hidden="true">{}</div></div><div class="xlabel">{}</div><ul class="legend">{}</ul>{}'
        "<details><summary>The numbers</summary>{}</details></figure>",
        *(y_label, y_labels, label, grid, drawn, x_labels, x_label, keys),
        html("<figcaption>{}</figcaption>", caption) if caption else "",
        folded,
    )


def _path(series: Series, x_axis: _Axis, y_axis: _Axis) -> str:
    points = [f"{x_axis.at(x):.2f} {100 - y_axis.at(y):.2f}" for x, y in zip(series.x, series.y, strict=True)]
    return "M" + "L".join(points) + ("h0" if len(points) == 1 else "")


def _finite(series: Series, log_x: bool) -> Series:
    if len(series.x) != len(series.y):
        raise TriviumError(f"{series.name}: {len(series.x)} x values were given for {len(series.y)} y values")
    pairs = [
        (float(x), float(y))
        for x, y in zip(series.x, series.y, strict=True)
        if math.isfinite(x) and math.isfinite(y) and (x > 0 or not log_x)
    ]
    return Series(series.name, [x for x, _ in pairs], [y for _, y in pairs], series.dashed, series.faint)


def _bucketed(series: Series) -> Series:
    """At most ``_POINTS`` points, each the mean of its bucket; the last point stays as it is."""
    count = len(series.x)
    if count <= _POINTS:
        return series
    bounds = [round(i * (count - 1) / (_POINTS - 1)) for i in range(_POINTS)] + [count]
    pairs = zip(bounds, bounds[1:], strict=False)
    means = [(sum(series.x[a:b]) / (b - a), sum(series.y[a:b]) / (b - a)) for a, b in pairs if b > a]
    return Series(series.name, [x for x, _ in means], [y for _, y in means], series.dashed, series.faint)


def _line_numbers(lines: Sequence[Series], x_label: str) -> Markup:
    rows = []
    for s in lines:
        marks = sorted({round(i * (len(s.x) - 1) / 4) for i in range(5)})
        cells = joined(html("<td>{} <small>at {}</small></td>", number(s.y[i]), number(s.x[i])) for i in marks)
        rows.append(html('<tr><th scope="row">{}</th>{}</tr>', s.name, cells))
    title = html("Five points of each line; after “at”: {}", x_label)
    return html('<div class="scroll"><table><caption>{}</caption>{}</table></div>', title, joined(rows))


def _interval_numbers(groups: Sequence[str], series: Sequence[Intervals]) -> Markup:
    head = joined(html('<th scope="col">{}</th>', g) for g in groups)
    rows = joined(
        html(
            '<tr><th scope="row">{}</th>{}</tr>',
            s.name,
            joined(
                html("<td>{} <small>[{}, {}]</small></td>", number(v), number(low), number(high))
                for v, low, high in zip(s.values, s.low, s.high, strict=True)
            ),
        )
        for s in series
    )
    return html('<div class="scroll"><table><thead><tr><td></td>{}</tr></thead>{}</table></div>', head, rows)
