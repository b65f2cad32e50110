"""Two ways, one answer: cached = recomputed from nothing, batched = alone, sampled = enumerated by hand."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from trivium.errors import SettingsError
from trivium.generation.engine import Decoding, next_tokens, run
from trivium.generation.prompts import Prompt
from trivium.generation.rows import left_padded, right_padded
from trivium.generation.sampling import Sampling, probabilities
from trivium.transformer import Inputs, Model, Tokens

GREEDY = Sampling(max_tokens=12, temperature=0)
SAMPLED = Sampling(max_tokens=12, temperature=1.0, top_k=20, top_p=0.95, seed=3)
NO_ENDS: frozenset[int] = frozenset()
POSITIONS = ["learned", "sinusoidal", "rotary", "relative", "none"]
Tiny = Callable[..., Model]


@torch.no_grad()
def logits_after(model: Model, prompt: Prompt) -> torch.Tensor:
    """The slow way: the whole sequence, without cache, padding or batch."""
    source = Tokens(torch.tensor([prompt.source])) if prompt.source else None
    return model(Inputs(source, Tokens(torch.tensor([prompt.ids]))), at="all").logits[0, -1]


def greedy_by_hand(model: Model, prompt: Prompt, count: int) -> tuple[int, ...]:
    for _ in range(count):
        prompt = Prompt((*prompt.ids, int(logits_after(model, prompt).argmax())), prompt.source)
    return prompt.ids[-count:]


def prompts_for(model: Model) -> list[Prompt]:
    texts = [(5, 9, 2), (7,), (3, 3, 60, 11, 4, 8, 1), (9, 2)]
    if model.config.encoder_layers:
        return [Prompt((0,), text) for text in texts]
    return [Prompt(text) for text in texts]


@pytest.fixture(params=[*((0, p) for p in POSITIONS), (2, "relative"), (2, "sinusoidal")], ids=str)
def model(request: pytest.FixtureRequest, tiny: Tiny) -> Model:
    encoder, position = request.param
    return tiny(encoder=encoder, decoder=2, position=position)


def test_cached_batch_equals_recomputing_each_alone(model: Model) -> None:
    prompts = prompts_for(model)
    together = run(model, prompts, GREEDY, NO_ENDS, 64)
    expected = [greedy_by_hand(model, prompt, 12) for prompt in prompts]
    assert [written.tokens for written in together] == expected
    assert len(set(expected)) > 1
    for prompt, written in zip(prompts, together, strict=True):
        for at, chance in enumerate(written.log_probabilities):
            longer = Prompt((*prompt.ids, *written.tokens[:at]), prompt.source)
            exact = logits_after(model, longer).log_softmax(0)[written.tokens[at]]
            assert chance == pytest.approx(float(exact), abs=1e-4)


def test_samples_do_not_depend_on_the_batch(model: Model) -> None:
    prompts = prompts_for(model)
    together = run(model, prompts, SAMPLED, NO_ENDS, 64)
    alone = [run(model, [prompt], SAMPLED, NO_ENDS, 64)[0] for prompt in prompts]
    assert [w.tokens for w in together] == [w.tokens for w in alone]
    assert [w.tokens for w in run(model, prompts[::-1], SAMPLED, NO_ENDS, 64)][::-1] == [w.tokens for w in alone]


def test_rows_that_end_leave_and_the_others_go_on(model: Model) -> None:
    prompts = prompts_for(model)
    free = run(model, prompts, SAMPLED, NO_ENDS, 64)
    ends = frozenset({free[0].tokens[2], free[1].tokens[5]})
    cut = run(model, prompts, SAMPLED, ends, 64)
    assert any(w.finish == "end" for w in cut)
    for whole, part in zip(free, cut, strict=True):
        at = next((i for i, token in enumerate(whole.tokens) if token in ends), None)
        assert part.finish == ("length" if at is None else "end")
        assert part.tokens == whole.tokens[:at]
        assert len(part.log_probabilities) == len(part.tokens) + (at is not None)


def test_one_prompt_gives_different_samples_and_a_seed_gives_them_again(tiny: Tiny) -> None:
    model = tiny(decoder=2)
    rows = [Prompt((5, 6), None, sample) for sample in range(6)]
    first = run(model, rows, SAMPLED, NO_ENDS, 64)
    assert len({w.tokens for w in first}) == 6
    assert first == run(model, rows, SAMPLED, NO_ENDS, 64)
    assert first[4].tokens == run(model, rows[4:5], SAMPLED, NO_ENDS, 64)[0].tokens
    assert first != run(model, rows, Sampling(12, 1.0, 20, 0.95, seed=4), NO_ENDS, 64)


@pytest.mark.parametrize("penalty", [1.0, 1.5])
def test_three_steps_follow_the_enumerated_distribution(penalty: float, tiny: Tiny) -> None:
    model = tiny(decoder=1, vocab=5, context=8)
    sampling = Sampling(max_tokens=3, temperature=0.9, top_k=3, top_p=0.9, repetition_penalty=penalty)
    prompt = (1, 4)
    expected: dict[tuple[int, ...], float] = {}
    for text in product(range(5), repeat=3):
        chance = 1.0
        for at in range(3):
            ids = (*prompt, *text[:at])
            logits = logits_after(model, Prompt(ids))
            for token in set(ids):  # the penalty's definition, written out
                logits[token] = logits[token] * penalty if logits[token] < 0 else logits[token] / penalty
            chance *= float(probabilities(logits[None], sampling)[0, text[at]])
        if chance:
            expected[text] = chance
    assert sum(expected.values()) == pytest.approx(1) and len(expected) > 3
    rows = [Prompt(prompt, None, sample) for sample in range(4000)]
    found = [written.tokens for written in run(model, rows, sampling, NO_ENDS, 5)]
    assert set(found) <= set(expected)
    counts = np.array([found.count(text) for text in expected])
    shares = np.array(list(expected.values()))
    likely = shares * 4000 >= 5
    assert (counts[~likely] < 25).all()
    shares, counts = shares[likely], counts[likely]
    assert stats.chisquare(counts, shares / shares.sum() * counts.sum()).pvalue > 1e-3


@pytest.mark.parametrize("position", POSITIONS)
def test_short_and_long_prompts_each_fill_their_context(position: str, tiny: Tiny) -> None:
    model = tiny(decoder=1, position=position, context=12)
    prompts = [Prompt(tuple(range(11))), Prompt((1, 2))]
    together = run(model, prompts, Sampling(50, 0.0), NO_ENDS, 64)
    assert [len(w.tokens) for w in together] == [1, 10]
    assert [w.finish for w in together] == ["context", "context"]
    assert together[1].tokens == greedy_by_hand(model, prompts[1], 10)


def test_no_room_is_refused_with_the_numbers(tiny: Tiny) -> None:
    model = tiny(decoder=1, context=12)
    with pytest.raises(SettingsError, match="14 tokens.*context is 12.*at least 3"):
        Decoding(model, [Prompt(tuple(range(14)))], GREEDY, NO_ENDS, 64)
    both = tiny(encoder=1, decoder=1, context=12)
    with pytest.raises(SettingsError, match="13 tokens.*context is 12.*by 1$"):
        Decoding(both, [Prompt((0,), tuple(range(13)))], GREEDY, NO_ENDS, 64)


def test_an_encoder_writes_no_text(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="use fill"):
        Decoding(tiny(encoder=1), [Prompt((1,))], GREEDY, NO_ENDS, 64)


def test_stopping_a_row_from_outside(tiny: Tiny) -> None:
    model = tiny(decoder=1)
    decoding = Decoding(model, [Prompt((1,)), Prompt((2, 3))], GREEDY, NO_ENDS, 64)
    rows = []
    for step in decoding:
        rows.append([choice.row for choice in step])
        if len(rows) == 3:
            decoding.stop(0)
    assert rows == [[0, 1]] * 3 + [[1]] * 9


def test_tokens_beyond_the_vocabulary_are_not_chosen(tiny: Tiny) -> None:
    model = tiny(decoder=1)
    free = run(model, [Prompt((9,))], GREEDY, NO_ENDS, 64)[0].tokens
    assert max(free) >= 8 > max(run(model, [Prompt((9,))], GREEDY, NO_ENDS, 8)[0].tokens)


def test_next_tokens_is_a_distribution(tiny: Tiny) -> None:
    model = tiny(decoder=1)
    after = next_tokens(model, Prompt((4, 5)), 64)
    torch.testing.assert_close(after, logits_after(model, Prompt((4, 5))).log_softmax(0))


def test_gradients_are_recorded_between_steps(tiny: Tiny) -> None:
    model = tiny(decoder=1)
    for _ in Decoding(model, [Prompt((1,))], Sampling(2), NO_ENDS, 64):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_padding_literally() -> None:
    right = right_padded([[5, 6, 7], [8]], 0, torch.device("cpu"))
    assert right.ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert right.documents is not None and right.documents.tolist() == [[0, 0, 0], [0, -1, -1]]
    left = left_padded([[5, 6, 7], [8]], 0, torch.device("cpu"))
    assert left.ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert left.documents is not None and left.documents.tolist() == [[0, 0, 0], [-1, -1, 0]]
    assert left.positions is not None and left.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert left_padded([[5], [8]], 0, torch.device("cpu")).documents is None
