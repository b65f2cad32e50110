"""``trivium finetune``: a pretrained model, a task and its examples to a folder with a model that does the task.

With several seeds, a learning curve or a sweep the folder holds one model, the best (``trials.py``); all their scores
are in the result, in ``metrics.jsonl`` and in the report.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trivium.durable import file_digest
from trivium.errors import DataError, SettingsError
from trivium.families.adapter_config import is_adapter
from trivium.families.adapters import check_expressible
from trivium.settings import build, override
from trivium.tasks import TASKS, Task, TextTask
from trivium.text.examples import Located
from trivium.text.fields import Columns
from trivium.training.allocator import keep_freed_memory
from trivium.training.run_directory import open_run
from trivium.training.trainer import Step
from trivium.transformer.layer_mix import LayerMix
from trivium.transformer.lora import Lora
from trivium.verbs.data_checks import Leaks, checked
from trivium.verbs.examples import Given, read_examples
from trivium.verbs.finetuning_folder import Folder, unless_whole
from trivium.verbs.finetuning_result import DataFile, FineTuned, LayerShares
from trivium.verbs.forgetting import Forgetting
from trivium.verbs.learning_parts import check_layers
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.score_intervals import score_intervals
from trivium.verbs.source_model import weights_digest
from trivium.verbs.trials import Asked, curve_of, run_trials, sweep_of
from trivium.verbs.tuning import FineTuning, Fitted, fit

if TYPE_CHECKING:
    from trivium.transformer import Network

Truncation = Literal["warn", "error", "split"]


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
    seeds: int = 1,
    curve: Sequence[int | None] = (),
    sweep: Sequence[str] = (),
    old: Sequence[str | Path] = (),
    leaks: Leaks = "warn",
    merge: bool = False,
    watch: Callable[[Step, int], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> FineTuned:
    """Fine-tunes ``model`` on ``train``; with ``dev``, keeps the weights that were best there.

    ``task``: a name of ``TASKS``, whose settings are ``options``, or a task itself. ``train`` and ``dev``: files of a
    kind that ``text/readers.py`` reads (``format``: where their names do not tell which), or lists of examples;
    ``columns``: what the files call the fields that the task reads.
    ``seeds``: so many fine-tunings, from the settings' seed on. ``curve``: also with so many of the training examples
    (None: all). ``sweep``: with every combination of settings, such as ``lora.rank=1/2/8``.
    ``old``: text that the model knew, to measure what it forgets. ``leaks``: what happens where train has examples of
    dev: "warn", "error" or "drop" (from train).
    ``merge``: of the method "lora", write the whole model with the adapter added to its weights, not the adapter alone.
    ``watch`` is told each step and how many there will be; ``tell`` which of several fine-tunings begins.
    """
    settings, asked = settings or FineTuning(), _task(task, options)
    read = read_examples(asked, train, columns, "train", format)
    held_out = read_examples(asked, dev, columns, "dev", format) if dev is not None else []
    asked.learn(read, held_out)  # refuses what is wrong with any of them
    examples, checks = checked(read, held_out, leaks)
    definition = asked.learn(examples, held_out)
    planned = _planned(settings, seeds, curve, sweep, len(examples), bool(held_out))
    dev_examples = [located.example for located in held_out]
    with open_run(Path(out), resume=False, keep=1) as run, unless_whole(run):
        base = load(model, device="cpu")
        if base.tokenizer is None:
            raise DataError(f"{base.directory} has no tokenizer.json: copy the model's tokenizer into it")
        for each in planned:
            check_layers(base.model, each.settings.method)
            _check_lora(base, definition, each.settings, merge)
        keep_freed_memory()
        forgetting = Forgetting(base, old) if old else None

        digest = weights_digest(base.directory) if base.directory.exists() else ""

        def one(asked: Asked, part: Sequence[Any], own: FineTuning) -> Fitted:
            if tell is not None and len(planned) * seeds > 1:
                tell(f"{asked.name + ', ' if asked.name else ''}seed {own.seed}")
            return fit(base.model, base.tokenizer, definition, part, dev_examples, own, watch, base.family.heads)

        trials, best, diverged = run_trials(planned, seeds, examples, one, forgetting, by_size=bool(curve))
        fitted = best.fitted
        sizes = {name: p.numel() for name, p in fitted.tuned.model.named_parameters()}
        task_said = fitted.tuned.task
        made = FineTuned(
            directory=Path(out),
            labels=_labels(task_said),
            train_examples=len(examples),
            truncated=fitted.truncated,
            scores=fitted.scores,
            evaluations=fitted.evaluations,
            best_step=fitted.best_step,
            steps=fitted.steps,
            learning_rate=fitted.learning_rate,
            seconds=sum(each.seconds for trial in trials for each in trial.runs),
            opens_in_transformers=False,
            notes=(*checks.notes, *fitted.notes, *diverged),
            mix=_shares(fitted.tuned.model),
            parameters=sum(sizes.values()),
            trained_parameters=sum(sizes[name] for name in fitted.trained),
            training_bytes=fitted.training_bytes,
            main=task_said.main,
            base=_named(model, base),
            base_sha256=digest,
            planned_steps=fitted.planned,
            intervals=score_intervals(task_said, fitted.predicted, dev_examples),
            files=(
                _file("train", train, len(read), len(examples), fitted.truncated, read),
                *((_file("dev", dev, len(held_out), len(held_out), fitted.dev_truncated, held_out),) if dev else ()),
            ),
            checks=checks,
            vary="curve" if curve else "sweep" if sweep else "seeds",
            trials=tuple(trials),
            figure=forgetting.figure if forgetting is not None else None,
        )
        return Folder(run, base, merge).write(made, best, dev_examples)


def _named(model: "str | Path | LanguageModel", base: LanguageModel) -> str:
    """As the user said it, without the folders of this machine."""
    named = isinstance(model, str | Path) and not Path(model).is_absolute()
    return str(model) if named else base.directory.name


def _planned(
    settings: FineTuning, seeds: int, curve: Sequence[int | None], sweep: Sequence[str], count: int, dev: bool
) -> list[Asked]:
    if seeds < 1:
        raise SettingsError(f"seeds = {seeds}: it must be at least 1")
    if curve and sweep:
        raise SettingsError("curve and sweep each make a table of their own: ask for one of them")
    if (seeds > 1 or curve or sweep) and not dev:
        raise SettingsError("several fine-tunings are compared on dev: give dev, or leave out seeds, curve and sweep")
    if curve:
        return curve_of(settings, count, curve)
    return sweep_of(settings, sweep, count) if sweep else [Asked("", settings, range(count))]


def _file(
    split: str, given: Given, rows: int, used: int, truncated: int, read: Sequence[Located[Any]]
) -> DataFile:
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return DataFile(split, path.name, rows, used, rows - used, truncated, file_digest(path))
    digest = hashlib.sha256()
    for located in read:
        digest.update(repr(located.example).encode())
    return DataFile(split, "a list of examples", rows, used, rows - used, truncated, digest.hexdigest())


def task_options(task: str, assignments: Sequence[str]) -> dict[str, object]:
    """Settings of a task as they are spelt on a command line, ``pooling=mean``, read by the types of its fields."""
    options: dict[str, object] = {}
    for assignment in assignments:
        options |= override(_kind(task), assignment)
    return options


def truncation(task: str, asked: Truncation) -> tuple[dict[str, object], Literal["warn", "error"]]:
    """What is to happen to too long examples: as a setting of a task that has one, else as one of the fine-tuning."""
    if any(field.name == "on_truncate" for field in fields(_kind(task))):  # type: ignore[arg-type]
        return ({} if asked == "warn" else {"on_truncate": asked}), "warn"
    if asked == "split":
        raise SettingsError(
            f"split is no setting of the task {task}, which reads long texts in windows by itself, or cuts them at "
            "their end: give warn or error"
        )
    return {}, asked


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
    if not merge and isinstance(task, TextTask) and task.of_family(base.family.heads).inputs == "gpt1":
        raise SettingsError(
            "an adapter has no place for new tokens, and GPT-1's inputs add three: set inputs=plain, or give --merge"
        )
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
