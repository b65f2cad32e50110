"""The model card of a fine-tuned model: what it was made of, what it scored and how sure that is, and how to use it."""

from collections.abc import Sequence

from trivium import __version__
from trivium.metrics.intervals import Interval
from trivium.verbs.finetuning_result import FineTuned, Spread
from trivium.verbs.tuning import FineTuning

SHORT = 12  # digits of a hash in a signature


def signature(
    kind: str, main: str, data: str, examples: int, length: int, precision: str, seed: int, options: str
) -> str:
    """What a score depends on besides the weights, in one line: two scores compare where their lines are the same but
    for the seed. ``data``: the SHA-256 of dev; ``options``: the task's settings that are not its defaults."""
    parts = (
        f"task:{kind}", *((options,) if options else ()), f"metric:{main}", f"dev:{data[:SHORT]}",
        f"examples:{examples}", f"length:{length}", f"trained:{precision}", "scored:float32", f"seed:{seed}",
        f"trivium:{__version__}",
    )  # fmt: skip
    return "|".join(parts)


def finetuning_card(
    card: str, made: FineTuned, kind: str, settings: FineTuning, columns: Sequence[str]
) -> str:
    """``README.md``: ``card`` of the model itself, then how it came about."""
    lines = [
        "## Fine-tuning",
        "",
        f"- Base model: {made.base} (SHA-256 of its weights: {made.base_sha256})",
        f"- Task: {kind}",
        f"- Trained: {method_in_words(settings)}, {made.trained_parameters:,} of {made.parameters:,} parameters, "
        f"{steps_in_words(made)} of {settings.batch} examples, learning rate {made.learning_rate:.3g}, seed "
        f"{settings.seed}; the weights are those of step {made.best_step:,}",
        "",
        "## Data",
        "",
        "| | file | rows | used | skipped | cut | SHA-256 |",
        "|---|---|---|---|---|---|---|",
    ]
    for file in made.files:
        name = file.name.replace("|", "\\|")
        lines.append(
            f"| {file.split} | {name} | {file.rows} | {file.used} | {file.skipped} | {file.truncated} | "
            f"`{file.sha256}` |"
        )
    lines += [f"\n{note[:1].upper()}{note[1:]}." for note in made.notes]
    if made.scores:
        lines += ["", "## Scores on dev", "", "| score | value | 95% interval over examples |", "|---|---|---|"]
        for name, value in made.scores.items():
            bold = "**" if name == made.main else ""
            lines.append(f"| {bold}{name}{bold} | {value:.4f} | {interval_in_words(made.intervals.get(name))} |")
        lines += ["", f"`{made.signature}`"]
        lines += [f"\n{sentence}" for sentence in seeds_in_words(made)]
        lines += ["", "Weights were chosen by these very examples, so the score is a little better than on new ones."]
    lines += ["", "## Use", "", "```bash", "trivium predict --model . new.jsonl", "```", ""]
    lines += [f"The rows of `new.jsonl` have the fields that the task reads: {', '.join(columns)}."]
    lines += ["`report.html` shows the errors, `trivium.toml` has every setting, `metrics.jsonl` the whole course."]
    return f"{card}\n" + "\n".join(lines) + "\n"


def seeds_in_words(made: FineTuned) -> list[str]:
    """What the main score is over seeds, where there are several."""
    trial = next((each for each in made.trials if each.examples == made.train_examples and len(each.runs) > 1
                  and any(run.scores == made.scores for run in each.runs)), None)  # fmt: skip
    if trial is None:
        return []
    return [
        f"Over {len(trial.runs)} seeds {made.main} is {spread_in_words(trial.spread[made.main])}; the weights here are "
        "the best seed's."
    ]


def steps_in_words(made: FineTuned) -> str:
    """How many, and where it stopped early of how many."""
    if made.steps < made.planned_steps:
        return f"{made.steps:,} of {made.planned_steps:,} steps (it stopped early)"
    return f"{made.steps:,} steps"


def spread_in_words(spread: Spread) -> str:
    """``0.912 ± 0.004 (95% 0.907 to 0.917)``."""
    if spread.deviation is None:
        return f"{spread.mean:.4f}"
    return f"{spread.mean:.4f} \N{PLUS-MINUS SIGN} {spread.deviation:.4f} (95% {spread.low:.4f} to {spread.high:.4f})"


def interval_in_words(interval: Interval | None) -> str:
    """``0.90 to 0.93``; a dash where there is none."""
    return "\N{EN DASH}" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def method_in_words(settings: FineTuning) -> str:
    """What learnt."""
    count = settings.method.removeprefix("last:")
    return {
        "full": "all weights",
        "frozen": "the head alone",
        "lora": f"adapters of rank {settings.lora.rank} beside {', '.join(settings.lora.targets)}, and the head",
    }.get(settings.method, f"the last {count} layers and the head")
