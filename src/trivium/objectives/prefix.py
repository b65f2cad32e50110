"""Prefix language modelling by a decoder alone (Raffel et al. 2020, section 3.2.1; Liu et al. 2018).

The first k tokens of a row are seen from everywhere, and the loss is on the rest. k is uniform in 1 .. n - 1. An
encoder-decoder reads the prefix instead: ``Corruption(scheme="prefix")``. A model that learns so says so in its
configuration (``bidirectional_prompt``), and its prompts are read in the same way.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives import noise
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import places, steady
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs, Tokens
from trivium.transformer.network import answers, writes

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class PrefixLanguageModel:
    """It has no settings."""

    kind: Literal["prefix"] = "prefix"

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        return Layout("stream", length + 1)

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model that is not a decoder alone, or that only reads forwards."""
        if not writes(config) or answers(config):
            raise SettingsError(
                f"the prefix objective trains a decoder alone, but the model has {config.encoder_layers} encoder and "
                f"{config.decoder_layers} decoder layers: for an encoder-decoder set objective.kind = "
                '"corruption" and objective.scheme = "prefix"'
            )
        if config.carries_state:
            raise SettingsError(
                "the prefix objective needs attention, which sees a prefix from everywhere, and this model is "
                'recurrent: set objective.kind = "causal"'
            )
        return {}

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T + 1) rows to (B, T) inputs; the targets are the tokens after the prefix."""
        real = rows.documents >= 0
        prefix = noise.prefix(real.sum(axis=1), real.shape[1], draws, 0.5, 1.0)
        predicted = (real & ~prefix)[:, 1:]
        target = Tokens(torch.from_numpy(rows.tokens[:, :-1].copy()), prefix=torch.from_numpy(prefix[:, :-1].copy()))
        targets = {"prefix": torch.from_numpy(rows.tokens[:, 1:][predicted])}
        if (at := places(predicted)) is not None:
            targets["at"] = at
        count, tokens = int(predicted.sum()), int(real[:, :-1].sum())
        return Batch(Inputs(target=target), targets, {"prefix": count}, tokens, rows.draws.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        logits = model(batch.inputs, at=steady(batch.targets.get("at"))).logits
        return {"prefix": Loss(cross_entropy(logits, batch.targets["prefix"]), batch.counts["prefix"])}
