"""``trivium align --method reward``: a reward model from preferences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from trivium.alignment.pairs import TokenPairs
from trivium.alignment.reward import RewardModelling
from trivium.tasks.batching import within_budget
from trivium.transformer import SEQUENCE, Network, Pooled, make_head
from trivium.verbs.align_preference_page import preference_page
from trivium.verbs.alignment_parts import Prepared, Start
from trivium.verbs.preference_pairs import Reading, pair_feed, pair_figures, read_pairs
from trivium.verbs.reward_models import write_shift


@dataclass(frozen=True)
class RewardMethod(RewardModelling, Reading):
    """A new head on the model, which learns from files of pairs."""

    kind: Literal["reward"] = "reward"

    defaults: ClassVar[Mapping[str, Any]] = {"training": {"epochs": 1}}

    def __post_init__(self) -> None:
        RewardModelling.__post_init__(self)
        Reading.__post_init__(self)

    def prepare(self, start: Start) -> Prepared:
        """The pairs as tokens, and the model with a new head in place of the vocabulary's projection."""
        data = read_pairs(start, self)
        head = Pooled(1, "last", bias=False)  # GPT-2's and LLaMA's for sequence classification
        heads = {SEQUENCE: make_head(start.model.config, head)}
        model = start.learner(heads, vocabulary_head="none", pad_token=_padding(start))
        training = start.training

        def evaluate() -> dict[str, float]:
            assert data.dev is not None
            return pair_figures(
                model, data.dev, lambda numbers: self.batch(data.dev, numbers), self.loss, training.micro_tokens  # type: ignore[arg-type]
            )

        return Prepared(
            model=model,
            loss=self.loss,
            feed=pair_feed(data.train, start, lambda numbers: self.batch(data.train, numbers)),
            steps=training.planned(-(-len(data.train) // training.batch)),
            learning_rate=start.learning_rate(),
            fingerprint=data.fingerprint,
            evaluate=evaluate if data.dev is not None else None,
            figures=self._shifted(model, data.train, start),
            page=partial(preference_page, self.kind, base=start.model.directory.name),
            notes=data.notes,
            examples=len(data.train),
        )

    def _shifted(self, model: Network, pairs: TokenPairs, start: Start) -> Callable[[], dict[str, float]]:
        @torch.no_grad()
        def figures() -> dict[str, float]:
            device = next(model.parameters()).device
            parts = within_budget(pairs.lengths, np.arange(len(pairs)), start.training.micro_tokens)
            chosen = torch.cat([self.judged(model, self.batch(pairs, part).to(device)).chosen.cpu() for part in parts])
            shift, deviation = chosen.double().mean().item(), chosen.double().std(correction=0).item()
            write_shift(start.folder.parent, shift, deviation)
            return {"mean_of_chosen": shift, "deviation_of_chosen": deviation}

        return figures


def _padding(start: Start) -> int:
    """A token that ends no reply: classes of ``transformers`` look for the last token that is no padding, and would
    pass over the reply's end where it is the padding, too."""
    own, ends = start.model.config.pad_token, start.generation(start.renderer()).ends
    if own not in ends:
        return own
    return min((token for token in start.tokenizer.controls if token not in ends), default=own)
