"""The part of a model card that says how a model was aligned: from what, by which method, and what it changed."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from trivium.settings import leaves


def alignment_card(
    card: str, recipe: Mapping[str, Any], figures: tuple[Mapping[str, float], Mapping[str, float]],
    notes: Sequence[str],
) -> str:  # fmt: skip
    """``README.md``: ``card`` of the model itself, then its alignment. ``recipe``: as the run's ``trivium.toml`` has
    it; ``figures``: on dev, before and after."""
    base = PurePath(recipe["model"])
    training, method = recipe["training"], recipe["method"]
    learnt = {"full": "all weights", "lora": "low-rank adapters"}.get(recipe["weights"], recipe["weights"])
    own_line = ("kind", "judge", "judge_sha256")
    told = ", ".join(f"{name} {value}" for name, value in leaves(method) if name not in own_line)
    lines = [
        "## Alignment",
        "",
        f"- Base model: {base.name if base.is_absolute() else base} (SHA-256 of its weights: {recipe['sha256']})",
        f"- Method: {method['kind']}{f' ({told})' if told else ''}, of {learnt}, {training['steps']:,} updates of "
        f"{training['batch']} examples, learning rate {training['learning_rate']:.3g}, seed {training['seed']}",
    ]
    for split in ("train", "dev"):
        if recipe.get(split):
            lines.append(f"- {split}: {PurePath(recipe[split]).name} (SHA-256: {recipe[f'{split}_sha256']})")
    if method.get("judge"):
        name = PurePath(method["judge"]).name
        lines.append(f"- Judge of its replies: {name} (SHA-256 of its weights: {method['judge_sha256']})")
    lines += [f"- {note[:1].upper()}{note[1:]}" for note in notes]
    before, after = figures
    if before:
        lines += ["", "| on dev | before | after |", "|---|---|---|"]
        lines += [f"| {name} | {_told(value)} | {_told(after.get(name))} |" for name, value in before.items()]
    judges = method["kind"] == "reward"
    does = "predict --model . FILE` says what replies are worth" if judges else "chat --model .` talks with it"
    lines += ["", f"`trivium {does}, by the template that it was taught in."]
    return card.rstrip() + "\n\n" + "\n".join(lines) + "\n"


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
