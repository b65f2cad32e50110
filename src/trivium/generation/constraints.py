"""Texts of a prescribed form: by a JSON schema, a regular expression, or a list of choices.

At every step the tokens after which the text could no longer become one of that form are ruled out (Willard and Louf
2023); what is left is chosen from as always. The grammar is ``llguidance``'s, which works on the bytes of tokens, so
that a word may be cut into tokens in any way. The whole completion has the form: where a prompt ends without a blank,
the form must have the blank. Left out: tokenizers that put the blanks between words (``token_bytes.py``).

JSON is written compactly or with blanks and line ends as people indent it, never more. V vocabulary.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from trivium.errors import DataError, SettingsError, shown
from trivium.extras import extra_module
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.token_bytes import token_bytes

LONGEST = 1 << 20  # characters of a schema, a regular expression, or all choices
_INDENTING = {"whitespace_pattern": r"(\n {0,32}| )?"}  # without bounds a small model writes blanks for ever


@dataclass(frozen=True)
class Form:
    """What a text may be; at most one is given."""

    json_schema: str | None = None
    regex: str | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given = [name for name in ("json_schema", "regex", "choices") if getattr(self, name) not in (None, ())]
        if len(given) > 1:
            raise SettingsError(f"{given[0]} and {given[1]} are both given: a text can have one form")
        size = len(self.json_schema or "") + len(self.regex or "") + sum(map(len, self.choices))
        if size > LONGEST:
            raise SettingsError(f"{given[0]} has {size:,} characters: it must be at most {LONGEST:,}")
        try:
            "".join((self.json_schema or "", self.regex or "", *self.choices)).encode()
        except UnicodeEncodeError:
            raise SettingsError(f"{given[0]} holds half a character (a surrogate), which no text has") from None
        if not all(self.choices):
            raise SettingsError(f"choices are {shown(self.choices)}: each must be a text that is not empty")

    def __bool__(self) -> bool:
        return self.json_schema is not None or self.regex is not None or bool(self.choices)

    @property
    def name(self) -> str:
        """As an error calls it."""
        if self.json_schema is not None:
            return "the JSON schema"
        return f"the regular expression {shown(self.regex)}" if self.regex is not None else "the list of choices"

    def grammar(self, blank: bool) -> str:
        """In the grammar language of ``llguidance``; a ``blank`` may stand before it."""
        if self.json_schema is not None:
            body = f"%json {json.dumps(_schema(self.json_schema))}"
        elif self.regex is not None:
            lark = extra_module("llguidance", "constrain", _NEED).regex_to_lark(self.regex, "")
            body = f"/{lark}/" if lark else '""'
        else:
            body = " | ".join(map(json.dumps, self.choices))
        name = "body" if self.json_schema is not None else "BODY"  # a rule, or one word: as fast with many choices
        return f"start: {_BLANK * blank} {name}\n{name}: {body}"


_NEED = "texts of a prescribed form need llguidance"
_BLANK = '" "?'


def schema_text(schema: str | Mapping[str, object] | None) -> str | None:
    """A schema as text, whether given as that or as what it says."""
    if schema is None or isinstance(schema, str):
        return schema
    try:
        return json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as problem:
        raise SettingsError(f"the JSON schema cannot be written as JSON: {problem}") from None


def read_schema(path: Path) -> str:
    """A schema's file."""
    try:
        if path.stat().st_size > LONGEST:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes: a schema has at most {LONGEST:,}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} cannot be read as a JSON schema: {problem}") from None
    try:
        _schema(text)
    except SettingsError as problem:
        raise DataError(f"{path}: {problem}") from None
    return text


