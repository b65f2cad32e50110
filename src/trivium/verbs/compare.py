"""``trivium compare``: several models on the same text and tokens, side by side in figures and in one report.

Every contender is trained with the same tokenizer on the same number of tokens, once for each seed, and judged on the
same held-out text, where a Kneser-Ney n-gram model of the same tokens stands beside them. A comparison that was stopped
goes on where it was.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from trivium.durable import replace_file
from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.lab.ngrams import train_ngrams
from trivium.lab.scaling import Cost, cost_of_length
from trivium.metrics.intervals import Interval, paired_t
from trivium.metrics.likelihood import likelihood
from trivium.objectives import Causal
from trivium.text.shards import Shards
from trivium.tokenizers import Tokenizer
from trivium.verbs.compare_page import comparison_page
from trivium.verbs.experiment import Contender, Experiment, load_experiment
from trivium.verbs.pretrain import PretrainResult, pretrain
from trivium.verbs.pretraining_batches import EVALUATED_TOKENS
from trivium.verbs.pretraining_data import get_tokenizer, texts
from trivium.verbs.recipe import Recipe

FILE = "experiment.toml"
TOKENIZER = "tokenizer"  # the first thing that an experiment makes


@dataclass(frozen=True)
class Standing:
    """One contender. Lists have one entry a seed; rates are of training, on this machine."""

    name: str
    parameters: int
    loss: list[float]  # nats a token of the held-out text
    perplexity: list[float]
    bits_per_byte: list[float]
    tokens_per_second: float
    mfu: float | None
    curve: list[tuple[float, float]]  # (training tokens, held-out loss) of the first seed
    costs: list[Cost]
    directories: list[Path]


@dataclass(frozen=True)
class Difference:
    """Held-out loss of ``first`` minus that of ``second``, paired by seed; negative: the first is better."""

    first: str
    second: str
    nats: Interval


@dataclass(frozen=True)
class Comparison:
    """All figures of an experiment; ``report`` is the page that shows them."""

    directory: Path
    title: str
    tokens: int
    seeds: int
    vocab_size: int
    standings: list[Standing]
    differences: list[Difference]
    ngrams: dict[str, float] | None  # the rival's held-out likelihood, mean over seeds
    report: Path


def compare(
    experiment: str | Path | Experiment | None,
    out: str | Path,
    *,
    data: Sequence[str | Path] = (),
    tokens: int | None = None,
    seeds: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Runs an experiment (a name, a path or an ``Experiment``) into the folder ``out``, or goes on with the one there.

    ``experiment`` None: the one that ``out`` holds. The page is ``out/report.html``.
    """
    folder = Path(out)
    made = _asked(experiment, folder, data, tokens, seeds)
    tokenizer = _tokenizer(made, folder, tell)
    results: dict[str, list[PretrainResult]] = {}
    for contender in made.contenders:
        for seed in range(made.seeds):
            tell(f"{contender.name}, seed {seed}")
            result = _trained(made, contender, seed, folder, tokenizer)
            if "perplexity" not in result.evaluation:  # said after the first run, not after the last
                raise SettingsError(
                    f"no text was held out to judge models on: the {made.data.heldout:.0%} of data.heldout are whole "
                    "documents (a .txt file is one): give more files, or a larger share"
                )
            results.setdefault(contender.name, []).append(result)
    rivals = [_rival(made, made.contenders[0], seed, folder) for seed in range(made.seeds)] if made.ngrams else []
    standings = [_standing(made, contender, results[contender.name], tell) for contender in made.contenders]
    first = standings[0]
    comparison = Comparison(
        directory=folder,
        title=made.title,
        tokens=made.tokens,
        seeds=made.seeds,
        vocab_size=tokenizer.vocab_size,
        standings=standings,
        differences=[Difference(o.name, first.name, paired_t(o.loss, first.loss)) for o in standings[1:]],
        ngrams={name: mean(rival[name] for rival in rivals) for name in rivals[0]} if rivals else None,
        report=folder / "report.html",
    )
    replace_file(comparison.report, comparison_page(comparison, made.ngrams).encode())
    return comparison


