"""What ``trivium compare`` prints of two runs, and of a table of systems and tasks."""

from pathlib import Path

from trivium.cli.output import emit, note, plain, table
from trivium.errors import SettingsError

SHOWN = 10  # items that set the runs apart


def show_pair(first: str | None, second: str | None, data: list[Path], suite: str | None, as_json: bool) -> None:
    """Two runs, paired."""
    from trivium.verbs.compare_runs import compare_runs

    if first is None or second is None:
        raise SettingsError("--suite is for two runs: name both, as in trivium compare RUN_A RUN_B --suite S --data F")
    made = compare_runs(first, second, data=data or None, suite=suite, tell=note)
    lines = [made.verdict]
    if made.counts is not None:
        only = f"only {made.first} {made.counts.only_first:,}, only {made.second} {made.counts.only_second:,}"
        lines.append(f"right: both {made.counts.both:,}, {only}, neither {made.counts.neither:,}")
    lines += [f"note: {each}" for each in made.notes]
    if made.apart:
        rows = [(each.index, each.first, each.second, each.gold, each.text) for each in made.apart[:SHOWN]]
        lines += ["", table(rows, (made.unit, made.first, made.second, "gold", "text"))]
        if len(made.apart) > SHOWN:
            lines.append(f"and {len(made.apart) - SHOWN:,} more: all of them with --json")
    emit({**plain(made), "better": made.better, "verdict": made.verdict}, as_json, "\n".join(lines))


def show_wins(path: Path, as_json: bool) -> None:
    """Who is best in how many columns."""
    from trivium.lab.wins import read_table, wins

    made = wins(read_table(path))
    emit([{**plain(each), "sentence": each.sentence} for each in made], as_json, "\n".join(w.sentence for w in made))
