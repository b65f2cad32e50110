"""Phrases: the paper's score by hand, and joining against a plain loop that reads as word2phrase does."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.vectors import phrases
from trivium.vectors.phrases import join_phrases, phrase_score
from trivium.vectors.sentences import END, Corpus, read_corpus
from trivium.vectors.vocabulary import VocabularySettings, prepare


def spelt(corpus: Corpus) -> list[str]:
    return " ".join("\n" if n == END else corpus.words[n] for n in corpus.ids.tolist()).split(" ")


def plain(tokens: list[str], threshold: float, delta: int) -> list[str]:
    """The same by the definition: one look at each word, the last joined word begins no pair."""
    counts = Counter(token for token in tokens if token != "\n")
    total = sum(counts.values())
    pairs = Counter(p for p in zip(tokens, tokens[1:], strict=False) if "\n" not in p)
    out: list[str] = []
    before: str | None = None
    for token in tokens:
        good = False
        if before is not None and token != "\n" and before != "\n":
            a, b = counts[before], counts[token]
            if a >= delta and b >= delta:
                good = (pairs[before, token] - delta) / (a * b) * total > threshold
        if good:
            out[-1] = f"{out[-1]}_{token}"
            before = None
        else:
            out.append(token)
            before = token
    return out


def test_the_score_by_hand() -> None:
    # count(ab) = 20, delta = 5, count(a) = 25, count(b) = 30: 15 / 750.
    assert phrase_score(np.array([20]), np.array([25]), np.array([30]), 5).tolist() == [15 / 750]


def test_words_that_belong_together_are_joined() -> None:
    text = ["new york is a city", "we saw new york", "new york", "a new hat", "is it a york ham we saw"]
    corpus = join_phrases(read_corpus(text * 10), 2.5, 5)
    assert "new_york" in corpus.words
    assert "a_new" not in corpus.words
    assert corpus.counts[corpus.words.index("new_york")] == 30
    assert corpus.counts[corpus.words.index("new_hat")] == 10
    assert corpus.counts[corpus.words.index("new")] == 0
    assert spelt(corpus)[:5] == ["new_york", "is", "a_city", "\n", "we_saw"]


@given(st.lists(st.text(alphabet="abc ", min_size=1, max_size=25), min_size=1, max_size=5), st.integers(1, 2))
def test_joining_is_what_the_definition_says(documents: list[str], delta: int) -> None:
    if not any(document.split() for document in documents):
        return
    tokens = " ".join(" ".join([*d.split(), "\n"]) for d in documents if d.split()).split(" ")
    corpus = join_phrases(read_corpus(documents), 1.0, delta)
    assert spelt(corpus) == plain(tokens, 1.0, delta)
    assert corpus.counts.sum() == np.count_nonzero(corpus.ids >= 0)


@pytest.mark.parametrize("block", [1, 2, 3, 7])
def test_blocks_of_any_size_give_the_same(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [" ".join(np.random.default_rng(1).choice(list("aaab\n"), 400))]
    whole = spelt(join_phrases(read_corpus(documents), 0.6, 1))
    assert "a_a" in whole and "a" in whole  # runs of a, which are joined two by two
    monkeypatch.setattr(phrases, "_BLOCK", block)
    assert spelt(join_phrases(read_corpus(documents), 0.6, 1)) == whole


def test_a_second_pass_finds_longer_phrases() -> None:
    text = ["they live in new york city", "new york city is large", "see new york city", "new york is new"] * 10
    settings = VocabularySettings(min_count=5, phrases=(3.0, 1.0))
    assert "new_york_city" in prepare(text, settings).words
    assert "new_york_city" not in prepare(text, VocabularySettings(min_count=5, phrases=(3.0,))).words


def test_a_phrase_spelt_like_a_word_is_that_word() -> None:
    corpus = join_phrases(read_corpus(["a b", "a b", "a b", "a_b c"]), 0.5, 1)
    assert corpus.words.count("a_b") == 1
    assert corpus.counts[corpus.words.index("a_b")] == 4


def test_a_threshold_that_nothing_reaches_changes_nothing() -> None:
    corpus = read_corpus(["a b c"])
    assert join_phrases(corpus, 1e9, 1) is corpus
