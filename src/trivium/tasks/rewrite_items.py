"""Sources and targets as ids: what an encoder-decoder or a decoder reads of them, and the batches that they make."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trivium.errors import SettingsError
from trivium.generation.prompts import Prompt, opening, source_ids
from trivium.generation.rows import read_both_ways, right_padded
from trivium.generation.score_rows import Question
from trivium.objectives import Batch
from trivium.objectives.packing import places
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs, Tokens
from trivium.transformer.network import answers as reads_a_source

LOSS = "rewriting"


@dataclass(frozen=True, eq=False)
class RewriteItems:
    """N examples as ids. ``targets`` end in the end token; they are empty where none is known."""

    prompts: list[Prompt]
    targets: list[tuple[int, ...]]
    tokenizer: Tokenizer
    end: int
    first: int | None  # what every target begins with
    most: int  # tokens that are written at most
    pad: int
    truncated: int
    notes: tuple[str, ...] = ()
    both_ways: bool = False  # a decoder that reads its prompts in both directions learns so, too

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64: both sides."""
        sides = zip(self.prompts, self.targets, strict=True)
        return np.array([len(p.ids) + len(p.source or ()) + len(target) for p, target in sides], np.int64)

    def row(self, number: int) -> tuple[int, ...]:
        """What the decoder reads of an example: all but the last token."""
        return (*self.prompts[number].ids, *self.targets[number][:-1])

    def question(self, number: int) -> Question:
        """How probable is the target?"""
        prompt, target = self.prompts[number], self.targets[number]
        start = len(prompt.ids) - 1
        places = tuple(range(start, start + len(target)))
        return Question(self.row(number), places, target, prompt.source, known=start + 1)


@dataclass(frozen=True)
class RewriteBatch(Batch):
    """With the items that ``draws`` number, and which of them are to be written."""

    items: RewriteItems
    written: Sequence[int]


def encode_rewrites(
    sources: Sequence[str], targets: Sequence[str], tokenizer: Tokenizer, config: Config, separator: str,
    room: tuple[int | None, int], notes: tuple[str, ...] = (),
) -> RewriteItems:  # fmt: skip
    """``room``: how many tokens of a source, those around it or the separator included (None: any number), and of a
    target. Both are cut at their ends; what stands around them stays. A target that is empty is not known."""
    both = reads_a_source(config)
    around = source_ids(tokenizer, ()) if both else () if tokenizer.end is None else (tokenizer.end,)
    if not around:
        raise SettingsError("this model's tokenizer has no end token, by which a written text would end")
    most_read, most = room
    first = tokenizer.layout().before if both else ()
    tail = "" if both else separator
    fixed, closing = len(around if both else tokenizer.layout().before), tokenizer.encode(tail).ids if tail else []
    read = None if most_read is None else most_read - fixed
    if read is not None and read - len(closing) < 1:
        raise SettingsError(f"a source of {most_read} tokens leaves no room for the text: raise source_length")
    written = most - len(around)
    if written < 1:
        raise SettingsError(f"a target of {most} tokens leaves no room for the text: raise target_length")
    start = config.pad_token if config.start_token is None else config.start_token
    prompts, wanted, truncated = [], [], 0
    whole = tokenizer.encode_batch([source + tail for source in sources])
    for source, ids, target in zip(sources, whole, tokenizer.encode_batch(targets), strict=True):
        kept = ids
        if read is not None and len(ids) > read:  # the text is cut, not the separator
            kept = [*tokenizer.encode(source).ids[: read - len(closing)], *closing]
        truncated += kept is not ids or len(target) > written
        target = target[:written]
        if both:
            prompts.append(Prompt((start,), source_ids(tokenizer, kept)))
            wanted.append(source_ids(tokenizer, target) if target else ())
        else:
            prompts.append(Prompt(opening(tokenizer, kept)))
            wanted.append((*target, *around) if target else ())
    opens = first[0] if len(first) == 1 else None
    pad = max(config.pad_token, 0)
    both_ways = config.bidirectional_prompt
    return RewriteItems(prompts, wanted, tokenizer, around[-1], opens, most, pad, truncated, notes, both_ways)


def rewrite_batch(items: RewriteItems, numbers: np.ndarray, written: Sequence[int]) -> RewriteBatch:
    """(B, S) sources and (B, T) decoder rows, right-padded; ``targets``: (M,) tokens and their flat places in the rows.

    A row's padding comes behind all that it looks at, and so needs no mask.
    """
    here = torch.device("cpu")
    source = None
    if items.prompts[numbers[0]].source is not None:
        source = right_padded([items.prompts[number].source or () for number in numbers], items.pad, here)
    rows = Tokens(right_padded([items.row(number) for number in numbers], items.pad, here).ids)
    if items.both_ways:
        rows = read_both_ways(rows, [len(items.prompts[number].ids) for number in numbers])
    counts = np.array([len(items.targets[number]) for number in numbers])
    starts = np.array([len(items.prompts[number].ids) for number in numbers]) - 1
    columns = np.arange(rows.ids.shape[1])
    predicted = (columns >= starts[:, None]) & (columns < (starts + counts)[:, None])
    wanted = [token for number in numbers for token in items.targets[number]]
    targets = {LOSS: torch.tensor(wanted, dtype=torch.int64)}
    if (at := places(predicted)) is not None:
        targets["at"] = at
    tokens = sum(map(len, (*(items.prompts[n].source or () for n in numbers), *(items.row(n) for n in numbers))))
    return RewriteBatch(Inputs(source, rows), targets, {LOSS: len(wanted)}, tokens, numbers.tolist(), items, written)
