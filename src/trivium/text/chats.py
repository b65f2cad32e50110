"""Conversations as examples: of what an assistant should say, and of which of two continuations is the better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """``role``: system, user or assistant."""

    role: str
    content: str

    def row(self) -> dict[str, str]:
        """As templates and files have it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Chat:
    """A conversation. ``prompt``: the messages before its last reply, or all where it ends in a question."""

    messages: tuple[Message, ...]

    @property
    def prompt(self) -> tuple[Message, ...]:
        return self.messages[:-1] if self.messages[-1].role == "assistant" else self.messages

    @property
    def reply(self) -> str | None:
        """The last one; None where none is known."""
        return self.messages[-1].content if self.messages[-1].role == "assistant" else None


@dataclass(frozen=True)
class Preference:
    """A beginning and two ways to go on, mostly one reply each, of which people prefer the first. ``margin``: how much,
    where that is known."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    margin: float = 0.0
