"""What a policy writes is scored by the training's forward pass as the engine scored it, token by token."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trivium.alignment.learning import PolicyLearning, PolicyPrompt, expect_nothing, heads
from trivium.alignment.policy import Ppo
from trivium.alignment.rewards import Reward
from trivium.alignment.rollouts import Rollouts, Writing, measured, reading, written
from trivium.errors import SettingsError
from trivium.generation.engine import run
from trivium.generation.prompts import Prompt
from trivium.generation.sampling import Sampling
from trivium.text.chats import Message
from trivium.transformer import VALUE, Inputs, Tokens
from trivium.verbs.load import load

PROMPTS = [(5, 6, 7), (8,), (9, 10, 11, 12, 13), (5, 6, 7)]


@pytest.fixture(params=["gpt2", "llama", "qwen2", "lstm"])
def model(request, tiny_models):
    loaded = load(tiny_models[request.param], device="cpu").model
    with torch.no_grad():
        for parameter in loaded.parameters():  # away from the uniform distribution that small first weights give
            if parameter.ndim == 2:
                parameter.mul_(4)
    return loaded


def ending(model):
    """A token that some of the responses write early, and so end at."""
    said = run(model, [Prompt(p) for p in PROMPTS], Sampling(max_tokens=9, temperature=1.0, top_p=1.0, seed=3),
               frozenset(), 300)  # fmt: skip
    return said[0].tokens[2]


def test_log_probabilities_are_those_of_the_engine(model):
    end = ending(model)
    writing = Writing(9, 1.0, end, 300)
    texts = written(model, PROMPTS, range(4), writing, 3)
    sampling = Sampling(max_tokens=9, temperature=1.0, top_p=1.0, seed=3)
    theirs = run(model, [Prompt(p, None, n) for n, p in enumerate(PROMPTS)], sampling, frozenset({end}), 300)
    chances, values = measured(model, texts, writing)
    assert not values.any()  # there is no value head
    for n, (prompt, each) in enumerate(zip(PROMPTS, theirs, strict=True)):
        length = len(each.log_probabilities)
        assert texts.starts[n] == len(prompt) and texts.lengths[n] == length
        assert texts.ended[n].item() is (each.finish == "end")
        assert texts.responses()[n] == list(each.tokens)
        assert chances[n, :length].tolist() == pytest.approx(each.log_probabilities, abs=2e-5)
        assert not chances[n, length:].any()
        assert not texts.ids[n, len(prompt) + length :].any()


def test_a_temperature_is_that_of_the_distribution_drawn_from(model):
    """One response, its tokens' probabilities by a loop over its beginnings."""
    writing = Writing(5, 0.7, None, 300)
    texts = written(model, PROMPTS[:1], [0], writing, 1)
    chances, _ = measured(model, texts, writing)
    ids = texts.ids[0].tolist()
    for k in range(5):
        logits = model(Inputs(target=Tokens(torch.tensor([ids[: 3 + k]]))), at="all").logits[0, -1, :300]
        expected = (logits.double() / 0.7).log_softmax(-1)[ids[3 + k]].item()
        assert chances[0, k].item() == pytest.approx(expected, abs=2e-5)


def test_a_response_depends_on_its_seed_and_number_not_on_its_neighbours(model):
    writing = Writing(6, 1.0, None, 300)
    together = written(model, PROMPTS, [0, 1, 2, 3], writing, 7).responses()
    alone = [written(model, [p], [n], writing, 7).responses()[0] for n, p in enumerate(PROMPTS)]
    assert together == alone
    assert together[0] != together[3]  # equal prompts
    assert written(model, PROMPTS, [0, 1, 2, 3], writing, 8).responses() != together


