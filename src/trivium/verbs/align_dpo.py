"""``trivium align --method dpo``: direct preference optimisation, and IPO.

The reference is the model that the run begins with. What it says of all replies is computed before the first step and
kept in the run's ``data`` folder; with LoRA it is the same network with its adapter off, so no second copy is held.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from trivium.alignment.pairs import TokenPairs
from trivium.alignment.preference import PreferenceOptimisation
from trivium.alignment.reference import kept_scores, log_probabilities
from trivium.errors import SettingsError
from trivium.objectives import Batch
from trivium.training.precision import choose_device, choose_precision
from trivium.transformer import Network
from trivium.verbs.align_preference_page import preference_page
from trivium.verbs.alignment_parts import Prepared, Start, check_unchanged
from trivium.verbs.load import find
from trivium.verbs.preference_pairs import Reading, pair_feed, pair_figures, read_pairs
from trivium.verbs.reply_comparison import ReplyComparison
from trivium.verbs.source_model import weights_digest

SCORES = "reference-{}.safetensors"


@dataclass(frozen=True)
class Dpo(PreferenceOptimisation, Reading):
    """``samples``: of so many prompts of dev the model and the reference each write a reply at each evaluation, for how
    far the model went (a Kullback-Leibler distance), how long its replies are and how they repeat themselves; with a
    judge, a reward model, also for how often the model's is the better. ``judge_sha256``: of the judge's weights, as
    the run writes it down."""

    kind: Literal["dpo"] = "dpo"
    samples: int = 16
    reply_tokens: int = 48  # of these replies, at most
    judge: str | None = None
    judge_sha256: str | None = None

    defaults: ClassVar[Mapping[str, Any]] = {"training": {"epochs": 1}}

    def __post_init__(self) -> None:
        PreferenceOptimisation.__post_init__(self)
        Reading.__post_init__(self)
        for name, least in (("samples", 0), ("reply_tokens", 1)):
            if getattr(self, name) < least:
                raise SettingsError(f"method.{name} = {getattr(self, name)}: it must be at least {least}")
        if self.judge is not None and not self.samples:
            raise SettingsError("method.judge compares replies, and method.samples = 0 writes none: leave one out")

    def prepare(self, start: Start) -> Prepared:
        """The pairs as tokens, the reference's numbers, and the model that learns."""
        if start.lora.dropout and start.weights == "lora":
            raise SettingsError(
                f"lora.dropout = {start.lora.dropout}: the model is compared with a reference that drops nothing, so "
                "it drops nothing either: leave it out"
            )
        if self.judge is not None and start.dev is None:
            raise SettingsError("method.judge compares replies to prompts of dev: give --dev, or leave the judge out")
        recorded = replace(self, judge_sha256=self._judge_digest())
        data = read_pairs(start, self)
        comparison = self._comparison(start, data.dev_preferences) if data.dev_preferences and self.samples else None
        model = start.learner()
        reference = self._reference("train", model, data.train, start)
        feed = pair_feed(data.train, start, lambda numbers: self.batch(data.train, numbers, reference))
        dev = self._evaluation(model, data.dev, start, comparison) if data.dev is not None else None

        def undropped(number: int) -> list[Batch]:
            model.eval()  # as the reference was; the trainer puts it into training mode before each step
            return feed(number)

        return Prepared(
            model=model,
            loss=self.loss,
            feed=undropped,
            steps=start.training.planned(-(-len(data.train) // start.training.batch)),
            learning_rate=start.learning_rate() / 10,
            fingerprint=data.fingerprint,
            evaluate=dev,
            sample=(lambda: comparison.shown(model)) if comparison is not None else None,
            page=partial(preference_page, self.kind, base=start.model.directory.name),
            method=recorded,
            notes=data.notes,
            examples=len(data.train),
        )

    def _judge_digest(self) -> str | None:
        """Of the judge's weights, which are those that the run was begun with."""
        if self.judge is None:
            return None
        digest = weights_digest(find(self.judge))
        check_unchanged(f"the judge {self.judge}", digest, self.judge_sha256)
        return digest

    def _evaluation(
        self, model: Network, pairs: TokenPairs, start: Start, comparison: ReplyComparison | None
    ) -> Callable[[], dict[str, float]]:
        reference = self._reference("dev", model, pairs, start)

        def evaluate() -> dict[str, float]:
            found = pair_figures(
                model, pairs, lambda numbers: self.batch(pairs, numbers, reference), self.loss,
                start.training.micro_tokens,
            )  # fmt: skip
            return found | (comparison.figures(model) if comparison is not None else {})

        return evaluate

    def _reference(self, name: str, model: Network, pairs: TokenPairs, start: Start) -> np.ndarray:
        """(N, 2), in the precision that the model learns in: the first h of all pairs is then 0."""
        device = choose_device(start.training.device)
        precision = choose_precision(start.training.precision, device)

        def compute() -> np.ndarray:
            start.tell(f"the reference scores {2 * len(pairs):,} replies of {name}")
            scorer = model.to(device)
            if precision != torch.float32:
                scorer = start.learner().to(device, precision)
            return log_probabilities(scorer, pairs, start.training.micro_tokens)

        weights = f"{weights_digest(start.model.directory)} {precision}"
        return kept_scores(start.folder / SCORES.format(name), weights, pairs, compute)

    def _comparison(self, start: Start, preferences: Any) -> ReplyComparison:
        return ReplyComparison.of(start, preferences, self.samples, self.reply_tokens, self.judge)
