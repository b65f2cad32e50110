"""One cell of a comparison: a contender trained with one seed, its scores, and the small file that keeps them.

The run is an ordinary run directory, ``OUT/NAME/seed-N``; the figures are in ``OUT/cells/NAME/seed-N.json``, written
after every score, so that nothing is done twice, also where the run directory is gone.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from trivium.durable import replace_file
from trivium.errors import DataError, SettingsError, TriviumError
from trivium.evaluation import Scorer
from trivium.evaluation.minimal_pairs import MinimalPairs
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.lab.ngrams import train_ngrams
from trivium.lab.scaling import Cost, cost_of_length
from trivium.metrics.likelihood import likelihood
from trivium.settings import dump
from trivium.text.documents import read_documents
from trivium.text.shards import Shards
from trivium.tokenizers import Tokenizer
from trivium.vectors.files import load_vectors
from trivium.vectors.glove import GloveSettings
from trivium.vectors.vectors import Vectors
from trivium.vectors.word2vec import Word2VecSettings
from trivium.verbs.compare_transfer import Transferred, baseline_transferred, stack_of, transferred
from trivium.verbs.experiment import CELLS, TOKENIZERS, Arm, Experiment, fingerprint, located, located_data
from trivium.verbs.pretrain import PretrainResult, pretrain
from trivium.verbs.pretraining_batches import EVALUATED_TOKENS
from trivium.verbs.pretraining_data import get_tokenizer, layout_for, texts
from trivium.verbs.recipe import Recipe
from trivium.verbs.vector_training import train_vectors

PASSAGE = 400  # characters of a passage, at most
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """The held-out figures after so much training."""

    step: int
    tokens: float
    figures: dict[str, float]


@dataclass(frozen=True)
class Cell:
    """Everything that the report needs of one training. Absent figures were not asked for or not reached yet."""

    contender: str
    seed: int
    identity: str
    point: dict[str, str]
    stack: str  # encoder, decoder, encoder-decoder or baseline
    objective: dict[str, Any]
    parameters: int = 0
    vocab_size: int = 0
    steps: int = 0
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0  # of training
    mfu: float | None = None
    evaluation: dict[str, float] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    losses: list[tuple[float, float]] = field(default_factory=list)  # (training tokens, training loss)
    passages: dict[str, float] | None = None
    passages_identity: str = ""
    pairs: dict[str, float] | None = None
    pairs_identity: str = ""
    pairs_error: str = ""
    transfers: dict[str, Transferred] = field(default_factory=dict)
    rival: dict[str, float] | None = None
    costs: list[Cost] = field(default_factory=list)
    error: str = ""  # why it failed, which is tried again

    @property
    def trained(self) -> bool:
        return not self.error and bool(self.parameters or self.stack == "baseline")


def cell_file(folder: Path, contender: str, seed: int) -> Path:
    return folder / CELLS / contender / f"seed-{seed}.json"


def read_cell(folder: Path, contender: str, seed: int) -> Cell | None:
    """None where there is none. Fields that this version does not know are passed over."""
    path = cell_file(folder, contender, seed)
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Cell)}
        values = {name: value for name, value in values.items() if name in known}
        values["curve"] = [Point(**each) for each in values.get("curve", [])]
        values["costs"] = [Cost(**each) for each in values.get("costs", [])]
        values["losses"] = [tuple(each) for each in values.get("losses", [])]
        values["transfers"] = {name: Transferred(**each) for name, each in values.get("transfers", {}).items()}
        return Cell(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no cell of a comparison ({error}): remove it, and the cell is made anew") from error


def write_cell(folder: Path, cell: Cell) -> None:
    path = cell_file(folder, cell.contender, cell.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(_finite(asdict(cell)), sort_keys=True, ensure_ascii=False)  # of items by the thousand
    replace_file(path, line.encode() + b"\n")


def _finite(value: Any) -> Any:
    """JSON has no infinity: a figure that is none is absent."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items() if each == each}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def wanted(made: Experiment, arm: Arm, seed: int, cell: Cell) -> list[str]:
    """The scores that the experiment asks for and the cell lacks."""
    lacking = [each.name for each in made.transfer if each.name not in cell.transfers and each.at_hand]
    if arm.baseline is None:
        lacking += ["passages"] if made.passages and cell.passages is None else []
        lacking += ["minimal pairs"] if made.minimal_pairs and cell.pairs is None and not cell.pairs_error else []
        lacking += ["n-grams"] if made.ngrams and arm == made.arms()[0] and cell.rival is None else []
        lacking += ["lengths"] if made.lengths and not seed and not cell.costs else []
    return lacking


