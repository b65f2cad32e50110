"""The two-way LSTMs against plain Python, torch's own LSTM, and what each direction must not see."""

import math

import pytest
import torch
from torch import Tensor

from trivium.recurrent.bilm import ProjectedLSTM, TwoWayStack

Numbers = list[float]


def layer(cell_clip: float | None = None, state_clip: float | None = None, scale: float = 1.0) -> ProjectedLSTM:
    torch.manual_seed(1)
    made = ProjectedLSTM(3, 5, cell_clip, state_clip).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, scale)
    return made


def by_hand(lstm: ProjectedLSTM, x: Tensor, keep: Tensor | None = None) -> Tensor:
    """One row after another, one step after another, one number after another."""
    w_x, b = lstm.inputs.weight.tolist(), lstm.inputs.bias.tolist()
    w_h, w_p = lstm.recurrent.weight.tolist(), lstm.projection.weight.tolist()
    cell_clip, state_clip = lstm.clips

    def sigmoid(v: float) -> float:
        return 1 / (1 + math.exp(-v))

    def bound(v: float, limit: float) -> float:
        return max(-limit, min(limit, v)) if limit else v

    def dot(u: Numbers, v: Numbers) -> float:
        return sum(p * q for p, q in zip(u, v, strict=True))

    T, B, P = x.shape
    C = len(w_p[0])
    out = torch.zeros(T, B, P, dtype=torch.float64)
    for row in range(B):
        cell, state = [0.0] * C, [0.0] * P
        for t in range(T):
            if keep is not None and keep[t, row, 0] == 0:
                cell, state = [0.0] * C, [0.0] * P
            z = [dot(w_x[k], x[t, row].tolist()) + dot(w_h[k], state) + b[k] for k in range(4 * C)]
            i, f, g, o = z[:C], z[C : 2 * C], z[2 * C : 3 * C], z[3 * C :]
            cell = [bound(sigmoid(f[k]) * cell[k] + sigmoid(i[k]) * math.tanh(g[k]), cell_clip) for k in range(C)]
            hidden = [sigmoid(o[k]) * math.tanh(cell[k]) for k in range(C)]
            state = [bound(dot(w_p[k], hidden), state_clip) for k in range(P)]
            out[t, row] = torch.tensor(state, dtype=torch.float64)
    return out


def with_autograd(lstm: ProjectedLSTM, x: Tensor, keep: Tensor | None) -> Tensor:
    """The same formula in torch's differentiable operations."""
    cell, state = x.new_zeros(x.shape[1], lstm.cells), x.new_zeros(x.shape[1:])
    out = []
    for t in range(len(x)):
        if keep is not None:
            cell, state = cell * keep[t], state * keep[t]
        i, f, g, o = (lstm.inputs(x[t]) + lstm.recurrent(state)).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        cell = cell.clamp(-lstm.clips[0], lstm.clips[0]) if lstm.clips[0] else cell
        state = lstm.projection(o.sigmoid() * cell.tanh())
        state = state.clamp(-lstm.clips[1], lstm.clips[1]) if lstm.clips[1] else state
        out.append(state)
    return torch.stack(out)


KEEP = torch.tensor([[0, 0], [1, 1], [1, 0], [0, 1], [1, 1], [1, 1]], dtype=torch.float64)[..., None]
CLIPS = [(None, None), (0.7, None), (None, 0.6), (0.7, 0.6)]


@pytest.mark.parametrize("clips", CLIPS)
@pytest.mark.parametrize("keep", [None, KEEP])
def test_states_are_those_of_plain_python(clips: tuple[float | None, float | None], keep: Tensor | None) -> None:
    lstm = layer(*clips)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    expected = by_hand(lstm, x, keep)
    torch.testing.assert_close(lstm(x, keep), expected, atol=1e-12, rtol=0)
    if clips[1]:
        assert (expected.abs() == clips[1]).any() and (expected.abs() < clips[1]).any()  # some were clipped, some not


