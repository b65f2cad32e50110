"""Speculative decoding: the text of greedy decoding, the distribution of sampling, whatever the draft model is."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from trivium.errors import SettingsError
from trivium.generation.engine import Choice, run
from trivium.generation.prompts import Prompt
from trivium.generation.rules import Forced
from trivium.generation.sampling import Sampling, probabilities
from trivium.generation.speculative import Draft, SpeculativeDecoding
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.transformer import Inputs, Model, Network, Tokens, initialise

Tiny = Callable[..., Model]
NO_ENDS: frozenset[int] = frozenset()
POSITIONS = ["learned", "sinusoidal", "rotary", "relative", "none"]


def prompts_for(model: Network) -> list[Prompt]:
    texts = [(5, 9, 2), (7,), (3, 3, 60, 11, 4, 8, 1), (9, 2)]
    return [Prompt((0,), text) if model.config.encoder_layers else Prompt(text) for text in texts]


def near(model: Model, noise: float) -> Model:
    """A draft model that mostly agrees: the same weights, shaken."""
    other = Model(model.config)
    initialise(other, 1)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += noise * parameter.std().nan_to_num(0) * torch.randn(parameter.shape, generator=generator)
    return other.eval()


def written(decoding: SpeculativeDecoding, count: int) -> list[list[Choice]]:
    found: list[list[Choice]] = [[] for _ in range(count)]
    for step in decoding:
        for choice in step:
            found[choice.row].append(choice)
    return found


@pytest.mark.parametrize("encoder", [0, 2])
@pytest.mark.parametrize("position", POSITIONS)
def test_greedy_is_the_same_text(encoder: int, position: str, tiny: Tiny) -> None:
    model = tiny(encoder=encoder, decoder=2, position=position)
    prompts = prompts_for(model)
    rates = []
    ruled = Sampling(12, 0.0, repetition_penalty=1.3, no_repeat_ngram=2)
    for noise, tokens, samplings in ((0.0, 3, [Sampling(12, 0.0), ruled]), (0.1, 1, [ruled]), (0.1, 5, [ruled])):
        for sampling in samplings:
            plain = run(model, prompts, sampling, NO_ENDS, 60)
            decoding = SpeculativeDecoding(model, prompts, sampling, NO_ENDS, 60, Draft(near(model, noise), tokens))
            found = written(decoding, len(prompts))
            assert [tuple(choice.token for choice in row) for row in found] == [each.tokens for each in plain]
            for row, each in zip(found, plain, strict=True):
                chances = [choice.log_probability for choice in row]
                assert chances == pytest.approx(each.log_probabilities, abs=1e-4)
                assert [choice.finish for choice in row] == [None] * 11 + ["length"]
            rates.append(sum(c.accepted for c in decoding.acceptance) / sum(c.tried for c in decoding.acceptance))
            if noise == 0.0:  # every draft token is right: 12 tokens in 3 passes of 4
                assert [counts.passes for counts in decoding.acceptance] == [3] * 4
    assert rates[0] == rates[1] == 1.0
    assert 0 < max(rates[2:]) < 1


def test_greedy_ends_where_greedy_ends(tiny: Tiny) -> None:
    model = tiny(decoder=2)
    prompts, sampling = prompts_for(model), Sampling(12, 0.0)
    free = run(model, prompts, sampling, NO_ENDS, 64)
    ends = frozenset({free[0].tokens[2], free[1].tokens[5]})
    for noise in (0.0, 0.3):
        for minimum in (0, 4):
            sampling = Sampling(12, 0.0, min_tokens=minimum)
            plain = run(model, prompts, sampling, ends, 64, Forced(last=3))
            draft, last = Draft(near(model, noise)), Forced(last=3)
            decoding = SpeculativeDecoding(model, prompts, sampling, ends, 64, draft, last)
            for row, each in zip(written(decoding, 4), plain, strict=True):
                assert tuple(c.token for c in row if c.finish != "end") == each.tokens
                assert row[-1].finish == each.finish


@pytest.mark.parametrize("position", POSITIONS)
def test_both_contexts_are_kept_to(position: str, tiny: Tiny) -> None:
    """The draft model's context is shorter than the text: it helps for as long as it can."""
    model, draft = tiny(decoder=2, position=position, context=20), tiny(decoder=2, position=position, context=8)
    prompts = [Prompt(tuple(range(19))), Prompt((1, 2)), Prompt(tuple(range(7)))]
    plain = run(model, prompts, Sampling(50, 0.0), NO_ENDS, 64)
    decoding = SpeculativeDecoding(model, prompts, Sampling(50, 0.0), NO_ENDS, 64, Draft(draft))
    found = written(decoding, 3)
    assert [tuple(c.token for c in row) for row in found] == [each.tokens for each in plain]
    assert [row[-1].finish for row in found] == ["context"] * 3
    assert decoding.acceptance[0].tried == 0 and decoding.acceptance[0].rate is None
    assert 0 < decoding.acceptance[2].tried <= 2 < decoding.acceptance[1].tried


