"""Words with their letters in disorder (Brown et al. 2020, section 3.9.2), as examples to be asked for in context.

GPT-3's five kinds, and the removal of extraneous symbols of its figure 1.2. Every puzzle is a pure function of seed,
kind and word. The paper's words are the 10,000 most frequent ones of 4 to 15 letters.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from trivium.errors import DataError
from trivium.randomness import Draws, key
from trivium.text.examples import Located, Rewrite
from trivium.text.few_shot import Layout

SHORTEST, LONGEST, WORDS = 4, 15, 10_000
_SYMBOLS = ".,!?/;:-*#"

Noise = Callable[[int], np.ndarray]
"""So many numbers in [0, 1), always the same for one word."""


def cycled(word: str, noise: Noise) -> str:
    """"lyinevitab" is "inevitably"."""
    turn = 1 + int(noise(1)[0] * (len(word) - 1))
    return word[turn:] + word[:turn]


def all_but(kept: int) -> Callable[[str, Noise], str]:
    """All letters but the first and last ``kept`` in disorder: "criroptuon" is "corruption"."""

    def shuffled(word: str, noise: Noise) -> str:
        inner = word[kept : len(word) - kept]
        order = np.argsort(noise(len(inner)), kind="stable")
        mixed = "".join(inner[i] for i in order)
        if mixed == inner:
            mixed = inner[1:] + inner[:1]
        return word[:kept] + mixed + word[len(word) - kept :]

    return shuffled


def inserted(word: str, noise: Noise) -> str:
    """A mark or a blank between all letters: "s.u!c/c!e.s s i/o/n" is "succession"."""
    marks = _SYMBOLS[:5] + " "
    between = [marks[int(each * len(marks))] for each in noise(len(word) - 1)]
    return "".join(letter + mark for letter, mark in zip(word, [*between, ""], strict=True))


def reversed_letters(word: str, noise: Noise) -> str:
    """"stcejbo" is "objects"."""
    return word[::-1]


def strewn(word: str, noise: Noise) -> str:
    """Up to two symbols after each letter, at least one in all: "h#el*-lo!" is "hello"."""
    drawn = noise(3 * len(word)).reshape(len(word), 3)
    counts = (drawn[:, 0] * 3).astype(int)
    if not counts.any():
        counts[len(word) // 2] = 1
    marks = [[_SYMBOLS[int(each * len(_SYMBOLS))] for each in row[1:]] for row in drawn]
    return "".join(
        letter + "".join(row[:count]) for letter, row, count in zip(word, marks, counts.tolist(), strict=True)
    )


WORD_PUZZLES: dict[str, tuple[Callable[[str, Noise], str], Layout]] = {
    "cycle-letters": (cycled, Layout("Turn the letters round into a word.", "{source} = {answer}", "\n")),
    "anagrams-1": (all_but(1), Layout("Unscramble the letters into a word.", "{source} = {answer}", "\n")),
    "anagrams-2": (all_but(2), Layout("Unscramble the letters into a word.", "{source} = {answer}", "\n")),
    "random-insertion": (inserted, Layout("Take the marks out of the word.", "{source} = {answer}", "\n")),
    "reversed-words": (reversed_letters, Layout("Write the word that is reversed.", "{source} = {answer}", "\n")),
    "symbol-removal": (strewn, Layout("Remove the extraneous symbols from the word.", "{source} = {answer}", "\n")),
}
"""By name, how a word is put in disorder, and the layout of its prompts."""


def frequent_words(texts: Iterable[str], most: int = WORDS) -> list[str]:
    """The most frequent words of 4 to 15 letters, all of them small ones of one kind; equal ones in their order."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word in text.split() if word.isalpha() and word.islower() and word.isascii())
    fit = [word for word, _ in counts.most_common() if SHORTEST <= len(word) <= LONGEST and len(set(word)) > 2]
    if len(fit) < 2:
        raise DataError(f"there are {len(fit)} words of {SHORTEST} to {LONGEST} letters: give more text")
    return fit[:most]


def puzzles(kind: str, words: Sequence[str], seed: int) -> list[Located[Rewrite]]:
    """One of each word, in an order of their own; words of which nothing comes but themselves are left out."""
    change, _ = WORD_PUZZLES[kind]
    order = np.argsort(Draws(key(seed, "words"), np.arange(len(words))).bits("order", 1)[:, 0], kind="stable")
    found = []
    for number in order.tolist():
        word = words[number]
        source = change(word, _noise(seed, kind, word))
        if source != word:
            found.append(Located(Rewrite(source, word), f"{kind}[{number}]"))
    return found


def _noise(seed: int, kind: str, word: str) -> Noise:
    draws = Draws(key(seed, "puzzle", kind, word), np.arange(1))
    return lambda count: draws.uniform("letters", count)[0]
