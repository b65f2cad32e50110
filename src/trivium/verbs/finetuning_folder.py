"""The folder that a fine-tuning leaves: a Hugging Face model directory with the head (``AutoModelFor...`` opens it if
a class of ``transformers`` expresses the head), the settings in ``trivium.toml``, a line a step in ``metrics.jsonl``,
the model card, ``report.html`` and a manifest. With the method ``lora`` it holds the adapter and the head alone, in
PEFT's layout, unless it is to be merged.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from trivium.families import adapter_folder, huggingface
from trivium.settings import dump, to_toml
from trivium.tasks import TASKS, Writer
from trivium.training.precision import choose_device, choose_precision
from trivium.training.run_directory import RECIPE, RunDirectory
from trivium.transformer.adapters import Adapters
from trivium.verbs.finetuning_card import finetuning_card, signature
from trivium.verbs.finetuning_report import finetuning_page
from trivium.verbs.finetuning_result import FineTuned
from trivium.verbs.load import LanguageModel
from trivium.verbs.trials import Best
from trivium.verbs.tuning import FineTuning

REPORT = "report.html"


@contextlib.contextmanager
def unless_whole(run: RunDirectory) -> Iterator[None]:
    """What is written inside is taken away again if it is not finished: the folder was empty before."""
    with contextlib.ExitStack() as undo:
        undo.callback(_emptied, run)
        yield
        undo.pop_all()


def _emptied(run: RunDirectory) -> None:
    for entry in run.path.iterdir():
        if entry.is_file() and not entry.name.startswith(".lock"):
            entry.unlink()
    _without_checkpoints(run)


def _without_checkpoints(run: RunDirectory) -> None:
    """A fine-tuning is short and has none."""
    with contextlib.suppress(OSError):
        (run.path / "checkpoints").rmdir()


@dataclass(frozen=True, eq=False)
class Folder:
    """Where it goes and what it was made from. ``merge``: no adapter is written, but the whole model."""

    run: RunDirectory
    base: LanguageModel
    merge: bool

    def write(self, made: FineTuned, best: Best, dev: Sequence[Any]) -> FineTuned:
        """Everything; returns the result with what only writing tells."""
        run, fitted, settings = self.run, best.fitted, best.settings
        task = fitted.tuned.task
        kind = next(name for name, each in TASKS.items() if type(task) is each)
        resolved = replace(settings, steps=fitted.planned, epochs=None, learning_rate=fitted.learning_rate)
        training = {name: value for name, value in asdict(resolved).items() if value is not None}
        if settings.method != "lora":
            del training["lora"]
        table = {"model": str(self.base.directory), "task": {"kind": kind, **dump(task)}, "training": training}
        run.write(RECIPE, to_toml(table))
        made = replace(made, signature=self._signature(kind, made, settings, task))
        self._metrics(made, best)
        adapter_bytes, opens, card = self._model(best, made.labels)
        made = replace(made, opens_in_transformers=opens, adapter_bytes=adapter_bytes)
        outcomes = task.outcomes(fitted.predicted, dev) if dev else []
        run.write("README.md", finetuning_card(card, made, kind, settings, task.columns))
        shown = {**{f"task.{name}": value for name, value in dump(task).items()}, **training}
        run.write(REPORT, finetuning_page(made, kind, fitted.losses, outcomes, shown))
        _without_checkpoints(run)
        prints = {"tokenizer": fitted.tuned.tokenizer.fingerprint, "data": made.files[0].sha256}
        run.write_manifest(fitted.best_step, {**prints, "labels": list(made.labels)})
        return made

    def _signature(self, kind: str, made: FineTuned, settings: FineTuning, task: Any) -> str:
        if made.scores is None:
            return ""
        data = made.files[-1]
        precision = choose_precision(settings.precision, choose_device(settings.device))
        said = {field.name: (getattr(task, field.name), field.default) for field in fields(task)}
        options = [
            f"{name}:{value}" for name, (value, default) in said.items()
            if name not in ("labels", "length") and value != default
        ]  # fmt: skip
        length = getattr(task, "length", None) or self.base.config.context
        return signature(
            kind, made.main, data.sha256, data.used, length, str(precision).removeprefix("torch."), settings.seed,
            "|".join(options),
        )  # fmt: skip

    def _metrics(self, made: FineTuned, best: Best) -> None:
        metrics, fitted = self.run.metrics, best.fitted
        by_step = {evaluation.step: evaluation for evaluation in fitted.evaluations}
        for number, loss in enumerate(fitted.losses, 1):
            metrics.append({"kind": "train", "step": number, "loss": loss})
            if number in by_step:
                metrics.append({"kind": "evaluation", "step": number, **by_step[number].scores})
        for trial in made.trials:
            metrics.append({"kind": "trial", **asdict(trial)})
        intervals = {name: [each.low, each.high] for name, each in made.intervals.items()}
        metrics.append(
            {
                "kind": "result", "step": fitted.best_step, "seed": best.settings.seed, "dev": fitted.scores,
                "intervals": intervals, "signature": made.signature, "tokens": fitted.tokens,
            }
        )  # fmt: skip
        metrics.sync()

    def _model(self, best: Best, labels: Sequence[str]) -> tuple[int | None, bool, str]:
        """Bytes of the adapter's file, if one was written; whether ``transformers`` opens it; and the model's card."""
        run, base, fitted = self.run, self.base, best.fitted
        problem = getattr(fitted.tuned.task, "problem", None)  # the kind of labels, as config.json names it
        tuned, model = fitted.tuned, fitted.tuned.model.cpu()
        size: int | None = None
        task = tuned.task
        generation = task.generation(tuned.tokenizer, model.config) if isinstance(task, Writer) else None
        if best.settings.method == "lora" and not self.merge:
            written = adapter_folder.save_adapter(
                model, base.family, tuned.tokenizer, run.path, base=str(base.directory.resolve()),
                labels=tuple(labels) or None, problem=problem, generation=generation,
                whole=[name for name in fitted.trained if ".adapters." not in name],
            )  # fmt: skip
            family, size = written.family, written.bytes
        else:
            if best.settings.method == "lora":
                Adapters(model).merge()
            family = huggingface.save(
                model, base.family, tuned.tokenizer, run.path, labels=tuple(labels) or None,
                problem=problem, generation=generation or base.generation,
            )  # fmt: skip
        return size, family.name != "trivium", (run.path / "README.md").read_text(encoding="utf-8")
