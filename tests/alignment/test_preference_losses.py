"""The losses of direct preference optimisation against numbers worked by hand, and against trl."""

import math
from types import SimpleNamespace

import pytest
import torch

from trivium.alignment.preference import PreferenceOptimisation, ReplyScores, preference_losses, token_log_probabilities
from trivium.errors import SettingsError

POLICY = torch.tensor([-10.0, -12.0, -14.0, -11.0])  # two chosen replies, then two rejected ones
REFERENCE = torch.tensor([-11.0, -12.5, -13.0, -12.0])
APART = torch.tensor([2.0, -0.5])


def apart(tokens: tuple[int, ...] = (1, 1, 1, 1), per_token: bool = False) -> torch.Tensor:
    scores = ReplyScores(POLICY, torch.tensor(tokens, dtype=torch.float32))
    return PreferenceOptimisation(per_token=per_token).apart(scores, REFERENCE)


def test_what_is_compared_is_how_far_the_policy_went_from_the_reference() -> None:
    assert apart().tolist() == APART.tolist()


def test_per_token_the_lengths_of_replies_do_not_count() -> None:
    assert apart((2, 5, 4, 10), per_token=True).tolist() == pytest.approx([1 / 2 + 1 / 4, 0.5 / 5 - 1 / 10])


@pytest.mark.parametrize(
    ("smoothing", "losses"), [(0.0, [0.598139, 0.718460]), (0.1, [0.618139, 0.713460])]
)
def test_dpo_and_its_conservative_form(smoothing: float, losses: list[float]) -> None:
    found = preference_losses(APART, 0.1, label_smoothing=smoothing)
    assert found.tolist() == pytest.approx(losses, abs=1e-6)


def test_ipo() -> None:
    assert preference_losses(APART, 0.1, "ipo").tolist() == pytest.approx([9.0, 30.25])


def test_a_policy_that_is_the_reference_pays_log_two() -> None:
    assert preference_losses(torch.zeros(3), 0.3).tolist() == pytest.approx([math.log(2)] * 3)


def test_the_gradient_is_larger_where_the_policy_prefers_the_wrong_reply() -> None:
    given = torch.tensor([3.0, -3.0], requires_grad=True)
    preference_losses(given, 0.5).sum().backward()
    expected = [-0.5 / (1 + math.exp(0.5 * each)) for each in (3.0, -3.0)]  # -beta s(-beta h)
    assert given.grad is not None and given.grad.tolist() == pytest.approx(expected)


def test_log_probabilities_of_tokens_are_those_of_the_softmax() -> None:
    logits, targets = torch.randn(5, 7), torch.tensor([0, 6, 3, 2, 2])
    expected = logits.double().softmax(-1)[torch.arange(5), targets].log().float()
    torch.testing.assert_close(token_log_probabilities(logits, targets), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0.0}, "beta = 0.0"), ({"label_smoothing": 0.5}, "label_smoothing = 0.5"),
        ({"imitation": -1.0}, "imitation = -1.0"),
        ({"variant": "ipo", "label_smoothing": 0.1}, "label_smoothing is for variant dpo"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        PreferenceOptimisation(**settings)


TRL = [
    ("sigmoid", {}, {}),
    ("aot", {"label_smoothing": 0.1}, {"label_smoothing": 0.1}),  # of one pair, its sorting does nothing: cDPO's
    ("ipo", {"variant": "ipo", "per_token": True}, {}),  # trl's are means over tokens
    ("sigmoid_norm", {"per_token": True}, {}),
]


@pytest.mark.parametrize(("kind", "settings", "theirs"), TRL, ids=[each[0] for each in TRL])
def test_the_losses_are_trls(kind: str, settings: dict, theirs: dict) -> None:
    trl = pytest.importorskip("trl")
    try:
        compute = trl.DPOTrainer._compute_loss
    except RuntimeError as problem:
        pytest.skip(f"trl is there, but not all that it needs: {problem}")
    torch.manual_seed(0)
    mask = torch.tensor([[0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1]])  # of prompt 2, of replies 3 and 4 tokens
    each = -torch.rand(2, 5) * mask[:, 1:]
    reference = -3 * torch.rand(2)
    nothing = torch.zeros(2, 5)
    outputs = SimpleNamespace(
        log_probs=each, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool(), aux_loss=None
    )

    class Figures(dict):
        def __missing__(self, name: str) -> list:
            return self.setdefault(name, [])

    gather = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x, device=torch.device("cpu"))
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=False), accelerator=gather, aux_loss_enabled=False, ld_alpha=None, beta=0.3,
        precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[kind], loss_weights=[1.0],
        label_smoothing=theirs.get("label_smoothing", 0.0), use_weighting=False, _metrics={"eval": Figures()},
        _total_train_tokens=0,
    )  # fmt: skip
    inputs = {
        "input_ids": torch.zeros(2, 6, dtype=torch.long), "attention_mask": torch.ones(2, 6), "completion_mask": mask,
        "ref_chosen_logps": reference[:1], "ref_rejected_logps": reference[1:],
    }  # fmt: skip
    expected = compute(trainer, lambda **_: outputs, inputs, False)
    ours = PreferenceOptimisation(beta=0.3, **settings)
    scores = ReplyScores(each.sum(1), mask.sum(1).float())
    found = preference_losses(ours.apart(scores, reference), ours.beta, ours.variant, ours.label_smoothing)
    torch.testing.assert_close(found.mean(), expected)
