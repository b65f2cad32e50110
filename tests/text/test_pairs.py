"""Pairs of segments against the published loop, written out sentence by sentence and fed the same random numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.randomness import Draws, key
from trivium.text import Layout, cut, write_shards
from trivium.text import blocks as blocks_module
from trivium.text.mixture import Mixture
from trivium.text.pairs import TRIES, find_sentences
from trivium.text.rows import Pairs

END, CLASSIFY, SEPARATOR, STOP = 9, 1, 2, 3  # STOP ends a sentence
sentences = st.lists(st.integers(10, 99), min_size=1, max_size=9)
corpora = st.lists(st.lists(sentences, max_size=8), min_size=2, max_size=6)


def layout(length=16, copies=2, short=0.3):
    return Layout("pairs", length, 0, (CLASSIFY,), (SEPARATOR,), pairs=Pairs((STOP,), copies, short))


def shards_of(documents, folder):
    ids = [[token for sentence in document for token in [*sentence, STOP]] for document in documents]
    return write_shards(
        map(str, range(len(ids))), lambda texts: [ids[int(text)] for text in texts], END, 100, folder, "f"
    )


def corpus(documents=40, sentences=30, seed=0):
    """Ids say where a token is from: 10 + its document."""
    draw = np.random.default_rng(seed)
    return [[[10 + d] * int(n) for n in draw.integers(1, 9, sentences)] for d in range(documents)]


def published(documents, length, copies, short, seed):
    """``create_instances_from_document`` for every document of every copy."""
    room = length - 3
    cut_up = [
        [piece for whole in ([*s, STOP] for s in document)
         for piece in (whole[at : at + room] for at in range(0, len(whole), room))]
        for document in documents
    ]  # fmt: skip
    documents = [document for document in cut_up if document]
    for lane in range(copies * len(documents)):
        number, document = lane % len(documents), documents[lane % len(documents)]
        first, second = Draws(key(seed, "pairs"), np.array([lane])).uniform("length", 2)[0]
        target = 2 + int(second * (room - 1)) if first < short else room
        chunk, i, made = [], 0, 0
        while i < len(document):
            chunk.append(document[i])
            if i == len(document) - 1 or sum(map(len, chunk)) >= target:
                draws = Draws(key(seed, "pairs"), np.array([(lane << 32) + made]))
                chance = draws.uniform("choice", 3 + TRIES)[0]
                a_end = 1 + int(chance[0] * (len(chunk) - 1)) if len(chunk) > 1 else 1
                a, b = sum(chunk[:a_end], []), []
                other = len(chunk) == 1 or chance[1] < 0.5
                if other:
                    for tried in chance[3:]:
                        elsewhere = int(tried * len(documents))
                        if elsewhere != number:
                            break
                    there = documents[elsewhere]
                    for sentence in there[int(chance[2] * len(there)) :]:
                        b += sentence
                        if len(b) >= target - len(a):
                            break
                    i -= len(chunk) - a_end
                else:
                    b = sum(chunk[a_end:], [])
                sizes = [len(a), len(b)]
                while sum(sizes) > room:
                    sizes[0 if sizes[0] > sizes[1] else 1] -= 1
                yield a, b, other, sizes
                made += 1
                chunk = []
            i += 1


@given(corpora.filter(lambda c: sum(map(bool, c)) > 1 and any(len(d) > 1 for d in c)), st.integers(7, 20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_published_loop_makes_the_same_pairs(tmp_path_factory, documents, length):
    blocks = cut(shards_of(documents, tmp_path_factory.mktemp("s")), layout(length), seed=5)
    rows = blocks.rows(np.arange(len(blocks)))
    expected = list(published(documents, length, 2, 0.3, 5))
    assert len(blocks) == len(expected)
    for number, (a, b, other, sizes) in enumerate(expected):
        tokens, total = rows.tokens[number].tolist(), sum(sizes) + 3
        assert (tokens[0], tokens[1 + sizes[0]], tokens[total - 1]) == (CLASSIFY, SEPARATOR, SEPARATOR)
        for found, whole in ((tokens[1 : 1 + sizes[0]], a), (tokens[2 + sizes[0] : total - 1], b)):
            assert any(whole[at : at + len(found)] == found for at in range(len(whole) - len(found) + 1)) and found
        assert rows.labels[number] == other
        assert rows.segments[number].tolist() == [0] * (sizes[0] + 2) + [1] * (sizes[1] + 1) + [0] * (length - total)
        assert rows.documents[number].tolist() == [0] * total + [-1] * (length - total)
        assert rows.positions[number].tolist() == [*range(total)] + [0] * (length - total)


def test_half_are_of_another_document_and_none_passes_the_length(tmp_path):
    """Slightly more than half: a chunk of one sentence has no next one. A pair has at most 512 tokens (BERT)."""
    shards = shards_of(corpus(60, 200), tmp_path)
    for length in (64, 512):
        blocks = cut(shards, layout(length, copies=10, short=0.1))
        rows = blocks.rows(np.arange(len(blocks)))
        assert 0.45 < rows.labels.mean() < 0.60
        real = (rows.documents >= 0).sum(1)
        assert real.max() == length <= 512 and 0.6 < blocks.density == pytest.approx(real.mean() / length)
        text = np.where(rows.tokens > 9, rows.tokens, 0)
        a = np.where(rows.segments == 0, text, 0).max(1)  # each document is one id
        b = np.where(rows.segments == 1, text, 0).max(1)
        assert ((a != b) == (rows.labels == 1)).mean() > 0.9995  # ten tries in 60 documents


def test_a_pair_loses_tokens_of_its_longer_segment_by_a_coin_at_either_end(tmp_path):
    """12 and 36 tokens in room for 40: eight of the 36 go, of which half, 1.4 more or less, were the first."""
    documents = [[list(range(10, 21)), list(range(50, 85))]] * 2
    blocks = cut(shards_of(documents, tmp_path), layout(43, copies=1000, short=0.0))
    rows = blocks.rows(np.arange(len(blocks)))
    follows = rows.labels == 0
    first = rows.tokens[follows, 14]  # after [CLS], 12 tokens and [SEP]
    assert follows.sum() > 500 and (rows.segments[follows].sum(1) == 28 + 1).all()
    assert set(first) == set(range(50, 59))
    assert (first - 50).mean() == pytest.approx(4, abs=4 * (2 / len(first)) ** 0.5)
    assert (first - 50).std() == pytest.approx(2**0.5, rel=0.15)


def test_copies_differ_come_back_and_depend_on_the_seed_alone(tmp_path, monkeypatch):
    shards = shards_of(corpus(), tmp_path)
    one = cut(shards, layout(32, copies=1), seed=3)
    two = cut(shards, layout(32, copies=2), seed=3)
    rows = one.rows(np.arange(len(one)))
    assert (rows.tokens == two.rows(np.arange(len(one))).tokens).all()
    again = two.rows(np.arange(len(one), len(two)))
    assert again.tokens.shape != rows.tokens.shape or (again.tokens != rows.tokens).any()
    assert (one.passes, two.passes) == (1, 2) and one.tokens == two.tokens == shards.token_count - 40
    calls = []
    monkeypatch.setattr(blocks_module, "chosen_pairs", lambda *given: calls.append(given))
    kept = cut(shards, layout(32, copies=1), seed=3)
    assert not calls and (kept.rows(np.arange(len(one))).tokens == rows.tokens).all()
    with pytest.raises(TypeError):
        cut(shards, layout(32, copies=1), seed=4)
    assert calls


def test_parts_and_mixtures_keep_segments_and_labels(tmp_path):
    made = [cut(shards_of(corpus(seed=n), tmp_path / str(n)), layout(32, copies=2)) for n in range(2)]
    mixture = Mixture(made, [1.0, 1.0], 0)
    rows = mixture.rows(0, 20)
    for part in (mixture.rows(5, 10), rows.part(5, 15)):
        for name in ("tokens", "documents", "positions", "segments", "labels"):
            assert (getattr(part, name) == getattr(rows, name)[5:15]).all(), name
    assert set(rows.labels) == {0, 1}
    whole = mixture.epochs(len(made[0]) + len(made[1]))  # both copies of both
    assert whole == pytest.approx([2, 2], rel=0.05)


def test_sentences_end_once_and_none_is_longer_than_a_row(tmp_path):
    ids = [[STOP, 10, STOP, STOP, STOP, 11, 12], [], [13] * 10, [14, STOP]]
    shards = write_shards(map(str, range(4)), lambda texts: [ids[int(t)] for t in texts], END, 100, tmp_path, "f")
    found = find_sentences(shards, np.arange(100) == STOP, 6)
    lengths = np.diff(found.offsets).tolist()
    assert [shards.tokens[s : s + n].tolist() for s, n in zip(found.starts, lengths, strict=True)] == (
        [[STOP], [10, STOP, STOP, STOP], [11, 12], [13] * 6, [13] * 4, [14, STOP]]
    )
    assert found.first.tolist() == [0, 3, 5, 6]


def test_parts_of_a_text_know_their_own_documents_only(tmp_path):
    whole = shards_of(corpus(), tmp_path)
    for part in whole.split(0.3):
        rows = (blocks := cut(part, layout(32))).rows(np.arange(len(blocks)))
        assert set(np.unique(rows.tokens[rows.tokens > 9]) - 10) == set(part.selected)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([[[10], [11]]], r"has 1 document\(s\), and next-sentence prediction needs two documents"),
        ([[[10], [11]], []], r"has 1 document\(s\)"),
        ([[], []], r"has 0 document\(s\)"),
        ([[[10]], [[11]]], r"has 2 documents of one sentence each.*objective\.kind = \"masked\""),
    ],
)
def test_documents_that_make_no_pairs_are_refused_in_one_sentence(documents, message, tmp_path):
    with pytest.raises(DataError, match=message):
        cut(shards_of(documents, tmp_path), layout())
    assert not list(tmp_path.glob("rows-*"))


def test_impossible_layouts_are_refused():
    with pytest.raises(SettingsError, match="no room for a pair"):
        layout(4)
    with pytest.raises(SettingsError, match="come together"):
        replace(layout(), pairs=None)
    with pytest.raises(SettingsError, match="pairs rows do not follow each other"):
        replace(layout(), continued=True)
