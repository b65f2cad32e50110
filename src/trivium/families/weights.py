"""Tensors under Hugging Face's names and under ours: a family's rename table, read in both directions. Torch is
imported where tensors are joined; names alone need none."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from trivium.errors import DataError
from trivium.families.family import Family, Weight
from trivium.transformer.config import TransformerConfig
from trivium.transformer.head_config import OF_OBJECTIVES
from trivium.transformer.two_stream_config import TwoStreamConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from trivium.transformer import Config, Network

_OWN = tuple(f"heads.{name}." for name in OF_OBJECTIVES)  # tensors that have the same names in every file


def weights_out(state: "Mapping[str, Tensor]", family: Family, config: "Config") -> "dict[str, Tensor]":
    """Our state dict (or gradients, or tensors on the meta device) under the family's names, and in its shapes."""
    import torch

    if not family.weights:
        return dict(state)
    result: dict[str, Tensor] = {}
    used: set[str] = set()
    for theirs, place in places(state, family, config).items():
        missing = [name for name in place.ours if name not in state]
        if missing:
            raise DataError(f"the model has {place.ours[0]} but no {missing[0]}")
        used.update(place.ours)
        pieces = [state[name] for name in place.ours]
        tensor = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
        tensor = tensor.t().contiguous() if place.transposed and tensor.ndim == 2 else tensor
        result[theirs] = tensor.unflatten(-1, _heads(config)) if place.heads_apart else tensor
    left = sorted(set(state) - used)
    if left:
        raise DataError(f"family {family.name} has no name for {', '.join(left)}: save as model_type 'trivium'")
    return result


@dataclass(frozen=True)
class Place:
    """A tensor of theirs: which of ours it joins along the output, whether it is (in, out), and whether its last
    dimension is the heads and their width."""

    ours: tuple[str, ...]
    transposed: bool = False
    heads_apart: bool = False

    def pieces(self, tensor: "Tensor") -> "dict[str, Tensor]":
        """Our tensors in one of theirs."""
        if self.heads_apart:
            tensor = tensor.flatten(-2)
        if self.transposed and tensor.ndim == 2:
            tensor = tensor.t()
        parts = tensor.chunk(len(self.ours))
        return {name: part.contiguous() for name, part in zip(self.ours, parts, strict=True)}


def places(names: Collection[str], family: Family, config: "Config") -> dict[str, Place]:
    """By their names the tensors of a model whose tensors have these ``names`` of ours."""
    if not family.weights:
        return {name: Place((name,)) for name in names}
    found: dict[str, Place] = {}
    heads = sorted({name.split(".")[1] for name in names if name.startswith("heads.")})
    prefix = body_prefix(family, heads)
    for row, blank in _matches(family, config, names, heads, ours=True):
        theirs = _fill(row.theirs, *blank)
        if prefix is not None and not row.parts[0].startswith(("vocabulary.", "heads.")):
            theirs = prefix + theirs.removeprefix(family.prefix)
        found[theirs] = _placed(row, blank)
    return found | {name: Place((name,)) for name in names if name.startswith(_OWN)}


def _placed(row: Weight, blank: tuple[str, str]) -> Place:
    return Place(tuple(_fill(part, *blank) for part in row.parts), row.transposed, row.heads_apart)


def weights_in(
    tensors: "Mapping[str, Tensor]", family: Family, config: "Config", heads: Collection[str] = ()
) -> "dict[str, Tensor]":
    """The family's tensors under our names, and in our shapes; what ``left_out`` and ``aliases`` name is skipped.
    ``heads``: the names of the heads that are among them."""
    if not family.weights:
        return dict(tensors)
    prefix = body_prefix(family, heads)
    full = full_names(tensors, family, prefix)
    tensors = {plain_name(name, family, prefix): tensors[own] for name, own in full.items()}
    result: dict[str, Tensor] = {}
    for row, blank in _matches(family, config, tensors, heads, ours=False):
        result |= _placed(row, blank).pieces(tensors[_fill(row.theirs, *blank)])
    own = tuple(f"heads.{name}." for name in heads if name in OF_OBJECTIVES)
    return result | {name: tensor for name, tensor in tensors.items() if own and name.startswith(own)}


def _heads(config: "Config") -> tuple[int, int]:
    """How many there are, and the width of each."""
    assert isinstance(config, TransformerConfig | TwoStreamConfig)  # others have none
    return config.heads, config.per_head


def untrained(model: "nn.Module") -> "dict[str, Tensor]":
    """What a model stores beside its parameters, under our names; not what follows from something else, such as
    ELMo's spellings, which no file holds."""
    trained = {name for name, _ in model.named_parameters()}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in trained}


def adopted(model: "Network", family: Family, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """A checkpoint's tensors under our names; what is stored beside the parameters goes into the model at once."""
    masters = weights_in(tensors, family, model.config, tuple(model.heads))
    for name, tensor in untrained(model).items():
        tensor.copy_(masters.pop(name))
    return masters


def body_prefix(family: Family, heads: Collection[str]) -> str | None:
    """What stands before the body's names in files of the class that has this head, if that is not the family's."""
    return next((family.heads[name].prefix for name in heads if name in family.heads), None)


def plain_name(name: str, family: Family, prefix: str | None) -> str:
    """A tensor's name as in the table, in place of one with such a ``prefix``."""
    if prefix is None or not name.startswith(prefix):
        return name
    return family.prefix + name.removeprefix(prefix)


def full_names(names: Collection[str], family: Family, prefix: str | None = None) -> dict[str, str]:
    """Names as in the table, and those in the file: endings become the current ones, and the prefix that files of a
    body alone leave out is put before all but a head's."""
    bare = bool(family.prefix) and prefix is None and not any(name.startswith(family.prefix) for name in names)
    heads = [_pattern(row.theirs) for row in family.rows(family.heads) if not row.theirs.startswith(family.prefix)]
    found: dict[str, str] = {}
    for own in names:
        name = own
        for old, new in family.old_names.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        if bare and not name.startswith(_OWN) and not any(head.fullmatch(name) for head in heads):
            name = family.prefix + name
        if name in found:
            raise DataError(f"the weights hold {own} and {found[name]}, which are two names of one tensor")
        found[name] = own
    return found


def skipped(name: str, family: Family, config: "Config") -> bool:
    """Whether a tensor of the file need not be read: the second name of a tied one, or one that nothing uses."""
    if any(re.fullmatch(pattern, name.removeprefix(family.prefix)) for pattern in family.left_out):
        return True
    if name.startswith(_OWN) or any(re.fullmatch(pattern, name) for pattern in family.left_out):
        return True
    own = {row.theirs for row in family.weights if "projection" in row.parts[0]}
    return name in family.aliases and (config.tied or name not in own)


def _matches(
    family: Family, config: "Config", names: Collection[str], heads: Collection[str], ours: bool
) -> Iterator[tuple[Weight, tuple[str, str]]]:
    for row in family.rows(heads):
        if row.gated is not None and isinstance(config, TransformerConfig) and row.gated != config.gated:
            continue
        if config.tied and row.parts[0] == "vocabulary.projection.weight":
            continue
        pattern = _pattern(row.parts[0] if ours else row.theirs)
        for name in names:
            found = pattern.fullmatch(name)
            if found:
                groups = found.groupdict()
                yield row, (groups.get("n") or "", groups.get("end") or "")


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    text = re.escape(template).replace(r"\{n\}", r"(?P<n>\d+)").replace(r"\*", "(?P<end>weight|bias)")
    return re.compile(text)


def _fill(template: str, number: str, ending: str) -> str:
    return template.replace("{n}", number).replace("*", ending)
