"""``trivium finetune``: a pretrained model, a task and its examples to a folder with a model that does the task.

The folder is a Hugging Face model directory with the head (``AutoModelFor...`` opens it where a class of
``transformers`` expresses the head), the settings in ``trivium.toml``, a line a step in ``metrics.jsonl``, and a
manifest. With the method ``lora`` it holds the adapter and the head alone, in PEFT's layout, unless it is to be merged.
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivium.errors import DataError, SettingsError
from trivium.families import adapter_folder, huggingface
from trivium.families.adapter_config import is_adapter
from trivium.families.adapters import check_expressible
from trivium.settings import build, dump, override, to_toml
from trivium.tasks import TASKS, Task
from trivium.text.examples import Located
from trivium.text.fields import Columns
from trivium.training.allocator import keep_freed_memory
from trivium.training.run_directory import RECIPE, RunDirectory, open_run
from trivium.training.trainer import Step
from trivium.transformer.adapters import Adapters
from trivium.transformer.layer_mix import LayerMix
from trivium.transformer.lora import Lora
from trivium.verbs.examples import Given, read_examples
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.tuning import Evaluation, FineTuning, Fitted, fit

if TYPE_CHECKING:
    from trivium.transformer import Network


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
    notes: tuple[str, ...] = ()  # what else is to be known of the training examples
    mix: LayerShares | None = None  # where layers are mixed: what each counts
    parameters: int = 0  # of the whole model, those that learnt included
    trained_parameters: int = 0
    training_bytes: int = 0  # of weights, gradients and the optimizer's state together, while it learnt
    adapter_bytes: int | None = None  # of the file, where an adapter was written


@dataclass(frozen=True)
class _Saved:
    opens_in_transformers: bool
    adapter_bytes: int | None = None


def finetune(
    task: str | Task[Any, Any],
    model: "str | Path | LanguageModel",
    train: Given,
    dev: Given | None = None,
    *,
    out: str | Path,
    options: Mapping[str, object] | None = None,
    columns: Columns | None = None,
    format: str | None = None,
    settings: FineTuning | None = None,
    merge: bool = False,
    watch: Callable[[Step, int], None] | None = None,
) -> FineTuned:
    """Fine-tunes ``model`` on ``train``; with ``dev``, keeps the weights that were best there.

    ``task``: a name of ``TASKS``, whose settings are ``options``, or a task itself. ``train`` and ``dev``: files of a
    kind that ``text/readers.py`` reads (``format``: where their names do not tell which), or lists of examples;
    ``columns``: what the files call the fields that the task reads.
    ``merge``: of the method "lora", write the whole model with the adapter added to its weights, not the adapter alone.
    ``watch`` is told each step and how many there will be.
    """
    settings, asked = settings or FineTuning(), _task(task, options)
    examples = read_examples(asked, train, columns, "train", format)
    held_out = read_examples(asked, dev, columns, "dev", format) if dev is not None else []
    definition = asked.learn(examples, held_out)
    with open_run(Path(out), resume=False, keep=1) as run:
        base = load(model, device="cpu")
        if base.tokenizer is None:
            raise DataError(f"{base.directory} has no tokenizer.json: copy the model's tokenizer into it")
        _check_lora(base, definition, settings, merge)
        keep_freed_memory()
        fitted = fit(
            base.model,
            base.tokenizer,
            definition,
            [located.example for located in examples],
            [located.example for located in held_out],
            settings,
            watch,
            base.family.heads,
        )
        sizes = {name: p.numel() for name, p in fitted.tuned.model.named_parameters()}
        saved = _save(run, base, fitted, settings, _data_hash(examples), merge)
    return FineTuned(
        directory=Path(out),
        labels=_labels(fitted.tuned.task),
        train_examples=len(examples),
        truncated=fitted.truncated,
        scores=fitted.scores,
        evaluations=fitted.evaluations,
        best_step=fitted.best_step,
        steps=fitted.steps,
        learning_rate=fitted.learning_rate,
        seconds=fitted.seconds,
        opens_in_transformers=saved.opens_in_transformers,
        notes=fitted.notes,
        mix=_shares(fitted.tuned.model),
        parameters=sum(sizes.values()),
        trained_parameters=sum(sizes[name] for name in fitted.trained),
        training_bytes=fitted.training_bytes,
        adapter_bytes=saved.adapter_bytes,
    )


def task_options(task: str, assignments: Sequence[str]) -> dict[str, object]:
    """Settings of a task as they are spelt on a command line, ``pooling=mean``, read by the types of its fields."""
    options: dict[str, object] = {}
    for assignment in assignments:
        options |= override(_kind(task), assignment)
    return options


def lora_options(assignments: Sequence[str]) -> Lora:
    """Settings of adapters as they are spelt on a command line: ``rank=4``, ``targets=query,value``."""
    options: dict[str, object] = {}
    for assignment in assignments:
        options |= override(Lora, assignment)
    return build(Lora, options)


def _check_lora(base: LanguageModel, task: Task[Any, Any], settings: FineTuning, merge: bool) -> None:
    """What could not be written is refused before the work."""
    if settings.method != "lora":
        if merge:
            raise SettingsError(f"merge is for the method lora: {settings.method} writes a whole model anyway")
        return
    if not merge and is_adapter(base.directory):
        raise SettingsError(f"{base.directory} is an adapter itself: fine-tune its base, or give --merge")
    layers = settings.lora.ranks(base.model)
    if not merge:
        check_expressible(base.family, layers)
    made = task.configure(base.config, base.family.heads)
    if merge and "tokens" in layers and made.tied and made.vocabulary_head != "none":
        raise SettingsError(
            "the token embeddings are also the vocabulary's projection, so merging an adapter of theirs would change "
            "both: leave tokens out of lora.targets, or leave out --merge"
        )


def _task(task: str | Task[Any, Any], options: Mapping[str, object] | None) -> Task[Any, Any]:
    if isinstance(task, str):
        return build(_kind(task), options or {})
    if options:
        raise SettingsError("options are for a task that is given by its name: set them in the task itself")
    return task


def _kind(task: str) -> type[Task[Any, Any]]:
    if task not in TASKS:
        near = get_close_matches(task, TASKS, 1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(TASKS)}"
        raise SettingsError(f"task {task!r} is not known: {advice}")
    return TASKS[task]


def _labels(task: Task[Any, Any]) -> tuple[str, ...]:
    return getattr(task, "labels", ())


def _shares(model: "Network") -> LayerShares | None:
    mix = next((part for part in model.heads.modules() if isinstance(part, LayerMix)), None)
    if mix is None:
        return None
    return LayerShares(tuple(round(share, 6) for share in mix.weights.tolist()), round(mix.scale.item(), 6))


def _data_hash(examples: Sequence[Located[Any]]) -> str:
    digest = hashlib.sha256()
    for located in examples:
        digest.update(repr(located.example).encode())
    return digest.hexdigest()


def _save(
    run: RunDirectory, base: LanguageModel, fitted: Fitted, settings: FineTuning, data: str, merge: bool
) -> _Saved:
    tuned = fitted.tuned
    kind = next(name for name, task in TASKS.items() if type(tuned.task) is task)
    resolved = replace(settings, steps=fitted.steps, epochs=None, learning_rate=fitted.learning_rate)
    training = {name: value for name, value in asdict(resolved).items() if value is not None}
    if settings.method != "lora":
        del training["lora"]
    table = {"model": str(base.directory), "task": {"kind": kind, **dump(tuned.task)}, "training": training}
    run.write(RECIPE, to_toml(table))
    by_step = {evaluation.step: evaluation for evaluation in fitted.evaluations}
    for number, loss in enumerate(fitted.losses, 1):
        run.metrics.append({"kind": "train", "step": number, "loss": loss})
        if number in by_step:
            run.metrics.append({"kind": "evaluation", "step": number, **by_step[number].scores})
    run.metrics.append({"kind": "result", "step": fitted.best_step, "dev": fitted.scores, "tokens": fitted.tokens})
    run.metrics.sync()
    labels = _labels(tuned.task)
    model = tuned.model.cpu()
    if settings.method == "lora" and not merge:
        written = adapter_folder.save_adapter(
            model, base.family, tuned.tokenizer, run.path, base=str(base.directory.resolve()), labels=labels or None,
            whole=[name for name in fitted.trained if ".adapters." not in name],
        )  # fmt: skip
        saved = _Saved(written.family.name != "trivium", written.bytes)
    else:
        if settings.method == "lora":
            Adapters(model).merge()
        family = huggingface.save(
            model, base.family, tuned.tokenizer, run.path, labels=labels or None, generation=base.generation
        )
        saved = _Saved(family.name != "trivium")
    with contextlib.suppress(OSError):
        (run.path / "checkpoints").rmdir()  # a fine-tuning is short and has none
    run.write_manifest(
        fitted.best_step, {"tokenizer": tuned.tokenizer.fingerprint, "data": data, "labels": list(labels)}
    )
    return saved
