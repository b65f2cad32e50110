"""Texts for requests that come one after another: what a server will drive."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trivium.errors import RefusedError, SettingsError
from trivium.generation.completion import Piece, best, complete
from trivium.generation.engine import Engine, Request, next_tokens
from trivium.generation.prompts import Prompt
from trivium.generation.sampling import Sampling
from trivium.generation.search import Search
from trivium.generation.writer import Writer
from trivium.tokenizers import Tokenizer, train_bpe
from trivium.transformer import Model

Tiny = Callable[..., Model]
TEXT = ["the cat sat on the mat and the dog sat on the log 🌍 é ü 日本"] * 30
FREE = Sampling(max_tokens=20, temperature=1.0, top_p=1.0, seed=2)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXT, 320)


@pytest.fixture
def decoder(tiny: Tiny, tokenizer: Tokenizer) -> Model:
    return tiny(decoder=2, vocab=tokenizer.vocab_size, context=64)


def test_texts_of_requests_are_those_of_prompts(decoder: Model, tokenizer: Tokenizer) -> None:
    prompts = ["the cat", "on the mat and the dog sat", "日本 🌍", "the"]
    expected = complete(decoder, tokenizer, prompts, FREE, samples=2)
    writer = Writer(decoder, tokenizer, slots=3)
    handles = [writer.submit(prompt, FREE, samples=2) for prompt in prompts[:2]]
    pieces: list[Piece] = [*writer.step(), *writer.step()]
    handles += [writer.submit(prompt, FREE, samples=2) for prompt in prompts[2:]]
    while writer.busy:
        pieces += writer.step()
    assert handles == [0, 1, 2, 3]
    for each in expected:
        mine = [piece for piece in pieces if (piece.prompt, piece.sample) == (each.prompt, each.sample)]
        assert "".join(piece.text for piece in mine) == each.text
        assert [piece.finish for piece in mine[:-1]] == [None] * (len(mine) - 1) and mine[-1].finish == each.finish


def test_a_stop_string_frees_the_place_and_others_go_on(decoder: Model, tokenizer: Tokenizer) -> None:
    free = complete(decoder, tokenizer, ["the cat"], FREE)[0].text
    writer = Writer(decoder, tokenizer, slots=1)
    writer.submit("the cat", Sampling(20, 1.0, top_p=1.0, seed=2, stop=(free[3:6],)))
    writer.submit("the mat", FREE)
    made = list(writer.completions())
    assert [(each.prompt, each.finish) for each in made] == [(0, "stop"), (1, "length")]
    assert made[0].text == free[: free.index(free[3:6])]
    assert made[1].text == complete(decoder, tokenizer, ["the mat"], FREE)[0].text


def test_all_samples_are_taken_or_none(decoder: Model, tokenizer: Tokenizer) -> None:
    writer = Writer(decoder, tokenizer, slots=1, waiting=2)
    with pytest.raises(RefusedError, match="3 requests are written or wait"):
        writer.submit("the cat", FREE, samples=4)
    assert not writer.busy
    handle = writer.submit("the cat", FREE, samples=3)
    assert {piece.prompt for piece in writer.step()} == {handle}
    writer.cancel(handle)
    writer.cancel(handle)
    assert not writer.busy and writer.step() == []
    with pytest.raises(SettingsError, match="samples is 0"):
        writer.submit("x", FREE, samples=0)


def test_a_stream_belongs_to_one_request_and_closing_it_cancels(decoder: Model, tokenizer: Tokenizer) -> None:
    writer = Writer(decoder, tokenizer)
    pieces = writer.stream(writer.submit("the cat", FREE))
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert not writer.busy
    one, other = writer.submit("the cat", FREE), writer.submit("the", FREE)
    with pytest.raises(SettingsError, match="call step"):
        next(writer.stream(one))
    writer.cancel(other)


def test_the_most_probable_tokens_are_told_with_their_texts(decoder: Model, tokenizer: Tokenizer) -> None:
    made = complete(decoder, tokenizer, ["the cat"], Sampling(5, 0.0, top_log_probabilities=4))[0]
    assert [len(top) for top in made.top] == [4] * 5
    ids = [*tokenizer.encode("the cat").ids]
    for token, chance, top in zip(made.tokens, made.log_probabilities, made.top, strict=True):
        exact = next_tokens(decoder, Prompt(tuple(ids)), tokenizer.vocab_size).topk(4)
        assert [each.token for each in top] == exact.indices.tolist() and top[0].token == token
        assert [each.log_probability for each in top] == pytest.approx(exact.values.tolist(), abs=1e-4)
        assert top[0].log_probability == pytest.approx(chance, abs=1e-5)
        assert [each.text for each in top] == [tokenizer.decode([each.token], skip_special=False) for each in top]
        ids.append(token)
    assert complete(decoder, tokenizer, ["the cat"], FREE)[0].top == ()


def test_the_best_of_several_has_the_highest_mean_log_probability(decoder: Model, tokenizer: Tokenizer) -> None:
    all_of_them = complete(decoder, tokenizer, ["the cat", "the"], FREE, samples=6)
    found = complete(decoder, tokenizer, ["the cat", "the"], FREE, samples=2, best_of=6)
    assert [each.prompt for each in found] == [0, 0, 1, 1]
    for prompt in (0, 1):
        means = {each.sample: sum(each.log_probabilities) / len(each.log_probabilities)
                 for each in all_of_them if each.prompt == prompt}  # fmt: skip
        ranked = sorted(means, key=lambda sample: -means[sample])[:2]
        mine = [each for each in found if each.prompt == prompt]
        assert [each.sample for each in mine] == ranked
        assert [each.score for each in mine] == pytest.approx([means[sample] for sample in ranked])
    assert best(all_of_them[:1], 1)[0].text == all_of_them[0].text


def test_what_has_no_best_is_refused(decoder: Model, tokenizer: Tokenizer) -> None:
    with pytest.raises(SettingsError, match="temperature 0"):
        complete(decoder, tokenizer, ["x"], Sampling(temperature=0), best_of=2)
    with pytest.raises(SettingsError, match="best 3 of 2"):
        complete(decoder, tokenizer, ["x"], FREE, samples=3, best_of=2)
    with pytest.raises(SettingsError, match="beam search ranks its own"):
        complete(decoder, tokenizer, ["x"], Search(), best_of=2)


class OneAfterAnother:
    """A text of the tokens 5, 6, 7, and then its end."""

    def __init__(self, breaks: bool = False) -> None:
        self.taken: list[int] = []
        self.breaks = breaks

    @property
    def complete(self) -> bool:
        return len(self.taken) == 3

    def allowed(self) -> Tensor:
        if self.breaks and self.taken:
            raise SettingsError("this cannot be followed")
        return torch.arange(64) == 5 + len(self.taken)

    def take(self, token: int) -> None:
        self.taken.append(token)


def test_a_constraint_is_followed_by_its_own_text_alone(tiny: Tiny) -> None:
    engine = Engine(tiny(decoder=1), 64, slots=3)
    for constraint in (OneAfterAnother(), None, OneAfterAnother(breaks=True)):
        engine.submit(Request(Prompt((9,)), Sampling(6, 1.0), constraint=constraint))
    found: dict[int, list[tuple[int, str | None]]] = {}
    while engine.busy:
        for choice in engine.step():
            found.setdefault(choice.row, []).append((choice.token, choice.finish))
    assert found[0] == [(5, None), (6, None), (7, "stop")]
    assert len(found[1]) == 6
    assert found[2] == [(5, None), (-1, "error")]
