"""``trivium compare``: contenders on the same text at equal cost, side by side in figures, in words and in one report.

Every contender is trained once for each seed at the same number of tokens, FLOPs or minutes, and judged by the same
scores. Each training with its scores is a cell; finished cells are never made again, and one that fails does not stop
the others.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import torch

from trivium.durable import replace_file
from trivium.errors import DataError, SettingsError, TriviumError
from trivium.lab.wins import Wins
from trivium.objectives import Causal
from trivium.training.signals import Interrupted
from trivium.verbs.compare_cell import Cell, conflict, fail_cell, finished, read_cell, run_cell, tokenizer_of
from trivium.verbs.compare_page import comparison_page
from trivium.verbs.compare_table import Column, Difference, Standing, columns_of, differences_of, standing_of, wins_of
from trivium.verbs.compare_transfer import task_examples
from trivium.verbs.experiment import LOGS, Arm, Experiment, load_experiment, located, located_data
from trivium.verbs.pretraining_data import FEWEST_TO_SPLIT, texts

How = Literal["sequence", "processes", "ray"]
Job = tuple[Arm, int]
FILE = "experiment.toml"
REPORT = "report.html"


@dataclass(frozen=True)
class Failure:
    """A cell, or a score of one, that is not there, and why."""

    name: str
    seed: int
    score: str  # empty: the cell itself
    why: str


@dataclass(frozen=True)
class Comparison:
    """All figures of an experiment; ``report`` is the page that shows them."""

    directory: Path
    title: str
    question: str
    budget: tuple[str, float]
    seeds: int
    columns: list[Column]
    standings: list[Standing]
    differences: list[Difference]
    wins: tuple[Wins, ...]
    failures: list[Failure]
    ngrams: dict[str, float] | None  # the rival's held-out likelihood, mean over seeds
    report: Path


def compare(
    experiment: str | Path | Experiment | None,
    out: str | Path,
    *,
    data: Sequence[str | Path] = (),
    tokens: int | None = None,
    flops: float | None = None,
    minutes: float | None = None,
    seeds: int | None = None,
    how: How = "sequence",
    workers: int = 1,
    tell: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Runs an experiment (a name, a path or an ``Experiment``) into the folder ``out``, or goes on with the one there.

    ``experiment`` None: the one that ``out`` holds. ``how``: cell after cell in this process, or ``workers`` at a time
    in processes of their own, here or on a Ray cluster. The page is ``out/report.html``.
    """
    folder = Path(out)
    if how == "sequence" and workers != 1:
        raise SettingsError(f"workers = {workers}: in sequence it is one at a time: set how to processes or ray")
    made = _asked(experiment, folder, data, {"tokens": tokens, "flops": flops, "minutes": minutes, "seeds": seeds})
    jobs = [(arm, seed) for seed in range(made.seeds) for arm in made.arms()]  # so that a part has all contenders
    open_ones = [job for job in jobs if not finished(made, *job, read_cell(folder, job[0].name, job[1]))]
    errors: list[TriviumError] = []
    if open_ones:
        _prepare(made, [arm for arm, _ in open_ones], folder, tell)
        if how == "sequence":
            errors = _here(made, open_ones, folder, tell)
        else:
            errors = _apart(open_ones, folder, how, workers, tell)
    return report(made, folder, errors)


def make_cell(out: str | Path, name: str, tell: Callable[[str], None] = lambda text: None) -> Cell:
    """One cell, "NAME/seed-N", of the comparison that the folder ``out`` holds. No report is written."""
    folder = Path(out)
    made = _asked(None, folder, (), {})
    contender, _, seed = name.rpartition("/seed-")
    if not seed.isdigit() or int(seed) >= made.seeds or contender not in [arm.name for arm in made.arms()]:
        known = f"{made.arms()[0].name}/seed-0"
        raise SettingsError(f"there is no cell {name!r}: name a contender and a seed, such as {known!r}")
    arm = made.arm(contender)
    if not finished(made, arm, int(seed), read_cell(folder, contender, int(seed))):
        _prepare(made, [arm], folder, tell)
    return run_cell(made, arm, int(seed), folder, tell)


def _here(made: Experiment, jobs: Sequence[Job], folder: Path, tell: Callable[[str], None]) -> list[TriviumError]:
    """Cell after cell; the errors of those that fail."""
    errors = []
    for number, (arm, seed) in enumerate(jobs, 1):
        here = f"[{number}/{len(jobs)}] {arm.name}, seed {seed}"
        tell(here)
        try:
            run_cell(made, arm, seed, folder, lambda text, here=here: tell(f"{here}: {text}"))  # type: ignore[misc]
        except Interrupted as stopped:
            said = f"{here} was stopped, and what it had done is saved: go on with trivium compare --out {folder}"
            raise Interrupted(said, stopped.exit_code - 128) from stopped
        except (TriviumError, torch.OutOfMemoryError, MemoryError) as error:
            failed = error if isinstance(error, TriviumError) else TriviumError(f"out of memory ({error})")
            tell(f"{here} failed: {failed}")
            errors.append(fail_cell(folder, arm, seed, failed))
    return errors


def _apart(
    jobs: Sequence[Job], folder: Path, how: How, workers: int, tell: Callable[[str], None]
) -> list[TriviumError]:
    """Each cell as a command of its own."""
    from trivium.lab import workers as pool

    commands = [
        pool.Job(name, ("compare", "--out", str(folder.resolve()), "--cell", name), folder.resolve() / LOGS)
        for name in (f"{arm.name}/seed-{seed}" for arm, seed in jobs)
    ]
    ended = pool.run_all(commands, workers, how, tell)
    return [
        fail_cell(folder, arm, seed, TriviumError(outcome.error))
        for (arm, seed), outcome in zip(jobs, ended, strict=True)
        if outcome.returncode
    ]


