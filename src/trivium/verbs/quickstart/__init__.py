"""``trivium quickstart``: the whole road on the embedded corpus or the user's own text, and a report about it.

Text, a tokenizer, three Transformers pretrained (encoder, decoder, encoder-decoder), transfer to a task with few labels
against honest rivals, samples of each model. Every part is the verb a user would call next, with nothing private to it.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from trivium.durable import replace_file
from trivium.errors import RefusedError, SettingsError
from trivium.lab.baselines import sklearn_module
from trivium.verbs.quickstart.page import report
from trivium.verbs.quickstart.stations import STATIONS, Trained, train, unigram_entropy
from trivium.verbs.quickstart.story import Story, embedded, own_text
from trivium.verbs.quickstart.transfer import Precision, Transfer, compare

VOCABULARY = 4000
TRANSFER_SHARE = 0.22
FEWEST_CHARACTERS = 50_000
_COUNTED = 5_000  # documents whose tokens are counted for the unigram entropy


@dataclass(frozen=True, eq=False)
class QuickstartResult:
    """Where everything is, and what came out."""

    report: Path
    models: dict[str, Path]
    trained: Sequence[Trained]
    transfer: Transfer | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {
            "report": str(self.report),
            "models": {name: str(path) for name, path in self.models.items()},
            "training": {
                each.station.name: {
                    "steps": each.result.steps,
                    "tokens": each.result.tokens,
                    "flops": each.result.flops,
                    "seconds": each.result.seconds,
                    "loss": each.final_loss,
                    "stuck": each.stuck,
                    "evaluation": dict(each.result.evaluation),
                }
                for each in self.trained
            },
            "transfer": _transfer_json(self.transfer) if self.transfer else None,
            "seconds": self.seconds,
        }


def quickstart(
    out: str | Path = "quickstart",
    minutes: float = 6.0,
    data: Sequence[str | Path] = (),
    *,
    seed: int = 0,
    precision: Precision = "auto",
    quiet: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> QuickstartResult:
    """Does all of it into the new folder ``out``, in about ``minutes`` on two cores. ``tell`` is told the progress."""
    started = time.perf_counter()
    folder = Path(out)
    if minutes <= 0:
        raise SettingsError(f"minutes = {minutes:g}: it must be above 0, such as 6")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} is in use: name another folder with --out, or remove it")
    sklearn_module("linear_model")  # said now and not after minutes of training
    tell("reading the text")
    text = folder / "text"
    story = own_text([Path(each) for each in data], text) if data else embedded(text)
    if story.characters < FEWEST_CHARACTERS:
        raise RefusedError(
            f"the text has {story.characters:,} characters, about {story.characters // 4:,} tokens: too few to learn "
            f"from; give at least {FEWEST_CHARACTERS:,} characters, better a million or more"
        )
    trained = _train_all(story, folder, minutes, seed, precision, quiet, tell)
    transfer = None
    if story.task:
        tell("fine-tuning on few labels, against from-scratch and classical rivals")
        encoder = trained[0].result
        left = max(60 * minutes * TRANSFER_SHARE, 60 * minutes * 0.98 - (time.perf_counter() - started))
        transfer = compare(story.task, encoder.model, encoder.tokenizer, seconds=left, precision=precision, tell=tell)
    tell("writing the report")
    page = report(story, trained, transfer, folder, time.perf_counter() - started)
    path = folder / "report.html"
    replace_file(path, page.encode())
    result = QuickstartResult(
        report=path,
        models={each.station.name: each.result.directory for each in trained},
        trained=trained,
        transfer=transfer,
        seconds=time.perf_counter() - started,
    )
    replace_file(folder / "quickstart.json", json.dumps(result.to_json(), indent=2).encode())
    return result


def _train_all(
    story: Story,
    folder: Path,
    minutes: float,
    seed: int,
    precision: Precision,
    quiet: bool,
    tell: Callable[[str], None],
) -> list[Trained]:
    """The three models in turn; the second and third take the first one's tokenizer."""
    with story.file.open(encoding="utf-8") as lines:
        unigram = unigram_entropy([json.loads(line)["text"] for line in islice(lines, _COUNTED)])
    tokenizer: Path | int = min(VOCABULARY, max(600, story.characters // 200))
    trained: list[Trained] = []
    for station in STATIONS:
        tell(f"pretraining the {station.title.lower()} for {60 * station.share * minutes:.0f} seconds")
        run = train(station, story.file, folder, station.share * minutes, tokenizer, unigram, seed, precision, quiet)
        tokenizer = folder / STATIONS[0].name
        if run.stuck:
            tell(
                f"the {station.title.lower()} is stuck: its loss of {run.final_loss:.2f} nats is no better than "
                f"knowing how frequent each token is ({run.plateau:.2f}): give it more minutes or more text"
            )
        trained.append(run)
    return trained


def _transfer_json(transfer: Transfer) -> dict[str, Any]:
    return {
        "task": transfer.task.name,
        "test_examples": len(transfer.task.test),
        "accuracy": {
            method: {str(n): transfer.outcome(method, n).by_seed for n in transfer.per_class}
            for method in transfer.methods
        },
        "pretrained_minus_scratch": {
            str(d.per_class): {
                "mean": d.examples.value,
                "interval_over_examples": [d.examples.low, d.examples.high],
                "interval_over_seeds": [d.seeds.low, d.seeds.high],
            }
            for d in transfer.differences
        },
        "pretraining_pays": transfer.holds,
        "seconds": transfer.seconds,
    }
