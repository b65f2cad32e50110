"""Kill a pretraining run at random moments, resume it, and hold what it left against a run that was left alone.

As a script it does the full count by hand::

    python tests/faults/trials.py --kills 300
"""

import argparse
import hashlib
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import Commands, Ended

WORDS = (
    "the a this every some reader writer server list file value name returns holds takes gives keeps opens closes "
    "calls empty first last open old new small large one two all when if and or of in to from with for by"
).split()
CLOCK = ("seconds", "tokens_per_second", "mfu")  # the fields of a line of metrics that depend on the time of day
STEPS = 18


def write_text(path: Path, documents: int = 40, seed: int = 0) -> Path:
    """A text of invented sentences, about 2 KB a document."""
    draw = random.Random(seed)
    pages = [
        " ".join(" ".join(draw.choices(WORDS, k=draw.randint(4, 12))).capitalize() + "." for _ in range(40))
        for _ in range(documents)
    ]
    path.write_text("\n\n".join(pages))
    return path


def settings(recipe: str, **changes: object) -> list[str]:
    """A model and a run so small that saving takes longer than learning."""
    values: dict[str, object] = {
        "tokenizer.vocab_size": 320,
        "model.size": "tiny",
        "model.context": 32,
        "model.dropout": 0.1,
        "training.steps": STEPS,
        "training.batch_tokens": 256,
        "training.checkpoint_every": 3,
        "training.log_every": 2,
        "training.evaluate_every": 8,
        "training.sample_every": 0,
        "training.precision": "float32",
        "training.device": "cpu",
        **{name.replace("__", "."): value for name, value in changes.items()},
    }
    return [recipe, *(f"--set={name}={value}" for name, value in values.items())]


@dataclass(frozen=True)
class Trials:
    """One recipe, its text, and the run that was never stopped, which took ``seconds``.

    ``writes``: all its writes, fsyncs, renames and links in order, by name.
    """

    commands: Commands
    start: Sequence[str]
    reference: Path
    seconds: float
    writes: Sequence[str]

    @classmethod
    def prepare(cls, commands: Commands, folder: Path, recipe: str, more: Sequence[str] = ()) -> "Trials":
        text = write_text(folder / "text.txt")
        start = ["pretrain", *settings(recipe), "--data", str(text), *more]
        reference = folder / "reference"
        began = time.monotonic()
        ended = commands.run([*start, "--out", reference], count_to=folder / "writes.json")
        assert ended.code == 0, ended.stderr
        seconds = time.monotonic() - began
        return cls(commands, start, reference, seconds, json.loads((folder / "writes.json").read_text()))

    def arguments(self, run: Path) -> list[str | Path]:
        """What the user types next: resume what is there, or begin."""
        return [self.start[0], "--resume", run] if (run / "trivium.toml").exists() else [*self.start, "--out", run]

    def kill_at_random(self, run: Path, kills: int, draw: random.Random) -> int:
        """Kills the run that many times unless it is done before, lets it finish, compares. Returns the kills."""
        done = 0
        for _ in range(kills):
            ended = self.commands.stop_after(draw.uniform(0, self.seconds), self.arguments(run))
            if ended.code == 0:
                break
            assert ended.code == -9, ended.stderr
            done += 1
        self.finish(run)
        return done

    def crash_at(self, run: Path, point: int) -> None:
        """Crashes at one write of the run's life, resumes, compares."""
        ended = self.commands.run(self.arguments(run), crash_at=point)
        assert ended.code == -9, ended.stderr
        self.finish(run)

    def finish(self, run: Path) -> Ended:
        ended = self.commands.run(self.arguments(run))
        assert ended.code == 0, ended.stderr
        found, expected = fingerprint(run), fingerprint(self.reference)
        different = [name for name in sorted(found.keys() | expected.keys()) if found.get(name) != expected.get(name)]
        assert not different, f"{run} differs from {self.reference} in {different}"
        return ended


def fingerprint(run: Path) -> dict[str, Any]:
    """What must not depend on whether a run was stopped: each file by its hash, metrics without the clock."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]
        elif path.name == "state.json":
            state = json.loads(path.read_text())
            state["meter"] = {key: value for key, value in state["meter"].items() if "seconds" not in key}
            found[name] = {key: value for key, value in state.items() if key != "metrics_bytes"}
        elif path.name == "manifest.json" and path.parent.parent.name == "checkpoints":
            found[name] = json.loads(path.read_text())["state"]
        elif name == "manifest.json":
            manifest = json.loads(path.read_text())
            found[name] = {**manifest, "files": {n: f for n, f in manifest["files"].items() if n != "README.md"}}
        elif name == "README.md":
            found[name] = re.sub(r", [\d,]+ s of training", "", path.read_text())
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--recipe", default="gpt2-mini")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills-per-run", type=int, default=4)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name, Commands(Path(name)) as commands:
        trials = Trials.prepare(commands, Path(name), given.recipe)
        done = runs = 0
        while done < given.kills:
            run = Path(name) / f"run-{runs}"
            done += trials.kill_at_random(run, min(given.kills_per_run, given.kills - done), draw)
            runs += 1
            print(f"{done} kills in {runs} runs, all resumed bit-identically", file=sys.stderr)
    print(json.dumps({"recipe": given.recipe, "kills": done, "runs": runs, "seed": given.seed, "identical": runs}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
