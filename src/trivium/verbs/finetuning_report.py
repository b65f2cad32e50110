"""The page of a fine-tuning: the scores and how sure they are, how it learnt, what is taken for what, the worst errors,
other seeds, sizes and settings, and what the files have to be warned of."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from trivium.lab import Section, Series, Shown, key_figures, line_chart, note, page, table
from trivium.lab.charts import Intervals, interval_chart
from trivium.lab.report import Cell
from trivium.tasks import Outcome
from trivium.verbs.finetuning_card import interval_in_words, seeds_in_words, steps_in_words
from trivium.verbs.finetuning_result import FineTuned, Trial
from trivium.views.markup import Markup

ERRORS = 40  # of the worst
CLASSES = 16  # in the confusion matrix; the rarer ones share a row
LETTERS = 300  # of a text
RUNNING = 20  # steps of the running mean of the loss, in a long run


def finetuning_page(
    made: FineTuned, kind: str, losses: Sequence[float], outcomes: Sequence[Outcome],
    settings: Mapping[str, object],
) -> str:  # fmt: skip
    """One offline HTML document."""
    sections = [Section("Scores", _scores(made))]
    if len(made.trials) > 1:
        title = "More training examples" if made.vary == "curve" else "Settings compared"
        sections.append(Section(title, _trials(made)))
    if made.figure is not None:
        sections.append(Section("What it forgets", _forgotten(made)))
    sections.append(Section("How it learnt", _course(made, losses)))
    if outcomes:
        matrix = confusion(outcomes)
        if matrix is not None:
            sections.append(Section("What is taken for what", _confusion(matrix)))
        sections.append(Section("Worst errors", _errors(outcomes)))
    sections += [Section("Data", _data(made)), Section("Settings", [_settings(settings)])]
    meta = [f"task {kind}", f"from {made.base}", steps_in_words(made), f"{made.seconds:,.0f} s"]
    return page(f"Fine-tuned: {kind}", sections, meta=meta)


def _scores(made: FineTuned) -> list[Markup | str]:
    if made.scores is None:
        return ["There was no dev set, so nothing was measured: give one with `--dev`."]
    main = made.scores[made.main]
    figures: dict[str, Cell] = {made.main: _digits(main), "best step": made.best_step}
    figures["parameters that learnt"] = made.trained_parameters
    rows: list[list[Cell]] = [
        [name, _digits(value), interval_in_words(made.intervals.get(name))] for name, value in made.scores.items()
    ]
    return [
        key_figures(figures),
        table(("score on dev", "value", "95% interval over examples"), rows),
        *seeds_in_words(made),
        note(
            "The interval is Wilson's for a share of examples, else a bootstrap over examples. The weights were chosen "
            "by these very examples, so scores on new ones are a little lower."
        ),
        f"`{made.signature}`",
    ]


def _trials(made: FineTuned) -> list[Markup | str]:
    seeds = len(made.trials[0].runs)
    columns = ("", made.main, "parameters that learn", "learning rate", "MB", "tokens/s")
    rows: list[list[Cell]] = [
        [
            f"{number}. {trial.name}" if made.vary == "sweep" else trial.name,
            _spread(trial, made.main), trial.trained_parameters, trial.learning_rate,
            round(trial.training_bytes / 1e6, 1), round(trial.tokens_per_second),
        ]
        for number, trial in enumerate(made.trials, 1)
    ]  # fmt: skip
    found: list[Markup | str] = [table(columns, rows, best={made.main: "max"})]
    if made.vary == "curve":
        found.insert(0, _sizes(made))
    if made.vary == "sweep" and seeds > 1:
        values = [trial.spread[made.main] for trial in made.trials]
        lows, highs = [each.low or each.mean for each in values], [each.high or each.mean for each in values]
        series = Intervals(made.main, [each.mean for each in values], lows, highs)
        chart = interval_chart(
            [str(number) for number in range(1, len(values) + 1)], [series], y_label=made.main, floor=None,
            x_label="combination, numbered as below", label=f"{made.main} of each combination with 95% over seeds",
        )  # fmt: skip
        found.insert(0, chart)
    if seeds > 1:
        found.append(note(f"Mean of {seeds} seeds, \N{PLUS-MINUS SIGN} their standard deviation."))
    found.append(note("MB: weights, gradients and the optimizer's state together, while it learnt."))
    return found


def _forgotten(made: FineTuned) -> list[Markup | str]:
    rows: list[list[Cell]] = [
        [trial.name or "this model", _digits(trial.old.before), _digits(trial.old.after),
         f"{trial.old.after - trial.old.before:+.4f}"]
        for trial in made.trials if trial.old is not None
    ]  # fmt: skip
    words = (made.figure or "").replace("_", " ")
    return [
        f"What the text of `--old` costs the pretrained model, and the same model with the tuned weights: {words}, "
        "lower is better. The vocabulary head is the pretrained one both times.",
        table(("", "before", "after", "change"), rows),
    ]


def _sizes(made: FineTuned) -> Markup:
    sizes = [trial.examples for trial in made.trials]
    spreads = [trial.spread[made.main] for trial in made.trials]
    series = [Series(made.main, sizes, [each.mean for each in spreads])]
    for name in ("low", "high"):
        ends = [getattr(each, name) for each in spreads]
        if None not in ends:
            series.append(Series(f"95% {name}", sizes, ends, dashed=True))
    return line_chart(
        series,
        x_label="training examples",
        y_label=f"{made.main} on dev",
        label=f"{made.main} on dev by the number of training examples",
        caption="Each part of the training examples is contained in the next.",
        log_x=True,
    )


def _course(made: FineTuned, losses: Sequence[float]) -> list[Markup | str]:
    steps = list(range(1, len(losses) + 1))
    window = max(2, min(RUNNING, len(losses) // 10))
    smooth = [fmean(losses[max(0, at - window) : at]) for at in steps]
    found: list[Markup | str] = [
        line_chart(
            [Series("each step", steps, losses, faint=True), Series(f"mean of {window} steps", steps, smooth)],
            x_label="step", y_label="training loss, nats", label="Training loss over the steps",
        )
    ]  # fmt: skip
    if made.evaluations:
        at = [each.step for each in made.evaluations]
        for name in (made.main, *(["loss"] if "loss" in made.evaluations[0].scores and made.main != "loss" else [])):
            found.append(
                line_chart(
                    [Series(name, at, [each.scores[name] for each in made.evaluations])],
                    x_label="step", y_label=f"{name} on dev", label=f"{name} on dev over the steps",
                )
            )  # fmt: skip
        found.append(note(f"The weights of step {made.best_step:,} were kept."))
    return found


def confusion(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[int]]] | None:
    """Classes, and how often each (row) was said to be each (column); the rarer ones together, as the last. None where
    decisions are no classes: texts, or numbers."""
    gold = Counter(each.gold for each in outcomes)
    classes = list(dict.fromkeys([*(name for name, _ in gold.most_common()), *(each.said for each in outcomes)]))
    if len(classes) > max(CLASSES, len(outcomes) // 5):
        return None
    rest = "all others"
    named = classes if len(classes) <= CLASSES else classes[: CLASSES - 1]
    shown = [*named, *([rest] if len(named) < len(classes) else [])]
    place = {name: shown.index(name) if name in named else len(named) for name in classes}
    counts = [[0] * len(shown) for _ in shown]
    for each in outcomes:
        counts[place[each.gold]][place[each.said]] += 1
    return shown, counts


def _confusion(matrix: tuple[list[str], list[list[int]]]) -> list[Markup | str]:
    names, counts = matrix
    rows: list[list[Cell]] = []
    for number, (name, row) in enumerate(zip(names, counts, strict=True)):
        whole = sum(row)
        rows.append([_short(name, 40), *row, f"{row[number] / whole:.1%}" if whole else None])
    columns = ["true \\ said", *(_short(name, 40) for name in names), "found"]
    return ["Rows are what is true, columns what the model says.", table(columns, rows)]


def _errors(outcomes: Sequence[Outcome]) -> list[Markup | str]:
    wrong = sorted((each for each in outcomes if each.gold != each.said), key=lambda each: -each.loss)
    if not wrong:
        return ["There is none: every decision on dev was right."]
    rows: list[list[Cell]] = [
        [_short(each.text, LETTERS), _short(each.gold, LETTERS), _short(each.said, LETTERS), _chance(each.loss)]
        for each in wrong[:ERRORS]
    ]
    told = f"{len(wrong):,} of {len(outcomes):,} decisions on dev were wrong"
    told += f"; the {len(rows)} surest of them:" if len(rows) < len(wrong) else ":"
    return [told, table(("text", "true", "said", "probability of the truth"), rows)]


def _chance(loss: float) -> Shown:
    chance = math.exp(-loss)
    return Shown(chance, f"{chance:.4f}" if chance >= 1e-4 else f"{chance:.0e}")


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}\N{HORIZONTAL ELLIPSIS}"


def _data(made: FineTuned) -> list[Markup | str]:
    rows: list[list[Cell]] = [
        [each.split, each.name, each.rows, each.used, each.skipped, each.truncated, each.sha256[:12]]
        for each in made.files
    ]
    columns = ("", "file", "rows", "used", "skipped", "cut to length", "SHA-256 begins")
    notes = [f"{each[:1].upper()}{each[1:]}." for each in made.notes]
    if not any((made.checks.leaked, made.checks.contradicted, made.checks.repeated)):
        notes.append(
            "No example of dev is in train, too, and no training example stands there twice or contradicts another, "
            "differences of case and blanks aside."
        )
    return [table(columns, rows), *notes]


def _settings(settings: Mapping[str, object]) -> Markup:
    return table(("setting", "value"), [[name, str(value)] for name, value in settings.items()])


def _digits(value: float) -> Shown:
    return Shown(value, f"{value:.4f}")


def _spread(trial: Trial, name: str) -> Shown:
    spread = trial.spread[name]
    more = "" if spread.deviation is None else f" \N{PLUS-MINUS SIGN} {spread.deviation:.4f}"
    return Shown(spread.mean, f"{spread.mean:.4f}{more}")

