"""Every weight's first value, in one function.

| tensor                              | uniform                  | orthogonal                          |
|-------------------------------------|--------------------------|-------------------------------------|
| token embeddings, own projection    | N(0, std)                | N(0, std)                           |
| input matrix, each gate             | U(-k, k), k = H^-1/2     | Glorot: U(-g, g), g = (6/(D+H))^1/2 |
| recurrent matrix, each gate         | U(-k, k)                 | orthogonal (Saxe et al. 2014)       |
| projections, attention, readout     | U(-f, f), f = fan_in^-1/2| the same                            |
| pooler, heads                       | N(0, std)                | N(0, std)                           |
| an LSTM's forget gate bias          | ``forget_bias`` (Jozefowicz et al. 2015), every other bias 0   |

Uniform is torch's own default for its cells. Of an LSTM's two biases the input's has the forget gate's.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from trivium.randomness import key
from trivium.recurrent.model import RecurrentModel

NORMAL = ("tokens.", "vocabulary.", "pooler.", "heads.")


@torch.no_grad()
def initialise(model: RecurrentModel, seed: int, known: Collection[str] = ()) -> RecurrentModel:
    """Set every parameter that is not ``known``. A tensor depends on the seed and its own name and shape alone."""
    config = model.config
    for name, parameter in model.named_parameters():
        if name in known:
            continue
        generator = torch.Generator().manual_seed(key(seed, "initialise", name) % 2**63)
        values = torch.zeros(parameter.shape, dtype=torch.float32)
        last = name.rpartition(".")[2]
        if name.endswith(("mix.scores", "mix.scale")):  # the mean of the layers
            values.fill_(float(last == "scale"))
        elif ".chain." in name:  # no label depends on its neighbours yet
            pass
        elif "bias" in last:
            if last.startswith("bias_ih") and config.cell == "lstm":
                values[config.state : 2 * config.state] = config.forget_bias
        elif name.startswith(NORMAL):
            values.normal_(0.0, config.init_std, generator=generator)
        elif last.startswith("weight_"):
            for gate in values.split(config.state):
                _gate(gate, config.init, recurrent=last.startswith("weight_hh"), generator=generator)
        else:
            values.uniform_(-1, 1, generator=generator).mul_(parameter.shape[1] ** -0.5)
        parameter.copy_(values)
    return model


def _gate(values: Tensor, scheme: str, recurrent: bool, generator: torch.Generator) -> None:
    """(H, D): one gate's part of a cell's matrix."""
    if scheme == "uniform":
        values.uniform_(-1, 1, generator=generator).mul_(values.shape[0] ** -0.5)
    elif recurrent:
        nn.init.orthogonal_(values, generator=generator)
    else:
        nn.init.xavier_uniform_(values, generator=generator)
