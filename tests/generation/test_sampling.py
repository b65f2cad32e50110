"""Sampling against the definitions, by brute force, and against the reference's logits processors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trivium.errors import SettingsError, TriviumError
from trivium.generation.rules import penalised
from trivium.generation.sampling import (
    Sampling,
    choose,
    filtered,
    nucleus_floor,
    probabilities,
    uniforms,
)

processors = pytest.importorskip("transformers.generation.logits_process")

PLAIN = Sampling(temperature=1.0, top_p=1.0)


def logits_of(probabilities: list[float]) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def kept(logits: torch.Tensor, sampling: Sampling) -> list[int]:
    return torch.isfinite(filtered(logits, sampling))[0].nonzero()[:, 0].tolist()


def test_top_k_keeps_the_k_most_probable() -> None:
    logits = logits_of([0.1, 0.4, 0.2, 0.3])
    assert kept(logits, Sampling(temperature=1.0, top_k=2, top_p=1.0)) == [1, 3]
    assert kept(logits, Sampling(temperature=1.0, top_k=9, top_p=1.0)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("top_p", "expected"), [(0.3, [1]), (0.39, [1]), (0.41, [1, 3]), (0.85, [1, 2, 3]), (1.0, [0, 1, 2, 3])]
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(top_p: float, expected: list[int]) -> None:
    assert kept(logits_of([0.1, 0.4, 0.2, 0.3]), Sampling(temperature=1.0, top_p=top_p)) == expected


@pytest.mark.parametrize(
    ("min_p", "expected"), [(0.9, [1]), (0.7, [1, 3]), (0.45, [1, 2, 3]), (0.1, [0, 1, 2, 3]), (1.0, [1])]
)
def test_min_p_is_a_share_of_the_most_probable(min_p: float, expected: list[int]) -> None:
    assert kept(logits_of([0.1, 0.4, 0.2, 0.3]), Sampling(temperature=1.0, top_p=1.0, min_p=min_p)) == expected


def test_top_p_counts_what_top_k_left() -> None:
    # of .4 and .3, renormalised .571 and .429: .5 is reached by the first alone
    assert kept(logits_of([0.1, 0.4, 0.2, 0.3]), Sampling(temperature=1.0, top_k=2, top_p=0.5)) == [1]


def test_equally_probable_tokens_stay_together() -> None:
    assert kept(logits_of([0.25] * 4), Sampling(temperature=1.0, top_k=1, top_p=0.2)) == [0, 1, 2, 3]


@given(
    seed=st.integers(0, 2**31),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    top_k=st.sampled_from([0, 1, 5, 40]),
    top_p=st.sampled_from([0.2, 0.8, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.3]),
    typical_p=st.sampled_from([0.2, 0.7, 0.95, 1.0]),
    penalty=st.sampled_from([0.7, 1.0, 1.6]),
)
@settings(max_examples=80, deadline=None)
def test_agrees_with_the_reference_processors(
    seed: int, temperature: float, top_k: int, top_p: float, min_p: float, typical_p: float, penalty: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 60, generator=generator) * 3
    ids = torch.randint(0, 60, (3, 7), generator=generator)
    seen = torch.zeros(3, 60, dtype=torch.bool).scatter_(1, ids, True)
    sampling = Sampling(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=penalty, typical_p=typical_p
    )
    ours = filtered(penalised(logits, seen, penalty), sampling)

    theirs = processors.RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    theirs = processors.TemperatureLogitsWarper(temperature)(ids, theirs)
    if top_k:
        theirs = processors.TopKLogitsWarper(top_k)(ids, theirs)
    if top_p < 1:
        theirs = processors.TopPLogitsWarper(top_p)(ids, theirs)
    if min_p:
        theirs = processors.MinPLogitsWarper(min_p)(ids, theirs)
    if typical_p < 1:
        theirs = processors.TypicalLogitsWarper(typical_p)(ids, theirs)
    assert torch.equal(torch.isfinite(ours), torch.isfinite(theirs))
    torch.testing.assert_close(ours.log_softmax(-1), theirs.log_softmax(-1))


def test_the_first_look_and_the_whole_sort_agree() -> None:
    # a flat distribution over 5,000 tokens: the nucleus is wider than the first look; a peaked row beside it is not
    generator = torch.Generator().manual_seed(0)
    logits = torch.cat([torch.randn(1, 5000, generator=generator) * 0.1, torch.randn(1, 5000, generator=generator) * 9])
    floors = nucleus_floor(logits, 0.9)
    assert (logits[0] >= floors[0]).sum() > 1024
    assert float(floors[1, 0]) == float(nucleus_floor(logits[1:], 0.9)[0, 0])
    for row, floor in zip(logits, floors, strict=True):
        probs = row.double().softmax(0)
        inside = probs[row >= floor]
        assert float(inside.sum()) >= 0.9 - 1e-6 > float(inside.sum() - inside.min()) - 2e-6


def test_draws_follow_the_distribution() -> None:
    sampling = Sampling(temperature=0.7, top_k=6, top_p=0.97, min_p=0.01)
    logits = torch.randn(1, 12, generator=torch.Generator().manual_seed(4))
    expected = probabilities(logits, sampling)[0].numpy()
    assert 2 < (expected > 0).sum() < 12
    draws = torch.from_numpy(uniforms(5, [1, 2, 3], 0, 20_000))
    chosen = choose(logits.expand(len(draws), -1), sampling, draws)
    counts = np.bincount(chosen.numpy(), minlength=12)
    assert (counts[expected == 0] == 0).all()
    inside = expected > 0
    assert stats.chisquare(counts[inside], expected[inside] / expected[inside].sum() * counts.sum()).pvalue > 1e-3


def test_choice_is_the_inverse_of_the_cumulative_distribution() -> None:
    logits = logits_of([0.125, 0.5, 0.125, 0.25]).expand(6, -1)
    uniform = torch.tensor([0.0, 0.124, 0.126, 0.624, 0.626, 0.999999], dtype=torch.float64)
    assert choose(logits, PLAIN, uniform).tolist() == [0, 0, 1, 1, 2, 3]


def test_a_ruled_out_token_is_never_chosen_at_the_edges() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(3, -1)
    assert choose(logits, PLAIN, torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)).tolist() == [1, 3, 3]


def test_uniforms_depend_on_seed_prompt_and_sample_and_not_on_their_number() -> None:
    first = uniforms(0, [5, 6], 0, 50)
    assert np.array_equal(first[:10], uniforms(0, [5, 6], 0, 10))
    for other in (uniforms(1, [5, 6], 0, 50), uniforms(0, [5, 7], 0, 50), uniforms(0, [5, 6], 1, 50)):
        assert not np.isclose(first, other).any()
    assert stats.kstest(uniforms(3, [1], 0, 5000), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("temperature", [0.0, 1e-45, 1e-6, 1e-4])
def test_a_tiny_temperature_takes_the_most_probable(temperature: float) -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [500.0, -500.0, 0.0]])
    sampling = Sampling(temperature=temperature, top_k=2, top_p=0.9, min_p=0.1)
    assert choose(logits, sampling, torch.tensor([0.0, 0.999])).tolist() == [1, 0]
    assert probabilities(logits, sampling).sum(-1).tolist() == pytest.approx([1, 1])


def test_output_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(TriviumError, match="not finite"):
        choose(torch.tensor([[0.0, torch.nan]]), PLAIN, torch.tensor([0.5]))


@pytest.mark.parametrize(
    ("field", "value"),
    [("typical_p", 0.0), ("presence_penalty", float("nan")), ("frequency_penalty", float("inf")),
     ("logit_bias", ("the",)), ("logit_bias", {"the": float("nan")}), ("logit_bias", ("=3",)),
     ("banned_words", ("",)), ("forced_words", ("",)), ("top_log_probabilities", -1),
     ("max_tokens", 0), ("temperature", -1.0), ("temperature", float("nan")), ("top_k", -1), ("top_p", 0.0),
     ("top_p", 1.5), ("min_p", 2.0), ("repetition_penalty", 0.0), ("stop", ("",))],
)  # fmt: skip
def test_impossible_settings_are_named(field: str, value: object) -> None:
    with pytest.raises(SettingsError, match=field):
        Sampling(**{field: value})  # type: ignore[arg-type]


def test_one_stop_string_may_be_given_bare() -> None:
    assert Sampling(stop="\n\n").stop == ("\n\n",)  # type: ignore[arg-type]
    assert Sampling(banned_words="one").banned_words == ("one",)  # type: ignore[arg-type]


def test_biases_are_given_as_texts_or_as_a_mapping() -> None:
    given = Sampling(logit_bias={" the": -5, 7: 1.5})  # type: ignore[arg-type]
    assert given == Sampling(logit_bias=(" the=-5", "7=1.5"))
    assert given.biases() == [(" the", -5.0), ("7", 1.5)]
    assert Sampling(logit_bias="a=b=2").biases() == [("a=b", 2.0)]  # type: ignore[arg-type]


def test_typical_sampling_leaves_out_what_is_too_sure_as_well() -> None:
    # .4, .2, .2, .2: entropy 1.332; surprises .916 and 1.609: the three are nearer to it than the most probable one
    logits = logits_of([0.2, 0.4, 0.2, 0.2])
    assert kept(logits, Sampling(temperature=1.0, top_p=1.0, typical_p=0.55)) == [0, 2, 3]
    assert kept(logits, Sampling(temperature=1.0, top_p=1.0, typical_p=0.7)) == [0, 1, 2, 3]
