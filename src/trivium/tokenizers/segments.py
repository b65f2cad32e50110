"""Text of two authors to ids: control tokens are made of what a template wrote, never of what a user wrote.

The whole is encoded at once, so that a word that begins in the template's text and ends in the user's is one word, as
it was in training. The template's control tokens go in under names that no text can guess, and only those names are
known to the tokenizer.
"""

import re
from collections.abc import Iterable

import tokenizers
from trivium.text.templates import Segment
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import guarded


class SegmentEncoder:
    """Encodes segments with a tokenizer; keep it for many conversations."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        secret = tokenizer.plain.get_added_tokens_decoder()
        self._names = {
            token.content: secret[number].content
            for number, token in tokenizer.whole.get_added_tokens_decoder().items()
            if token.special and number in secret
        }
        with guarded("the tokenizer cannot be used"):
            self._marked = tokenizers.Tokenizer.from_str(tokenizer.plain.to_str())
        self._marked.encode_special_tokens = False
        longest_first = sorted(self._names, key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def encode(self, segments: Iterable[Segment]) -> list[int]:
        """The ids of all segments as one text."""
        return self.encode_spans(segments)[0]

    def encode_spans(self, segments: Iterable[Segment]) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """The ids (T), the characters from and to which each is, and the number of characters of each segment, counted
        as the tokenizer sees them."""
        parts = [
            self._controls.sub(lambda found: self._names[found[0]], segment.text) if segment.scaffold else segment.text
            for segment in segments
        ]
        with guarded("this text cannot be encoded"):
            encoded = self._marked.encode("".join(parts), add_special_tokens=False)
            return encoded.ids, encoded.offsets, [len(part) for part in parts]
