"""Lanes: contiguous, complete, a pure function of step and lane."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import RefusedError, SettingsError
from trivium.text.blocks import cut
from trivium.text.lanes import Lanes, full_rows, passage
from trivium.text.rows import Layout
from trivium.text.shards import write_shards

LAYOUT = Layout("stream", 6, overlap=1, continued=True)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """163 tokens 0, 1, 2 ... in documents of different lengths: 32 full rows of 5 predictions, 2 predictions left."""
    sizes, start, documents = [40, 3, 70, 50], 0, []
    for size in sizes:
        documents.append(np.arange(start, start + size - 1))
        start += size
    folder = tmp_path_factory.mktemp("shards")
    return cut(write_shards(["x"] * 4, lambda texts: [documents.pop(0) for _ in texts], 999, 1000, folder, "f"), LAYOUT)


def stream(blocks) -> np.ndarray:
    return blocks.shards.take(np.arange(blocks.tokens))


@pytest.mark.parametrize("count", [1, 3, 7, 32])
def test_each_lane_reads_the_text_in_its_order(text, count):
    whole, lanes = stream(text), Lanes([text], [1.0], count)
    assert full_rows(text) == 32 and len(text) == 33
    for lane in range(count):
        rows = [lanes.rows(step * count, count) for step in range(40)]
        assert all(np.array_equal(row.lanes, np.arange(count)) for row in rows)
        read = np.concatenate([row.tokens[lane, :-1] for row in rows])
        begin = lane * 32 // count * 5
        ring = np.concatenate([whole[:160]] * 3)
        assert np.array_equal(read, ring[begin : begin + 200])
        assert all((row.documents == 0).all() for row in rows), "padding"


@pytest.mark.parametrize("count", [1, 4, 8, 5])
def test_all_lanes_together_read_every_row(text, count):
    lanes = Lanes([text], [1.0], count)
    _, rows = lanes.draw(np.arange(count * -(-32 // count)))
    assert set(rows.tolist()) == set(range(32))
    _, rows = lanes.draw(np.arange(count * 32))
    assert np.bincount(rows).tolist() == [count] * 32
    assert lanes.epochs(count * 32) == [count]


def test_a_row_depends_on_step_and_lane_alone(text):
    lanes = Lanes([text], [1.0], 4)
    one = lanes.rows(4 * 9, 4)
    parts = [one.part(0, 1), one.part(1, 4)]
    assert [part.lanes.tolist() for part in parts] == [[0], [1, 2, 3]]
    assert np.array_equal(np.concatenate([p.tokens for p in parts]), lanes.rows(4 * 9, 4).tokens)


def test_sources_have_lanes_by_weight_and_at_least_one(text):
    lanes = Lanes([text, text, text], [6.0, 3.0, 0.01], 10)
    assert np.bincount(lanes.homes).tolist() == [6, 3, 1]
    source, _ = lanes.draw(np.arange(30))
    assert source.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 2] * 3
    with pytest.raises(SettingsError, match="3 sources of text and 2 rows"):
        Lanes([text] * 3, [1.0] * 3, 2)


def test_a_text_shorter_than_a_row_is_refused(text):
    long = replace(text, layout=Layout("stream", 200, overlap=1, continued=True))
    with pytest.raises(RefusedError, match="less than one row of 200"):
        Lanes([long], [1.0], 1)


@given(st.integers(1, 60), st.integers(1, 20))
def test_a_passage_is_every_row_once_in_lanes_that_follow(count, lanes):
    seen, last = [], {}
    for rows, own in passage(count, lanes):
        for row, lane in zip(rows.tolist(), own.tolist(), strict=True):
            assert last.get(lane, row - 1) == row - 1
            last[lane] = row
            seen.append(row)
    assert sorted(seen) == list(range(count)) and len(last) <= lanes
