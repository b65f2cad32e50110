"""A conversation to the ids that a model reads, and which of them an assistant says, that a model may learn.

What is said is known from the renderer, character by character (``text/templates.py``): either the template marks it
itself (``{% generation %}``), or it is the text of the assistant's messages and what follows up to the token that ends
the turn. A token that has a character of a reply in it belongs to the reply, as in ``transformers``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from trivium.errors import DataError
from trivium.text.chat_templates import ChatTemplate
from trivium.text.chats import Message
from trivium.text.templates import Segment, render
from trivium.tokenizers.segments import SegmentEncoder
from trivium.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class Rendered:
    """``ids``: (T,) int64; ``replies``: (T,) int64, the number of the message in which the assistant says a token, the
    one that ends its turn among them; -1 where nobody or someone else does."""

    ids: np.ndarray
    replies: np.ndarray


class ChatRenderer:
    """A tokenizer and a template. ``framed``: with what the tokenizer puts before every text, as a decoder reads it."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, framed: bool = True) -> None:
        self.tokenizer, self.template = tokenizer, template
        self._encoder = SegmentEncoder(tokenizer)
        self._before = tokenizer.layout().before if framed else ()

    def ids(self, messages: Sequence[Message], open_turn: bool = True) -> list[int]:
        """What a model reads; ``open_turn``: with the words that begin a reply."""
        ids = self._encoder.encode(self._rendered(messages, open_turn))
        return [*self._opening(ids), *ids]

    def turn_ends(self) -> frozenset[int]:
        """The control token that the template writes after a reply, if it does."""
        segments = self._rendered([Message("user", "a"), Message("assistant", "b")], open_turn=False)
        said = max((n for n, segment in enumerate(segments) if segment.reply is not None), default=len(segments))
        ended = said if said < len(segments) and segments[said].scaffold else said + 1
        after = self._encoder.encode(segments[ended:])
        return frozenset([number for number in after if number in self.tokenizer.controls][:1])

    def render(self, messages: Sequence[Message], ends: Collection[int], place: str = "") -> Rendered:
        """A whole conversation. ``ends``: the tokens at which a model stops to write. A DataError where the template
        would teach a model a reply without one of them, for it would never learn to stop."""
        segments = self._rendered(messages, open_turn=False)
        ids, spans, lengths = self._encoder.encode_spans(segments)
        replies, typed = _said(segments, lengths, spans)
        where = f"{place}: " if place else ""
        for number, message in enumerate(messages):
            if message.role == "assistant":
                self._end(ids, replies, typed, number, any(each.generated for each in segments), ends, where)
        opening = self._opening(ids)
        none = np.full(len(opening), -1, np.int64)
        return Rendered(np.array([*opening, *ids], np.int64), np.concatenate([none, replies]))

    def _end(
        self, ids: Sequence[int], replies: np.ndarray, typed: np.ndarray, number: int, marked: bool,
        ends: Collection[int], where: str,
    ) -> None:  # fmt: skip
        """Makes the end of the turn a part of the reply, or refuses it."""
        own = np.flatnonzero(replies == number)
        if not own.size:
            raise DataError(
                f"{where}the chat template does not write message {number + 1}, the assistant's, as it stands, so it "
                "cannot be learnt: use another template, or mark the reply in it by {% generation %}"
            )
        if marked:
            if not any(ids[place] in ends for place in own[-8:]):
                raise DataError(
                    f"{where}the chat template's {{% generation %}} ends before the token that ends a turn, so a model "
                    "would never learn to stop: put that token inside"
                )
            return
        after = int(own[-1]) + 1
        stop = after
        others = self.tokenizer.controls.union(ends)
        while stop < len(ids) and not typed[stop] and ids[stop] not in others:
            stop += 1
        if stop == len(ids) or ids[stop] not in ends:
            raise DataError(
                f"{where}the chat template writes no token after message {number + 1}, the assistant's, at which a "
                "model stops, so it would never learn to stop: write {{ eos_token }} behind the reply in the template, "
                "or choose one whose control tokens the model has"
            )
        replies[after : stop + 1] = number

    def _opening(self, ids: Sequence[int]) -> tuple[int, ...]:
        before = tuple(self._before)
        return () if tuple(ids[: len(before)]) == before else before

    def _rendered(self, messages: Sequence[Message], open_turn: bool) -> list[Segment]:
        specials = {"bos_token": self.tokenizer.begin, "eos_token": self.tokenizer.end}
        tokens = {name: None if token is None else self.tokenizer.piece(token) for name, token in specials.items()}
        told = [message.row() for message in messages]
        return render(self.template.text, told, add_generation_prompt=open_turn, tokens=tokens)


def _said(
    segments: Sequence[Segment], lengths: Sequence[int], spans: Sequence[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each token (T,): the reply that one of its characters is in, -1 for none; and whether any of them is not the
    template's."""
    marked = any(segment.generated for segment in segments)
    numbers = [-1 if s.reply is None or (marked and not s.generated) else s.reply for s in segments]
    of_character = np.repeat(np.array(numbers, np.int64), lengths)
    strange = np.repeat(np.array([not segment.scaffold for segment in segments], bool), lengths)
    found, typed = np.full(len(spans), -1, np.int64), np.zeros(len(spans), bool)
    for token, (start, end) in enumerate(spans):
        if end > start:
            found[token], typed[token] = of_character[start:end].max(), strange[start:end].any()
    return found, typed
