"""Prompts into a cache: many side by side, in parts where they are long, and each beginning that is known only once.

Prompts of different lengths are padded on the right, where a decoder does not look; each then leaves for the cache of
the running batch (``join``), in which all end at the same column. R prompts, V vocabulary.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, TypeVar

import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.generation.prompts import Prompt
from trivium.generation.rows import check_length, read_both_ways, right_padded
from trivium.transformer import Inputs, Network, Tokens
from trivium.transformer.network import Progress, answers, writes
from trivium.transformer.segment_memory import TwoStreamCache

T = TypeVar("T")

SHORTEST = 16  # tokens: a shorter beginning is read again sooner than it is looked up


def rooms(model: Network, prompts: Sequence[Prompt], most: int) -> list[int]:
    """How many tokens can follow each prompt, at most ``most``; refuses what cannot be done, with the numbers."""
    config = model.config
    if not writes(config):
        raise SettingsError("this model is an encoder, which writes no text: use fill to predict missing words")
    for prompt in prompts:
        if config.limit is not None and len(prompt.ids) >= config.limit:
            raise SettingsError(
                f"the prompt has {len(prompt.ids)} tokens, and this model's context is {config.limit}: shorten "
                f"it by at least {len(prompt.ids) - config.limit + 1} tokens"
            )
        check_length(len(prompt.source or ()), config.limit, "the prompt")
    return [most if config.limit is None else min(most, config.limit - len(prompt.ids)) for prompt in prompts]


@dataclass(frozen=True)
class Begun:
    """What has been read of a prompt already: a cache of one sequence, with the first ``count`` tokens."""

    cache: Progress
    count: int


Reading = Generator[int, None, tuple[Tensor, list[Progress]]]
"""Gives control back before each part, with how many tokens it has; at the end the logits (R, V) after each prompt, and
each one's cache."""