@torch.no_grad()
def enumerated(model: Model, prompt: tuple[int, ...], sampling: Sampling, size: int, ends: frozenset[int]) -> dict:
    """The probability of each text, by the definition."""
    expected: dict[tuple[int, ...], float] = {}
    for text in product(range(size), repeat=sampling.max_tokens):
        at = next((i for i, token in enumerate(text) if token in ends), len(text) - 1)
        tokens, chance = text[: at + 1], 1.0
        if tokens in expected:
            continue
        for place in range(len(tokens)):
            ids = (*prompt, *tokens[:place])
            logits = model(Inputs(target=Tokens(torch.tensor([ids]))), at="all").logits[0, -1:, :size]
            if sampling.repetition_penalty != 1:
                for token in set(ids):
                    penalty = sampling.repetition_penalty
                    logits[0, token] *= penalty if logits[0, token] < 0 else 1 / penalty
            chance *= float(probabilities(logits, sampling)[0, tokens[place]])
        expected[tokens] = chance
    return {text: chance for text, chance in expected.items() if chance > 0}


def chi_square(found: Sequence[tuple[int, ...]], expected: dict[tuple[int, ...], float]) -> float:
    counts = Counter(found)
    assert set(counts) <= set(expected)
    likely = [text for text, chance in expected.items() if chance * len(found) >= 5]
    rare = 1 - sum(expected[text] for text in likely)
    observed = [counts[text] for text in likely]
    shares = [expected[text] for text in likely]
    if rare * len(found) >= 5:
        observed, shares = [*observed, len(found) - sum(observed)], [*shares, rare]
    total = np.array(shares) / sum(shares) * sum(observed)
    return float(stats.chisquare(observed, total).pvalue)


PLAIN, FILTERED = Sampling(4, 1.0, top_p=1.0), Sampling(3, 0.7, top_k=3, top_p=0.9, repetition_penalty=1.5)


@pytest.mark.parametrize(
    ("sampling", "noise", "count"),
    [
        pytest.param(PLAIN, 2.0, 400, id="plain"),
        pytest.param(FILTERED, 0.1, 400, id="filtered"),
        *(pytest.param(sampling, noise, 5000, marks=pytest.mark.slow) for sampling in (PLAIN, FILTERED)
          for noise in (0.1, 2.0)),
    ],
)  # fmt: skip
def test_the_distribution_is_the_models_own(sampling: Sampling, noise: float, count: int, tiny: Tiny) -> None:
    model, prompt, ends = tiny(decoder=1, vocab=5, context=8), (1, 4), frozenset({2})
    expected = enumerated(model, prompt, sampling, 5, ends)
    assert sum(expected.values()) == pytest.approx(1) and len(expected) > 5
    rows = [Prompt(prompt, None, sample) for sample in range(count)]
    decoding = SpeculativeDecoding(model, rows, sampling, ends, 5, Draft(near(model, noise), 2))
    found = [tuple(choice.token for choice in row) for row in written(decoding, len(rows))]
    assert chi_square(found, expected) > 1e-3
    rate = sum(c.accepted for c in decoding.acceptance) / sum(c.tried for c in decoding.acceptance)
    assert 0.1 < rate < 0.99  # both branches were taken


