"""What ``trivium finetune`` prints for people: the scores, how sure they are, and the other runs in one table."""

from trivium.cli.output import table
from trivium.verbs.finetuning_card import interval_in_words, seeds_in_words, steps_in_words
from trivium.verbs.finetuning_result import FineTuned, Trial


def report_of(made: FineTuned) -> str:
    """A few lines, the last one the command to type next."""
    scores = "".join(f"  {name} {value:.3f}" for name, value in (made.scores or {}).items())
    labels = f"{len(made.labels)} labels, " if made.labels else ""
    lines = [
        f"{made.directory}: {labels}{steps_in_words(made)} in {made.seconds:.0f} s"
        f"{'; on dev' + scores if scores else ''}"
    ]
    if made.main in made.intervals:
        lines.append(f"{made.main} on dev: 95% {interval_in_words(made.intervals[made.main])}, over its examples")
    lines += seeds_in_words(made)
    if len(made.trials) > 1:
        lines.append(_trials(made))
    elif made.trials[0].old is not None:
        old = made.trials[0].old
        lines.append(f"on the old text {_words(made)} {old.before:.4f} before and {old.after:.4f} after")
    if made.mix is not None:
        shares = " ".join(f"{share:.3f}" for share in made.mix.shares)
        lines.append(f"layers, embeddings first, count {shares}, together times {made.mix.scale:.3f}")
    if made.trained_parameters < made.parameters:
        share = made.trained_parameters / made.parameters
        learnt = f"{made.trained_parameters:,} of {made.parameters:,} parameters learnt ({share:.2%})"
        if made.adapter_bytes is not None:
            learnt += f"; the adapter takes {made.adapter_bytes:,} bytes and needs its base"
        lines.append(learnt)
    return "\n".join([*lines, f"use it: trivium predict --model {made.directory} FILE"])


def _trials(made: FineTuned) -> str:
    head = ["", made.main, "\N{PLUS-MINUS SIGN}", "learn", "MB", "tokens/s"]
    if made.figure is not None:
        head.append(f"old text, {_words(made)}")
    return table([_row(made, trial) for trial in made.trials], head)


def _row(made: FineTuned, trial: Trial) -> list[object]:
    spread = trial.spread[made.main]
    row: list[object] = [trial.name, spread.mean, spread.deviation, trial.trained_parameters]
    row += [trial.training_bytes / 1e6, round(trial.tokens_per_second)]
    if trial.old is not None:
        row.append(f"{trial.old.before:.4f} to {trial.old.after:.4f}")
    return row


def _words(made: FineTuned) -> str:
    return (made.figure or "").replace("_", " ")