def test_places_and_tokens_of_a_reading():
    from trivium.alignment.rollouts import Texts

    ids = torch.tensor([[5, 6, 7, 8, 0], [9, 1, 2, 0, 0]])
    texts = Texts(ids, torch.tensor([2, 1]), torch.tensor([2, 2]), torch.tensor([False, False]))
    read, at, tokens = reading(texts, np.array([0, 1]), 0)
    assert read.ids.tolist() == [[5, 6, 7], [9, 1, 0]] and read.documents.tolist() == [[0, 0, 0], [0, 0, -1]]
    assert at.tolist() == [1, 2, 3, 4] and tokens.tolist() == [7, 8, 1, 2]


class Numbers:
    def decode(self, ids):
        return " ".join(map(str, ids))


def learning_of(model, settings, batch=3):
    prompts = [PolicyPrompt(p, (Message("user", str(p)),), {}, f"row {n}") for n, p in enumerate(PROMPTS)]
    worth = Reward("worth", 1.0, lambda asked: [len(each.response) / 7 for each in asked])
    torch.manual_seed(0)  # the same head each time
    for name, head in heads(settings, model.config).items():
        model.heads[name] = head
    return PolicyLearning(
        model, model, prompts, [worth], Numbers(), Writing(5, 1.0, None, 300), settings, batch  # type: ignore[arg-type]
    )


def test_what_a_value_head_expects_is_read_before_each_token(model):
    learning_of(model, Ppo())
    texts = written(model, PROMPTS, range(4), Writing(5, 1.0, None, 300), 1)
    _, values = measured(model, texts, Writing(5, 1.0, None, 300))
    for n, prompt in enumerate(PROMPTS):
        ids = texts.ids[n, : len(prompt) + 5].tolist()
        for k in range(5):
            found = model(Inputs(target=Tokens(torch.tensor([ids[: len(prompt) + k]]))), heads=(VALUE,)).heads[VALUE]
            assert values[n, k].item() == pytest.approx(found[0, -1, 0].item(), abs=2e-5)
    expect_nothing(model)
    assert not measured(model, texts, Writing(5, 1.0, None, 300))[1].any()


def test_a_round_is_found_again_from_its_state(model):
    learning = learning_of(model, Ppo(epochs=1, minibatches=1))
    assert learning.state_dict() == {}
    (batch,) = learning(0)
    kept = {name: tensor.clone() for name, tensor in learning.state_dict().items()}
    other = learning_of(model, Ppo(epochs=1, minibatches=1))
    other.load_state_dict(kept)
    assert other.round == 0 and isinstance(other.rollouts, Rollouts)
    (again,) = other(0)
    assert again.draws == batch.draws and all(torch.equal(again.targets[n], t) for n, t in batch.targets.items())
    other.load_state_dict({})
    assert other.rollouts is None and other.round == -1 and other.price == 0.2


def test_micro_batches_make_the_same_update(model):
    """Whatever goes through the model at once, the sum is that of the whole minibatch."""
    sums = []
    for micro in (10_000, 8):
        learning = learning_of(model, Ppo(epochs=1), batch=4)
        learning.micro_tokens = micro
        batches = learning(0)
        parts = [learning.loss(model, batch) for batch in batches]
        sums.append({name: sum(part[name].total.item() for part in parts) for name in parts[0]})
    assert len(batches) == 4
    assert sums[0] == pytest.approx(sums[1], abs=1e-4)


def test_every_minibatch_of_an_epoch_has_other_responses(model):
    learning = learning_of(model, Ppo(epochs=2, minibatches=2), batch=4)
    drawn = [sorted(draw for batch in learning(number) for draw in batch.draws) for number in range(4)]
    assert sorted(drawn[0] + drawn[1]) == sorted(drawn[2] + drawn[3]) == [0, 1, 2, 3]
    assert all(len(each) == 2 for each in drawn)


def test_a_round_too_small_for_its_minibatches_is_refused(model):
    with pytest.raises(SettingsError, match="a round has 3 responses, which do not fill 2 minibatches"):
        learning_of(model, replace(Ppo(), minibatches=2))
