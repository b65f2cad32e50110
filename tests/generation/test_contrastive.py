"""Contrastive search equals its definition, computed slowly: every candidate by a pass over the whole text."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from trivium.errors import SettingsError
from trivium.generation.contrastive import Contrastive, ContrastiveDecoding, contrasted
from trivium.generation.engine import Choice, run
from trivium.generation.prompts import Prompt
from trivium.generation.sampling import Sampling
from trivium.generation.wording import Wording
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.transformer import Inputs, Model, Network, Tokens

Tiny = Callable[..., Model]
NO_ENDS: frozenset[int] = frozenset()
TEXTS = [(5, 9, 2), (7,), (3, 3, 60, 11, 4, 8, 1), (9, 2)]


def prompts_for(model: Network) -> list[Prompt]:
    return [Prompt((0,), text) if model.config.encoder_layers else Prompt(text) for text in TEXTS]


def written(
    model: Network, prompts: list[Prompt], settings: Contrastive, ends: frozenset[int] = NO_ENDS, vocabulary: int = 64,
    words: Wording = Wording(),  # noqa: B008 (frozen)
) -> list[list[Choice]]:  # fmt: skip
    found: list[list[Choice]] = [[] for _ in prompts]
    for step in ContrastiveDecoding(model, prompts, settings, ends, vocabulary, words=words):
        for choice in step:
            found[choice.row].append(choice)
    return found


@torch.no_grad()
def states_and_chances(model: Network, prompt: Prompt, texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T, W) and (B, V) after texts of one length, read as a whole."""
    source = Tokens(torch.tensor([prompt.source] * len(texts))) if prompt.source else None
    outputs = model(Inputs(source, Tokens(torch.tensor([[*prompt.ids, *tokens] for tokens in texts]))), at="all")
    assert outputs.logits is not None
    return outputs.hidden.double(), outputs.logits[:, -1].double().softmax(-1)


def by_hand(
    model: Network, prompt: Prompt, settings: Contrastive, vocabulary: int = 64,
    forbidden: Callable[[list[int]], set[int]] = lambda tokens: set(),
) -> list[int]:  # fmt: skip
    """Su et al. 2022, equation 5, without the tokens that are ``forbidden`` after some."""
    tokens: list[int] = []
    for _ in range(settings.max_tokens):
        (before,), (chances,) = states_and_chances(model, prompt, [tokens])
        chances = chances[:vocabulary].clone()
        chances[sorted(forbidden(tokens))] = 0
        chances /= chances.sum()
        scores = {}
        candidates = chances.argsort(descending=True)[: settings.candidates].tolist()
        candidates = [candidate for candidate in candidates if chances[candidate] > 0]
        after = states_and_chances(model, prompt, [[*tokens, candidate] for candidate in candidates])[0][:, -1]
        for candidate, state in zip(candidates, after, strict=True):
            alike = max(float(state @ each / state.norm() / each.norm()) for each in before)
            scores[candidate] = (1 - settings.penalty) * float(chances[candidate]) - settings.penalty * alike
        tokens.append(max(scores, key=lambda candidate: scores[candidate]))
    return tokens


def recurrent(cell: str, encoder: int) -> Network:
    config = RecurrentConfig(
        vocab_size=64, width=12, state_width=12, cell=cell, encoder_layers=encoder, decoder_layers=2, context=8,
        start_token=0 if encoder else None,
    )  # fmt: skip
    model = RecurrentModel(config)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.7, generator=generator)
    return model.eval()


def check(model: Network, vocabulary: int = 64) -> None:
    prompts = prompts_for(model)
    greedy = [each.tokens for each in run(model, prompts, Sampling(8, 0.0), NO_ENDS, vocabulary)]
    differs = False
    for settings in (Contrastive(8, 4, 0.6), Contrastive(8, 7, 0.3)):
        found = written(model, prompts, settings, vocabulary=vocabulary)
        tokens = [[choice.token for choice in row] for row in found]
        assert tokens == [by_hand(model, prompt, settings, vocabulary) for prompt in prompts]
        differs = differs or [tuple(row) for row in tokens] != greedy
        for prompt, row in zip(prompts, found, strict=True):  # the model's own log-probabilities
            _, (chances,) = states_and_chances(model, prompt, [[choice.token for choice in row[:-1]]])
            expected = chances[:vocabulary].log() - chances[:vocabulary].sum().log()
            assert row[-1].log_probability == pytest.approx(float(expected[row[-1].token]), abs=1e-4)
            assert [choice.finish for choice in row] == [None] * 7 + ["length"]
    assert differs


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rotary", "relative", "none"])
@pytest.mark.parametrize("encoder", [0, 2])
def test_a_batch_equals_the_definition(encoder: int, position: str, tiny: Tiny) -> None:
    check(tiny(encoder=encoder, decoder=2, position=position))