def _schema(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except RecursionError:
        raise SettingsError("the JSON schema nests too deep to be followed: make it flatter") from None
    except ValueError as problem:
        raise SettingsError(f"the JSON schema is not valid JSON: {problem}") from None
    if schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise SettingsError(f"the JSON schema is {shown(schema)}: it must be an object, as in '{{}}'")
    return {"x-guidance": _INDENTING} | schema


class Guide:
    """Follows one text, token by token. ``complete``: it has the form, and nothing more may come."""

    def __init__(self, matcher: Any, size: int, ends: frozenset[int], form: Form) -> None:
        self._matcher, self._size, self._form = matcher, size, form
        self._ends = sorted(ends)
        self._check()

    @property
    def complete(self) -> bool:
        return bool(self._matcher.is_stopped())

    def allowed(self) -> Tensor:
        """(V,) bool: the tokens that may come next, those that end a text where it has the form."""
        mask = np.frombuffer(self._matcher.compute_logit_bias(), np.uint8)[: self._size] != 0
        self._check()
        may_end = bool(self._matcher.is_accepting())
        if not mask.any() and not may_end:
            raise SettingsError(
                f"{self._form.name} cannot be followed here: no token of this model writes what has to come next"
            )
        mask[self._ends] = may_end
        return torch.from_numpy(mask)

    def take(self, token: int) -> None:
        """A token was chosen: one of those allowed."""
        self._matcher.consume_token(token)
        self._check()

    def fork(self) -> Self:
        """Another that goes on from here on its own."""
        return type(self)(self._matcher.deep_copy(), self._size, frozenset(self._ends), self._form)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise SettingsError(f"{self._form.name} cannot be followed: {_reason(self._matcher.get_error())}")


def _reason(message: str) -> str:
    """The one line of an error that says what is wrong, without where in the grammar."""
    if "recursion limit exceeded" in message:
        return "it nests too deep: make it flatter"
    if message.startswith("NoExtension"):
        return "no text has this form"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines or ["too complex"]
    where = r'^(at \d+\(\d+\): )?(failed to compile JSON schema: |failed to parse "%json": )?'
    return re.sub(where, "", said[0])[:300]


def guides(tokenizer: Tokenizer, form: Form, ends: frozenset[int], count: int, begins: bool) -> list[Guide]:
    """A guide for each of ``count`` texts, which ``ends`` end. ``begins``: they go on from no text, as an
    encoder-decoder's answers do."""
    llguidance = extra_module("llguidance", "constrain", _NEED)
    grammar = form.grammar(blank=begins and token_bytes(tokenizer).swallows)
    matcher = llguidance.LLMatcher(_vocabulary(tokenizer), grammar, log_level=0)
    first = Guide(matcher, tokenizer.vocab_size, ends, form)
    return [first, *(first.fork() for _ in range(count - 1))][:count]


@lru_cache(maxsize=8)
def _vocabulary(tokenizer: Tokenizer) -> Any:
    """The tokens as ``llguidance`` knows them. It needs one for every byte, and one that ends texts: it gets its own,
    behind all others, for a vocabulary may lack some, and a model may have several ends or none."""
    llguidance = extra_module("llguidance", "constrain", _NEED)
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Spelling(tokenizer)))


class _Spelling:
    """What ``llguidance`` asks of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        pieces = token_bytes(tokenizer).pieces
        single = {bytes([byte]) for byte in range(256)}
        self.tokens = [*pieces, *sorted(single - set(pieces)), b"<end>"]
        self.eos_token_id = len(self.tokens) - 1
        self.bos_token_id = None
        self.special_token_ids = [*sorted(tokenizer.controls), self.eos_token_id]
        self._tokenizer = tokenizer
        self._ids = {piece: number for number, piece in enumerate(self.tokens[:-1]) if piece}
        self._longest = max(map(len, self._ids))

    def __call__(self, content: str | bytes) -> list[int]:
        """Ids whose bytes are ``content``: those that the model was trained on, if the tokenizer finds such, or else
        the longest pieces."""
        wanted = content.encode() if isinstance(content, str) else content
        text = wanted.decode(errors="replace")
        ids = self._tokenizer.encode(text).ids
        if b"".join(self.tokens[number] for number in ids) == wanted:
            return ids
        found: list[int] = []
        at = 0
        while at < len(wanted):
            size = next(n for n in range(self._longest, 0, -1) if wanted[at : at + n] in self._ids)
            found.append(self._ids[wanted[at : at + size]])
            at += size
        return found


def constrained(scores: Tensor, guides: Sequence[Guide]) -> Tensor:
    """(R, V) scores, -inf where a row's guide forbids a token."""
    allowed = torch.stack([guide.allowed() for guide in guides])[:, : scores.shape[1]]
    return scores.masked_fill(~allowed.to(scores.device), -torch.inf)