def test_the_draft_alone_has_another_distribution(tiny: Tiny) -> None:
    """The test above would notice: the draft's own texts fail it."""
    model, prompt, sampling = tiny(decoder=1, vocab=5, context=8), (1, 4), Sampling(4, 1.0, top_p=1.0)
    rows = [Prompt(prompt, None, sample) for sample in range(400)]
    texts = [each.tokens for each in run(near(model, 2.0), rows, sampling, NO_ENDS, 5)]
    assert chi_square(texts, enumerated(model, prompt, sampling, 5, NO_ENDS)) < 1e-6


def test_the_rate_is_what_the_paper_computes(tiny: Tiny) -> None:
    """Their theorem 3.5: the first draft token is accepted with probability sum of min(p, q)."""
    model, sampling = tiny(decoder=1, vocab=5, context=8), Sampling(2, 1.0, top_p=1.0)
    draft = near(model, 1.0)
    with torch.no_grad():
        inputs = Inputs(target=Tokens(torch.tensor([[1, 4]])))
        p, q = (probabilities(m(inputs, at="all").logits[0, -1:], sampling) for m in (model, draft))
    expected = float(torch.minimum(p, q).sum())
    rows = [Prompt((1, 4), None, sample) for sample in range(400)]
    decoding = SpeculativeDecoding(model, rows, sampling, NO_ENDS, 5, Draft(draft, 1))
    written(decoding, len(rows))
    accepted = sum(counts.accepted for counts in decoding.acceptance)
    assert all(counts.tried == 1 for counts in decoding.acceptance)
    assert stats.binomtest(accepted, 400, expected).pvalue > 1e-3


def test_a_seed_gives_the_text_again_whatever_stands_beside_it(tiny: Tiny) -> None:
    model = tiny(decoder=2)
    draft, sampling = Draft(near(model, 0.3)), Sampling(12, 1.0, seed=3)
    rows = [*prompts_for(model), Prompt((5, 9, 2), None, 1)]
    first = written(SpeculativeDecoding(model, rows, sampling, NO_ENDS, 64, draft), 5)
    again = written(SpeculativeDecoding(model, rows[::-1], sampling, NO_ENDS, 64, draft), 5)[::-1]
    texts = [[choice.token for choice in row] for row in first]
    assert texts == [[choice.token for choice in row] for row in again]
    assert texts[0] != texts[4]


def test_stopping_a_row_from_outside(tiny: Tiny) -> None:
    model = tiny(decoder=1)
    decoding = SpeculativeDecoding(
        model, [Prompt((1,)), Prompt((2, 3))], Sampling(12, 0.0), NO_ENDS, 64, Draft(near(model, 0.0))
    )
    rows = []
    for (choice,) in decoding:
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        rows.append(choice.row)
        if len(rows) == 3:
            decoding.stop(0)
    assert rows == [0] * 3 + [1] * 12


def test_what_cannot_be_done_is_refused(tiny: Tiny) -> None:
    model, both = tiny(decoder=1), tiny(encoder=1, decoder=1, context=12)
    config = RecurrentConfig(vocab_size=64, width=8, state_width=8, cell="lstm", decoder_layers=1, context=8)
    recurrent = RecurrentModel(config).eval()
    plain = Sampling()
    for here, there, says in (
        (model, recurrent, "the draft model cannot take back"),
        (recurrent, model, "this model cannot take back"),
        (model, tiny(encoder=1), "the draft model cannot take back"),
        (model, both, "an encoder-decoder for an encoder-decoder"),
    ):
        with pytest.raises(SettingsError, match=says):
            SpeculativeDecoding(here, [Prompt((1,))], plain, NO_ENDS, 64, Draft(there))
    with pytest.raises(SettingsError, match="draft model the prompt has 13 tokens.*context is 12"):
        long = Prompt((0,), tuple(range(13)))
        SpeculativeDecoding(tiny(encoder=1, decoder=1), [long], plain, NO_ENDS, 64, Draft(both))
    with pytest.raises(SettingsError, match="draft_tokens is 0: it must be at least 1"):
        Draft(model, 0)
