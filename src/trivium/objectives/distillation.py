"""Distillation: a small model learns its objective and, beside it, what a larger one that has learnt it says (Sanh et
al. 2019, "DistilBERT", section 2): L = 5 T^2 KL(teacher || student) + 2 L_masked + 1 (1 - cos of final states), T = 2.

The divergence is a mean over the positions that are predicted, the cosine one over all that are not padding. The
student may begin with some of the teacher's layers: by default so many as it has, spread evenly, which for six of
twelve are 0, 2, 4, 7, 9 and 11, as in the released script. Its embeddings and vocabulary head are the teacher's; what
it does not have (segments, the pooler) is left behind.

``Distillation`` is the settings. A run opens the teacher and binds it: ``Taught`` is the objective with its teacher,
which is never trained, and is no part of the student, so it is not saved with it either.

B rows, T tokens, W width, V vocabulary, N predicted positions.
"""

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.objectives.causal import Causal
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.divergence import divergence
from trivium.objectives.masked import Masked
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import steady
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config

if TYPE_CHECKING:
    from trivium.transformer import Network

SOFT, COSINE = "soft", "cosine"
FREE = (
    "vocab_size", "encoder_layers", "decoder_layers", "context", "segments", "pooler", "dropout", "attention_dropout",
    "init", "init_std", "pad_token", "start_token", "bidirectional_prompt",
)  # fmt: skip
"""Fields in which a student that begins with its teacher's layers may differ from it."""


@dataclass(frozen=True)
class Distillation:
    """``of``: the objective that both know, masked or causal. ``soft``, ``hard`` and ``cosine`` are weights: of the
    teacher's predictions, of the text's own tokens, of the final states; a weight of 0 leaves its loss out."""

    kind: Literal["distillation"] = "distillation"
    teacher: str = ""  # whatever ``trivium.load`` takes: a run's or a Hugging Face folder, a .gguf file, a demo model
    of: Masked | Causal = Masked()
    temperature: float = 2.0
    soft: float = 5.0
    hard: float = 2.0
    cosine: float = 1.0
    from_teacher: bool = True  # the student begins with layers of the teacher
    layers: tuple[int, ...] = ()  # which ones, from 0, one for each of the student's; none: spread evenly
    sha256: str | None = None  # of the teacher's weights, written by the run

    def __post_init__(self) -> None:
        if not self.teacher:
            raise SettingsError("objective.teacher is missing: name a model's folder, a .gguf file or a demo model")
        if self.temperature <= 0:
            raise SettingsError(f"objective.temperature = {self.temperature}: it must be above 0")
        if min(self.soft, self.hard, self.cosine) < 0:
            raise SettingsError(
                f"objective.soft = {self.soft}, objective.hard = {self.hard} and objective.cosine = {self.cosine}: "
                "none may be negative"
            )
        if self.soft + self.cosine == 0:
            raise SettingsError("objective.soft and objective.cosine are both 0: the teacher would teach nothing")
        if self.of.kind == "causal" and self.of.carry_state:
            raise SettingsError("objective.of.carry_state: a teacher's state is not carried on, so leave it out")
        if self.layers and not self.from_teacher:
            raise SettingsError(
                "objective.layers names the teacher's layers that the student begins with, which "
                "objective.from_teacher = false forbids: set one"
            )

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        return self.of.layout(tokenizer, length)

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """Those of the objective that is taught, which refuses a model that it is not defined for."""
        return self.of.heads(config)

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """As of the objective that is taught, with the flat places (M,) that are not padding, for the cosine."""
        made = self.of.batch(rows, draws, tokenizer)
        target = made.counts[self.of.kind]
        every = {SOFT: (self.soft, target), self.of.kind: (self.hard, target), COSINE: (self.cosine, made.tokens)}
        kept = {name: each for name, each in every.items() if each[0]}
        targets = dict(made.targets)
        if self.cosine and (real := self._real(made)) is not None:
            targets["real"] = real
        return replace(
            made,
            targets=targets,
            counts={name: count for name, (_, count) in kept.items()},
            weights={name: weight for name, (weight, _) in kept.items()},
        )

    def _real(self, batch: Batch) -> Tensor | None:
        """None where no place is padding."""
        side = batch.inputs.source or batch.inputs.target
        assert side is not None
        if side.documents is not None:
            return (side.documents.flatten() >= 0).nonzero()[:, 0]
        return batch.targets.get("at") if self.of.kind == "causal" else None  # rows of a stream predict every place

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        raise SettingsError("the distillation objective needs its teacher: make it Taught(objective, teacher)")