@pytest.mark.parametrize(("cell", "encoder"), [("rnn", 0), ("lstm", 0), ("gru", 0), ("lstm", 1)])
def test_recurrent_models_equal_the_definition(cell: str, encoder: int) -> None:
    check(recurrent(cell, encoder), 40)


def test_without_a_penalty_or_a_choice_it_is_greedy(tiny: Tiny) -> None:
    model = tiny(decoder=2)
    prompts = prompts_for(model)
    greedy = [list(each.tokens) for each in run(model, prompts, Sampling(12, 0.0), NO_ENDS, 64)]
    for settings in (Contrastive(12, 5, 0.0), Contrastive(12, 1, 0.9)):
        assert [[choice.token for choice in row] for row in written(model, prompts, settings)] == greedy


def test_rows_that_end_leave_and_the_others_go_on(tiny: Tiny) -> None:
    model = tiny(decoder=2)
    prompts, settings = prompts_for(model), Contrastive(10, 4, 0.6)
    free = [[choice.token for choice in row] for row in written(model, prompts, settings)]
    ends = frozenset({free[0][2], free[1][5]})
    cut = written(model, prompts, settings, ends)
    for whole, part in zip(free, cut, strict=True):
        at = next((i for i, token in enumerate(whole) if token in ends), len(whole) - 1)
        assert [choice.token for choice in part] == whole[: at + 1]
        assert part[-1].finish == ("end" if whole[at] in ends else "length")
    assert len({len(row) for row in cut}) > 1


def test_the_rules_hold(tiny: Tiny) -> None:
    model = tiny(decoder=2, context=12)
    settings = Contrastive(20, 4, 0.6, no_repeat_ngram=1)
    (row,) = written(model, [Prompt((3, 4))], settings)
    text = [3, 4, *(choice.token for choice in row)]
    assert len(set(text)) == len(text) == 12 and row[-1].finish == "context"
    with pytest.raises(SettingsError, match="no_repeat_ngram larger"):
        written(tiny(decoder=1, vocab=6), [Prompt((1, 2))], settings, vocabulary=6)


def test_banned_and_forced_words(tiny: Tiny) -> None:
    """The definition with what is banned forbidden, and at the end all but the word that has to come."""
    model, settings = tiny(decoder=2), Contrastive(8, 4, 0.6)
    prompts = prompts_for(model)
    free = [[choice.token for choice in row] for row in written(model, prompts, settings)]
    banned = ((free[0][1],), (free[1][2], free[1][3]))
    word = (8, 9)
    assert not any(word == (a, b) for row in free for a, b in pairwise(row))

    def forbidden(tokens: list[int]) -> set[int]:
        found = {banned[0][0], *((banned[1][1],) if tokens[-1:] == [banned[1][0]] else ())}
        left = settings.max_tokens - len(tokens)
        if word in pairwise(tokens) or left > 2:
            return found
        return set(range(64)) - {word[2 - left]}

    given = Wording(banned=banned, forced=((word,),))
    found = [[choice.token for choice in row] for row in written(model, prompts, settings, words=given)]
    assert found == [by_hand(model, prompt, settings, forbidden=forbidden) for prompt in prompts] != free
    assert all(word in pairwise(row) for row in found)
    ends = frozenset({free[0][2]})
    ended = written(model, prompts[:1], settings, ends, words=Wording(forced=((word,),)))[0]
    assert word in pairwise([choice.token for choice in ended])
    with pytest.raises(SettingsError, match="forced words take 2 tokens, and there is room for 1"):
        written(model, prompts, replace(settings, max_tokens=1), words=given)


def test_scores_literally() -> None:
    chances = torch.tensor([[0.6, 0.4, 0.0]])
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    seen = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]])
    real = torch.tensor([[True, True, False]])
    # 0.5 x 0.6 - 0.5 x 1 = -0.2 and 0.5 x 0.4 - 0.5 x 0.8 = -0.2 + 0; the third is forbidden
    assert contrasted(chances, states, seen, real, 0.5).tolist() in ([0], [1])
    assert contrasted(chances, states, seen, real, 0.4).tolist() == [0]
    assert contrasted(chances, states, seen, real, 0.6).tolist() == [1]


def test_what_cannot_be_done_is_refused(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="use fill"):
        ContrastiveDecoding(tiny(encoder=1), [Prompt((1,))], Contrastive(), NO_ENDS, 64)
    for name, value in (("penalty", 1.5), ("penalty", float("nan")), ("candidates", 0), ("stop", ("",))):
        with pytest.raises(SettingsError, match=f"{name} is"):
            replace(Contrastive(), **{name: value})
