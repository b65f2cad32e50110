"""The teachers of a run that distils: opened once, checked, bound to the objective, and compared with the student."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch

from trivium.errors import SettingsError
from trivium.objectives import Distillation, Mixed, Objective, Taught
from trivium.objectives.distillation import begin, check
from trivium.objectives.objective import Batch
from trivium.tokenizers import Tokenizer
from trivium.training.precision import choose_device, choose_precision
from trivium.training.settings import TrainingSettings
from trivium.transformer import Config, Network
from trivium.verbs.load import load
from trivium.verbs.pretraining_batches import batch_flops
from trivium.verbs.recipe import Recipe
from trivium.verbs.source_model import weights_digest

_TIMED = 5  # passes of each model


def check_students(recipe: Recipe, tokenizer: Tokenizer | None) -> None:
    """Refuses what cannot be before any text is read: a tokenizer of its own, two beginnings."""
    for each in _settings(recipe):
        if tokenizer is None and recipe.tokenizer.path is None and recipe.from_ is None:
            raise SettingsError(
                f"a student reads text as its teacher does: set tokenizer.path = {each.teacher} instead of "
                "tokenizer.vocab_size"
            )
        for name, given in (("from.model", recipe.from_), ("model.vectors", recipe.model.vectors)):
            if each.from_teacher and given is not None:
                raise SettingsError(
                    f"{name} and objective.from_teacher both say what the student begins with: set "
                    "objective.from_teacher = false"
                )


def with_teachers(
    recipe: Recipe, tokenizer: Tokenizer, config: Config, settings: TrainingSettings
) -> tuple[Recipe, Objective | Mixed]:
    """The recipe with the hashes of its teachers, and its objective with the teachers bound to it."""
    if not _settings(recipe):
        return recipe, recipe.objective
    if not isinstance(recipe.objective, Mixed):
        found = _bound(recipe.objective, tokenizer, config, settings)
        return replace(recipe, objective=_recorded(found)), found
    parts = tuple(_bound(part, tokenizer, config, settings) for part in recipe.objective.parts)
    recorded = replace(recipe.objective, parts=tuple(map(_recorded, parts)))
    return replace(recipe, objective=recorded), replace(recipe.objective, parts=parts)


def first_weights(objective: Objective | Mixed, student: Network, tell: Callable[[str], None]) -> None:
    """Those of the teacher's layers that the student begins with; of several teachers the first's."""
    for each in _taught(objective)[:1]:
        if each.settings.from_teacher:
            new = begin(each.settings, student, each.teacher)
            tell(f"the student begins with layers of {each.settings.teacher}")
            if new:
                tell(f"the teacher has no {', '.join(new)}: they begin at random")


def teacher_flops(objective: Objective | Mixed, batch: Batch) -> float:
    """FLOPs of the forward pass that a teacher makes of a batch; 0 where there is none."""
    part = objective.parts[batch.part] if isinstance(objective, Mixed) else objective
    return batch_flops(part.teacher.config, batch) / 3 if isinstance(part, Taught) else 0.0


@dataclass(frozen=True)
class Comparison:
    """A student beside its teacher: parameters, FLOPs and median seconds of a forward pass over the same rows."""

    teacher: str
    sha256: str
    parameters: tuple[int, int]  # of the student and of the teacher
    flops: tuple[float, float]
    seconds: tuple[float, float]
    tokens: int

    def sentence(self) -> str:
        """For people."""
        (own, theirs), (own_flops, their_flops) = self.parameters, self.flops
        own_ms, their_ms = (1000 * each for each in self.seconds)
        return (
            f"taught by {self.teacher} (SHA-256 of its weights: {self.sha256}): {own:,} parameters, the teacher "
            f"{theirs:,} ({1 - own / theirs:.0%} fewer); {own_flops / their_flops:.0%} of its FLOPs; a batch of "
            f"{self.tokens:,} tokens takes {own_ms:.1f} ms, the teacher {their_ms:.1f} ms "
            f"({their_ms / own_ms:.2f} times as fast)"
        )


def compared(objective: Objective | Mixed, student: Network, batch: Callable[[Taught], Batch]) -> list[Comparison]:
    """The student beside each teacher, on rows that ``batch`` gives, in float32 on the student's device."""
    found = []
    for each in _taught(objective):
        rows = batch(each).to(next(student.parameters()).device)
        models = (student, each.teacher.to(next(student.parameters()).device, torch.float32))
        times: tuple[list[float], list[float]] = ([], [])
        with torch.no_grad():
            for _ in range(_TIMED + 1):  # in turns, the first of each to warm up
                for model, seconds in zip(models, times, strict=True):
                    began = time.perf_counter()
                    model(rows.inputs, at=rows.targets.get("at", "all")).logits.sum().item()
                    seconds.append(time.perf_counter() - began)
        own, theirs = (sum(p.numel() for p in model.parameters()) for model in models)
        own_flops, their_flops = (batch_flops(model.config, rows) / 3 for model in models)
        own_time, their_time = (median(seconds[1:]) for seconds in times)
        name, digest = each.settings.teacher, each.settings.sha256 or ""
        both = (own, theirs), (own_flops, their_flops), (own_time, their_time)
        found.append(Comparison(name, digest, *both, rows.tokens))
    return found


def _settings(recipe: Recipe) -> list[Distillation]:
    parts = recipe.objective.parts if isinstance(recipe.objective, Mixed) else (recipe.objective,)
    return [part for part in parts if isinstance(part, Distillation)]


def _taught(objective: Objective | Mixed) -> list[Taught]:
    parts = objective.parts if isinstance(objective, Mixed) else (objective,)
    return [part for part in parts if isinstance(part, Taught)]


def _recorded(objective: Objective) -> Objective:
    return objective.settings if isinstance(objective, Taught) else objective


def _bound(objective: Objective, tokenizer: Tokenizer, config: Config, settings: TrainingSettings) -> Objective:
    if not isinstance(objective, Distillation):
        return objective
    loaded = load(objective.teacher, device="cpu")
    digest = weights_digest(loaded.directory)
    if objective.sha256 not in (None, digest):
        raise SettingsError(
            f"{objective.teacher} is not the teacher of the recipe (the SHA-256 of its weights begins with "
            f"{digest[:12]}, not {(objective.sha256 or '')[:12]}): give that one, or leave out objective.sha256"
        )
    if loaded.tokenizer.fingerprint != tokenizer.fingerprint:
        raise SettingsError(
            f"the student's tokenizer is not that of its teacher {objective.teacher}, so they cut text differently: "
            f"set tokenizer.path = {objective.teacher}"
        )
    check(objective, config, loaded.config)
    device = choose_device(settings.device)
    teacher = loaded.model.to(device, choose_precision(settings.precision, device))
    return Taught(replace(objective, sha256=digest), teacher.eval().requires_grad_(False))
