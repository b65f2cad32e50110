"""Rows against a slow, obvious cutting of the same documents."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.text import Layout, cut, write_shards
from trivium.text import blocks as blocks_module

END = 9
documents_of_ids = st.lists(st.lists(st.integers(10, 99), max_size=23), min_size=2, max_size=12)


def shards_of(documents, folder):
    """Shards whose documents have exactly these ids: each text is its number."""
    return write_shards(
        map(str, range(len(documents))), lambda texts: [documents[int(text)] for text in texts], END, 100, folder, "f"
    )


def whole(blocks):
    return blocks.rows(np.arange(len(blocks)))


@given(documents_of_ids, st.integers(2, 9), st.integers(0, 1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stream_rows_are_windows_of_the_joined_documents(tmp_path_factory, documents, length, overlap):
    blocks = cut(shards_of(documents, tmp_path_factory.mktemp("s")), Layout("stream", length, overlap))
    stream = [token for document in documents for token in [*document, END]]
    rows = whole(blocks)
    stride = length - overlap
    for number in range(len(blocks)):
        expected = stream[number * stride : number * stride + length]
        padding = length - len(expected)
        assert rows.tokens[number].tolist() == expected + [0] * padding
        assert rows.documents[number].tolist() == [0] * len(expected) + [-1] * padding
        assert rows.positions[number].tolist() == list(range(len(expected))) + [0] * padding
    # Every token but the first is predicted exactly once where rows overlap by one; all are there where they do not.
    real = (rows.documents >= 0).sum() - overlap * len(blocks)
    assert real == max(len(stream) - overlap, 1 - overlap)


@given(
    documents_of_ids.filter(any), st.integers(4, 9), st.sampled_from([(), (1,), (1, 2)]), st.sampled_from([(), (3,)])
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_packed_rows_hold_every_piece_once(tmp_path_factory, documents, length, before, after):
    blocks = cut(shards_of(documents, tmp_path_factory.mktemp("s")), Layout("packed", length, 0, before, after))
    room = length - len(before) - len(after)
    expected = sorted(
        [*before, *document[start : start + room], *after]
        for document in documents
        for start in range(0, len(document), room)
    )
    rows, found = whole(blocks), []
    for tokens, numbers, positions in zip(rows.tokens, rows.documents, rows.positions, strict=True):
        for number in range(numbers.max() + 1):
            here = np.flatnonzero(numbers == number)
            assert here.tolist() == list(range(here[0], here[-1] + 1))
            assert positions[here].tolist() == list(range(len(here)))
            found.append(tokens[here].tolist())
        assert not tokens[numbers < 0].any() and not positions[numbers < 0].any()
        assert (
            (np.diff(numbers[numbers >= 0]) >= 0).all()
            and (numbers[np.argmin(numbers >= 0) :] < 0).all()
            or (numbers >= 0).all()
        )
    assert sorted(found) == expected
    assert blocks.density == pytest.approx((rows.documents >= 0).mean())


def sentences_of(document, ends, room):
    """They end behind the last of some ends side by side; longer ones than a row are cut."""
    found, begin = [], 0
    for place, token in enumerate(document):
        if place + 1 == len(document) or (token in ends and document[place + 1] not in ends):
            sentence = document[begin : place + 1]
            found += [sentence[at : at + room] for at in range(0, len(sentence), room)]
            begin = place + 1
    return found


@given(documents_of_ids.filter(any), st.integers(5, 14), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whole_sentences_fill_a_row_within_documents_or_over_them(tmp_path_factory, documents, length, joined):
    """RoBERTa's DOC-SENTENCES and FULL-SENTENCES, against joining sentence after sentence."""
    ends, room = set(range(10, 30)), length - 2
    layout = Layout("packed", length, before=(1,), after=(3,), sentences=tuple(ends), joined=joined)
    shards = shards_of(documents, tmp_path_factory.mktemp("s"))
    rows = whole(cut(shards, layout))
    expected: list[list[int]] = []
    groups = [sentences_of(document, ends, room) for document in documents]
    previous_empty = True
    for group in groups:
        for number, sentence in enumerate(group):
            end = [END] if joined and number == 0 and not previous_empty else []
            fresh = not expected or (number == 0 and (not joined or previous_empty))
            if fresh or len(expected[-1]) + len(end) + len(sentence) > room:
                expected.append([])
                end = []
            expected[-1] += end + sentence
        previous_empty = not group
    found = []
    for tokens, numbers in zip(rows.tokens, rows.documents, strict=True):
        pieces = [tokens[numbers == number].tolist() for number in range(numbers.max() + 1)]
        assert all((piece[0], piece[-1]) == (1, 3) for piece in pieces)
        assert not joined or len(pieces) == 1
        found += [piece[1:-1] for piece in pieces]
    assert (found if joined else sorted(found)) == (expected if joined else sorted(expected))


def test_a_row_does_not_depend_on_those_beside_it(tmp_path):
    documents = [list(range(10, 10 + n)) for n in (3, 30, 7, 12, 1, 19)]
    for layout in (Layout("packed", 8, before=(1,)), Layout("stream", 8, 1)):
        blocks = cut(shards_of(documents, tmp_path), layout)
        every = whole(blocks)
        picked = np.array([len(blocks) - 1, 0, 2, 0])
        some = blocks.rows(picked, np.array([5, 6, 7, 8]))
        assert (some.tokens == every.tokens[picked]).all() and (some.documents == every.documents[picked]).all()
        assert some.draws.tolist() == [5, 6, 7, 8]


def test_a_part_of_the_documents_gives_rows_of_these_alone(tmp_path):
    documents = [[10 + n] * 7 for n in range(40)]
    parts = shards_of(documents, tmp_path).split(share=0.2, seed=1)
    for layout in (Layout("packed", 10), Layout("stream", 10, 1)):
        seen = []
        for part in parts:
            blocks = cut(part, layout)
            tokens = set(whole(blocks).tokens.ravel().tolist()) - {0, END}
            assert tokens == {10 + int(number) for number in part.selected}
            assert blocks.tokens == part.token_count - (part.documents if layout.mode == "packed" else 0)
            seen.extend(tokens)
        assert sorted(seen) == list(range(10, 50))


def test_the_packing_is_kept_and_made_again_when_damaged(tmp_path, monkeypatch):
    documents = [list(range(10, 10 + n)) for n in (3, 30, 7)]
    shards, layout = shards_of(documents, tmp_path), Layout("packed", 8)
    first = whole(cut(shards, layout)).tokens
    [kept] = tmp_path.glob("rows-*.bin")
    calls = []
    real = blocks_module.pack
    monkeypatch.setattr(blocks_module, "pack", lambda *arguments: calls.append(1) or real(*arguments))
    assert (whole(cut(shards, layout)).tokens == first).all() and not calls
    data = bytearray(kept.read_bytes())
    data[20] ^= 1
    kept.write_bytes(data)
    assert (whole(cut(shards, layout)).tokens == first).all() and calls
    cut(shards, Layout("packed", 8, before=(1,)))
    assert len(list(tmp_path.glob("rows-*.bin"))) == 2


def test_layouts_that_cannot_be():
    for arguments in (("stream", 4, 4), ("packed", 2, 0, (1,), (2,)), ("heap", 4), ("stream", 4, 0, (1,))):
        with pytest.raises(SettingsError):
            Layout(*arguments)


def test_documents_without_a_token_are_said(tmp_path):
    with pytest.raises(DataError, match="only empty documents"):
        cut(shards_of([[], []], tmp_path), Layout("packed", 8))