def finished(made: Experiment, arm: Arm, seed: int, cell: Cell | None) -> bool:
    return cell is not None and cell.trained and not wanted(made, arm, seed, cell)


def conflict(made: Experiment, arm: Arm, cell: Cell) -> str:
    """What a finished cell was made with that is otherwise now; empty: nothing."""
    if cell.trained and cell.identity != made.identity(arm):
        return "recipe, budget, text or tokenizer"
    if made.passages and cell.passages is not None and cell.passages_identity != _passages_identity(made):
        return "passages"
    if made.minimal_pairs and cell.pairs is not None and cell.pairs_identity != fingerprint([made.minimal_pairs]):
        return "minimal_pairs"
    for each in made.transfer:
        if each.name in cell.transfers and cell.transfers[each.name].identity != each.identity:
            return f"transfer {each.name}"
    return ""


def run_cell(made: Experiment, arm: Arm, seed: int, folder: Path, tell: Tell) -> Cell:
    """Makes a cell, or what it lacks."""
    cell = read_cell(folder, arm.name, seed)
    if cell is None or not cell.trained:
        cell = Cell(arm.name, seed, made.identity(arm), dict(arm.point), "", {})
    if finished(made, arm, seed, cell):
        return cell
    return _baseline(made, arm, cell, folder, tell) if arm.baseline else _network(made, arm, cell, folder, tell)


def fail_cell(folder: Path, arm: Arm, seed: int, error: TriviumError) -> TriviumError:
    """Writes why a cell failed into its file, where it has no figures yet, and gives the error back."""
    cell = read_cell(folder, arm.name, seed)
    if cell is None or not cell.trained:
        write_cell(folder, Cell(arm.name, seed, "", dict(arm.point), "", {}, error=str(error)))
    return error


