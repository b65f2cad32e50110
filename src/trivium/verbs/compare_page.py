"""The page of a comparison: verdicts in words, the table, differences with their doubts, curves, sizes, failures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trivium.lab import Intervals, Section, Series, Shown, interval_chart, line_chart, note, page, table
from trivium.lab.report import Cell
from trivium.views.markup import Markup, html, joined

if TYPE_CHECKING:
    from trivium.verbs.compare import Comparison
    from trivium.verbs.compare_table import Column, Standing


def comparison_page(made: Comparison, longest: int) -> str:
    """One offline HTML document."""
    sections = [Section("What was found", _found(made))]
    sections.append(Section("The scores", [_table(made, longest), *_notes(made), *_charts(made)]))
    if made.differences:
        sections.append(Section("Differences", [_differences(made), *_reading(made)]))
    if pieces := _scaling(made):
        sections.append(Section("Size and training", pieces))
    sections.append(Section("How they learn", _curves(made)))
    if made.standings[0].costs:
        sections.append(Section("What a longer text costs", _costs(made)))
    if made.failures:
        sections.append(Section("What is missing", [_failures(made)]))
    name, amount = made.budget
    meta = [f"{amount:,.4g} {name} each" if name != "tokens" else f"{amount:,} training tokens each"]
    meta.append(f"{made.seeds} seed{'s' * (made.seeds != 1)}")
    return page(made.title, sections, subtitle=made.question, meta=meta)


def _found(made: Comparison) -> list[Markup | str]:
    seen = [each.verdict for each in made.differences if each.seen]
    rest = [each.verdict for each in made.differences if not each.seen]
    pieces: list[Markup | str] = []
    if seen:
        pieces.append(_list(seen))
    if rest:
        pieces.append(_list(rest))
    if any(each.columns > 1 for each in made.wins):
        pieces += ["Columns won, those of an objective's own left out:", _list([each.sentence for each in made.wins])]
    if not made.differences:
        pieces.append("There is nothing to hold against each other yet.")
    return pieces


def _list(sentences: Sequence[str]) -> Markup:
    return html("<ul>{}</ul>", joined(html("<li>{}.</li>", each) for each in sentences))


def _table(made: Comparison, longest: int) -> Markup:
    rows: list[list[Cell]] = [
        [s.name, s.stack, s.parameters or None, s.tokens or None, _flops(s), *(_mean(s, c) for c in made.columns)]
        for s in made.standings
    ]
    if made.ngrams:
        value = made.ngrams["bits_per_byte"]
        found: list[Cell] = [
            Shown(value, c.spelt(value)) if c.key == "bits per byte" else None for c in made.columns
        ]
        rows.append([f"{longest}-grams (Kneser-Ney)", "n-grams", None, None, None, *found])
    titles = ("model", "stack", "parameters", "training tokens", "FLOPs", *(_title(c) for c in made.columns))
    ranked = [c for c in made.columns if c.mark != "of its own objective"]
    best = {_title(c): "max" if c.better == "higher" else "min" for c in ranked}
    return table(titles, rows, best=best)  # type: ignore[arg-type]


def _title(column: Column) -> str:
    return column.title + (f" ({column.mark})" if column.mark else "")


def _flops(standing: Standing) -> Cell:
    return Shown(standing.flops, f"{standing.flops:.3g}") if standing.flops else None


def _mean(standing: Standing, column: Column) -> Cell:
    found = standing.means.get(column.key)
    if found is None:
        return None
    spread = ""
    if math.isfinite(found.low):
        spread = f" [{column.spelt(found.low)}, {column.spelt(found.high)}]"
    return Shown(found.value, column.spelt(found.value) + spread)


def _notes(made: Comparison) -> list[Markup]:
    found = ["Means over seeds; in brackets Student's 95 % interval."]
    marks = {column.mark for column in made.columns}
    if "of its own objective" in marks:
        found.append("A figure of its own objective compares only between contenders that hide the same, the same way.")
    if {"likelihood", "pseudo-likelihood"} <= marks:
        found.append(
            "A decoder's likelihood and an encoder's pseudo-likelihood (each token from all others) are different "
            "quantities and do not compare."
        )
    return [note(each) for each in found]


def _charts(made: Comparison) -> list[Markup]:
    shown = [c for c in made.columns if c.scale == 100 and sum(c.key in s.means for s in made.standings) > 1]
    if not shown:
        return []
    series = []
    for s in made.standings:
        means = [s.means.get(c.key) for c in shown]
        nan = float("nan")
        series.append(
            Intervals(
                s.name,
                [100 * m.value if m else nan for m in means],
                [100 * (m.low if math.isfinite(m.low) else m.value) if m else nan for m in means],
                [100 * (m.high if math.isfinite(m.high) else m.value) if m else nan for m in means],
                hollow=s.stack == "baseline",
            )
        )
    return [
        interval_chart(
            [c.title for c in shown], series, y_label="score, of 100", label="Scores of each contender", floor=None,
            caption="95 % intervals over seeds.",
        )
    ]  # fmt: skip


def _differences(made: Comparison) -> Markup:
    columns = {column.key: column for column in made.columns}
    rows: list[list[Cell]] = []
    for each in made.differences:
        column = columns[each.column]
        finite = math.isfinite(each.value.low)
        over = each.items
        rows.append(
            [
                f"{each.first} − {each.second}",
                column.title,
                Shown(each.value.value, column.spelt(each.value.value, True)),
                f"[{column.spelt(each.value.low, True)}, {column.spelt(each.value.high, True)}]" if finite else "–",
                f"[{column.spelt(over.low, True)}, {column.spelt(over.high, True)}]" if over else "–",
                Shown(each.p, f"{each.p:.3f}") if each.p is not None else None,
                Shown(each.adjusted, f"{each.adjusted:.3f}") if each.adjusted is not None else None,
                Shown(each.detectable, column.spelt(each.detectable)) if each.detectable is not None else None,
            ]
        )
    titles = ("difference", "score", "mean", "95 % over seeds", "95 % over examples", "p", "p, Holm", "detectable")
    return table(titles, rows)


def _reading(made: Comparison) -> list[Markup]:
    return [
        note(
            f"Paired by seed. p is that of Student's paired test; “p, Holm” is corrected for the "
            f"{sum(d.p is not None for d in made.differences)} comparisons of this page together, and a difference is "
            "said to be seen where it is below 0.05. Detectable: the smallest true difference that would have been "
            "found in four of five such experiments, without the correction. Over examples: a bootstrap of the scored "
            "examples, for these trained models."
        )
    ]


def _scaling(made: Comparison) -> list[Markup]:
    """Scores against parameters and against tokens, where contenders differ in them."""
    nets = [s for s in made.standings if s.stack != "baseline"]
    pieces = []
    for what, x_label in (("parameters", "parameters"), ("tokens", "training tokens")):
        amounts = sorted({getattr(s, what) for s in nets})
        if len(amounts) < 2 or amounts[-1] < 1.2 * max(1, amounts[0]):
            continue
        for column in made.columns:
            lines = _lines(nets, what, column)
            if lines and column.mark != "of its own objective":
                others = [s for s in made.standings if s.stack == "baseline" and column.key in s.means]
                ends = [min(min(line.x) for line in lines), max(max(line.x) for line in lines)]
                lines += [
                    Series(s.name, ends, [column.scale * s.means[column.key].value] * 2, dashed=True) for s in others
                ]
                pieces.append(
                    line_chart(
                        lines, x_label=x_label, y_label=column.title, label=f"{column.title} against {x_label}",
                        log_x=all(x > 0 for line in lines for x in line.x),
                    )
                )  # fmt: skip
    return pieces


def _lines(standings: Sequence[Standing], what: str, column: Column) -> list[Series]:
    """One line for the contenders that differ in what moves ``what`` alone."""
    moving = {
        axis
        for axis in next((s.point for s in standings if s.point), {})
        if _moves([s for s in standings if s.point], axis, what)
    }
    groups: dict[str, list[tuple[float, float]]] = {}
    for s in standings:
        if column.key not in s.means:
            continue
        name = ", ".join(group for axis, group in s.point.items() if axis not in moving) if s.point else s.stack
        groups.setdefault(name or "all", []).append((getattr(s, what), column.scale * s.means[column.key].value))
    made = [(name, sorted(points)) for name, points in groups.items() if len({x for x, _ in points}) > 1]
    return [Series(name, [x for x, _ in points], [y for _, y in points]) for name, points in made]


def _moves(standings: Sequence[Standing], axis: str, what: str) -> bool:
    """Whether ``what`` differs by more than a fifth between cells that differ in this axis alone."""
    alike: dict[tuple[str, ...], list[float]] = {}
    for s in standings:
        rest = tuple(group for name, group in s.point.items() if name != axis)
        alike.setdefault(rest, []).append(getattr(s, what))
    return any(max(each) > 1.2 * max(1, min(each)) for each in alike.values())


def _curves(made: Comparison) -> list[Markup | str]:
    held = [Series(s.name, [x for x, _ in s.curve], [y for _, y in s.curve]) for s in made.standings if s.curve]
    if made.ngrams and held:
        ends = [min(x for s in held for x in s.x), max(x for s in held for x in s.x)]
        held.append(Series("n-grams", ends, [made.ngrams["loss"]] * 2, dashed=True))
    trained = [Series(s.name, [x for x, _ in s.losses], [y for _, y in s.losses]) for s in made.standings if s.losses]
    pieces: list[Markup | str] = []
    for series, which in ((held, "held-out"), (trained, "training")):
        if series:
            pieces.append(
                line_chart(
                    series, x_label="training tokens", y_label=f"{which} loss, nats",
                    label=f"{which.capitalize()} loss of each model over training",
                    caption="The first seed of each. Losses of different objectives do not compare.",
                )
            )  # fmt: skip
    rows: list[list[Cell]] = [
        [s.name, round(s.tokens_per_second), None if s.mfu is None else f"{s.mfu:.1%}"]
        for s in made.standings
        if s.tokens_per_second
    ]
    if rows:
        pieces.append(table(("model", "training tokens/s", "of the peak rate"), rows))
    return pieces or ["No model was trained."]


def _failures(made: Comparison) -> Markup:
    rows: list[list[Cell]] = [[f"{f.name}, seed {f.seed}", f.score or "all of it", f.why] for f in made.failures]
    return table(("cell", "what", "why"), rows)


def _costs(made: Comparison) -> list[Markup | str]:
    with_costs = [s for s in made.standings if s.costs]

    def chart(y_label: str, label: str, of: str) -> Markup:
        series = [Series(s.name, [c.length for c in s.costs], [getattr(c, of) for c in s.costs]) for s in with_costs]
        return line_chart(series, x_label="length of a row, tokens", y_label=y_label, label=label, log_x=True)

    columns = ("model", "length", "rows", "µs a token", "kB a token")
    rows: list[list[Cell]] = [
        [s.name, c.length, c.rows, c.microseconds, c.kilobytes] for s in with_costs for c in s.costs
    ]
    fixed = ", ".join(s.name for s in with_costs)
    return [
        "The same number of tokens, cut into fewer and longer rows. Attention compares each position with every other, "
        "so its work a token grows with the length; a recurrent model does the same work at each place, but one after "
        "the other. Memory is what a forward pass keeps for the backward one; where it falls again, the explicit "
        "attention matrix was given up for a kernel that never writes it down.",
        chart("µs a token", "Time of a training step by length", "microseconds"),
        chart("kB a token", "Memory of a training step by length", "kilobytes"),
        table(columns, rows),
        note(
            f"Measured on fresh models of the same sizes ({fixed}) in float32. A Transformer with learned positions "
            "reads no further than its context; a recurrent model has no longest text."
        ),
    ]
