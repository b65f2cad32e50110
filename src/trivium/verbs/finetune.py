"""``trivium finetune``: a pretrained model and labelled examples to a folder with a classifier.

The folder is a Hugging Face model directory with the head (``AutoModelForSequenceClassification`` opens it where a
class of ``transformers`` expresses the pooling), the settings in ``trivium.toml``, a line a step in ``metrics.jsonl``,
and a manifest.
"""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trivium.errors import DataError, SettingsError
from trivium.families import Family, huggingface
from trivium.settings import to_toml
from trivium.tasks import TASKS, SequenceClassification
from trivium.text.examples import Labelled, Pair
from trivium.text.labelled import Columns, Located, read_labelled
from trivium.training.allocator import keep_freed_memory
from trivium.training.run_directory import RECIPE, RunDirectory, open_run
from trivium.training.trainer import Step
from trivium.transformer import SEQUENCE, SequenceHead
from trivium.verbs.classifier import Evaluation, FineTuning, Fitted, fit_classifier
from trivium.verbs.load import LanguageModel, load

if TYPE_CHECKING:
    import os

    from torch import nn


@dataclass(frozen=True)
class LayerShares:
    """A learnt mixture: what each layer counts, embeddings first, which sums to 1, and the scale of the whole."""

    shares: tuple[float, ...]
    scale: float


@dataclass(frozen=True)
class FineTuned:
    """What ``finetune`` reports. ``scores``: on dev, of the weights that were saved."""

    directory: Path
    labels: tuple[str, ...]
    train_examples: int
    truncated: int  # of them, cut to the model's length
    scores: dict[str, float] | None
    evaluations: tuple[Evaluation, ...]
    best_step: int
    steps: int
    learning_rate: float
    seconds: float
    opens_in_transformers: bool
    mix: LayerShares | None = None  # where layers are mixed: what each counts


def finetune(
    task: str,
    model: "str | Path | LanguageModel",
    train: "str | os.PathLike[str] | Sequence[Labelled | Pair]",
    dev: "str | os.PathLike[str] | Sequence[Labelled | Pair] | None" = None,
    *,
    out: str | Path,
    pooling: Literal["family", "first", "last", "mean", "mix"] = "family",
    length: int | None = None,
    mix_norm: bool = False,
    mix_penalty: float = 0.0,
    columns: Columns | None = None,
    settings: FineTuning | None = None,
    watch: Callable[[Step, int], None] | None = None,
) -> FineTuned:
    """Fine-tunes ``model`` on ``train``; with ``dev``, keeps the weights that were best there.

    ``train`` and ``dev``: .jsonl, .csv or .tsv files with columns text, label and for pairs text2, or lists of
    examples. ``pooling`` "mix": the classifier reads a mixture of all layers that it learns; ``mix_norm`` norms each
    layer first, ``mix_penalty`` keeps their shares alike. ``watch`` is told each step and how many there will be.
    """
    if task not in TASKS:
        raise SettingsError(f"task {task!r} is not known: choose one of {', '.join(TASKS)}")
    settings = settings or FineTuning()
    examples = _examples(train, columns, "train")
    held_out = _examples(dev, columns, "dev") if dev is not None else []
    definition = TASKS[task](_labels(examples, held_out), pooling, length, mix_norm, mix_penalty)
    with open_run(Path(out), resume=False, keep=1) as run:
        base = load(model, device="cpu")
        if base.tokenizer is None:
            raise DataError(f"{base.directory} has no tokenizer.json: copy the model's tokenizer into it")
        keep_freed_memory()
        fitted = fit_classifier(
            base.model,
            base.tokenizer,
            definition,
            [located.example for located in examples],
            [located.example for located in held_out],
            settings,
            watch,
        )
        family = _save(run, base, fitted, settings, _data_hash(examples))
    return FineTuned(
        directory=Path(out),
        labels=definition.labels,
        train_examples=len(examples),
        truncated=fitted.truncated,
        scores=fitted.scores,
        evaluations=fitted.evaluations,
        best_step=fitted.best_step,
        steps=fitted.steps,
        learning_rate=fitted.learning_rate,
        seconds=fitted.seconds,
        opens_in_transformers=family.name != "trivium",
        mix=_shares(fitted.classifier.model.heads[SEQUENCE]),
    )


