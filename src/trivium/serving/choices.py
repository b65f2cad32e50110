r"""Pieces of texts as they come, put together to what an answer says of each text: its words, tokens, and why it ended.

A token's text is what it writes in the middle of a text. Half a character is spelt ``bytes:\xe2`` in completions, where
tokens are keys, and is U+FFFD in chats, where their ``bytes`` stand beside them.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from trivium.errors import SettingsError
from trivium.generation.completion import Piece
from trivium.generation.prompt_scores import Told
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.token_bytes import token_bytes

LOWEST = -9999.0  # where a probability is zero: JSON has no infinity
Reason = Literal["stop", "length"]


def reason(piece: Piece) -> Reason | None:
    """Why a text ended, in OpenAI's words."""
    if piece.finish is None:
        return None
    return "stop" if piece.finish in ("end", "stop") else "length"


def log_probability(value: float) -> float:
    """As JSON has it."""
    return value if value > LOWEST else LOWEST


@dataclass
class TokenLog:
    """The tokens of one text, in the shape of the completions API."""

    tokens: list[str] = field(default_factory=list)
    token_logprobs: list[float | None] = field(default_factory=list)
    top_logprobs: list[dict[str, float] | None] = field(default_factory=list)
    text_offset: list[int] = field(default_factory=list)

    def add(self, token: str, value: float | None, top: list[tuple[str, float]], offset: int) -> None:
        """One more token; its own log-probability joins ``top``."""
        self.tokens.append(token)
        self.token_logprobs.append(None if value is None else log_probability(value))
        self.text_offset.append(offset)
        if value is None:
            self.top_logprobs.append(None)
            return
        likely: dict[str, float] = {}
        for text, chance in (*top, (token, value)):
            likely.setdefault(text, log_probability(chance))
        self.top_logprobs.append(likely)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs,
            "text_offset": self.text_offset,
        }


def written_bytes(tokenizer: Tokenizer, token: int) -> bytes:
    """What a token writes; of a control token, its name."""
    try:
        found = token_bytes(tokenizer).pieces[token]
    except SettingsError:  # a tokenizer that puts the blanks between words
        found = b""
    return found or tokenizer.decode([token], skip_special=False).encode()


def token_name(tokenizer: Tokenizer, token: int) -> str:
    """A token's text, no two alike."""
    found = written_bytes(tokenizer, token)
    try:
        return found.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in found)


def written_log(pieces: list[Piece], tokenizer: Tokenizer, begin: int) -> TokenLog:
    """Of new tokens, the end token among them; ``begin``: characters before the first."""
    found, at = TokenLog(), begin
    for piece in pieces:
        token = piece.token if piece.token is not None else piece.end
        if token is not None:
            top = [(token_name(tokenizer, each.token), each.log_probability) for each in piece.top]
            found.add(token_name(tokenizer, token), piece.log_probability, top, at)
        at += len(piece.text)
    return found


def prompt_log(ids: list[int], told: list[Told], tokenizer: Tokenizer) -> TokenLog:
    """Of a prompt's tokens."""
    from trivium.generation.text_stream import TextStream

    found, stream = TokenLog(), TextStream(tokenizer.decode)
    for token, each in zip(ids, told, strict=True):
        top = [(token_name(tokenizer, other), chance) for other, chance in each.top]
        found.add(token_name(tokenizer, token), each.log_probability, top, len(stream.text))
        stream.push(token)
    return found


def chat_log(pieces: list[Piece], tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Of a reply's tokens, in the shape of the chat API."""
    found = []
    for piece in pieces:
        if piece.token is None:
            continue
        entry = _entry(tokenizer, piece.token, piece.log_probability)
        entry["top_logprobs"] = [_entry(tokenizer, each.token, each.log_probability) for each in piece.top]
        found.append(entry)
    return found


def _entry(tokenizer: Tokenizer, token: int, value: float) -> dict[str, Any]:
    """A control token writes no bytes."""
    written = written_bytes(tokenizer, token)
    told = None if token in tokenizer.controls else list(written)
    return {"token": written.decode(errors="replace"), "logprob": log_probability(value), "bytes": told}
