"""From the words of a tokenised corpus back to text as people write it, so that nothing is lost: WikiText, and the Penn
Treebank as language models use it.

GPT-2 was scored on such corpora "with invertible de-tokenizers" (Radford et al. 2019, section 3.1): a probability of
the text as written is a probability of the corpus only where the corpus follows from the text. Here that is kept by
construction: words are joined only where cutting them again, with the corpus's vocabulary known, gives the same words.
So `Mr.`, a word of WikiText, stays apart from a full stop. The rules that join are those of the evaluation harness's
WikiText task (which in part cannot be undone): spaces before punctuation, inside brackets and quotes, around `@-@`.
``<unk>`` stays, and of PTB also its ``N``.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

OPENING = frozenset("([{$£€#")
CLOSING = frozenset(".,;:!?)]}%'") | {"'s", "n't", "'re", "'ve", "'ll", "'d", "'m"}
INNER = {"@-@": "-", "@,@": ",", "@.@": "."}


@dataclass(frozen=True)
class Detokeniser:
    """Joins and cuts words. ``inner``: how marks inside words are written."""

    inner: Mapping[str, str]

    def join(self, words: Sequence[str], vocabulary: Collection[str]) -> str:
        """A line's words as text."""
        written: list[str] = []  # what stands between spaces
        held: list[list[str]] = []  # and the words in it
        glue, quoted, place = False, False, 0
        while place < len(words):
            word = words[place]
            inner = word in self.inner and place + 1 < len(words)
            taken = list(words[place : place + 1 + inner])  # a mark inside a word goes with the word after it
            joins = glue or inner or word in CLOSING or (word == '"' and quoted)
            together = "".join(self.inner[each] if each is word and inner else each for each in taken)
            last = taken[-1]
            glue = last in OPENING or (last == '"' and not quoted)
            if joins and written and self.cut(written[-1] + together, vocabulary) == [*held[-1], *taken]:
                written[-1] += together
                held[-1] += taken
            else:  # as the corpus has it: every word of the vocabulary is cut as itself
                taken = taken[:1]
                written.append(word)
                held.append([word])
                glue = word in OPENING or (word == '"' and not quoted)
            quoted ^= sum(each == '"' for each in taken) % 2 == 1
            place += len(taken)
        return " ".join(written)

    def cut(self, chunk: str, vocabulary: Collection[str]) -> list[str]:
        """The words in a piece of text without spaces."""
        if chunk in vocabulary or len(chunk) < 2:
            return [chunk]
        if chunk[0] in OPENING or chunk[0] == '"':
            return [chunk[0], *self.cut(chunk[1:], vocabulary)]
        for size in (3, 2, 1):
            if len(chunk) > size and (chunk[-size:] in CLOSING or chunk[-size:] == '"'):
                return [*self.cut(chunk[:-size], vocabulary), chunk[-size:]]
        for mark, written in self.inner.items():
            first, found, rest = chunk.partition(written)
            if found and first and rest:
                return [*self.cut(first, vocabulary), mark, *self.cut(rest, vocabulary)]
        return [chunk]

    def text(self, corpus: str) -> str:
        """Each line's words joined; spaces at a line's ends are left out, as they carry nothing."""
        lines = corpus.split("\n")
        vocabulary = {word for line in lines for word in line.split(" ") if word}
        return "\n".join(self.join([word for word in line.split(" ") if word], vocabulary) for line in lines)

    def words(self, text: str, vocabulary: Collection[str]) -> list[list[str]]:
        """The inverse: the words of each line."""
        return [
            [word for chunk in line.split(" ") if chunk for word in self.cut(chunk, vocabulary)]
            for line in text.split("\n")
        ]


def _as_it_is(corpus: str) -> str:
    return corpus


DETOKENISERS: dict[str, Callable[[str], str]] = {
    "none": _as_it_is,
    "wikitext": Detokeniser(INNER).text,
    "ptb": Detokeniser({}).text,
}
