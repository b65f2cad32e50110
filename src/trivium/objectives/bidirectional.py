"""The two-way language model of ELMo: the mean of -log P(x_t | x_<t) and -log P(x_t | x_>t) (Peters et al. 2018, 3.1).

Rows are pieces of documents between a begin and an end token, and every neighbour is a target: forward states predict
the next token, the end among them, backward states the one before, the begin among them. The softmax and the word
vectors are shared, the LSTMs are not.

No state is carried from row to row. Reading backward, the row before is the one to come: its state would have to be
known before that row is read. The reference hands the state at the start of one sentence, read backward, to the end of
the sentence that follows it in the text; here both directions begin anew, so that their figures can be compared.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from trivium.errors import SettingsError
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, steady
from trivium.objectives.sampled_softmax import draw_words, sampled_cross_entropy
from trivium.objectives.wanted import Wanted
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs

if TYPE_CHECKING:
    from trivium.transformer import Network

NAME = "bidirectional"
DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True)
class Bidirectional:
    """``negatives``: 0 scores the whole vocabulary; otherwise each row is trained against so many words drawn for it
    (ELMo: 8192), and evaluated against all."""

    kind: Literal["bidirectional"] = "bidirectional"
    negatives: int = 0

    def __post_init__(self) -> None:
        if self.negatives < 0:
            raise SettingsError(f"objective.negatives = {self.negatives}: it must be 0 (all words) or more")

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        begin, end = _bounds(tokenizer)
        return Layout("packed", length, before=(begin,), after=(end,))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model whose states do not look both ways apart."""
        if config.vocabulary_head != "two-way":
            raise SettingsError(
                "the bidirectional objective trains a forward and a backward language model in one, and this model is "
                'neither: set model.family = "elmo"'
            )
        return {}

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T) rows; ``counted`` (B, T - 1) marks the neighbours that are of one document."""
        documents = rows.documents
        counted = (documents[:, :-1] >= 0) & (documents[:, :-1] == documents[:, 1:])
        targets = {
            "words": torch.from_numpy(rows.tokens.copy()),
            "counted": torch.from_numpy(counted),
        }
        if self.negatives:
            drawn = [draw_words(draws, f"{NAME}/{way}", self.negatives, tokenizer.vocab_size) for way in DIRECTIONS]
            targets["drawn"] = torch.from_numpy(np.stack(drawn, 1))  # (B, 2, n)
        source = pack(rows.tokens, documents)
        tokens = int((documents >= 0).sum())
        return Batch(Inputs(source=source), targets, {NAME: 2 * int(counted.sum())}, tokens, rows.draws.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        """Both directions in one sum with one count, which makes their mean; ``parts`` has them apart."""
        ahead, back = model(batch.inputs).hidden.chunk(2, -1)  # (B, T, P) each
        words, counted = batch.targets["words"], batch.targets["counted"]
        count = batch.counts[NAME] // 2
        sides = ((ahead[:, :-1], words[:, 1:]), (back[:, 1:], words[:, :-1]))
        parts = {}
        for number, (way, (states, targets)) in enumerate(zip(DIRECTIONS, sides, strict=True)):
            drawn = batch.targets["drawn"][:, number] if self.negatives and model.training else None
            parts[way] = Loss(_cost(model, states, targets, counted, drawn), count)
        return {NAME: Loss(parts["forward"].total + parts["backward"].total, 2 * count, parts)}

    def wanted(self, batch: Batch) -> dict[str, Wanted]:
        """A forward state is asked for the token after it, a backward one for the token before."""
        words, counted = batch.targets["words"], batch.targets["counted"]
        places = torch.arange(words.numel()).view(words.shape)
        return {
            "forward": Wanted(words[:, 1:][counted], places[:, :-1][counted]),
            "backward": Wanted(words[:, :-1][counted], places[:, 1:][counted]),
        }


def _cost(model: "Network", states: Tensor, targets: Tensor, counted: Tensor, drawn: Tensor | None) -> Tensor:
    vocabulary = model.vocabulary
    assert vocabulary is not None
    if drawn is None:
        at = steady(counted.flatten().nonzero()[:, 0])
        return cross_entropy(vocabulary(states.flatten(0, 1)[at]), targets[counted])
    return sampled_cross_entropy(vocabulary, states, targets, counted, drawn, model.config.vocab_size)


def _bounds(tokenizer: Tokenizer) -> tuple[int, int]:
    begin = tokenizer.classify if tokenizer.begin is None else tokenizer.begin
    end = tokenizer.separator if tokenizer.end is None else tokenizer.end
    if begin is None or end is None:
        raise SettingsError("the bidirectional objective needs a tokenizer with a begin and an end token")
    return begin, end
