"""ELMo: word vectors from characters, read by a two-way language model (Peters et al. 2018, "Deep contextualized word
representations"; sizes and details of bilm-tf).

Every word is spelt, so none is unknown: a word of the vocabulary is looked up in a table of spellings, any other may be
given by its characters. The vocabulary serves the softmax alone. Layer 0 of the hidden states is the word vector twice,
so that all layers have one width and can be mixed.

B batch, T words, C characters, P half the width W, V vocabulary, N distinct words.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.randomness import key
from trivium.recurrent.bilm import TwoWayStack
from trivium.recurrent.char_cnn import CharacterEncoder
from trivium.recurrent.characters import spell_vocabulary
from trivium.recurrent.elmo_config import ElmoConfig
from trivium.tokenizers import Tokenizer
from trivium.transformer.heads import Pooler
from trivium.transformer.inputs import Inputs, Outputs, Record
from trivium.transformer.network import Network, given, needs_pooler


class Softmax(nn.Module):
    """A score for each word of the vocabulary, or for some of them; both directions share it."""

    def __init__(self, vocab_size: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, width))
        self.bias = nn.Parameter(torch.empty(vocab_size))

    def forward(self, states: Tensor, candidates: Tensor | None = None) -> Tensor:
        """(..., P) -> (..., V). With ``candidates`` (B, n): (B, T, P) -> (B, T, n), each row against its own words."""
        if candidates is None:
            return F.linear(states, self.weight, self.bias)
        rows = F.embedding(candidates, self.weight)  # (B, n, P)
        return torch.baddbmm(self.bias[candidates][:, None], states, rows.transpose(1, 2))


class Elmo(Network):
    """Called as every network is, and reads ``inputs.source``."""

    config: ElmoConfig
    tokens: CharacterEncoder  # type: ignore[assignment]  # the one network whose tokens are not looked up
    encoder: TwoWayStack
    spelling: Tensor | None

    def __init__(self, config: ElmoConfig, heads: Mapping[str, nn.Module] | None = None):
        super().__init__()
        self.config = config
        self.tokens = CharacterEncoder(config.character_width, config.filters, config.highway, config.projection)
        self.encoder = TwoWayStack(
            config.projection, config.cells, config.encoder_layers, config.cell_clip, config.state_clip, config.dropout
        )
        self.decoder = None
        self.vocabulary = Softmax(config.vocab_size, config.projection) if config.vocabulary_head != "none" else None
        self.pooler = Pooler(config.width) if needs_pooler(config, heads or {}) else None
        self.heads = nn.ModuleDict(dict(heads or {}))
        # Not saved: it follows from the tokenizer, which lies beside the weights.
        self.register_buffer("spelling", None, persistent=False)

    def read_vocabulary(self, tokenizer: Tokenizer) -> None:
        """Learn how the words of the vocabulary are spelt. Needed once, before ids are given."""
        table = torch.from_numpy(spell_vocabulary(tokenizer, self.config.characters))
        self.spelling = table.to(next(self.parameters()).device)

    def forward(
        self, inputs: Inputs, *, at: Tensor | Literal["all"] | None = None, heads: Sequence[str] = (),
        cache: Any = None, record: Record | None = None,
    ) -> Outputs:  # fmt: skip
        """``at``: flat indices (N,) into (2, B, T), forward states first, at which the vocabulary is scored; "all":
        (2, B, T, V). A forward state scores the word after it, a backward state the word before it."""
        side = given(inputs.source, "source")
        if cache is not None:
            raise SettingsError("a model that reads both ways has nothing to cache: leave out the cache")
        words = self.word_vectors(side.ids, side.characters)
        layers = [torch.cat([words, words], -1), *self.encoder(words, side.documents)]
        if record is not None:
            record.encoder_hidden.extend(layers)
        return self.outputs(layers[-1], side, layers[-1], at, heads, layers)

    def logits(self, hidden: Tensor, at: Tensor | Literal["all"]) -> Tensor:
        """Forward and backward states apart."""
        assert self.vocabulary is not None
        states = torch.stack(hidden.chunk(2, -1))  # (2, B, T, P)
        if isinstance(at, Tensor):
            states = states.reshape(-1, states.shape[-1]).index_select(0, at)
        scores: Tensor = self.vocabulary(states)
        return scores

    def word_vectors(self, ids: Tensor, characters: Tensor | None = None) -> Tensor:
        """(B, T) ids, and (B, T, C) spellings where the caller has them (zeros: as the vocabulary has it), to
        (B, T, P). Each distinct word of the vocabulary is computed once."""
        distinct, places = ids.unique(return_inverse=True)
        spelt = characters.any(-1) if characters is not None else None  # (B, T)
        if self.spelling is None and (spelt is None or not bool(spelt.all())):
            raise SettingsError(
                "this model spells words but has not read a vocabulary: call read_vocabulary(tokenizer), or give the "
                "characters of every word"
            )
        if self.spelling is None:
            assert characters is not None
            return self.tokens(characters.flatten(0, 1)).view(*ids.shape, -1)
        x = F.embedding(places, self.tokens(self.spelling[distinct]))
        if characters is None or spelt is None or not bool(spelt.any()):
            return x
        return x.masked_scatter(spelt[..., None], self.tokens(characters[spelt]))


@torch.no_grad()
def initialise_elmo(model: Elmo, seed: int, known: Collection[str] = ()) -> Elmo:
    """First values of weights that are not ``known``; a tensor depends on the seed and its own name and shape alone.

    | tensor                                          |                                                          |
    |-------------------------------------------------|----------------------------------------------------------|
    | character embeddings                            | uniform in (-1, 1)                                       |
    | convolutions                                    | uniform in (-0.05, 0.05)                                 |
    | highway layers, projection to word vectors      | N(0, 1/F); the gates' biases -2                          |
    | LSTM: gates' two matrices, as one; projection   | Glorot uniform, +-sqrt(6 / (inputs + outputs))           |
    | softmax                                         | N(0, 1/P)                                                |
    | heads, pooler                                   | N(0, 0.02^2); of a layer mix: scores 0, scale 1          |
    | every other bias 0, but 1 for the forget gates                                                             |
    """
    config = model.config
    filters = sum(count for _, count in config.filters)
    for name, parameter in model.named_parameters():
        if name in known:
            continue
        generator = torch.Generator().manual_seed(key(seed, "initialise", name) % 2**63)
        values = torch.zeros(parameter.shape, dtype=torch.float32)
        if name.endswith(".gate.bias"):
            values.fill_(-2.0)
        elif name.endswith("inputs.bias"):
            values[config.cells : 2 * config.cells] = 1.0
        elif name.endswith("mix.scale"):
            values.fill_(1.0)
        elif name.endswith(("bias", "mix.scores")) or ".chain." in name:
            pass
        elif name == "tokens.characters.weight":
            values.uniform_(-1.0, 1.0, generator=generator)
        elif name.startswith("tokens.convolutions."):
            values.uniform_(-0.05, 0.05, generator=generator)
        elif name.startswith("encoder.layers."):
            gates = not name.endswith("projection.weight")
            bound = (6 / (config.width + 4 * config.cells if gates else config.cells + config.projection)) ** 0.5
            values.uniform_(-bound, bound, generator=generator)
        else:
            rest = 0.02 if name.startswith(("heads.", "pooler.")) else filters**-0.5
            values.normal_(0.0, config.projection**-0.5 if name == "vocabulary.weight" else rest, generator=generator)
        parameter.copy_(values)
    return model
