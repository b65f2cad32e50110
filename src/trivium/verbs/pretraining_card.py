"""The model card of a pretraining run: what was trained on what, by which recipe, how far and how well."""

from collections.abc import Iterator, Mapping, Sequence

from trivium.families import Family
from trivium.families.card import model_card
from trivium.settings import dump, spell
from trivium.training.run import Meter
from trivium.transformer import Network
from trivium.verbs.judging import Continued
from trivium.verbs.pretraining_data import PretrainingData
from trivium.verbs.recipe import Recipe
from trivium.verbs.teaching import Comparison


def pretraining_card(
    recipe: Recipe,
    model: Network,
    family: Family,
    data: PretrainingData,
    meter: Meter,
    evaluation: Mapping[str, float],
    epochs: Sequence[float],
    continued: Continued | None = None,
    taught: Sequence[Comparison] = (),
) -> str:
    """``README.md``: the family's card, then the training. Before the first step ``meter`` and ``evaluation`` are
    empty. ``epochs``: how often the whole training sees each source of text."""
    training = recipe.training
    objective = dump(recipe.objective)
    kind = objective.pop("kind")
    settings = ", ".join(f"{k} {v if isinstance(v, str) else spell(v)}" for k, v in objective.items())
    lines = [
        "## Training",
        "",
        f"- Objective: {kind} ({settings})",
        f"- Text: {_text(recipe)}; {data.tokens:,} tokens of training text, "
        f"a vocabulary of {data.tokenizer.vocab_size:,}",
        *_sources(recipe, data, epochs),
        f"- Budget: {training.steps:,} steps of {training.batch_tokens:,} tokens, {training.optimizer.kind}, "
        f"{training.schedule.kind} schedule, {training.precision}, seed {training.seed}",
    ]
    if meter.tokens:
        lines.append(f"- Done: {meter.tokens:,} tokens, {meter.flops:.3g} FLOPs, {meter.seconds:,.0f} s of training")
    if recipe.from_ is not None:
        lines.append(f"- Begun from {recipe.from_.model} (SHA-256 of its weights: {recipe.from_.sha256})")
    said = [each.sentence() for each in taught] + ([continued.sentence()] if continued is not None else [])
    lines += [f"- {sentence[:1].upper()}{sentence[1:]}" for sentence in said]
    lines += [f"- Held-out {name.replace('_', ' ')}: {value:.4g}" for name, value in evaluation.items() if value]
    lines += ["", "`trivium.toml` is the whole recipe; `metrics.jsonl` the whole course of the training."]
    return f"{model_card(model, family)}\n" + "\n".join(lines) + "\n"


def _sources(recipe: Recipe, data: PretrainingData, epochs: Sequence[float]) -> Iterator[str]:
    """A line for each part of a mixture of texts: its share of the rows, its size, how often it is seen."""
    weights = data.training.weights
    for source, weight, blocks, seen in zip(
        recipe.data.sources if len(weights) > 1 else (), weights, data.training.sources, epochs, strict=False
    ):
        yield (
            f"- Source {', '.join(source.files)}: {weight / sum(weights):.1%} of the rows, {blocks.tokens:,} tokens, "
            f"seen {seen:.2f} times"
        )


def _text(recipe: Recipe) -> str:
    data = recipe.data
    if data.corpus:
        return f"the embedded corpus {data.corpus}"
    files = data.files or tuple(file for source in data.sources for file in source.files)
    return f"{len(files)} file{'s' if len(files) != 1 else ''} or folders named in `trivium.toml`"