def _shares(head: "nn.Module") -> LayerShares | None:
    if not isinstance(head, SequenceHead) or head.mix is None:
        return None
    return LayerShares(tuple(round(share, 6) for share in head.mix.weights.tolist()), round(head.mix.scale.item(), 6))


def _examples(
    given: "str | os.PathLike[str] | Sequence[Labelled | Pair]", columns: Columns | None, name: str
) -> list[Located]:
    if isinstance(given, Sequence) and not isinstance(given, str):
        found = [Located(example, f"{name}[{number}]") for number, example in enumerate(given)]
        for located in found:
            texts = _texts(located.example)
            if not all(text.strip() for text in texts):
                raise DataError(f"{located.place}: the text is empty: remove this example")
    else:
        found = list(read_labelled(Path(given), columns))
    if not found:
        raise DataError(f"{name} has no examples: give some")
    return found


def _texts(example: Labelled | Pair) -> tuple[str, ...]:
    return (example.first, example.second) if isinstance(example, Pair) else (example.text,)


def _labels(train: Sequence[Located], dev: Sequence[Located]) -> tuple[str, ...]:
    """The labels of the training examples, sorted (numbers by value); every label of dev must be among them."""
    labels = sorted({located.example.label for located in train}, key=_by_value)
    if len(labels) < 2:
        raise DataError(
            f"{train[0].place.rpartition(':')[0] or 'train'}: all {len(train)} examples have the label {labels[0]!r}: "
            "a classifier needs at least two classes in the label field"
        )
    pairs = isinstance(train[0].example, Pair)
    for located in (*train, *dev):
        if located.example.label not in labels:
            raise DataError(
                f"{located.place}: {located.example.label!r} in the label field does not occur in the training "
                f"examples, whose labels are {', '.join(labels[:20])}: correct it, or add examples of it to train"
            )
        if isinstance(located.example, Pair) is not pairs:
            raise DataError(f"{located.place}: train and dev must both have one text, or both two")
    return tuple(labels)


def _by_value(label: str) -> tuple[bool, int, str]:
    number = label.lstrip("-").isdecimal()
    return (not number, int(label) if number else 0, label)


def _data_hash(examples: Sequence[Located]) -> str:
    digest = hashlib.sha256()
    for located in examples:
        digest.update(repr((*_texts(located.example), located.example.label)).encode())
    return digest.hexdigest()


def _save(run: RunDirectory, base: LanguageModel, fitted: Fitted, settings: FineTuning, data: str) -> Family:
    classifier = fitted.classifier
    task: SequenceClassification = classifier.task
    resolved = replace(settings, steps=fitted.steps, epochs=None, learning_rate=fitted.learning_rate)
    training = {name: value for name, value in asdict(resolved).items() if value is not None}
    table = {
        "model": str(base.directory),
        "task": {"kind": "sequence", "labels": list(task.labels), "pooling": task.summary(classifier.model.config)}
        | ({"length": task.length} if task.length else {})
        | ({"mix_norm": task.mix_norm, "mix_penalty": task.mix_penalty} if task.mix_norm or task.mix_penalty else {}),
        "training": training,
    }
    run.write(RECIPE, to_toml(table))
    by_step = {evaluation.step: evaluation for evaluation in fitted.evaluations}
    for number, loss in enumerate(fitted.losses, 1):
        run.metrics.append({"kind": "train", "step": number, "loss": loss})
        if number in by_step:
            run.metrics.append({"kind": "evaluation", **asdict(by_step[number])})
    run.metrics.append({"kind": "result", "step": fitted.best_step, "dev": fitted.scores, "tokens": fitted.tokens})
    run.metrics.sync()
    family = huggingface.save(classifier.model.cpu(), base.family, classifier.tokenizer, run.path, labels=task.labels)
    with contextlib.suppress(OSError):
        (run.path / "checkpoints").rmdir()  # a fine-tuning is short and has none
    run.write_manifest(
        fitted.best_step,
        {"tokenizer": classifier.tokenizer.fingerprint, "data": data, "labels": list(task.labels)},
    )
    return family
