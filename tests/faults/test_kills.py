"""kill -9 at any moment: the resumed run ends with the same bytes as one that was left alone."""

import random
from pathlib import Path

import pytest
from commands import Commands
from trials import Trials

KILLS = 20


def test_twenty_kills_at_random_moments(trials: Trials, tmp_path: Path) -> None:
    draw = random.Random(20)
    done = runs = 0
    while done < KILLS:
        done += trials.kill_at_random(tmp_path / f"run-{runs}", min(5, KILLS - done), draw)
        runs += 1
        assert runs < 2 * KILLS, "the runs are over before they are killed: is anything being tested?"


def test_kills_of_a_run_that_carries_state(commands: Commands, tmp_path: Path) -> None:
    """The states of a recurrent model's lanes are part of what comes back."""
    trials = Trials.prepare(commands, tmp_path, "lstm-mini")
    assert trials.kill_at_random(tmp_path / "run", 4, random.Random(4)) > 0


def test_kills_of_a_run_from_a_pretrained_model(trials: Trials, commands: Commands, tmp_path: Path) -> None:
    """Its figures before the first step, and what it goes on from, come back as well."""
    more = ["--from", str(trials.reference), "--set=from.extend_vocabulary=20"]
    continuing = Trials.prepare(commands, tmp_path, "gpt2-mini", more)
    assert continuing.kill_at_random(tmp_path / "run", 4, random.Random(5)) > 0
    for index, point in enumerate((5, len(continuing.writes) // 8, len(continuing.writes) - 2)):
        continuing.crash_at(tmp_path / f"run-{index}", point)


def test_crashes_in_the_middle_of_saving(trials: Trials, tmp_path: Path) -> None:
    """Writes, fsyncs and renames of a run's life, from the first to the last, each the last thing it did."""
    assert len(trials.writes) > 100
    for index, point in enumerate(range(0, len(trials.writes), len(trials.writes) // 7)):
        trials.crash_at(tmp_path / f"run-{index}", point)


def test_a_crash_before_the_last_old_checkpoint_went(trials: Trials, tmp_path: Path) -> None:
    """The resumed run has nothing left to save, and still tidies up."""
    trials.crash_at(tmp_path / "run", len(trials.writes) - 1 - trials.writes[::-1].index("rename"))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_crash_at_every_write_of_a_run(trials: Trials, tmp_path: Path) -> None:
    for point in range(len(trials.writes)):
        trials.crash_at(tmp_path / f"run-{point}", point)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_three_hundred_kills(trials: Trials, tmp_path: Path) -> None:
    draw = random.Random(300)
    done = runs = 0
    while done < 300:
        done += trials.kill_at_random(tmp_path / f"run-{runs}", min(4, 300 - done), draw)
        runs += 1
