"""Text to sentences and word numbers, against plain Python on the same text."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.vectors import sentences as module
from trivium.vectors.sentences import END, Corpus, read_corpus, sentences


def spelt(corpus: Corpus) -> list[list[str]]:
    """The sentences that the numbers stand for."""
    rows: list[list[str]] = [[]]
    for number in corpus.ids.tolist():
        if number == END:
            rows.append([])
        else:
            rows[-1].append(corpus.words[number])
    return rows[:-1]


def test_each_line_with_words_is_a_sentence() -> None:
    documents = ["The cat sat.\n\n  \nIt purred", "A dog\tbarked\r\n"]
    assert list(sentences(documents)) == [["The", "cat", "sat."], ["It", "purred"], ["A", "dog", "barked"]]
    assert list(sentences(lambda: documents, lowercase=True, pattern="words")) == [
        ["the", "cat", "sat"],
        ["it", "purred"],
        ["a", "dog", "barked"],
    ]


def test_a_form_feed_ends_no_sentence() -> None:
    assert list(sentences(["one\x0ctwo\x85three\u2028four"])) == [["one", "two", "three", "four"]]


def test_words_keep_their_apostrophe_and_own_patterns_work() -> None:
    assert list(sentences(["Don’t stop 'now', it's 5 o'clock"], pattern="words")) == [
        ["Don’t", "stop", "now", "it's", "5", "o'clock"]
    ]
    assert list(sentences(["ab12cd"], pattern="[a-z]+")) == [["ab", "cd"]]


lines = st.lists(st.text(alphabet="ab \n", max_size=12), max_size=8)


@given(lines)
def test_numbers_spell_the_text(documents: list[str]) -> None:
    plain = [line.split() for document in documents for line in document.split("\n") if line.split()]
    if not plain:
        with pytest.raises(DataError, match="no words"):
            read_corpus(documents)
        return
    corpus = read_corpus(iter(documents))
    assert spelt(corpus) == plain
    assert dict(zip(corpus.words, corpus.counts.tolist(), strict=True)) == Counter(w for row in plain for w in row)
    assert corpus.words == list(dict.fromkeys(w for row in plain for w in row))
    assert corpus.tokens == sum(map(len, plain))
    assert corpus.ids.dtype == np.int32


def test_a_text_above_the_memory_goes_to_a_file_and_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [f"word{n % 50} and word{n % 7}\n" * 40 for n in range(300)]
    held = read_corpus(documents)
    written = []
    write = module._Store.write
    monkeypatch.setattr(module._Store, "write", lambda self: (written.append(len(self.held)), write(self))[1])
    filed = read_corpus(documents, memory=64 << 10)
    assert len(written) > 2
    assert filed.words == held.words
    assert np.array_equal(filed.ids, held.ids)
    assert np.array_equal(filed.counts, held.counts)


def test_too_many_different_words_are_refused_with_the_remedy() -> None:
    documents = (f"w{n} x{n} y{n}" for n in range(100_000))
    with pytest.raises(RefusedError, match="raise memory"):
        read_corpus(documents, memory=1 << 20)


@pytest.mark.parametrize(
    ("pattern", "said"), [("(", "no regular expression"), ("(a)b", "capturing"), ("a*", "empty text")]
)
def test_patterns_that_cannot_be_used(pattern: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        list(sentences(["a"], pattern=pattern))


def test_a_file_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a b\nc a\n")
    with path.open() as lines:
        assert spelt(read_corpus(lines)) == [["a", "b"], ["c", "a"]]