@pytest.mark.parametrize("clips", CLIPS)
@pytest.mark.parametrize("keep", [None, KEEP])
def test_gradients_are_those_of_autograd(clips: tuple[float | None, float | None], keep: Tensor | None) -> None:
    lstm = layer(*clips)
    x = torch.randn(6, 2, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(6, 2, 3, dtype=torch.float64)
    wanted = torch.autograd.grad((with_autograd(lstm, x, keep) * weights).sum(), [x, *lstm.parameters()])
    found = torch.autograd.grad((lstm(x, keep) * weights).sum(), [x, *lstm.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_without_clips_the_fused_kernel_and_the_loop_agree() -> None:
    lstm = layer()
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(lstm.fused(x), lstm(x))
    reference = torch.nn.LSTM(3, 5, proj_size=3).double()
    with torch.no_grad():
        reference.weight_ih_l0.copy_(lstm.inputs.weight)
        reference.weight_hh_l0.copy_(lstm.recurrent.weight)
        reference.bias_ih_l0.copy_(lstm.inputs.bias)
        reference.bias_hh_l0.zero_()
        reference.weight_hr_l0.copy_(lstm.projection.weight)
    torch.testing.assert_close(lstm.fused(x), reference(x)[0])


def test_the_published_layer_has_its_number_of_parameters() -> None:
    with torch.device("meta"):
        lstm = ProjectedLSTM(512, 4096, 3.0, 3.0)
    assert sum(parameter.numel() for parameter in lstm.parameters()) == 18_890_752


# ---- two directions ----


def stack(clip: float | None = 3.0) -> TwoWayStack:
    torch.manual_seed(2)
    return TwoWayStack(4, 6, 2, clip, clip, dropout=0.0).double()


def halves(layers: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    return [each[..., :4] for each in layers], [each[..., 4:] for each in layers]


@pytest.mark.parametrize("clip", [None, 3.0])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_no_direction_sees_what_lies_before_it(clip: float | None, k: int) -> None:
    model = stack(clip)
    x = torch.randn(2, 7, 4, dtype=torch.float64)
    ahead, back = halves(model(x))
    later, earlier = x.clone(), x.clone()
    later[:, k + 1] += 1
    earlier[:, k - 1] += 1
    ahead_later, back_later = halves(model(later))
    ahead_earlier, back_earlier = halves(model(earlier))
    for n in range(2):
        assert torch.equal(ahead_later[n][:, : k + 1], ahead[n][:, : k + 1])
        assert torch.equal(back_earlier[n][:, k:], back[n][:, k:])
        assert (
            not torch.isclose(back_later[n][:, : k + 2], back[n][:, : k + 2]).all(-1).any()
        )  # and what it reads, counts
        assert not torch.isclose(ahead_earlier[n][:, k - 1 :], ahead[n][:, k - 1 :]).all(-1).any()


def test_each_direction_is_its_own_lstm_and_the_second_layer_adds_its_input() -> None:
    model = stack()
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    first, second = model(x)
    ahead = model.layers[0].ahead(x.transpose(0, 1))
    back = model.layers[0].back(x.transpose(0, 1).flip(0)).flip(0)
    torch.testing.assert_close(first, torch.cat([ahead, back], -1).transpose(0, 1))
    ahead = model.layers[1].ahead(ahead) + ahead
    back = (model.layers[1].back(back.flip(0))).flip(0) + back
    torch.testing.assert_close(second, torch.cat([ahead, back], -1).transpose(0, 1))
    assert not {id(p) for p in model.layers[0].ahead.parameters()} & {id(p) for p in model.layers[0].back.parameters()}


def test_documents_in_a_row_and_padding_are_as_if_they_were_alone() -> None:
    model = stack()
    one, other = torch.randn(3, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    row = torch.cat([one, other, torch.full((2, 4), 9.0, dtype=torch.float64)])[None]
    together = model(row, torch.tensor([[0, 0, 0, 1, 1, -1, -1]]))
    for n in range(2):
        torch.testing.assert_close(together[n][0, :3], model(one[None])[n][0])
        torch.testing.assert_close(together[n][0, 3:5], model(other[None])[n][0])


def test_dropout_falls_in_training_alone() -> None:
    model = stack()
    model.dropout = 0.5
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    assert not torch.equal(model(x)[1], model(x)[1])
    model.eval()
    assert torch.equal(model(x)[1], model(x)[1])