def _asked(
    experiment: str | Path | Experiment | None,
    folder: Path,
    data: Sequence[str | Path],
    tokens: int | None,
    seeds: int | None,
) -> Experiment:
    there = folder / FILE
    if experiment is None:
        if not there.is_file():
            raise SettingsError(f"{folder} holds no experiment (there is no {FILE}): name one")
        experiment = there
    if isinstance(experiment, Experiment):
        made = experiment
    else:
        made = load_experiment(experiment, data, tokens=tokens, seeds=seeds)
    for contender in made.contenders:  # what is misspelt shows before anything is trained
        if not isinstance(made.recipe(contender, 0).objective, Causal):
            raise SettingsError(
                f"{contender.name} predicts no text from left to right: compare recipes whose objective is causal"
            )
    if there.is_file():
        if there.read_text(encoding="utf-8") != made.to_toml() and (folder / TOKENIZER).is_dir():
            raise SettingsError(f"{folder} holds another experiment: choose another --out, or leave out the name")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} is in use: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(there, made.to_toml().encode())
    return made


def _tokenizer(made: Experiment, folder: Path, tell: Callable[[str], None]) -> Tokenizer:
    """One for all, learnt once."""
    recipe = made.recipe(made.contenders[0], 0)
    home = folder / TOKENIZER
    if (home / "tokenizer_config.json").exists():
        return Tokenizer.load(home)
    tell("learning the tokenizer that all share")
    config = FAMILIES[recipe.model.family].size(recipe.model.size, made.tokenizer.vocab_size or 1)
    tokenizer = get_tokenizer(made.tokenizer, texts(made.data, None), config, home)
    tokenizer.save(home)
    return tokenizer


def _trained(made: Experiment, contender: Contender, seed: int, folder: Path, tokenizer: Tokenizer) -> PretrainResult:
    out = folder / contender.name / f"seed-{seed}"
    recipe = made.recipe(contender, seed)
    if (out / "checkpoints").is_dir() and (out / "trivium.toml").exists():
        return pretrain(None, out, resume=True, quiet=True)
    shutil.rmtree(out, ignore_errors=True)
    return pretrain(recipe, out, tokenizer=tokenizer, quiet=True)


def _standing(
    made: Experiment, contender: Contender, results: Sequence[PretrainResult], tell: Callable[[str], None]
) -> Standing:
    evaluations = [result.evaluation for result in results]
    first = results[0]
    rates = [line for result in results for line in result.history if line["kind"] == "train"]
    shares = [line["mfu"] for line in rates if line.get("mfu") is not None]
    costs: list[Cost] = []
    if made.lengths:
        tell(f"{contender.name}: the cost of longer texts")
        costs = _costs(made, made.recipe(contender, 0), first)
    return Standing(
        name=contender.name,
        parameters=first.parameters,
        loss=[each["loss"] for each in evaluations],
        perplexity=[each["perplexity"] for each in evaluations],
        bits_per_byte=[each["bits_per_byte"] for each in evaluations],
        tokens_per_second=sum(result.tokens for result in results) / sum(result.seconds for result in results),
        mfu=mean(shares) if shares else None,
        curve=_curve(first),
        costs=costs,
        directories=[result.directory for result in results],
    )


def _curve(result: PretrainResult) -> list[tuple[float, float]]:
    per_step = result.tokens / result.steps
    return [(line["step"] * per_step, line["loss"]) for line in result.history if line["kind"] == "evaluation"]


def _costs(made: Experiment, recipe: Recipe, result: PretrainResult) -> list[Cost]:
    """On a fresh model of the same sizes whose context reaches the longest length."""
    model = recipe.model
    changes: dict[str, Any] = {**model.changes(), "context": max(made.lengths)}
    family = FAMILIES[model.family]
    fresh = initialise(network(family.size(model.size, result.config.vocab_size, **changes), {}), seed=0)
    return cost_of_length(fresh, made.lengths)


def _rival(made: Experiment, contender: Contender, seed: int, folder: Path) -> dict[str, float]:
    """The n-gram model on a run's own training and held-out tokens, as many of them as the evaluation reads."""
    recipe = made.recipe(contender, seed)
    shards = Shards.open(folder / contender.name / f"seed-{seed}" / "data" / "0")
    training, heldout = shards.split(recipe.data.heldout, seed=recipe.training.seed)
    model = train_ngrams(_stream(training)[: made.tokens], shards.vocab_size, made.ngrams)
    tokens = _stream(heldout)
    counted = min(len(tokens), EVALUATED_TOKENS)
    nll = -float(model.log_probabilities(tokens[:counted])[1:].sum())
    return likelihood(nll, counted - 1, bytes=round(heldout.text_bytes * counted / len(tokens)))


def _stream(shards: Shards) -> np.ndarray:
    return np.concatenate([shards.document(number) for number in range(shards.documents)]).astype(np.int64)


def plain(comparison: Comparison) -> dict[str, Any]:
    """For ``--json``."""
    return asdict(replace(comparison, standings=[replace(s, curve=list(s.curve)) for s in comparison.standings]))
