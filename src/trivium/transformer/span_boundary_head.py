"""SpanBERT's boundary head: the tokens of a hidden span from the two tokens beside it (Joshi et al. 2020, section 3.2;
code release, ``BertPairTargetPredictionHead``).

    h = norm(gelu(W1 [x_{s-1}; x_{e+1}; p_{i-s+1}]))    y = norm(gelu(W2 h))    scores = E y + b

for token i of a span s .. e: x are the last layer's states, p a table of places in a span, E the token embeddings and b
a bias per token of this head alone. An objective's module: no published class has it, and a saved folder holds it
beside the model's weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.transformer.inputs import Tokens
from trivium.transformer.network import Config

PLACE_WIDTH = 200  # numbers of a place's vector
NORM_EPS = 1e-12


class SpanBoundaryHead(nn.Module):
    """Scores for the tokens that ``tokens.borders`` lists; ``places``: tokens of a span that have a vector each."""

    reads_embeddings = True

    def __init__(self, config: Config, places: int):
        super().__init__()
        self.places = nn.Embedding(places, PLACE_WIDTH)
        self.first = nn.Linear(2 * config.width + PLACE_WIDTH, config.width)
        self.first_norm = nn.LayerNorm(config.width, NORM_EPS)
        self.second = nn.Linear(config.width, config.width)
        self.second_norm = nn.LayerNorm(config.width, NORM_EPS)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, tokens: Tokens, embeddings: Tensor) -> Tensor:
        """(B, T, W) and the (V, W) token embeddings -> (M, V)."""
        assert tokens.borders is not None
        left, right, place = tokens.borders.unbind(1)
        states = hidden.flatten(0, 1)
        beside = [states.index_select(0, left), states.index_select(0, right), self.places(place)]
        vector = self.first_norm(F.gelu(self.first(torch.cat(beside, -1))))
        vector = self.second_norm(F.gelu(self.second(vector)))
        return F.linear(vector, embeddings, self.bias)
