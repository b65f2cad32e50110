"""A text as a model is given it, with a name for each token: what the views are made of.

An encoder reads the text between its control tokens, or two texts as a pair; a decoder reads it from left to right; an
encoder-decoder reads it as its source and an answer as its target, behind the start token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trivium.errors import SettingsError
from trivium.generation.blanks import BLANK, split, with_blanks
from trivium.generation.prompts import frame, opening, source_ids, start_token
from trivium.generation.rows import read_both_ways
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.alignment import Span
from trivium.transformer import Inputs, Network, Tokens
from trivium.transformer.network import answers


@dataclass(frozen=True)
class Side:
    """One sequence. ``spans``: the characters of the text that a token stands for, None for control tokens. ``known``:
    so many tokens at its beginning are seen from everywhere."""

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    spans: tuple[Span | None, ...] = ()
    segments: tuple[int, ...] | None = None
    known: int = 0

    def batch(self, device: torch.device) -> Tokens:
        """A batch of one row."""
        segments = None if self.segments is None else torch.tensor([self.segments], device=device)
        tokens = Tokens(torch.tensor([self.ids], device=device), segments=segments)
        return read_both_ways(tokens, [self.known]) if self.known else tokens


@dataclass(frozen=True)
class Passage:
    """What the encoder reads, and what the decoder does; each only where there is one."""

    source: Side | None
    target: Side | None

    def inputs(self, device: torch.device) -> Inputs:
        """For a forward pass."""
        return Inputs(*(None if side is None else side.batch(device) for side in (self.source, self.target)))


def passage(
    model: Network, tokenizer: Tokenizer, text: str, answer: str | Sequence[int] | None = None
) -> Passage:
    """``answer``: an encoder-decoder's target, as text or as the ids that it wrote; an encoder's second text."""
    config = model.config
    if answers(config):
        encoding = tokenizer.encode(text)
        ids = source_ids(tokenizer, encoding.ids)
        source = _framed(tokenizer, ids, encoding.offsets, len(tokenizer.layout().before))
        start = start_token(model)
        if answer is None or isinstance(answer, str):
            said = tokenizer.encode(answer or "")
            target = _framed(tokenizer, (start, *said.ids), said.offsets, 1)
        else:
            target = Side((start, *answer), names(tokenizer, (start, *answer)))
        found = Passage(source, target)
    elif config.decoder_layers:
        if answer is not None:
            raise SettingsError("a decoder reads one text: put what follows into the text itself")
        encoding = tokenizer.encode(text)
        ids = opening(tokenizer, encoding.ids)
        found = Passage(None, _framed(tokenizer, ids, encoding.offsets, len(ids) - len(encoding.ids)))
    else:
        assert answer is None or isinstance(answer, str)
        found = Passage(_read(model, tokenizer, text, answer), None)
    for side in (found.source, found.target):
        if side is not None and config.limit is not None and len(side.ids) > config.limit:
            raise SettingsError(
                f"the text has {len(side.ids)} tokens and the model reads at most {config.limit} (its context): give a "
                "shorter one"
            )
        if side is not None and not side.ids:
            raise SettingsError("the text is empty: give at least one word")
    return found


def names(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """Each token as text with the space that it begins with; where that is a part of a character or nothing, as the
    vocabulary spells it."""
    found = []
    for number in ids:
        text = tokenizer.decode([number], skip_special=False)
        if not text or "\ufffd" in text:  # an id between the others may be no token's
            text = tokenizer.whole.id_to_token(number) or f"<{number}>"
        found.append(text)
    return tuple(found)


def _read(model: Network, tokenizer: Tokenizer, text: str, second: str | None) -> Side:
    """An encoder's row. A blank, ``___``, is its mask token."""
    if second is not None:
        pair = tokenizer.encode(text, second, specials=True)
        texts = {*pair.text_of_token} - {-1}
        if second and texts != {0, 1} or not tokenizer.layout(pair=True).after:
            raise SettingsError("this model's tokenizer reads no pairs of texts: leave out the second text")
        spans = tuple(None if of < 0 else span for of, span in zip(pair.text_of_token, pair.offsets, strict=True))
        segments = tuple(pair.segments) if model.config.segments > max(pair.segments, default=0) else None
        return Side(tuple(pair.ids), names(tokenizer, pair.ids), spans, segments)
    before, after = frame(tokenizer)
    if BLANK.search(text) and tokenizer.mask is not None:
        parts = split(text)
        middle = with_blanks(parts, lambda part: tokenizer.encode(part).ids, [tokenizer.mask] * (len(parts) - 1))
        ids = (*before, *middle, *after)
        return Side(ids, names(tokenizer, ids))
    encoding = tokenizer.encode(text)
    return _framed(tokenizer, (*before, *encoding.ids, *after), encoding.offsets, len(before))


def _framed(tokenizer: Tokenizer, ids: Sequence[int], offsets: Sequence[Span], before: int) -> Side:
    after = len(ids) - before - len(offsets)
    return Side(tuple(ids), names(tokenizer, ids), (*[None] * before, *offsets, *[None] * after))