def read(model: Network, prompts: Sequence[Prompt], begun: Sequence[Begun] = (), most: int | None = None) -> Reading:
    """Reads prompts at most ``most`` tokens at a time, all of them together; of prompts that have ``begun``, which are
    all or none, the rest. At least one token of each has to be left."""
    with torch.inference_mode():
        weight, pad = next(model.parameters()), model.config.pad_token
        known = [each.count for each in begun] or [0] * len(prompts)
        rests = [prompt.ids[count:] for prompt, count in zip(prompts, known, strict=True)]
        target = right_padded(rests, pad, weight.device)
        rows, width = target.ids.shape
        cache = model.new_cache(rows, max(known) + width, weight.device, weight.dtype)
        if begun:
            cache.vacate()
            for each in begun:
                cache.join(each.cache.take(0, each.count))
        if cache.reuse == "prefix":  # what is padded comes later, and no token looks there
            target = replace(target, documents=None)
        if len(set(known)) > 1:
            positions = torch.tensor(known, device=weight.device)[:, None] + torch.arange(width, device=weight.device)
            limit = model.config.limit or int(positions.max()) + 1
            target = replace(target, positions=positions.clamp(max=limit - 1))
        source = None
        if answers(model.config) and not begun:
            source = right_padded([prompt.source or () for prompt in prompts], pad, weight.device)
        if model.config.bidirectional_prompt:
            target = read_both_ways(target, [len(rest) for rest in rests])
        whole = most is None or model.config.bidirectional_prompt
    part = width if whole or most is None else max(1, most // rows)
    found: list[Tensor | None] = [None] * rows
    for start in range(0, width, part):
        size = min(part, width - start)
        yield rows * size + (0 if source is None else source.ids.numel())
        with torch.inference_mode():
            piece = _columns(target, start, start + size)
            ending = [row for row, rest in enumerate(rests) if start < len(rest) <= start + size]
            at = torch.tensor([row * size + len(rests[row]) - 1 - start for row in ending], device=weight.device)
            logits = model(Inputs(source, piece), at=at if ending else None, cache=cache).logits
            for row, each in zip(ending, logits if ending else (), strict=True):
                found[row] = each
        source = None
    with torch.inference_mode():
        if isinstance(cache, TwoStreamCache):
            cache.latest = torch.tensor([rest[-1] for rest in rests], device=weight.device)
        taken = [cache.take(row, count + len(rest)) for row, (count, rest) in enumerate(zip(known, rests, strict=True))]
        return torch.stack([each for each in found if each is not None]), taken


def _columns(tokens: Tokens, start: int, end: int) -> Tokens:
    """Some of the columns."""

    def cut(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[:, start:end]

    return Tokens(tokens.ids[:, start:end], cut(tokens.documents), cut(tokens.positions), prefix=cut(tokens.prefix))


def common_beginning(model: Network, prompts: Sequence[Prompt]) -> int:
    """How many tokens all prompts begin with alike, so that they are read once; 0 where that saves nothing."""
    ids = [prompt.ids for prompt in prompts]
    common = min(shared(ids), min(map(len, ids)) - 1)
    alone = len(ids) == 1 or common < SHORTEST or any(prompt.source is not None for prompt in prompts)
    return 0 if alone or model.config.bidirectional_prompt or model.config.carries_state else common


def read_together(
    model: Network, prompts: Sequence[Prompt], begun: Sequence[Begun], common: int, most: int | None
) -> Reading:
    """``read``, where a ``common`` beginning is read once."""
    if common:
        _, (first,) = yield from read(model, [Prompt(prompts[0].ids[:common])], (), most)
        begun = [Begun(first, common)] * len(prompts)
    return (yield from read(model, prompts, begun, most))


def finished(steps: Generator[Any, None, T]) -> T:
    """What comes of it when nothing else is done between the steps."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result


def prefill(model: Network, prompts: Sequence[Prompt], room: int) -> tuple[Tensor, Progress]:
    """(R, V) logits after each prompt, and the cache that has read them, with room for ``room`` more tokens.

    Prompts that occur several times (samples of one text) are read once.
    """
    different = list(dict.fromkeys((prompt.ids, prompt.source) for prompt in prompts))
    logits, read_once = finished(read(model, [Prompt(*each) for each in different]))
    with torch.inference_mode():
        weight = next(model.parameters())
        longest = max(len(ids) for ids, _ in different)
        cache = model.new_cache(len(prompts), longest + room, weight.device, weight.dtype)
        cache.vacate()
        numbers = {each: number for number, each in enumerate(different)}
        places = [numbers[prompt.ids, prompt.source] for prompt in prompts]
        for place in places:
            cache.join(read_once[place])
        return logits[torch.tensor(places, device=logits.device)], cache


@dataclass(frozen=True)
class Known:
    """A sequence that was read before."""

    ids: tuple[int, ...]
    source: tuple[int, ...] | None
    cache: Progress
    logits: Tensor | None  # (V,) after all of it

    @property
    def size(self) -> int:
        return len(self.ids) + len(self.source or ())


class Prefixes:
    """The beginnings that were read last, at most ``most`` tokens of them, for prompts that begin in the same way."""

    def __init__(self, most: int):
        self.most = most
        self._known: list[Known] = []  # the one that was used last at the end

    def same(self, prompt: Prompt) -> Known | None:
        """The very same prompt, with its logits."""
        for known in self._known:
            if known.logits is not None and known.ids == prompt.ids and known.source == prompt.source:
                return self._used(known)
        return None

    def find(self, prompt: Prompt) -> Begun | None:
        """The longest beginning of a prompt that can be taken over; at least its last token is to be read."""
        best, longest = None, 0 if prompt.source is not None else SHORTEST - 1
        for known in self._known:
            if known.source != prompt.source:
                continue
            count = min(shared([known.ids, prompt.ids]), len(prompt.ids) - 1)
            whole = count == len(known.ids)
            usable = known.cache.reuse == "prefix" or (known.cache.reuse == "state" and whole)
            if usable and (count > longest or (best is None and prompt.source is not None)):
                best, longest = known, count
        return None if best is None else Begun(self._used(best).cache, longest)

    def keep(
        self, ids: tuple[int, ...], source: tuple[int, ...] | None, cache: Progress, logits: Tensor | None
    ) -> None:
        """Takes a copy of what was read; what was used longest ago goes."""
        if len(ids) + len(source or ()) > self.most or (source is None and len(ids) < SHORTEST):
            return
        if cache.reuse == "same" and logits is None:  # no prompt begins so
            return
        if any(each.source == source and each.ids[: len(ids)] == ids for each in self._known) and logits is None:
            return
        gone = cache.reuse == "prefix"  # what is a beginning of this one
        self._known = [
            each for each in self._known if each.source != source or (ids[: len(each.ids)] if gone else ids) != each.ids
        ]
        self._known.append(Known(ids, source, cache.kept(), None if logits is None else logits.clone()))
        while sum(each.size for each in self._known) > self.most:
            self._known.pop(0)

    def forget(self) -> None:
        self._known.clear()

    def _used(self, known: Known) -> Known:
        self._known = [*(each for each in self._known if each is not known), known]
        return known


def shared(texts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all of them begin with alike."""
    first, last = min(texts), max(texts)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
