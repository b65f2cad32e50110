"""One suite on one model: a fine-tuned model predicts its rows, or a file has the predictions; a language model gives
probabilities to its texts, or goes on from them."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from trivium import __version__
from trivium.errors import DataError, SettingsError
from trivium.evaluation import (
    LABELLED,
    LANGUAGE,
    Baseline,
    Item,
    LabelledSuite,
    LanguageSuite,
    Reading,
    Result,
    Score,
    Scorer,
)
from trivium.evaluation.labels import check_model
from trivium.evaluation.language_modelling import LanguageModelling
from trivium.evaluation.predictions import read_predictions
from trivium.evaluation.resampling import DRAWS
from trivium.evaluation.scorer import TOKENS
from trivium.evaluation.suite import fingerprint
from trivium.tasks import Rewriting, predict_all
from trivium.text.fields import Columns
from trivium.verbs.evaluation_baselines import labelled_baselines, language_baselines
from trivium.verbs.load import LanguageModel, Precision, inference_device, inference_form, load
from trivium.verbs.predict import load_tuned
from trivium.verbs.suite_options import Suite, check_columns
from trivium.verbs.tuning import Tuned

AnyModel = str | Path | LanguageModel | Tuned


@dataclass(frozen=True)
class Asked:
    """What an evaluation was asked for, beside its suite, model and data."""

    columns: Columns
    format: str | None
    limit: int | None
    precision: Precision
    device: str
    tokens: int
    baselines: Path | None
    tell: Callable[[str], None]


def suite_results(
    name: str,
    suite: Suite,
    models: Sequence[AnyModel],
    predictions: Sequence[str | Path],
    data: Path,
    asked: Asked,
) -> tuple[Result, ...]:
    if name in LANGUAGE:
        if predictions:
            raise SettingsError(f"{name} scores a language model's probabilities, not predictions: give a model")
        if not models:
            raise SettingsError(f"{name} needs a model: give --model")
        return tuple(language_result(name, cast(LanguageSuite, suite), each, data, asked) for each in models)
    if not models and not predictions:
        raise SettingsError(f"{name} needs a fine-tuned model or a file of predictions: give --model or --predictions")
    labelled = cast(LabelledSuite, suite)
    reading = _read(name, labelled, data, asked)
    signature = _signed(name, fingerprint(data), len(reading.items), asked)
    simple = labelled_baselines(labelled, reading.items, asked.baselines, asked.columns, asked.format)
    return tuple(
        _labelled(name, labelled, each, reading, signature, simple, asked)
        for each in (*models, *map(_File, predictions))
    )


@dataclass(frozen=True)
class _File:
    """Predictions instead of a model."""

    path: str | Path


def _labelled(
    name: str,
    suite: LabelledSuite,
    model: AnyModel | _File,
    reading: Reading,
    signature: Mapping[str, str],
    baselines: tuple[Baseline, ...],
    asked: Asked,
) -> Result:
    notes: tuple[str, ...] = ()
    if isinstance(model, _File):
        said, how = read_predictions(Path(model.path), suite, reading.items), {}
    else:
        said, notes = _predicted(name, suite, model, reading.items, asked)
        how = {"precision": asked.precision}
    measured = suite.score(reading.items, said)
    shown = str(model.path if isinstance(model, _File) else _name(model))
    return Result(
        name, shown, measured.scores, suite.main, reading.read, len(reading.items), reading.skipped,
        {**signature, **measured.conventions, **how, **_last()}, (*notes, *measured.notes), baselines,
    )  # fmt: skip


def _predicted(
    name: str, suite: LabelledSuite, model: AnyModel, items: Sequence[Item], asked: Asked
) -> tuple[list[Any], tuple[str, ...]]:
    if isinstance(model, LanguageModel):
        raise SettingsError(f"{name} needs a fine-tuned model: give the folder that trivium finetune wrote")
    tuned = model if isinstance(model, Tuned) else load_tuned(model, asked.device)
    if asked.precision != "float32":
        inference_device(asked.device, asked.precision)
        tuned = replace(tuned, model=inference_form(deepcopy(tuned.model), asked.precision))
    labels = getattr(suite, "labels", None)
    if labels is not None:
        check_model(name, getattr(tuned.task, "labels", ()), labels)
    cast = isinstance(tuned.task, Rewriting) and tuned.task.cast is not None
    if not cast and any(field not in tuned.task.columns for field in items[0].row):
        raise SettingsError(
            f"{name} gives {', '.join(items[0].row)} to read, and the model's task reads "
            f"{', '.join(tuned.task.columns)}: give a model fine-tuned for such rows, or a file of --predictions"
        )
    asked.tell(f"{name}: {len(items)} rows")
    rows = [item.row if item.published is None or not cast else item.published for item in items]
    examples = [tuned.task.example(item.place, row, {}, False) for item, row in zip(items, rows, strict=True)]
    encoded = tuned.encode(examples)
    answers = predict_all(tuned.task, tuned.model, examples, encoded, asked.tokens)
    cut = encoded.truncated
    notes = (f"{cut} of {len(items)} rows were longer than the model reads, and cut",) if cut else ()
    return [suite.said(item.place, each.row()) for item, each in zip(items, answers, strict=True)], notes


def language_result(name: str, suite: LanguageSuite, model: AnyModel, data: Path, asked: Asked) -> Result:
    if asked.baselines is not None and not isinstance(suite, LanguageModelling):
        raise SettingsError(f"{name} has no baseline: leave out --baselines")
    if isinstance(model, Tuned):
        raise SettingsError(f"{name} needs a language model, and this one was fine-tuned for a task: give its base")
    if not data.exists():
        raise DataError(f"{data} is not there: check the name")
    loaded = load(model, precision=asked.precision, device=asked.device)
    if loaded.model.vocabulary is None or loaded.config.vocabulary_head == "two-way":
        raise SettingsError(
            f"{loaded.directory} has no vocabulary projection that scores could come from: give the model it was made "
            "of, or a fine-tuned model's own suite"
        )
    asked.tell(f"{name}: {loaded.directory}")
    scorer = Scorer(loaded.model, loaded.tokenizer, asked.tokens, loaded.generation)
    simple: tuple[Baseline, ...] = ()
    if asked.baselines is not None and isinstance(suite, LanguageModelling):
        simple = language_baselines(suite, loaded.tokenizer, data, asked.baselines, asked.limit)
    run = suite.run(scorer, data, asked.limit)
    how = {"tokenizer": loaded.tokenizer.fingerprint, "precision": asked.precision}
    notes = run.measured.notes
    if asked.precision == "int8" and isinstance(suite, LanguageModelling) and not isinstance(model, LanguageModel):
        notes = (*notes, _cost_of_int8(run.measured.scores, suite, model, data, asked))
    return Result(
        name, str(_name(model)), run.measured.scores, suite.main, run.read, run.scored, run.skipped,
        {**_signed(name, fingerprint(data), run.scored, asked), **run.measured.conventions, **how, **_last()},
        notes, simple,
    )  # fmt: skip


def _cost_of_int8(scores: Mapping[str, Score], suite: LanguageModelling, model: Any, data: Path, asked: Asked) -> str:
    """The same text by the same model in float32, in a sentence."""
    asked.tell("the same in float32, to say what int8 costs")
    loaded = load(model, precision="float32", device=asked.device)
    exact = suite.run(Scorer(loaded.model, loaded.tokenizer, asked.tokens), data, asked.limit).measured.scores
    name = "perplexity" if "perplexity" in scores else suite.headline
    rounded, whole = scores[name].value, exact[name].value
    return f"int8 costs {100 * (rounded / whole - 1):+.2f}% of {name}: {rounded:.4f}, where float32 has {whole:.4f}"


def suite_answers(
    name: str, runs: Sequence[AnyModel], files: Sequence[bool], data: Path, columns: Columns | None,
    format: str | None, device: str, tell: Callable[[str], None],
) -> tuple[LabelledSuite, tuple[Item, ...], list[list[Any]]]:  # fmt: skip
    """A suite of labelled examples, its items, and what each run says of them; ``files``: which of the runs are files
    of predictions."""
    if name not in LABELLED:
        near = get_close_matches(name, LABELLED, 1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(LABELLED)}"
        raise SettingsError(f"{name!r} is no suite of labelled examples: {advice}")
    asked = Asked(columns or {}, format, None, "float32", device, TOKENS, None, tell)
    check_columns(name, asked.columns, asked.format)
    suite = LABELLED[name]
    items = _read(name, suite, data, asked).items
    said = [
        read_predictions(Path(cast(Path, run)), suite, items) if file else _predicted(name, suite, run, items, asked)[0]
        for run, file in zip(runs, files, strict=True)
    ]
    return suite, items, said


def _read(name: str, suite: LabelledSuite, data: Path, asked: Asked) -> Reading:
    reading = suite.read(data, asked.columns, asked.format)
    if asked.limit is not None:
        left = max(0, len(reading.items) - asked.limit)
        skipped = {**reading.skipped, **({"beyond the limit": left} if left else {})}
        reading = replace(reading, items=reading.items[: asked.limit], skipped=skipped)
    if not reading.items:
        raise DataError(f"{data} has no row to score: {name} needs rows with what is true in them")
    return reading


def _signed(name: str, data: str, count: int, asked: Asked) -> dict[str, str]:
    limit = {} if asked.limit is None else {"limit": str(asked.limit)}
    return {"suite": name, "data": data, "n": str(count), **limit}


def _last() -> dict[str, str]:
    return {"interval": f"95%,bootstrap:{DRAWS},seed:0", "version": __version__}


def _name(model: AnyModel) -> str:
    if isinstance(model, Tuned):
        return "a model in memory"
    return str(model.directory if isinstance(model, LanguageModel) else model)


def listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
