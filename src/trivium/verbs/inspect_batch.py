"""``trivium inspect batch``: what one step of a recipe, or of a run, shows the model, row by row.

The same functions as in training make it, so it is what the trainer gets: nothing is drawn anew. A recipe that has not
been run is read as ``pretrain`` would read it, into a temporary folder; a run's folder is only read.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from trivium.errors import DataError, SettingsError
from trivium.families.huggingface import add_heads
from trivium.families.model_folder import WEIGHTS
from trivium.objectives import Mixed, Objective
from trivium.objectives.wanted import wanted
from trivium.recurrent.state import set_aside
from trivium.text.origins import file_names, pieces, token_places
from trivium.text.shards import Shards
from trivium.training.precision import resolve
from trivium.training.run_directory import RECIPE
from trivium.transformer import Config, Network
from trivium.verbs.continuing import begun
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.pretraining_batches import Feed
from trivium.verbs.pretraining_data import PretrainingData, Text, check_enough, prepare, rows_per_step, texts
from trivium.verbs.pretraining_model import read_as
from trivium.verbs.recipe import Recipe, load_recipe, read_recipe
from trivium.verbs.source_model import opened
from trivium.verbs.teaching import with_teachers
from trivium.views.batches import BatchView, RowView, costs, row_view

_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")


def inspect_batch(
    recipe: str | Path | Recipe,
    *,
    step: int = 1,
    rows: int = 2,
    model: str | Path | LanguageModel | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> BatchView:
    """Step ``step`` (the first is 1, as in ``metrics.jsonl``) and the first ``rows`` rows of it.

    ``recipe``: a name, a path, a ``Recipe``, or the folder of a run. ``model``: what each target costs is found with
    it, without dropout; a model or one of a run's ``checkpoints/step-...`` folders.
    """
    if rows < 1:
        raise SettingsError(f"{rows} rows: show at least 1")
    run = Path(recipe) if isinstance(recipe, str | Path) and Path(recipe).is_dir() else None
    if run is not None and not (run / RECIPE).is_file():
        raise SettingsError(f"{run} holds no run (there is no {RECIPE}): give the folder that --out named, or a recipe")
    if run is not None:
        asked = read_recipe(run / RECIPE)
    else:
        asked = recipe if isinstance(recipe, Recipe) else load_recipe(recipe).recipe
    steps = asked.training.steps
    if step < 1 or (steps is not None and step > steps):
        raise SettingsError(f"step {step}: " + (f"choose 1 to {steps}" if steps is not None else "the first is 1"))
    source = str(recipe) if isinstance(recipe, str | Path) else f"a recipe of {asked.model.family}"
    with tempfile.TemporaryDirectory(prefix="trivium-") as temporary:
        folder = Path(temporary)
        data, config, length = _of_run(asked, run, folder) if run is not None else _of_recipe(asked, folder, tell)
        asked.objective.heads(config)
        count, micro_rows = rows_per_step(asked.training.batch_tokens, asked.training.micro_batch_tokens, length)
        check_enough(data, count, length)
        objective: Objective | Mixed = asked.objective
        if model is not None:
            _, objective = with_teachers(asked, data.tokenizer, config, resolve(asked.training))
        feed = Feed(objective, data, count, micro_rows, asked.training.seed)
        judge = None if model is None else _judge(model, feed, folder / "model")
        view = _view(feed, step, rows, judge.model if judge is not None else None, folder)
    named = None if model is None else str(model.directory if isinstance(model, LanguageModel) else model)
    return replace(view, source=source, steps=steps, length=length, model=named)


def _view(feed: Feed, step: int, shown: int, judge: Network | None, folder: Path) -> BatchView:
    batches = feed(step - 1)
    turns = [(turn, start) for turn in feed.data.turns((step - 1) * feed.rows, feed.rows)
             for start in range(0, len(turn.draws), feed.micro_rows)]  # fmt: skip
    files = [file_names(folder / str(number)) for number in range(len(feed.data.training.sources))]
    views: list[RowView] = []
    targets: dict[str, int] = {}
    sums: dict[str, tuple[float, int]] = {}
    for micro, (batch, (turn, start)) in enumerate(zip(batches, turns, strict=True)):
        for name, count in batch.counts.items():
            targets[name] = targets.get(name, 0) + count
        wants = wanted(feed.objective, batch)
        scored: dict[str, Tensor] = {}
        if judge is not None:
            with set_aside(judge):
                scored, losses = costs(feed.objective, judge, batch, wants)
            for name, (total, count) in losses.items():
                before = sums.get(name, (0.0, 0))
                sums[name] = before[0] + total, before[1] + count
        end = min(start + feed.micro_rows, start + shown - len(views))
        if end <= start:
            continue
        numbers, part = turn.numbers[start:end], turn.rows().part(start, end)
        places, (sources, _) = token_places(turn.training, numbers), turn.training.draw(numbers)
        for row, of in enumerate(sources.tolist()):
            where = pieces(places[row], of, turn.training.sources[of], files[of])
            number = len(views) + 1
            views.append(row_view(feed.data.tokenizer, part, row, batch, where, wants, scored, number, micro + 1))
    return BatchView(
        source="",
        step=step,
        steps=None,
        length=0,
        row_count=feed.rows,
        micro_batches=len(batches),
        tokens=sum(batch.tokens for batch in batches),
        targets=targets,
        model=None,
        losses={name: total / max(1, count) for name, (total, count) in sums.items()},
        rows=tuple(views),
    )


def _of_recipe(
    recipe: Recipe, folder: Path, tell: Callable[[str], None]
) -> tuple[PretrainingData, Config, int]:
    """What a run of the recipe would read, made in a temporary folder."""
    tell("reading all of the text as pretrain would, into a temporary folder: what a step sees depends on all of it")
    sources = texts(recipe.data, None)
    beginning = None
    if recipe.from_ is not None:
        recipe, source = opened(recipe)
        beginning = begun(recipe, source, sources)
    tokenizer, config, length = read_as(recipe, sources, beginning, folder, tell)
    count, _ = rows_per_step(recipe.training.batch_tokens, None, length)
    return prepare(recipe, sources, None, tokenizer, length, count, folder), config, length


def _of_run(recipe: Recipe, run: Path, folder: Path) -> tuple[PretrainingData, Config, int]:
    """What a run has read, by links in a temporary folder: what is made anew beside it is made there."""
    mirrored = sorted((run / "data").glob("*/shards.json"))
    numbers = [path.parent.name for path in mirrored if path.parent.name.isdecimal()]
    if not numbers or not (run / "tokenizer.json").is_file():
        raise DataError(
            f"{run} has not read its text to the end: go on with it by --resume {run}, or inspect {run / RECIPE}"
        )
    for path in mirrored:
        place = folder / path.parent.name
        place.mkdir()
        for file in path.parent.iterdir():
            if file.suffix in (".bin", ".json"):
                os.symlink(file.resolve(), place / file.name)
    weights = [source.weight for source in recipe.data.sources]
    if len(weights) != len(numbers):
        weights = [1.0] * len(numbers)  # documents of the caller's own
    parts = zip(sorted(numbers, key=int), weights, strict=True)
    sources = [Text(list, weight, _recorded(folder / number)) for number, weight in parts]
    if (folder / "heldout" / "shards.json").exists():  # the caller's own, so nothing is kept of the text
        recipe = replace(recipe, data=replace(recipe.data, heldout=0.0))
    tokenizer, config, length = read_as(recipe, sources, None, run, lambda _: None)
    count, _ = rows_per_step(recipe.training.batch_tokens, None, length)
    try:
        return prepare(recipe, sources, None, tokenizer, length, count, folder), config, length
    except DataError as error:
        raise DataError(str(error).replace(str(folder), str(run / "data"))) from None


def _recorded(folder: Path) -> Callable[[], str]:
    """The text's own fingerprint as the shards have it: they are what the run saw, whatever became of the text."""
    return lambda: Shards.open(folder, verify=False).fingerprint.rpartition(" ")[0]


