"""The model: token embeddings, the stacks, the vocabulary projection and named heads. What is saved and served."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from trivium.errors import SettingsError
from trivium.transformer.cache import Cache, PromptCache
from trivium.transformer.config import Rotary, TransformerConfig
from trivium.transformer.heads import Pooler, SequenceHead
from trivium.transformer.inputs import Inputs, Outputs, Record, Tokens
from trivium.transformer.network import Network, given, needs_pooler
from trivium.transformer.transformer import Records, Stack
from trivium.transformer.vocabulary import Vocabulary


class Model(Network):
    """Encoder, decoder or both, by the configuration's layer counts. Knows nothing of losses, labels or training.

    A head is a module called with the last stack's hidden states (B, T, W), its ``Tokens``, and the pooler's output
    (B, W) or None. Weights are torch's defaults until ``initialise`` or a checkpoint sets them.
    """

    config: TransformerConfig

    def __init__(self, config: TransformerConfig, heads: Mapping[str, nn.Module] | None = None):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.encoder = Stack(config, decoder=False) if config.encoder_layers else None
        self.decoder = Stack(config, decoder=True) if config.decoder_layers else None
        self.vocabulary = Vocabulary(config) if config.vocabulary_head != "none" else None
        self.pooler = Pooler(config.width) if needs_pooler(config, heads or {}) else None
        self.heads = nn.ModuleDict(dict(heads or {}))

    def forward(
        self, inputs: Inputs, *, at: Tensor | Literal["all"] | None = None, heads: Sequence[str] = (),
        cache: Cache | None = None, record: Record | None = None,
    ) -> Outputs:  # fmt: skip
        """``at``: flat indices (N,) into the last stack's (B, T) positions at which vocabulary scores are wanted.

        With a ``cache`` the target continues what the cache holds; the source is needed in the first call only.
        """
        source = target = None
        mixed: list[Tensor] | None = [] if self.mixes(heads) else None
        if self.encoder is not None and (inputs.source is not None or self.decoder is None):
            side = given(inputs.source, "source")
            records = Records(mixed)
            if record:
                records = Records(record.encoder_hidden, record.encoder_attention, last=record.encoder_last)
            source = self.encoder(self.tokens(side.ids), side, records=records)
        if self.decoder is not None:
            side = given(inputs.target, "target")
            if self.encoder is not None and source is None and (cache is None or not cache.remembers(0)):
                raise SettingsError("an encoder-decoder needs inputs.source in the first call")
            records = Records([] if mixed is not None else None)
            if record:
                records = Records(
                    record.decoder_hidden, record.decoder_attention, record.cross_attention, record.decoder_last
                )
            target = self.decoder(self.tokens(side.ids), side, source, inputs.source, cache, records)
        elif cache is not None:
            raise SettingsError("a model without a decoder has nothing to cache: leave out the cache")
        hidden = source if target is None else target
        assert hidden is not None
        return self.outputs(hidden, side, source, at, heads, records.hidden)

    def scores(self, inputs: Inputs, head: str) -> Tensor:
        """Where the head reads one state of a row, the last layer computes no other one."""
        module, stack = self.heads[head], self.decoder if self.encoder is None else self.encoder
        alone = self.encoder is None or self.decoder is None
        if not (alone and isinstance(module, SequenceHead)) or isinstance(self.config.position, Rotary):
            return super().scores(inputs, head)
        side = given(*((inputs.target, "target") if self.encoder is None else (inputs.source, "source")))
        place = module.place(side)
        if place is None or stack is None:
            return super().scores(inputs, head)
        hidden = stack(self.tokens(side.ids), side, only=place)  # (B, 1, W)
        one = Tokens(side.ids.gather(1, place[:, None]))
        found: Tensor = module(hidden, one, self.pooler(hidden) if self.pooler is not None else None)
        return found

    def new_cache(self, rows: int, capacity: int, device: torch.device | str, dtype: torch.dtype) -> Cache:
        """Keys and values of ``rows`` sequences, with room for ``capacity`` tokens each."""
        kind = PromptCache if self.config.bidirectional_prompt else Cache
        return kind.of(self.config, rows, capacity, device, dtype)
