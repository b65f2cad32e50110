"""``trivium evaluate``: a suite's published scores of a model, with intervals and how they were computed.

A fine-tuned model predicts every row of a labelled suite, or a file holds the predictions; a language model gives
probabilities to texts. Several models stand side by side; a group, such as GLUE, runs each of its suites that is there.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from trivium import __version__
from trivium.errors import DataError, SettingsError
from trivium.evaluation import (
    GROUPS,
    LABELLED,
    LANGUAGE,
    PUBLISHED,
    SUITES,
    Baseline,
    Duel,
    Group,
    Item,
    LabelledSuite,
    LanguageSuite,
    Reading,
    Result,
    Score,
    Scorer,
    averages,
    best,
    duel,
)
from trivium.evaluation.groups import row
from trivium.evaluation.labels import check_model
from trivium.evaluation.language_modelling import LanguageModelling
from trivium.evaluation.predictions import read_predictions
from trivium.evaluation.resampling import DRAWS
from trivium.evaluation.scorer import TOKENS
from trivium.evaluation.suite import fingerprint
from trivium.settings import build, override
from trivium.tasks import Rewriting, predict_all
from trivium.text.fields import Columns
from trivium.verbs.evaluation_baselines import labelled_baselines, language_baselines
from trivium.verbs.load import LanguageModel, Precision, inference_device, inference_form, load
from trivium.verbs.predict import load_tuned
from trivium.verbs.tuning import Tuned

Suite = LabelledSuite | LanguageSuite
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


@dataclass(frozen=True)
class Evaluation:
    """Results of one suite on one or several models, or of a group. ``best``: for each score the best models;
    ``table``: of a group, one's own row and the published ones, by column; ``duels``: one's own row against each."""

    suite: str
    results: tuple[Result, ...]
    averages: Mapping[str, Score]
    best: Mapping[str, tuple[str, ...]]
    table: Mapping[str, Mapping[str, float | None]]
    duels: tuple[Duel, ...]
    notes: tuple[str, ...] = ()


def evaluate(
    model: AnyModel | Sequence[AnyModel] | Mapping[str, AnyModel] | None,
    suite: str,
    data: str | Path,
    *,
    predictions: str | Path | Sequence[str | Path] | Mapping[str, str | Path] | None = None,
    baselines: str | Path | None = None,
    columns: Columns | None = None,
    format: str | None = None,
    options: Mapping[str, object] | None = None,
    limit: int | None = None,
    precision: Precision = "float32",
    device: str = "auto",
    tokens: int = TOKENS,
    tell: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """``suite``: one of ``trivium.evaluation.SUITES`` or ``GROUPS``. ``data``: its file, for a group the folder.

    ``model``: one, several to compare, or for a group of labelled suites one by suite. ``predictions`` stand for a
    model. ``baselines``: training examples (for texts: training text) of the simple methods to show beside it;
    ``options``: settings of the suite; ``limit``: only so many rows; ``tokens``: in a batch.
    """
    if limit is not None and limit < 1 or tokens < 1:
        raise SettingsError(f"limit = {limit}, tokens = {tokens}: each must be at least 1")
    asked = Asked(columns or {}, format, limit, precision, device, tokens,
                  None if baselines is None else Path(baselines), tell)  # fmt: skip
    if suite in GROUPS:
        if options or columns or format or baselines:
            raise SettingsError(f"{suite} is a group: options, columns, format and baselines are for one suite")
        return _group(suite, model, predictions, Path(data), asked)
    if suite not in SUITES:
        near = get_close_matches(suite, [*SUITES, *GROUPS], 1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join([*GROUPS, *SUITES])}"
        raise SettingsError(f"suite {suite!r} is not known: {advice}")
    if isinstance(model, Mapping) or isinstance(predictions, Mapping):
        raise SettingsError(f"{suite} is one suite: give a model, or a file of predictions, without a name before it")
    chosen = with_options(suite, options or {})
    _check_columns(suite, asked)
    results = _results(suite, chosen, _listed(model), _listed(predictions), Path(data), asked)
    return Evaluation(suite, results, {}, best(results) if len(results) > 1 else {}, {}, ())


def with_options(suite: str, options: Mapping[str, object]) -> Suite:
    """The suite with the user's settings."""
    chosen = SUITES[suite]
    for name in options:
        if name not in chosen.settings:
            near = get_close_matches(name, chosen.settings, 1)
            known = ", ".join(chosen.settings) or "none"
            advice = f"did you mean {near[0]!r}?" if near else f"its settings are: {known}"
            raise SettingsError(f"{suite} has no setting {name!r}: {advice}")
    if not options:
        return chosen
    checked = build(type(chosen), dict(options))
    return cast(Suite, replace(cast(Any, chosen), **{name: getattr(checked, name) for name in options}))


