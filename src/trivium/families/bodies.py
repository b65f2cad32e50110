"""The kinds of network there are: of each its configuration, its module and what sets its first weights."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from trivium.errors import DataError, shown
from trivium.recurrent.config import RecurrentConfig
from trivium.recurrent.elmo_config import ElmoConfig
from trivium.transformer.config import TransformerConfig
from trivium.transformer.two_stream_config import TwoStreamConfig

if TYPE_CHECKING:
    from torch import nn

    from trivium.transformer import Config, Network


@dataclass(frozen=True)
class Body:
    """``network`` and ``initialise`` are "module:name", imported when one is made."""

    config: type["Config"]
    network: str
    initialise: str


BODIES: dict[str, Body] = {
    "transformer": Body(TransformerConfig, "trivium.transformer:Model", "trivium.transformer:initialise"),
    "recurrent": Body(RecurrentConfig, "trivium.recurrent:RecurrentModel", "trivium.recurrent:initialise"),
    "two-stream": Body(
        TwoStreamConfig, "trivium.transformer:TwoStream", "trivium.transformer.two_stream:initialise_two_stream"
    ),
    "elmo": Body(ElmoConfig, "trivium.recurrent.elmo:Elmo", "trivium.recurrent.elmo:initialise_elmo"),
}
"""By the name that ``config.json`` has for the kind."""

AnyNetwork = TypeVar("AnyNetwork", bound="Network")


def kind_of(config: "Config") -> str:
    """The kind that a configuration describes."""
    return next(kind for kind, body in BODIES.items() if type(config) is body.config)


def network(config: "Config", heads: "Mapping[str, nn.Module] | None" = None) -> "Network":
    """A network of a configuration, with torch's own first weights."""
    made: Network = _imported(BODIES[kind_of(config)].network)(config, heads)
    return made


def outline(config: "Config", heads: "Mapping[str, nn.Module] | None" = None) -> "Network":
    """The same without memory for its weights (torch's meta device): their names and shapes.

    torch's functions for first weights are passed over: there is nothing to fill, and one of them would import torch's
    compiler, which takes seconds.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Unfilled(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
            named = named or {}
            if getattr(function, "__module__", None) == "torch.nn.init":
                return given[0] if given else named["tensor"]
            return function(*given, **named)

    with Unfilled(), torch.device("meta"):
        return network(config, heads)


def initialise(model: AnyNetwork, seed: int, known: Collection[str] = ()) -> AnyNetwork:
    """Set every weight to its first value, by the table of the network's kind, of heads for spans by their own; but
    those that are ``known``."""
    from trivium.transformer.span_head import SpanHead, initialise_spans

    _imported(BODIES[kind_of(model.config)].initialise)(model, seed, known)
    for name, head in model.heads.items():
        if isinstance(head, SpanHead):
            initialise_spans(head, f"heads.{name}", seed)
    return model


def body(kind: object) -> Body:
    """The kind of a name in a file."""
    if not isinstance(kind, str) or kind not in BODIES:
        raise DataError(f"config.json has kind {shown(kind)}, which this version of Trivium does not know: upgrade it")
    return BODIES[kind]


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