def tokenizer_of(made: Experiment, arm: Arm, folder: Path, tell: Tell) -> Tokenizer:
    """One for all contenders that ask for the same, learnt once."""
    recipe = made.recipe(arm, 0)
    config = FAMILIES[recipe.model.family].size(
        recipe.model.size, recipe.tokenizer.vocab_size or 1, **recipe.model.changes()
    )
    home = folder / TOKENIZERS / f"{layout_for(config)}-{fingerprint(recipe.tokenizer)}"
    if (home / "tokenizer_config.json").exists():
        return Tokenizer.load(home)
    tell("learning a tokenizer")
    settings = recipe.tokenizer
    if settings.path is not None:
        settings = replace(settings, path=located(settings.path))
    tokenizer = get_tokenizer(settings, texts(located_data(made.data), None), config, home)
    partial = home.with_name(f".{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    tokenizer.save(partial)
    shutil.rmtree(home, ignore_errors=True)
    partial.rename(home)
    return tokenizer


def _network(made: Experiment, arm: Arm, cell: Cell, folder: Path, tell: Tell) -> Cell:
    result = _trained(made, arm, cell.seed, folder, tell)
    if not cell.trained:
        cell = _figures(made, cell, result)
        write_cell(folder, cell)
    for name in wanted(made, arm, cell.seed, cell):
        if name == "passages":
            tell("passages of held-out text")
            cell = replace(cell, passages=_passages(made, cell, result), passages_identity=_passages_identity(made))
        elif name == "minimal pairs":
            tell(name)
            cell = _with_pairs(made, cell, result)
        elif name == "n-grams":
            cell = replace(cell, rival=_rival(made, cell.seed, result, made.recipe(arm, cell.seed)))
        elif name == "lengths":
            tell("the cost of longer texts")
            cell = replace(cell, costs=_costs(made, made.recipe(arm, 0), result))
        else:
            transfer = next(each for each in made.transfer if each.name == name)
            found = transferred(transfer, result.model, result.tokenizer, result.family, cell.seed, tell)
            cell = replace(cell, transfers={**cell.transfers, name: found})
        write_cell(folder, cell)
    return cell


def _trained(made: Experiment, arm: Arm, seed: int, folder: Path, tell: Tell) -> PretrainResult:
    out = folder / arm.name / f"seed-{seed}"
    recipe = made.recipe(arm, seed)
    recipe = replace(recipe, data=located_data(recipe.data))
    tokenizer = tokenizer_of(made, arm, folder, tell)
    heldout = None
    if made.heldout:
        heldout = list(read_documents([located(each) for each in made.heldout], field=made.data.field))
    tell("training" if arm.share else "a model as it begins")
    if (out / "checkpoints").is_dir() and (out / "trivium.toml").exists():
        return pretrain(recipe, out, resume=True, tokenizer=tokenizer, heldout=heldout, quiet=True)
    shutil.rmtree(out, ignore_errors=True)
    return pretrain(recipe, out, tokenizer=tokenizer, heldout=heldout, quiet=True)


def _figures(made: Experiment, cell: Cell, result: PretrainResult) -> Cell:
    if not result.evaluation and not (made.transfer or made.minimal_pairs):
        raise SettingsError(
            f"no text was held out to judge models on: the {made.data.heldout:.0%} of data.heldout are whole "
            "documents, and there are too few: give more files, or a larger share"
        )
    per_step = result.tokens / result.steps if result.steps else 0.0
    shares = [line["mfu"] for line in result.history if line.get("mfu") is not None]
    kept = [line for line in result.history if line["kind"] == "evaluation"]
    objective = made.recipe(made.arm(cell.contender), cell.seed).objective
    return replace(
        cell,
        stack=stack_of(result.config),
        objective=dump(objective),
        parameters=result.parameters,
        vocab_size=result.tokenizer.vocab_size,
        steps=result.steps,
        tokens=result.tokens,
        flops=result.flops,
        seconds=round(result.seconds, 2),
        mfu=float(np.mean(shares)) if shares else None,
        evaluation=_numbers(result.evaluation),
        curve=[Point(line["step"], line["step"] * per_step, _numbers(line)) for line in kept],
        losses=[(step * per_step, loss) for step, loss in result.losses],
    )


def _numbers(line: Any) -> dict[str, float]:
    """The figures of a line of metrics.jsonl."""
    return {name: v for name, v in line.items() if name != "step" and isinstance(v, int | float)}


def _passages_identity(made: Experiment) -> str:
    return fingerprint([made.passages, PASSAGE])


def _passages(made: Experiment, cell: Cell, result: PretrainResult) -> dict[str, float]:
    """Bits per byte of the same passages for all models: by likelihood, or for encoders by pseudo-likelihood (Salazar
    et al. 2020). Nothing for what gives no probability to a text alone."""
    scorer = Scorer(result.model, result.tokenizer)
    if scorer.kind == "encoder-decoder" or result.model.vocabulary is None:
        return {}
    nats, count = 0.0, 0
    for text in _held_out(made, cell.seed, result):
        found = scorer.text(text)
        nats -= sum(score.log_probability for score in found)
        count += len(text.encode())
    if not count:
        return {}
    name = "pseudo_bits_per_byte" if scorer.kind == "encoder" else "bits_per_byte"
    return {name: likelihood(nats, 1, bytes=count)["bits_per_byte"], "bytes": count}


def _held_out(made: Experiment, seed: int, result: PretrainResult) -> list[str]:
    """Beginnings of held-out documents, whole words, from the run's shards."""
    if made.heldout:
        shards = Shards.open(result.directory / "data" / "heldout")
    else:
        shards = Shards.open(result.directory / "data" / "0").split(made.data.heldout, seed=seed)[1]
    found = []
    for number in range(shards.documents):
        text = result.tokenizer.decode([int(i) for i in shards.document(number)][: 2 * PASSAGE]).strip()
        if len(text) > PASSAGE:
            text = text[:PASSAGE].rsplit(" ", 1)[0]
        if len(text) >= PASSAGE // 4:
            found.append(text)
        if len(found) == made.passages:
            break
    return found


def _with_pairs(made: Experiment, cell: Cell, result: PretrainResult) -> Cell:
    assert made.minimal_pairs is not None
    try:
        run = MinimalPairs().run(Scorer(result.model, result.tokenizer), Path(located(made.minimal_pairs)), None)
    except SettingsError as error:
        return replace(cell, pairs_error=str(error))
    scores = {name: score.value for name, score in run.measured.scores.items()}
    return replace(cell, pairs=scores, pairs_identity=fingerprint([made.minimal_pairs]))


def _costs(made: Experiment, recipe: Recipe, result: PretrainResult) -> list[Cost]:
    """On a fresh model of the same sizes whose context reaches the longest length."""
    model = recipe.model
    changes: dict[str, Any] = {**model.changes(), "context": max(made.lengths)}
    family = FAMILIES[model.family]
    fresh = initialise(network(family.size(model.size, result.config.vocab_size, **changes), {}), seed=0)
    return cost_of_length(fresh, made.lengths)


def _rival(made: Experiment, seed: int, result: PretrainResult, recipe: Recipe) -> dict[str, float]:
    """The n-gram model on a run's own training and held-out tokens, as many of them as the evaluation reads."""
    shards = Shards.open(result.directory / "data" / "0")
    training, heldout = shards.split(recipe.data.heldout, seed=seed)
    if made.heldout:
        training, heldout = shards, Shards.open(result.directory / "data" / "heldout")
    model = train_ngrams(_stream(training)[: result.tokens], shards.vocab_size, made.ngrams)
    tokens = _stream(heldout)
    counted = min(len(tokens), EVALUATED_TOKENS)
    nll = -float(model.log_probabilities(tokens[:counted])[1:].sum())
    return likelihood(nll, counted - 1, bytes=round(heldout.text_bytes * counted / len(tokens)))


def _stream(shards: Shards) -> np.ndarray:
    return np.concatenate([shards.document(number) for number in range(shards.documents)]).astype(np.int64)


def _baseline(made: Experiment, arm: Arm, cell: Cell, folder: Path, tell: Tell) -> Cell:
    assert arm.baseline is not None
    vectors = _vectors(made, arm.baseline, cell.seed, folder / arm.name / f"seed-{cell.seed}", tell)
    cell = replace(cell, stack="baseline")
    for transfer in made.transfer:
        if transfer.name in cell.transfers or not transfer.at_hand:
            continue
        found = baseline_transferred(transfer, arm.baseline, vectors)
        cell = replace(cell, transfers={**cell.transfers, transfer.name: found})
        write_cell(folder, cell)
    write_cell(folder, cell)
    return cell


def _vectors(made: Experiment, baseline: str, seed: int, out: Path, tell: Tell) -> Vectors | None:
    """Learnt from the experiment's text, or from a file; None for baselines without."""
    if baseline in ("bag-of-words", "majority"):
        return None
    if baseline not in ("skipgram", "cbow", "glove"):
        return load_vectors(located(baseline))
    path = out / "vectors.safetensors"
    if not path.exists():
        tell("learning word vectors")
        out.mkdir(parents=True, exist_ok=True)
        documents = (text for source in texts(located_data(made.data), None) for text in source.documents())
        train_vectors([], path, _vector_settings(baseline, seed), documents=documents)
    return load_vectors(path)


def _vector_settings(baseline: str, seed: int) -> Word2VecSettings | GloveSettings:
    if baseline == "glove":
        return GloveSettings(seed=seed)
    return Word2VecSettings(algorithm="cbow" if baseline == "cbow" else "skipgram", seed=seed)
