"""``trivium evaluate``: a suite's published scores of a model, with intervals and how they were computed.

A fine-tuned model predicts every row of a labelled suite, or a file holds the predictions; a language model gives
probabilities to texts. Several models stand side by side; a group, such as GLUE, runs each of its suites that is there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trivium.errors import DataError, SettingsError
from trivium.evaluation import (
    EMBEDDED,
    GROUPS,
    LABELLED,
    LANGUAGE,
    PUBLISHED,
    SUITES,
    Duel,
    Group,
    Result,
    Score,
    averages,
    best,
    duel,
)
from trivium.evaluation.groups import row
from trivium.evaluation.scorer import TOKENS
from trivium.text.fields import Columns
from trivium.verbs.load import Precision, load
from trivium.verbs.suite_options import check_columns, with_options
from trivium.verbs.suite_runs import AnyModel, Asked, language_result, listed, suite_results


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
    data: str | Path | None = None,
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
    """``suite``: one of ``trivium.evaluation.SUITES`` or ``GROUPS``. ``data``: its file, for a group the folder;
    none where the suite comes with its own.

    ``model``: one, several to compare, or for a group of labelled suites one by suite. ``predictions`` stand for a
    model. ``baselines``: training examples (for texts: training text) of the simple methods to show beside it;
    ``options``: settings of the suite; ``limit``: only so many rows; ``tokens``: in a batch.
    """
    if limit is not None and limit < 1 or tokens < 1:
        raise SettingsError(f"limit = {limit}, tokens = {tokens}: each must be at least 1")
    asked = Asked(columns or {}, format, limit, precision, device, tokens,
                  None if baselines is None else Path(baselines), tell)  # fmt: skip
    data = EMBEDDED.get(suite) if data is None else data
    if data is None:
        raise SettingsError(f"{suite} needs its data: give --data")
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
    check_columns(suite, asked.columns, asked.format)
    results = suite_results(suite, chosen, listed(model), listed(predictions), Path(data), asked)
    return Evaluation(suite, results, {}, best(results) if len(results) > 1 else {}, {}, ())


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
    models = [] if isinstance(model, Mapping) else listed(model)
    if predictions is not None or len(models) != 1:
        raise SettingsError(f"{name} is a table of one language model: give one --model, and no predictions")
    loaded = load(models[0], precision=asked.precision, device=asked.device)
    results, notes = [], []
    for each in group.suites:
        file = _found(folder, LANGUAGE[each].files)
        if file is None:
            notes.append(f"{each}: none of {', '.join(LANGUAGE[each].files)} is in {folder}")
            continue
        results.append(language_result(each, LANGUAGE[each], loaded, file, asked))
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
        results += suite_results(each, LABELLED[each], [] if given else [models[each]], given, file, asked)
    return tuple(results), []


def _found(folder: Path, files: Sequence[str]) -> Path | None:
    return next((folder / each for each in files if (folder / each).exists()), None)