def report(made: Experiment, folder: Path, errors: Sequence[TriviumError] = ()) -> Comparison:
    """The comparison of the cells that are finished, written as a page. ``errors``: of the others, one of which is
    raised when there is no finished one."""
    arms = made.arms()
    found = {arm.name: [read_cell(folder, arm.name, seed) for seed in range(made.seeds)] for arm in arms}
    cells = {name: [cell for cell in each if cell is not None and cell.trained] for name, each in found.items()}
    if not any(cells.values()):
        raise errors[0] if errors else SettingsError(f"{folder} has no finished cell yet: run the comparison")
    every = [cell for each in cells.values() for cell in each]
    columns = columns_of(made, every)
    standings = [standing_of(arm, cells[arm.name], columns, folder) for arm in arms if cells[arm.name]]
    rivals = [cell.rival for cell in every if cell.rival]
    comparison = Comparison(
        directory=folder,
        title=made.title,
        question=made.question,
        budget=made.budget,
        seeds=made.seeds,
        columns=columns,
        standings=standings,
        differences=differences_of(standings, columns, made.reference),
        wins=wins_of(standings, columns),
        failures=_failures(arms, found, made.seeds),
        ngrams={name: mean(rival[name] for rival in rivals) for name in rivals[0]} if rivals else None,
        report=folder / REPORT,
    )
    replace_file(comparison.report, comparison_page(comparison, made.ngrams).encode())
    return comparison


def _failures(arms: Sequence[Arm], found: dict[str, list[Cell | None]], seeds: int) -> list[Failure]:
    told = []
    for arm in arms:
        for seed, cell in enumerate(found[arm.name]):
            if cell is None:
                told.append(Failure(arm.name, seed, "", "not made yet"))
            elif not cell.trained:
                told.append(Failure(arm.name, seed, "", cell.error or "not finished"))
            else:
                if cell.pairs_error:
                    told.append(Failure(arm.name, seed, "minimal pairs", cell.pairs_error))
                told += [
                    Failure(arm.name, seed, name, each.error) for name, each in cell.transfers.items() if each.error
                ]
    return told


def _asked(
    experiment: str | Path | Experiment | None,
    folder: Path,
    data: Sequence[str | Path],
    changes: dict[str, Any],
) -> Experiment:
    there = folder / FILE
    if experiment is None:
        if not there.is_file():
            raise SettingsError(f"{folder} holds no experiment (there is no {FILE}): name one")
        experiment = there
    if isinstance(experiment, Experiment):
        made = experiment
    else:
        made = load_experiment(experiment, data, **changes)
    _check_rivals(made)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not there.is_file())):
        raise SettingsError(f"{folder} is in use: choose another --out")
    for arm in made.arms():
        for seed in range(made.seeds):
            cell = read_cell(folder, arm.name, seed)
            if cell is not None and (why := conflict(made, arm, cell)):
                raise SettingsError(
                    f"{folder} holds another experiment ({arm.name}, seed {seed}, was made with another {why}): choose "
                    "another --out, or leave out the name"
                )
    folder.mkdir(parents=True, exist_ok=True)
    if not there.is_file() or there.read_text(encoding="utf-8") != made.to_toml():
        replace_file(there, made.to_toml().encode())
    return made


def _check_rivals(made: Experiment) -> None:
    for name in ("ngrams", "lengths"):
        if not getattr(made, name):
            continue
        for arm in made.arms()[: 1 if name == "ngrams" else None]:
            if arm.baseline or not isinstance(made.recipe(arm, 0).objective, Causal):
                raise SettingsError(
                    f"{arm.name} predicts no text from left to right, and {name} is for models that do: leave out "
                    f"{name}, or the contender"
                )


def _prepare(made: Experiment, arms: Sequence[Arm], folder: Path, tell: Callable[[str], None]) -> None:
    """What all cells read: checked, and tokenizers learnt, before the first is trained."""
    for transfer in made.transfer:
        if transfer.at_hand:
            task_examples(transfer)
        else:
            tell(f"{transfer.name} is left out: its files are not at hand")
    networks = [arm for arm in arms if arm.baseline is None]
    if not networks:
        return
    for arm in networks:
        with suppress(SettingsError):  # of a contender that cannot be: its cell will say so, and the others go on
            tokenizer_of(made, arm, folder, tell)
    sources = texts(located_data(made.data), None)
    few = all(len(list(islice(source.documents(), FEWEST_TO_SPLIT))) < FEWEST_TO_SPLIT for source in sources)
    if not (made.transfer or made.minimal_pairs or made.heldout) and (few or not made.data.heldout):
        raise SettingsError(
            "no text would be held out to judge models on: data.heldout is a share of the documents, of which there "
            f"must be {FEWEST_TO_SPLIT}, so give more files, or name heldout files"
        )
    named = [("heldout", path) for path in made.heldout]
    named += [("minimal_pairs", made.minimal_pairs)] if made.minimal_pairs is not None else []
    for name, path in named:
        if not Path(located(path)).exists():
            raise DataError(f"{name}: {located(path)} is not there: check the name")


def plain(comparison: Comparison) -> dict[str, Any]:
    """For ``--json``: what is not finite is absent."""
    return dict(_finite(asdict(replace(comparison, standings=list(comparison.standings)))))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
