"""What of a model learns under each method of fine-tuning, and how fast each part: the learning rate by the model's
width, and by depth (Howard and Ruder 2018, section 3.2; Sun et al. 2019, section 5.4.3)."""

import re

from trivium.errors import SettingsError
from trivium.transformer import Config, Network

_LAYER = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.")
_BELOW = re.compile(r"tokens\.|(encoder|decoder)\.(positions|segments|embedding_norm|start)\b")
"""What comes before the first layer."""


def layers_of(method: str) -> int | None:
    """How many layers a method trains; None: all and the embeddings."""
    if method == "full":
        return None
    if method in ("frozen", "lora"):
        return 0
    name, _, count = method.partition(":")
    if name == "last" and count.isdecimal() and int(count) > 0:
        return int(count)
    raise SettingsError(f"method {method!r}: choose full, frozen, last:N (such as last:2) or lora")


def freeze(model: Network, method: str) -> None:
    """Leaves what the method trains with ``requires_grad``: heads, pooler and adapters always."""
    count = layers_of(method)
    if count is None:
        return
    stack, layers = check_layers(model, method)
    trained = ["heads.", "pooler.", *(f"{stack}.layers.{n}." for n in range(layers - count, layers))]
    if count:
        trained += [f"{stack}.norm.", f"{stack}.projection."]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(tuple(trained)) or ".adapters." in name)


def check_layers(model: Network, method: str) -> tuple[str, int]:
    """The stack that a method counts its layers in, and how many it has; refuses a method that wants more."""
    stack, layers = (
        ("decoder", model.config.decoder_layers) if model.decoder else ("encoder", model.config.encoder_layers)
    )
    if (layers_of(method) or 0) > layers:
        raise SettingsError(f"method {method!r}, but the model has {layers} layers: use last:{layers} at most, or full")
    return stack, layers


def default_learning_rate(config: Config, method: str) -> float:
    """Smaller for wider models: 1e-3 up to width 256, the minis that minutes pretrain; above it 1.2e-4 at 384, 4e-5 at
    BERT-base's 768, 2.5e-5 at 1024. MiniLM (384) learnt nothing from 1,000 pairs of STS-B at 3e-4 with any of three
    seeds, and reached a correlation of 0.74 at 1.2e-4.

    A head alone: 1e-2; adapters, whose product starts at zero: ten times that of all weights, 5e-3 at most (Hu et al.:
    4e-4 at 768)."""
    if method == "frozen":
        return 1e-2
    full = 1e-3 if config.width <= 256 else 4e-5 * (768 / config.width) ** 1.6
    return min(5e-3, 10 * full) if method == "lora" else full


def layer_rates(model: Network, decay: float) -> dict[str, float]:
    """What the learning rate counts at each parameter: 1 at heads and at a stack's top layer, ``decay`` times less at
    each layer below, and once more at embeddings. Adapters have their layer's. An encoder's and a decoder's layers are
    each counted from their own top, since every layer of the decoder reads the encoder's last."""
    depths = {"encoder": model.config.encoder_layers, "decoder": model.config.decoder_layers}
    rates: dict[str, float] = {}
    for name, _ in model.named_parameters():
        layer = _LAYER.match(name)
        if layer is not None:
            rates[name] = decay ** (depths[layer[1]] - 1 - int(layer[2]))
        else:
            rates[name] = decay ** max(depths.values()) if _BELOW.match(name) else 1.0
    return rates
