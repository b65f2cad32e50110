"""The choice of whoever has a few examples, as one offline page: a curve over their number, a table, the prompt."""

import math

from trivium.lab import report
from trivium.lab.charts import Intervals, Series, interval_chart, line_chart
from trivium.verbs.few_shot import MAJORITY, FewShot
from trivium.verbs.few_shot_tasks import Aggregate
from trivium.views.markup import Markup


def few_shot_page(made: FewShot) -> str:
    """The whole document."""
    sections = [report.Section("Score over examples", [_chart(made), *map(report.note, _baseline(made)), _table(made)])]
    shown = [report.prose("What the first row is asked, with the most examples:"), report.code(made.prompt)]
    if made.words:
        words = ", ".join(f"{label}: {word!r}" for label, word in made.words.items())
        shown.append(report.note(f"Words that stand for the labels: {words}"))
    sections.append(report.Section("The prompt", shown))
    how = "|".join(f"{name}:{value}" for name, value in made.signature.items())
    told = [*map(report.note, made.notes), report.code(how, label="How")]
    sections.append(report.Section("How it was computed", told))
    return report.page(
        f"{made.task} in context", sections, meta=[f"{made.rows} rows scored", f"{made.pool} examples to show"]
    )


def tasks_page(made: Aggregate) -> str:
    """The means over several tasks by number of examples, and each task's own table."""
    names = list(dict.fromkeys((each.model, each.way) for each in made.means))
    lines = []
    for model, way in names:
        points = [each for each in made.means if (each.model, each.way) == (model, way)]
        lines.append(Series(f"{model}: {way}", [each.shots for each in points], [each.value for each in points]))
    chart = line_chart(
        lines, x_label="examples", y_label="mean over tasks", label="The mean over tasks, by number of examples",
        caption="Unweighted means of each task's main score.",
    )  # fmt: skip
    rows: list[list[report.Cell]] = [
        [each.way, each.model, each.shots, each.value, each.tasks] for each in made.means
    ]
    first = report.Section("Means", [chart, report.table(["way", "model", "examples", "mean", "tasks"], rows)])
    own = [
        report.Section(name, [_chart(one), *map(report.note, _baseline(one)), _table(one)])
        for name, one in zip(made.names, made.tasks, strict=True)
    ]
    return report.page(f"{len(made.tasks)} tasks in context", [first, *own])


def _chart(made: FewShot) -> Markup:
    counts = sorted({way.shots for way in made.ways if way.way != MAJORITY})
    names = list(dict.fromkeys((way.model, way.way) for way in made.ways if way.way != MAJORITY))
    several = len({model for model, _ in names}) > 1
    lines = []
    for model, way in names:
        found = {each.shots: each.score for each in made.curve(model, way)}
        values = [found[count].value if count in found else math.nan for count in counts]
        lows = [_or(found[count].low, found[count].value) if count in found else math.nan for count in counts]
        highs = [_or(found[count].high, found[count].value) if count in found else math.nan for count in counts]
        lines.append(Intervals(f"{model}: {way}" if several else way, values, lows, highs))
    return interval_chart(
        [str(count) for count in counts], lines, y_label=made.metric, x_label="examples",
        label=f"{made.metric} of each way over the number of examples, with 95% intervals over rows and draws",
    )  # fmt: skip


def _table(made: FewShot) -> Markup:
    others = list(dict.fromkeys(name for way in made.ways if way.model for name in way.others))
    columns = ["way", "model", "examples", made.metric, "95% interval", "deviation of draws"]
    columns += [part for name in others for part in (name, f"95% interval of {name}")] + ["seconds"]
    rows: list[list[report.Cell]] = [
        [
            *(each.way, each.model, each.shots, each.score.value, each.score.interval, each.deviation),
            *(cell for score in map(each.others.get, others)
              for cell in ((score.value, score.interval) if score else ("-", "-"))),
            each.seconds,
        ] for each in made.ways
    ]  # fmt: skip
    return report.table(columns, rows, best={made.metric: "max"})


def _baseline(made: FewShot) -> list[str]:
    return [f"The most frequent label has {each.score.value:.4f}." for each in made.ways if each.way == MAJORITY]


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