def _check_columns(suite: str, asked: Asked) -> None:
    """Names and formats that the suite's file cannot have are refused, not passed over."""
    if suite in LANGUAGE and (asked.columns or asked.format):
        raise SettingsError(f"{suite}'s file has one layout: leave out --column and --format")
    known = () if suite in LANGUAGE else LABELLED[suite].fields
    for name in asked.columns:
        if name not in known:
            near = get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]!r}?" if near else f"those that it has: {', '.join(known) or 'none'}"
            raise SettingsError(f"{suite} has no field {name!r} that a file may call otherwise: {advice}")


def suite_options(suite: str, assignments: Sequence[str]) -> dict[str, object]:
    """Settings of a suite as they are spelt on a command line, ``stride=256``, read by the types of its fields."""
    found: dict[str, object] = {}
    for assignment in assignments:
        name = assignment.partition("=")[0].strip()
        if suite in SUITES and name in SUITES[suite].settings:
            found |= override(type(SUITES[suite]), assignment)
        else:
            found[name] = None  # refused by name when the suite is made
    return found


def named_models(given: Sequence[str]) -> list[str] | dict[str, str]:
    """``--model sst2=DIR`` by suite, where the word before the sign is a suite's; else a list of models."""
    named = {}
    for each in given:
        name, equals, path = each.partition("=")
        if equals and name in SUITES:
            named[name] = path
    if named and len(named) < len(given):
        raise SettingsError("give every model with the name of its suite, as in sst2=DIR, each suite once, or none")
    return named or list(given)


def _results(
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
        return tuple(_language(name, cast(LanguageSuite, suite), each, data, asked) for each in models)
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


def _language(name: str, suite: LanguageSuite, model: AnyModel, data: Path, asked: Asked) -> Result:
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
    scorer = Scorer(loaded.model, loaded.tokenizer, asked.tokens)
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


def _group(
    name: str,
    model: AnyModel | Sequence[AnyModel] | Mapping[str, AnyModel] | None,
    predictions: str | Path | Sequence[str | Path] | Mapping[str, str | Path] | None,
    folder: Path,
    asked: Asked,
) -> Evaluation:
    group = GROUPS[name]
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: {name} reads the folder that its suites are in")
    if all(each in LANGUAGE for each in group.suites):
        results, notes = _language_group(name, group, model, predictions, folder, asked)
    else:
        results, notes = _labelled_group(name, group, model, predictions, folder, asked)
    means, missing = averages(group, results)
    table = PUBLISHED[group.published]
    ours = row(group, results)
    averaged = {each: means[each].value * 100 if each in means else None for each in group.averages}
    ours = {column: {**averaged, **ours}[column] for column in table.columns}
    rows = {"this model": ours, **{each: table.row(each) for each in table.rows}}
    duels = tuple(duel("this model", each, rows, table.lower) for each in table.rows)
    return Evaluation(name, results, means, {}, rows, duels, (*notes, *missing, f"published: {table.source}"))


def _language_group(
    name: str, group: Group, model: Any, predictions: Any, folder: Path, asked: Asked
) -> tuple[tuple[Result, ...], list[str]]:
    models = [] if isinstance(model, Mapping) else _listed(model)
    if predictions is not None or len(models) != 1:
        raise SettingsError(f"{name} is a table of one language model: give one --model, and no predictions")
    loaded = load(models[0], precision=asked.precision, device=asked.device)
    results, notes = [], []
    for each in group.suites:
        file = _found(folder, LANGUAGE[each].files)
        if file is None:
            notes.append(f"{each}: none of {', '.join(LANGUAGE[each].files)} is in {folder}")
            continue
        results.append(_language(each, LANGUAGE[each], loaded, file, asked))
    if not results:
        raise DataError(f"{folder} has no file of {name}: " + "; ".join(notes))
    return tuple(results), notes


def _labelled_group(
    name: str, group: Group, model: Any, predictions: Any, folder: Path, asked: Asked
) -> tuple[tuple[Result, ...], list[str]]:
    models = model if isinstance(model, Mapping) else {}
    files = predictions if isinstance(predictions, Mapping) else {}
    if (model and not models) or (predictions and not files) or not (models or files):
        raise SettingsError(f"{name} wants a model or predictions for each suite: --model {group.suites[0]}=DIR ...")
    strange = [each for each in (*models, *files) if each not in group.suites]
    if strange:
        raise SettingsError(f"{strange[0]} is no suite of {name}, which has {', '.join(group.suites)}")
    twice = [each for each in models if each in files]
    if twice:
        raise SettingsError(f"{twice[0]} has a model and predictions: a column of {name} holds one of them")
    chosen: dict[str, Path] = {}
    for each in group.suites:
        if each in models or each in files:
            file = _found(folder, LABELLED[each].files)
            if file is None:
                raise DataError(f"{folder} has none of {', '.join(LABELLED[each].files)}, which {each} is read from")
            chosen[each] = file
    results: list[Result] = []
    for each, file in chosen.items():
        given = [files[each]] if each in files else []
        results += _results(each, LABELLED[each], [] if given else [models[each]], given, file, asked)
    return tuple(results), []


def _found(folder: Path, files: Sequence[str]) -> Path | None:
    return next((folder / each for each in files if (folder / each).exists()), None)


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
    _check_columns(name, asked)
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


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]

