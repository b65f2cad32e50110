"""Every weight's first value, in one function.

| tensor                       | normal    | scaled (GPT-2)     | truncated (BERT) | factored (T5), times std      |
|------------------------------|-----------|--------------------|------------------|-------------------------------|
| token, position, segment     | N(0, std) | N(0, std)          | T(0, std)        | N(0, 1)                       |
| relative bias                | N(0, std) | N(0, std)          | T(0, std)        | N(0, W^-1/2)                  |
| attention query              | N(0, std) | N(0, std)          | T(0, std)        | N(0, (W D)^-1/2)              |
| attention key, value         | N(0, std) | N(0, std)          | T(0, std)        | N(0, W^-1/2)                  |
| attention output             | N(0, std) | N(0, std (2L)^-1/2)| T(0, std)        | N(0, (H D)^-1/2)              |
| feed-forward up, gate        | N(0, std) | N(0, std)          | T(0, std)        | N(0, W^-1/2)                  |
| feed-forward down            | N(0, std) | N(0, std (2L)^-1/2)| T(0, std)        | N(0, F^-1/2)                  |
| vocabulary projection        | N(0, std) | N(0, std)          | T(0, std)        | N(0, 1)                       |
| heads, pooler, head's dense  | N(0, std) | N(0, std)          | T(0, std)        | N(0, W^-1/2)                  |
| every bias 0, every norm's weight 1; a layer mix: scores 0, scale 1; a chain 0                                  |

T is a normal distribution cut at two standard deviations (Devlin et al. 2019, code release). 2L: one residual for each
attention and feed-forward; three a layer in a decoder beside an encoder (Radford et al. 2019, section 2.3). T5: Raffel
et al. 2020, code release; its attention has no 1/sqrt(D), which the query's deviation makes up for. Heads for spans
have a table of their own (``span_head.py``).
"""

from collections.abc import Collection

import torch
from torch import nn

from trivium.randomness import key
from trivium.transformer.config import TransformerConfig
from trivium.transformer.model import Model

EMBEDDINGS = ("tokens.weight", "positions.weight", "segments.weight", "projection.weight")
RESIDUAL = ("attention.output.weight", "cross.output.weight", "feed_forward.down.weight")


@torch.no_grad()
def initialise(model: Model, seed: int, known: Collection[str] = ()) -> Model:
    """Set every parameter that is not ``known``. A tensor depends on the seed and its own name and shape alone, so a
    model with one more head or layer begins with the same numbers elsewhere."""
    norms = {f"{name}." for name, module in model.named_modules() if _is_norm(module)}
    for name, parameter in model.named_parameters():
        if name in known:
            continue
        if name.endswith(".weight") and name.removesuffix("weight") in norms:
            parameter.fill_(1.0)
        elif name.endswith("mix.scale"):
            parameter.fill_(1.0)
        elif name.endswith(("bias", "mix.scores")) or ".chain." in name:
            parameter.zero_()
        else:
            generator = torch.Generator().manual_seed(key(seed, "initialise", name) % 2**63)
            std = deviation(name, model.config)
            values = torch.empty(parameter.shape, dtype=torch.float32)
            if model.config.init == "truncated":
                nn.init.trunc_normal_(values, std=std, a=-2 * std, b=2 * std, generator=generator)
            else:
                values.normal_(0.0, std, generator=generator)
            parameter.copy_(values)
    return model


def deviation(name: str, config: TransformerConfig) -> float:
    """The standard deviation of one tensor: the table above."""
    if config.init == "factored":
        return config.init_std * _factored(name, config)
    if config.init == "scaled" and name.endswith(RESIDUAL):
        stack = config.decoder_layers if name.startswith("decoder.") else config.encoder_layers
        joins = 3 if name.startswith("decoder.") and config.encoder_layers else 2
        return config.init_std * (joins * stack) ** -0.5
    return config.init_std


def _factored(name: str, config: TransformerConfig) -> float:
    if name.endswith(EMBEDDINGS):
        return 1.0
    if name.endswith("query.weight"):
        return (config.width * config.per_head) ** -0.5
    if name.endswith("output.weight"):
        return (config.heads * config.per_head) ** -0.5
    if name.endswith("down.weight"):
        return config.ffn_width**-0.5
    return config.width**-0.5


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.LayerNorm) or type(module).__name__ == "RMSNorm"
