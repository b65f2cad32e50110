"""Named LoRA adapters on one base model: added, switched, mixed within a batch, merged into the weights and back.

``Adapters(model)`` is a view of the model: made again from a model that has adapters, it finds them. The base's
tensors are never written: merging puts new ones in their place and unmerging the old ones back, bit for bit.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.transformer.lora import Lora, LoraEmbedding, LoraLinear, LowRank, Selection, wrappable

DEFAULT = "default"

Wrapped = LoraLinear | LoraEmbedding


class Adapters:
    """The adapters of ``model``; none is in use until ``use``."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.layers: dict[str, Wrapped] = {n: m for n, m in wrappable(model).items() if isinstance(m, Wrapped)}
        self.selection = next((layer.selection for layer in self.layers.values()), Selection())
        self.is_merged: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for layer in self.layers.values() for name in layer.adapters))

    def add(self, name: str, lora: Lora, seed: int = 0) -> None:
        """A new adapter, with first weights of ``seed``; the model computes the same as before."""
        self._new(name)
        ranks = lora.ranks(self.model)
        fresh: dict[str, LowRank] = {}
        for path, rank in ranks.items():
            a, b = self._wrapped(path).fresh(rank, seed, path)
            fresh[path] = LowRank(a, b, lora.scale(rank), lora.dropout)
        self.put(name, fresh)

    def put(self, name: str, parts: Mapping[str, LowRank]) -> None:
        """An adapter with weights that are there, by the layers that it stands at."""
        self._new(name)
        for path, part in parts.items():
            layer = self._wrapped(path)
            layer.adapters[name] = part.to(layer.weight.device, layer.weight.dtype).train(layer.training)

    def remove(self, name: str) -> None:
        """Forget an adapter; layers without any are again what they were."""
        self._not_merged("remove one")
        self._known(name)
        self.selection.parts = tuple(part for part in self.selection.parts if part[0] != name)
        for path, layer in list(self.layers.items()):
            if name in layer.adapters:
                del layer.adapters[name]
            if not layer.adapters:
                _put(self.model, path, self.layers.pop(path).plain(layer.weight))

    def use(self, name: str | None) -> None:
        """From here on every row has this adapter; None: the base alone."""
        self._not_merged("switch")
        if name is not None:
            self._known(name)
        self.selection.parts, self.selection.rows = (((name, None),) if name is not None else ()), None

    @contextmanager
    def rows(self, names: Sequence[str | None]) -> Iterator[None]:
        """Inside, row i of every batch has the adapter ``names[i]``, or None.

        The model must be called with just these rows in this order: a search that reorders rows needs ``use``.
        """
        self._not_merged("mix")
        before = self.selection.parts, self.selection.rows
        parts = []
        device = next(self.model.parameters()).device
        for name in dict.fromkeys(n for n in names if n is not None):
            self._known(name)
            parts.append((name, torch.tensor([i for i, n in enumerate(names) if n == name], device=device)))
        self.selection.parts, self.selection.rows = tuple(parts), len(names)
        try:
            yield
        finally:
            self.selection.parts, self.selection.rows = before

    def mergeable(self, name: str = DEFAULT) -> bool:
        """Not where the adapted token embeddings are also the vocabulary's projection: merging would change both."""
        tied = getattr(getattr(self.model, "config", None), "tied", False)
        both = tied and getattr(self.model, "vocabulary", None) is not None
        return not (both and "tokens" in self.parts(name))

    @torch.no_grad()
    def merge(self, name: str = DEFAULT) -> None:
        """The model becomes one without adapters whose weights have this one's product added: nothing more to compute.
        The base's tensors are kept, here, for ``unmerge``."""
        self._not_merged("merge another")
        self._known(name)
        if not self.mergeable(name):
            raise SettingsError(
                "the token embeddings are also the vocabulary's projection, so merging an adapter of theirs would "
                "change both: use it unmerged"
            )
        for path, layer in self.layers.items():
            part = layer.adapters[name] if name in layer.adapters else None
            weight = layer.merged(part) if isinstance(part, LowRank) else layer.weight
            _put(self.model, path, layer.plain(weight))
        self.is_merged = name

    def unmerge(self) -> None:
        """The base's own tensors again, with all adapters beside them."""
        if self.is_merged is None:
            raise SettingsError("no adapter is merged: merge one first")
        for path, layer in self.layers.items():
            _put(self.model, path, layer.train(self.model.training))
        self.is_merged = None

    def parts(self, name: str = DEFAULT) -> dict[str, LowRank]:
        """One adapter's matrices by the layers that they stand at."""
        self._known(name)
        found = {path: layer.adapters[name] for path, layer in self.layers.items() if name in layer.adapters}
        return {path: part for path, part in found.items() if isinstance(part, LowRank)}

    def _wrapped(self, path: str) -> Wrapped:
        if path not in self.layers:
            base = wrappable(self.model).get(path)
            if base is None:
                raise SettingsError(f"the model has no layer {path} that can have an adapter")
            if isinstance(base, nn.Linear):
                self.layers[path] = LoraLinear(base, self.selection)
            else:
                self.layers[path] = LoraEmbedding(base, self.selection)
            _put(self.model, path, self.layers[path])
        return self.layers[path]

    def _new(self, name: str) -> None:
        self._not_merged("put an adapter beside it")
        if name in self.names or not re.fullmatch(r"[\w-]+", name):
            why = "is taken" if name in self.names else "may have letters, digits, - and _ alone"
            raise SettingsError(f"the adapter's name {name!r} {why}: choose another")

    def _known(self, name: str) -> None:
        if name not in self.names:
            raise SettingsError(f"there is no adapter {name!r}: there are {', '.join(self.names) or 'none'}")

    def _not_merged(self, what: str) -> None:
        if self.is_merged is not None:
            raise SettingsError(f"the adapter {self.is_merged!r} is merged: unmerge it first, then {what}")


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
