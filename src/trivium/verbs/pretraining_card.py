"""The model card of a pretraining run: what was trained on what, by which recipe, how far and how well."""

from collections.abc import Mapping

from trivium.families import Family
from trivium.families.card import model_card
from trivium.settings import dump
from trivium.training.run import Meter
from trivium.transformer import Network
from trivium.verbs.judging import Continued
from trivium.verbs.pretraining_data import PretrainingData
from trivium.verbs.recipe import Recipe


def pretraining_card(
    recipe: Recipe,
    model: Network,
    family: Family,
    data: PretrainingData,
    meter: Meter,
    evaluation: Mapping[str, float],
    continued: Continued | None = None,
) -> str:
    """``README.md``: the family's card, then the training. Before the first step ``meter`` and ``evaluation`` are
    empty."""
    training = recipe.training
    objective = dump(recipe.objective)
    kind = objective.pop("kind")
    settings = ", ".join(f"{name} {value}" for name, value in objective.items())
    lines = [
        "## Training",
        "",
        f"- Objective: {kind} ({settings})",
        f"- Text: {_text(recipe)}; {data.tokens:,} tokens of training text, "
        f"a vocabulary of {data.tokenizer.vocab_size:,}",
        f"- Budget: {training.steps:,} steps of {training.batch_tokens:,} tokens, {training.optimizer.kind}, "
        f"{training.schedule.kind} schedule, {training.precision}, seed {training.seed}",
    ]
    if meter.tokens:
        lines.append(f"- Done: {meter.tokens:,} tokens, {meter.flops:.3g} FLOPs, {meter.seconds:,.0f} s of training")
    if recipe.from_ is not None:
        lines.append(f"- Begun from {recipe.from_.model} (SHA-256 of its weights: {recipe.from_.sha256})")
    if continued is not None:
        lines.append(f"- {continued.sentence()[:1].upper()}{continued.sentence()[1:]}")
    lines += [f"- Held-out {name.replace('_', ' ')}: {value:.4g}" for name, value in evaluation.items() if value]
    lines += ["", "`trivium.toml` is the whole recipe; `metrics.jsonl` the whole course of the training."]
    return f"{model_card(model, family)}\n" + "\n".join(lines) + "\n"


def _text(recipe: Recipe) -> str:
    data = recipe.data
    if data.corpus:
        return f"the embedded corpus {data.corpus}"
    files = data.files or tuple(file for source in data.sources for file in source.files)
    return f"{len(files)} file{'s' if len(files) != 1 else ''} or folders named in `trivium.toml`"
