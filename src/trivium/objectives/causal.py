"""Causal language modelling: -sum log P(x_t | x_<t), every token a target (GPT, Radford et al. 2018, section 3.1).

A row of ``length`` tokens is predicted from ``length`` inputs: rows are cut one token longer and overlap by one. The
text's first token has a prediction only because documents end in a token that begins the next one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, places, steady
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs, Tokens
from trivium.transformer.network import answers, writes

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class Causal:
    """``isolate_documents``: attention stops at document bounds and each document (or piece of one that is longer than
    a row) stands between the begin and the end token; otherwise rows are windows of one endless text, as in GPT-2.

    ``carry_state``, for recurrent models: rows come in the order of the text, and each goes on from the state that the
    one before it left; gradients stop there (truncated back-propagation through time; Mikolov et al. 2010).
    """

    kind: Literal["causal"] = "causal"
    isolate_documents: bool = False
    carry_state: bool = False

    def __post_init__(self) -> None:
        if self.carry_state and self.isolate_documents:
            raise SettingsError(
                "objective.carry_state goes on from row to row, which objective.isolate_documents forbids: set one"
            )

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        if not self.isolate_documents:
            return Layout("stream", length + 1, overlap=1, continued=self.carry_state)
        begin, end = tokenizer.begin, tokenizer.end
        if begin is None or end is None:
            raise SettingsError("objective.isolate_documents needs a tokenizer with a begin and an end token")
        return Layout("packed", length + 1, before=(begin,), after=(end,))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model without a decoder or with an encoder."""
        if not writes(config) or answers(config):
            raise SettingsError(
                f"the causal objective trains a decoder alone, but the model has {config.encoder_layers} encoder and "
                f"{config.decoder_layers} decoder layers: set model.encoder_layers = 0 and model.decoder_layers"
            )
        if self.carry_state and not config.carries_state:
            raise SettingsError(
                "objective.carry_state needs a recurrent decoder, such as family lstm: this model has no state to carry"
            )
        return {}

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T + 1) rows to (B, T) inputs and up to B * T targets; nothing here is random."""
        documents, following = rows.documents[:, :-1], rows.documents[:, 1:]
        predicted = following >= 0
        if self.isolate_documents:
            predicted &= documents == following
            target = pack(rows.tokens[:, :-1], documents, rows.positions[:, :-1])
        else:  # padding is at the end, where no real position looks: no mask at all
            lanes = torch.from_numpy(rows.lanes.copy()) if self.carry_state and rows.lanes is not None else None
            target = Tokens(torch.from_numpy(rows.tokens[:, :-1].copy()), lanes=lanes)
        targets = {"causal": torch.from_numpy(rows.tokens[:, 1:][predicted])}
        if (at := places(predicted)) is not None:
            targets["at"] = at
        count = int(predicted.sum())
        return Batch(
            Inputs(target=target), targets, {"causal": count}, int((documents >= 0).sum()), rows.draws.tolist()
        )

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        logits = model(batch.inputs, at=steady(batch.targets.get("at"))).logits
        return {"causal": Loss(cross_entropy(logits, batch.targets["causal"]), batch.counts["causal"])}
