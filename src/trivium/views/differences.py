"""How what a model reads differs from the text that it was made of, found by laying one beside the other.

In place where at least as many tokens then stay the same as along the longest common runs (difflib), else along those.
"""

from collections import Counter
from difflib import SequenceMatcher
from typing import Literal

import numpy as np

State = Literal["same", "masked", "changed", "moved", "added"]


def compare(text: np.ndarray, read: np.ndarray, mask: int | None) -> tuple[list[State], np.ndarray]:
    """Of each token read (N,): its state, and the place in ``text`` (M,) of the token that it stands for, or -1.

    ``same``: the text's own token; ``masked``: the mask token in its place; ``changed``: another in its place;
    ``moved``: a text in another order, where this place has another token; ``added``: what stands for no one token.
    """
    if len(text) == len(read) and Counter(text.tolist()) == Counter(read.tolist()):
        return _moved(text, read)
    origin = max(_in_place(text, read), _along_runs(text, read), key=lambda each: _unchanged(text, read, each))
    states: list[State] = []
    for token, place in zip(read.tolist(), origin.tolist(), strict=True):
        if token == mask and (place < 0 or text[place] != token):
            states.append("masked")
        elif place < 0:
            states.append("added")
        else:
            states.append("same" if text[place] == token else "changed")
    return states, origin


def _unchanged(text: np.ndarray, read: np.ndarray, origin: np.ndarray) -> int:
    aligned = origin >= 0
    return int((text[origin[aligned]] == read[aligned]).sum())


def _moved(text: np.ndarray, read: np.ndarray) -> tuple[list[State], np.ndarray]:
    """The same tokens in another order: equal ones that moved keep their order among themselves."""
    stays = text == read
    origin, left = np.arange(len(read)), np.flatnonzero(~stays)
    origin[left[np.argsort(read[left], kind="stable")]] = left[np.argsort(text[left], kind="stable")]
    return ["same" if each else "moved" for each in stays], origin


def _in_place(text: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Token by token; where one more is read, after the first: a token opens the row, or a decoder's start does."""
    places = np.arange(len(read)) - (len(read) == len(text) + 1)
    best = places
    if len(read) == len(text):  # a decoder that reads its own targets moved right by one
        best = max(places, places - 1, key=lambda each: _unchanged(text, read, np.where(each < len(text), each, -1)))
    return np.where(best < len(text), best, -1)


def _along_runs(text: np.ndarray, read: np.ndarray) -> np.ndarray:
    origin = np.full(len(read), -1, np.int64)
    matcher = SequenceMatcher(None, text.tolist(), read.tolist(), autojunk=False)
    for kind, begin, end, first, last in matcher.get_opcodes():
        if kind == "equal" or (kind == "replace" and end - begin == last - first):
            origin[first:last] = np.arange(begin, end)
    return origin
