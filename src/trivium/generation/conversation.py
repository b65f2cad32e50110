"""A conversation with a model: its messages, rendered by a chat template, and the replies to them.

What a user types never becomes a control token (``text/templates.py``). A reply ends where the model's files say, or at
the end of a turn as the template writes it. What both have said before is not read again for a reply.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from trivium.errors import DataError, SettingsError
from trivium.families.generation_config import GenerationConfig
from trivium.generation.completion import Piece, end_tokens
from trivium.generation.prompts import Prompt, source_ids, start_token
from trivium.generation.sampling import Sampling
from trivium.generation.writer import Writer
from trivium.text.chat_templates import ChatTemplate
from trivium.text.chats import Message
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.chats import ChatRenderer
from trivium.transformer import Network
from trivium.transformer.network import answers

_ROOM = 4096  # tokens of a conversation, at first


class Seen(NamedTuple):
    """A token that the model reads; ``control``: of the template's, never of a text."""

    text: str
    control: bool


class Conversation:
    """Messages with one model. ``reply`` and ``again`` yield a reply piece by piece; when the iterator is closed early,
    what was written until then is the reply."""

    def __init__(
        self, model: Network, tokenizer: Tokenizer, template: ChatTemplate, system: str | None = None,
        files: GenerationConfig = GenerationConfig(),  # noqa: B008 (frozen)
    ) -> None:  # fmt: skip
        self.model, self.tokenizer = model, tokenizer
        self.renderer = ChatRenderer(tokenizer, template, framed=not answers(model.config))
        self.messages: list[Message] = []
        self.system = system
        self._files = replace(files, ends=end_tokens(tokenizer, files) | self.renderer.turn_ends())
        self._tries = 0  # of the latest reply, which keys its randomness
        self._writer: Writer | None = None

    @property
    def history(self) -> list[Message]:
        """All messages, the system's first where there is one."""
        return [*([Message("system", self.system)] if self.system else []), *self.messages]

    @property
    def files(self) -> GenerationConfig:
        """What the model's files say about writing, with the ends of turns."""
        return self._files

    def reply(self, text: str, sampling: Sampling) -> Generator[Piece]:
        """The reply to one more message of the user, which is forgotten again where it cannot be answered."""
        if not text.strip():
            raise SettingsError("the message is empty: type something")
        self.messages.append(Message("user", text))
        self._tries = 0
        return self._answered(sampling, [self.messages[-1]])

    def again(self, sampling: Sampling) -> Generator[Piece]:
        """Another reply to the last message, in place of the one that is there."""
        if not any(message.role == "user" for message in self.messages):
            raise SettingsError("there is nothing to answer again: type a message first")
        while self.messages[-1].role != "user":
            self.messages.pop()
        self._tries += 1
        return self._answered(sampling, [])

    def load(self, messages: Sequence[Message]) -> None:
        """Goes on with the messages of another conversation."""
        for message in messages:
            if message.role not in ("system", "user", "assistant"):
                raise DataError(f"a message has the role {message.role!r}: it is system, user or assistant")
        spoken = [message for message in messages if message.role != "system"]
        for number, message in enumerate(spoken):
            if message.role != ("user", "assistant")[number % 2]:
                raise DataError(f"message {number + 1} is of the {message.role}: user and assistant take turns")
        self.system = next((message.content for message in messages if message.role == "system"), None)
        self.messages = spoken

    def ids(self, open_turn: bool = True) -> list[int]:
        """What the model reads; ``open_turn``: with the words that begin a reply."""
        return self.renderer.ids(self.history, open_turn)

    def seen(self) -> list[Seen]:
        """The tokens of the whole conversation, as the model reads it before its next reply."""
        answered = bool(self.messages) and self.messages[-1].role == "assistant"
        controls = self.tokenizer.controls
        shown = []
        for number in self.ids(open_turn=not answered):
            control = number in controls
            shown.append(Seen(self.tokenizer.piece(number) if control else self.tokenizer.decode([number]), control))
        return shown

    def _answered(self, sampling: Sampling, added: Sequence[Message]) -> Generator[Piece]:
        try:
            ids = self.ids()
            limit = self.model.config.limit
            if limit is not None and len(ids) >= limit:
                raise SettingsError(
                    f"the conversation has {len(ids)} tokens, and this model's context is {limit}: begin anew "
                    "(/clear), or write less"
                )
            if answers(self.model.config):
                start = (start_token(self.model),)
                prompt = Prompt(start, source_ids(self.tokenizer, ids), self._tries)
            else:
                prompt = Prompt(tuple(ids), None, self._tries)
            stops = replace(sampling, stop=(*sampling.stop, *self.renderer.template.stop))
            writer = self._writer_for(len(prompt.ids) + sampling.max_tokens)
            pieces = writer.stream(writer.submit(prompt, stops))
        except BaseException:
            if added:
                self.messages.pop()
            raise
        return self._kept(pieces)

    def _writer_for(self, tokens: int) -> Writer:
        """Of replies, with room for so many tokens; one that has it already remembers what it has read."""
        limit = self.model.config.limit
        needed = tokens if limit is None else min(tokens, limit)
        if self._writer is None or (self._writer.engine.longest or needed) < needed:
            room = None if limit is None else min(limit, max(_ROOM, 2 * needed))
            self._writer = Writer(self.model, self.tokenizer, self._files, slots=1, longest=room, reuse=room or _ROOM)
        return self._writer

    def _kept(self, pieces: Iterator[Piece]) -> Generator[Piece]:
        text = ""
        try:
            for piece in pieces:
                text += piece.text
                yield piece
        finally:
            self.messages.append(Message("assistant", text.strip()))
