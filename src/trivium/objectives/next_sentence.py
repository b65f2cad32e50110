"""Next-sentence prediction, with masked language modelling BERT's whole objective (Devlin et al. 2019, section 3.1).

A row is ``[CLS] A [SEP] B [SEP]``. B follows A in its document, or, for half of the rows, is of another document; the
loss is -log P(which) from the pooler's summary of ``[CLS]``: softmax(W tanh(W_p h + b_p) + b), label 0 where B follows
and 1 where it does not. The same rows are corrupted, one pass of the model gives the masked language model's loss too,
and what is minimised is the sum of the two means. How the pairs are chosen: ``text/pairs.py``.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.masked import Masked, check_encoder, control_tokens
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, steady
from trivium.objectives.sentences import sentence_ends
from trivium.objectives.wanted import Wanted
from trivium.randomness import Draws
from trivium.text.rows import Layout, Pairs, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import NEXT_SENTENCE, Config, Inputs, SequenceHead

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class NextSentence:
    """``copies``: how often the text is gone through with other pairs before they come again (BERT's dupe_factor);
    ``short``: the share of documents whose pairs have a random shorter length."""

    kind: Literal["next_sentence"] = "next_sentence"
    copies: int = 10
    short: float = 0.1
    masked: Masked | None = Masked()  # BERT's other loss, on the same rows; None: next-sentence prediction alone

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise SettingsError(f"objective.copies = {self.copies}: it must be at least 1")
        if not 0 <= self.short <= 1:
            raise SettingsError(f"objective.short = {self.short}: it is a share of the documents, from 0 to 1")
        if self.masked is not None and self.masked.whole_sentences:
            raise SettingsError("objective.masked.whole_sentences: pairs are of whole sentences anyway: leave it out")
        if self.masked is not None and not self.masked.isolate_documents:
            raise SettingsError(
                "objective.masked.isolate_documents = false: rows of pairs do not run on over documents: leave it out"
            )

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        classify, separator, _ = control_tokens(tokenizer, self.kind)
        ends = tuple(np.flatnonzero(sentence_ends(tokenizer)).tolist())
        return Layout("pairs", length, 0, (classify,), (separator,), pairs=Pairs(ends, self.copies, self.short))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """BERT's: two scores from the pooler's vector. Refuses a model that is not an encoder of two segments."""
        check_encoder(config, self.kind)
        if config.segments < 2:
            raise SettingsError(
                "next-sentence prediction tells two segments apart, and this model has embeddings for "
                f'{config.segments}: set model.segments = 2 or model.family = "bert"'
            )
        return {NEXT_SENTENCE: SequenceHead(config, 2, "first", dropout=0.0)}

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T) rows of pairs to (B,) labels, and to the masked objective's inputs and targets."""
        assert rows.labels is not None
        labels = {NEXT_SENTENCE: torch.from_numpy(rows.labels.copy())}
        count = {NEXT_SENTENCE: len(rows.labels)}
        if self.masked is not None:
            made = self.masked.batch(rows, draws, tokenizer)
            scored = sum(made.counts.values())
            return replace(made, targets={**made.targets, **labels}, counts={**made.counts, **count}, scored=scored)
        source = pack(rows.tokens, rows.documents, rows.positions, rows.segments)
        tokens = int((rows.documents >= 0).sum())
        return Batch(Inputs(source=source), labels, count, tokens, rows.draws.tolist(), scored=0)

    def wanted(self, batch: Batch) -> dict[str, Wanted]:
        """Hidden tokens at their places, and a label for each row."""
        found = {NEXT_SENTENCE: Wanted(batch.targets[NEXT_SENTENCE], None)}
        if self.masked is None:
            return found
        return {"masked": Wanted(batch.targets["masked"], batch.targets["at"]), **found}

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        at = None if self.masked is None else steady(batch.targets["at"])
        outputs = model(batch.inputs, at=at, heads=(NEXT_SENTENCE,))
        scores, labels = outputs.heads[NEXT_SENTENCE], batch.targets[NEXT_SENTENCE]  # (B, 2), (B,)
        right = (scores.detach().argmax(-1) == labels).sum()
        found = {NEXT_SENTENCE: Loss(cross_entropy(scores, labels), batch.counts[NEXT_SENTENCE], right=right)}
        if self.masked is None:
            return found
        total = cross_entropy(outputs.logits, batch.targets["masked"])
        return {"masked": Loss(total, batch.counts["masked"]), **found}
