"""Documents cut out of rows and put back: against loops."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from trivium.recurrent.pieces import Pieces


@st.composite
def documents(draw: st.DrawFn) -> torch.Tensor:
    length = draw(st.integers(1, 9))
    rows = draw(st.lists(st.lists(st.integers(-1, 2), min_size=length, max_size=length), min_size=1, max_size=4))
    return torch.tensor(rows)


def by_hand(rows: torch.Tensor) -> list[tuple[int, int, int, int]]:
    """(row, start, length, document) of every run of one document."""
    found = []
    for r, row in enumerate(rows.tolist()):
        start = 0
        for t in range(1, len(row) + 1):
            if t == len(row) or row[t] != row[start]:
                if row[start] >= 0:
                    found.append((r, start, t - start, row[start]))
                start = t
    return found


@given(documents())
def test_pieces_are_the_runs_of_a_document(rows: torch.Tensor) -> None:
    pieces, expected = Pieces.of(rows), by_hand(rows)
    found = zip(pieces.rows, pieces.starts, pieces.lengths, pieces.documents, strict=True)
    assert [tuple(map(int, each)) for each in found] == expected
    x = torch.arange(1, rows.numel() + 1, dtype=torch.float32).reshape(*rows.shape, 1)
    cut = pieces.cut(x)
    for n, (r, start, length, _) in enumerate(expected):
        assert torch.equal(cut[n, :length], x[r, start : start + length])
        assert torch.equal(pieces.reverse(cut)[n, :length], x[r, start : start + length].flip(0))
    assert torch.equal(pieces.join(cut), torch.where((rows >= 0)[..., None], x, 0.0))
    assert torch.equal(pieces.reverse(pieces.reverse(cut)), cut)
    assert pieces.even == (len({length for _, _, length, _ in expected}) <= 1)


@given(documents())
def test_states_go_to_pieces_and_come_back(rows: torch.Tensor) -> None:
    pieces, expected = Pieces.of(rows), by_hand(rows)
    B = len(rows)
    state = torch.arange(1.0, B + 1).reshape(1, 1, B, 1)
    goes_on = torch.arange(B) % 2 == 0
    begun = pieces.begin(state, goes_on, torch.zeros(1, 1, 1, 1))[0, 0, :, 0].tolist()
    assert begun == [r + 1.0 if start == 0 and r % 2 == 0 else 0.0 for r, start, _, _ in expected]
    ends = torch.arange(100.0, 100.0 + len(expected)).reshape(1, 1, -1, 1)
    after, last = pieces.end(ends, state)[0, 0, :, 0].tolist(), pieces.end_documents(None).tolist()
    for r in range(B):
        own = [n for n, each in enumerate(expected) if each[0] == r]
        assert after[r] == (100.0 + own[-1] if own else r + 1.0)
        assert last[r] == (expected[own[-1]][3] if own else 0)