def _judge(model: str | Path | LanguageModel, feed: Feed, folder: Path) -> LanguageModel:
    """The model that says what each target costs; a checkpoint's weights are read as those of its run."""
    path = None if isinstance(model, LanguageModel) else Path(model)
    run = path.resolve().parent.parent if path is not None and (path / "state.json").is_file() else None
    if path is not None and run is not None and (run / "config.json").is_file():
        folder.mkdir()
        for file in (path / WEIGHTS, *(run / name for name in _BESIDE)):
            if file.exists():
                os.symlink(file.resolve(), folder / file.name)
        try:
            loaded = load(folder)
        except DataError as error:
            raise DataError(str(error).replace(str(folder), str(path))) from None
    else:
        loaded = load(model)
    if loaded.tokenizer.fingerprint != feed.data.tokenizer.fingerprint:
        raise SettingsError(
            f"{model if path is not None else loaded.directory} has another tokenizer than this recipe: give a model "
            "that the recipe trained"
        )
    heads = feed.objective.heads(loaded.config)
    if path is not None and loaded.directory.is_dir():
        add_heads(loaded.model, heads, loaded.directory)
    missing = heads.keys() - loaded.model.heads.keys()
    if missing:
        raise SettingsError(
            f"{model if path is not None else loaded.directory} has no head {' and '.join(sorted(missing))}, which "
            "this objective needs: give a model that the recipe trained"
        )
    return loaded