@dataclass(frozen=True, eq=False)
class Taught:
    """The objective with its teacher, whose settings, batches and heads are the objective's own."""

    settings: Distillation
    teacher: "Network"

    @property
    def kind(self) -> str:
        return self.settings.kind

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        return self.settings.layout(tokenizer, length)

    def heads(self, config: Config) -> dict[str, nn.Module]:
        return self.settings.heads(config)

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        return self.settings.batch(rows, draws, tokenizer)

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        """Up to three sums, from one pass of each model over the same inputs."""
        asked, at = self.settings, steady(batch.targets.get("at"))
        own = model(batch.inputs, at=at)
        with torch.no_grad():
            said = self.teacher(batch.inputs, at=at if asked.soft else None)
        losses = {}
        if asked.soft:
            targets, vocabulary = batch.targets[asked.of.kind].numel(), own.logits.shape[-1]
            wanted = said.logits.flatten(0, -2)[:targets, :vocabulary]  # a file's embeddings may have rows for no token
            losses[SOFT] = divergence(own.logits, wanted, asked.temperature)
        if asked.hard:
            losses[asked.of.kind] = cross_entropy(own.logits, batch.targets[asked.of.kind])
        if asked.cosine:
            losses[COSINE] = _apart(own.hidden, said.hidden, batch.targets.get("real"))
        return {name: Loss(total, batch.counts[name]) for name, total in losses.items()}


def _apart(hidden: Tensor, teacher: Tensor, real: Tensor | None) -> Tensor:
    """The sum of 1 - cos over places: (B, T, W) each, at the flat places ``real`` (M,) or at all."""
    ours, theirs = hidden.reshape(-1, hidden.shape[-1]), teacher.reshape(-1, teacher.shape[-1])
    if real is not None:
        ours, theirs = ours.index_select(0, real), theirs.index_select(0, real)
    precise = torch.promote_types(ours.dtype, torch.float32)
    return (1 - F.cosine_similarity(ours.to(precise), theirs.to(precise), dim=-1)).sum()


def spread(student: int, teacher: int) -> tuple[int, ...]:
    """Which of a teacher's layers a student of fewer begins with: 6 of 12 -> 0, 2, 4, 7, 9, 11."""
    return tuple(np.rint(np.linspace(0, teacher - 1, student)).astype(int).tolist())


def check(objective: Distillation, config: Config, teacher: Config) -> None:
    """Refuses a teacher that the student cannot learn from or begin with."""
    try:
        objective.of.heads(teacher)
    except SettingsError as error:
        raise SettingsError(f"objective.teacher = {objective.teacher} cannot teach this: {error}") from None
    if teacher.vocabulary_head == "none" and objective.soft:
        raise SettingsError(
            f"objective.teacher = {objective.teacher} has no vocabulary head, so it predicts no tokens: choose a model "
            "that has one, or set objective.soft = 0"
        )
    if teacher.limit is not None and teacher.limit < config.context:
        raise SettingsError(
            f"objective.teacher = {objective.teacher} reads at most {teacher.limit} tokens: set model.context = "
            f"{teacher.limit} or less"
        )
    if objective.cosine and config.width != teacher.width:
        raise SettingsError(
            f"model.width = {config.width}, and the states of {objective.teacher} have {teacher.width} numbers: make "
            "them equal, or set objective.cosine = 0"
        )
    if objective.from_teacher:
        _check_beginning(objective, config, teacher)


def _check_beginning(objective: Distillation, config: Config, teacher: Config) -> None:
    names = [f.name for f in fields(config) if f.name not in FREE] if type(config) is type(teacher) else ["family"]
    other = [name for name in names if getattr(config, name, None) != getattr(teacher, name, 0)]
    if other:
        raise SettingsError(
            f"a student that begins with layers of {objective.teacher} has to be built like it, and differs in "
            f"{', '.join(f'model.{name}' for name in other)}: make them equal, or set objective.from_teacher = false"
        )
    has, theirs = _depth(config), _depth(teacher)
    if objective.layers and len(objective.layers) != has:
        raise SettingsError(
            f"objective.layers names {len(objective.layers)} layers and the student has {has}: name one for each"
        )
    if has > theirs or any(not 0 <= layer < theirs for layer in objective.layers):
        raise SettingsError(
            f"{objective.teacher} has the layers 0 to {theirs - 1}, and the student's {has} are to begin with "
            f"{list(objective.layers) or 'as many of them'}: name others, or set objective.from_teacher = false"
        )


@torch.no_grad()
def begin(objective: Distillation, student: "Network", teacher: "Network") -> list[str]:
    """Gives the student its first weights: the teacher's, where it has them. Returns the names of the others."""
    layers = objective.layers or spread(_depth(student.config), _depth(teacher.config))
    known, new = teacher.state_dict(), []
    for name, parameter in student.named_parameters():
        theirs = known.get(re.sub(r"(?<=\.layers\.)\d+", lambda found: str(layers[int(found[0])]), name, count=1))
        if theirs is None or theirs.shape[1:] != parameter.shape[1:] or len(theirs) < len(parameter):
            new.append(name)
        else:
            parameter.copy_(theirs[: len(parameter)])  # of positions and tokens those that the student has
    return new


def _depth(config: Config) -> int:
    return config.encoder_layers or config.decoder_layers
