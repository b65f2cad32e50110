"""Exact counts within a stated memory, in the order of first appearance, and nothing left behind."""

import os
import subprocess
import sys
import tempfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizers import normalizers, pre_tokenizers
from trivium.errors import DataError, RefusedError
from trivium.tokenizers import counting, runs
from trivium.tokenizers.counting import WordTable, count_words, parts
from trivium.tokenizers.pretokens import count_pretokens

WORDS = st.lists(st.text(st.sampled_from("abé😀\ud800\n"), min_size=1, max_size=4), max_size=60)


def as_list(counts):
    return list(zip(counts.words, counts.counts.tolist(), strict=True))


@given(st.lists(WORDS, max_size=8), st.integers(1, 3))
def test_spilled_runs_give_what_a_counter_gives(documents, blocks):
    """Every ``add`` is written as a run, and runs are merged two at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "FAN_IN", 2)
        with WordTable(1 << 20) as table:
            table.runs._block = blocks
            for words in documents:
                table.add(words)
                if table.table:
                    table._spill()
            result = table.result()
    expected = Counter(word for words in documents for word in words)
    assert as_list(result) == list(expected.items())
    assert result.total == sum(map(len, documents))


@given(st.lists(WORDS, max_size=5), st.integers(1, 9), st.integers(1, 3), st.booleans())
def test_the_most_frequent_and_those_frequent_enough(documents, most, least, spilled):
    with WordTable(1 << 20) as table:
        for words in documents:
            table.add(words)
            if spilled and table.table:
                table._spill()
        found = table.result(most, least)
    counter = Counter(word for words in documents for word in words)
    enough = Counter({word: count for word, count in counter.items() if count >= least})
    assert Counter(dict(as_list(found))) == Counter(dict(enough.most_common(most)))  # ties: first seen, as there
    assert found.words == [word for word in counter if word in set(found.words)]


@pytest.fixture(scope="module")
def text():
    """60,000 words with Zipf's frequencies, some with accents, punctuation or capital letters."""
    ranks = (1 / np.random.default_rng(7).uniform(1e-5, 1, 60_000)).astype(int)
    forms = ("w{}", "É{},", "«{}»", "{}'s")
    words = [forms[rank % 4].format(f"{rank * 2654435761 % 10**9:b}") for rank in ranks.tolist()]
    return "\n\n".join(" ".join(words[start : start + 50]) for start in range(0, len(words), 50))


@pytest.mark.parametrize("memory", [counting.MEMORY, 1 << 20])
def test_a_small_memory_counts_the_same(text, memory):
    expected = Counter(text.split())
    assert as_list(count_words([text], memory=memory)) == list(expected.items())
    assert as_list(count_words(text.split("\n\n"), memory=memory)) == list(expected.items())
    wanted = count_words([text], memory=memory, most=50, least=2)
    assert Counter(dict(as_list(wanted))) == Counter(dict(expected.most_common(50)))


def test_counts_are_64_bit():
    with WordTable() as table:
        table.add_counts(["a", "b"], [3 << 40, 1])
        table._spill()
        table.add_counts(["a"], [1 << 40])
        assert as_list(table.result()) == [("a", 4 << 40), ("b", 1)]


def many_words(count):
    return (" ".join(f"{number:09x}" for number in range(start, start + 1000)) for start in range(0, count, 1000))


def test_distinct_words_that_do_not_fit_are_refused_with_the_memory_they_need():
    with pytest.raises(RefusedError, match=r"20,000 different words, which need ([\d,]+) bytes .* --memory") as error:
        count_words(many_words(20_000), memory=1 << 20)
    need = int(str(error.value).split("need ")[1].split()[0].replace(",", ""))
    assert 20_000 * 58 < need < 20_000 * 200
    assert len(count_words(many_words(20_000), memory=need)) == 20_000
    assert len(count_words(many_words(20_000), memory=1 << 20, most=10)) == 10


def test_the_temporary_file_goes_also_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = []
    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **names: opened.append(real(**names)) or opened[-1])

    def damaged():
        yield from many_words(20_000)
        assert opened
        raise DataError("line 7 is damaged")

    with pytest.raises(DataError, match="line 7"):
        count_words(damaged(), memory=1 << 20)
    assert opened[0].closed and not os.listdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr(tempfile, "TemporaryFile", real)
    with pytest.raises(RefusedError, match="missing cannot take them .* TMPDIR"):
        count_words(many_words(20_000), memory=1 << 20)


@given(st.text(st.sampled_from("ab \n\té"), max_size=300), st.integers(1, 40))
def test_parts_keep_words_whole_where_there_is_white_space(text, size):
    found = list(parts([text], size))
    assert "".join(found) == text
    assert all(len(part) <= size for part in found) or len(found) == 1
    if all(len(word) < size - 1 for word in text.replace("\t", "x").split()):
        assert Counter(word for part in found for word in part.split()) == Counter(text.split())


PEAK = """
import sys
from trivium.tokenizers.counting import count_words
import numpy
def peak():  # of this process alone: what the one that started it had is not counted
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
count, memory = int(sys.argv[1]), int(sys.argv[2])
count_words(["base and base"])
open("/proc/self/clear_refs", "w").write("5")
base = peak()
texts = (" ".join(f"{n * 7919 % 999999937:09x}" for n in range(s, s + 1000)) for s in range(0, count, 1000))
counts = count_words(texts, memory=memory)
assert len(counts) == count and counts.total == count
print(peak() - base)
"""


@pytest.mark.parametrize(
    ("count", "memory"), [(150_000, 24 << 20), pytest.param(5_000_000, 900 << 20, marks=pytest.mark.slow)]
)
def test_the_memory_is_kept(count, memory):
    """Many distinct words through runs on disk; beyond the cap only what a part of the text takes while it is split."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("this system does not tell a process its peak memory")
    command = [sys.executable, "-c", PEAK, str(count), str(memory)]
    gained = int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=280).stdout)
    assert gained < memory + (2 << 20)


RULES = [
    (normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()),
    (normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()),
    (None, pre_tokenizers.WhitespaceSplit()),
]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=5), st.sampled_from(RULES))
def test_pretokens_of_distinct_stretches_are_those_of_the_text(documents, rules):
    normalizer, pre_tokenizer = rules
    text = "\n".join(document for document in documents if document)
    normal = normalizer.normalize_str(text) if normalizer else text
    expected = Counter(word for word, _ in pre_tokenizer.pre_tokenize_str(normal))
    if not expected:
        with pytest.raises(DataError, match="no text to learn"):
            count_pretokens(documents, normalizer, pre_tokenizer)
        return
    assert as_list(count_pretokens(documents, normalizer, pre_tokenizer)) == list(expected.items())


def test_pretokens_in_little_memory(text):
    normalizer, pre_tokenizer = RULES[0]
    words = pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))
    expected = Counter(word for word, _ in words)
    assert as_list(count_pretokens([text], normalizer, pre_tokenizer, memory=2 << 20)) == list(expected.items())


def test_half_a_surrogate_pair_is_an_error_of_the_data():
    with pytest.raises(DataError, match=r"U\+D800, half a surrogate pair"):
        count_pretokens(["fine a\ud800b"], None, pre_tokenizers.WhitespaceSplit())
