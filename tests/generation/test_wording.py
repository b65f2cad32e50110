"""Words to tokens, over a real byte-level tokenizer; forced words in texts of every kind."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivium.errors import SettingsError
from trivium.generation.completion import complete
from trivium.generation.engine import Engine, Request, run
from trivium.generation.prompts import Prompt
from trivium.generation.sampling import Sampling
from trivium.generation.wording import Wanted, Wording, spellings, wording
from trivium.tokenizers import Tokenizer, train_bpe
from trivium.transformer import Model

Tiny = Callable[..., Model]
TEXT = ["the cat sat on the mat and the dog sat on the log = 7"] * 30


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXT, 300)


@pytest.fixture
def decoder(tiny: Tiny, tokenizer: Tokenizer) -> Model:
    return tiny(decoder=2, vocab=tokenizer.vocab_size, context=64)


def test_a_word_is_meant_with_and_without_a_space(tokenizer: Tokenizer) -> None:
    after, alone = spellings("cat", tokenizer)
    assert tokenizer.decode([5, *after]).endswith(" cat") and tokenizer.decode(alone) == "cat"
    assert spellings(" cat", tokenizer) == (after,)


def test_words_that_no_token_writes_are_refused(word_tokenizer: Callable[[list[str]], Tokenizer]) -> None:
    known = word_tokenizer(["cat"])
    assert spellings("cat", known) == ((known.encode("cat").ids[0],),)
    with pytest.raises(SettingsError, match="'dog' cannot be written in this tokenizer's tokens"):
        wording(Sampling(banned_words=("dog",)), known)


def test_biases_name_tokens_by_number_or_text(tokenizer: Tokenizer) -> None:
    the = tokenizer.encode(" the").ids
    assert len(the) == 1
    found = wording(Sampling(logit_bias=("7=1.5", " the=-5")), tokenizer)
    assert dict(found.bias) == {7: 1.5, the[0]: -5.0}
    with pytest.raises(SettingsError, match="names token 999, and this tokenizer has 300"):
        wording(Sampling(logit_bias=("999=1",)), tokenizer)
    with pytest.raises(SettingsError, match="names 'the cat sat', which is .* tokens .*: name one of them"):
        wording(Sampling(logit_bias=("the cat sat=1",)), tokenizer)


def test_banned_words_are_not_written(decoder: Model, tokenizer: Tokenizer) -> None:
    likely = Sampling(20, 0.0, logit_bias=(" the=60",))
    assert " the" in complete(decoder, tokenizer, ["the cat"], likely)[0].text
    banned = complete(decoder, tokenizer, ["the cat"], replace(likely, banned_words=("the",)))[0]
    assert not any(_within(banned.tokens, each) for each in spellings("the", tokenizer))


def test_of_a_banned_sequence_the_last_token_is_not_written(decoder: Model) -> None:
    sampling = Sampling(20, 1.0, top_p=1.0)
    free = run(decoder, [Prompt((5, 9))], sampling, frozenset(), 300)[0].tokens
    at = next(n for n in range(2, 18) if len(set(free[n : n + 3])) == 3)
    engine = Engine(decoder, 300, slots=1)
    engine.submit(Request(Prompt((5, 9)), sampling, wording=Wording(banned=(free[at : at + 3],))))
    tokens: list[int] = []
    while engine.busy:
        tokens += [choice.token for choice in engine.step()]
    assert tuple(tokens[: at + 2]) == free[: at + 2] and tokens[at + 2] != free[at + 2]
    assert not _within(tokens, free[at : at + 3])


@given(seed=st.integers(0, 99), most=st.integers(6, 12), temperature=st.sampled_from([0.0, 1.5]), ends=st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_forced_words_always_come(tiny: Tiny, seed: int, most: int, temperature: float, ends: bool) -> None:
    model = tiny(decoder=1)
    words = (((4, 5), (6,)), ((7, 8, 9),), ((4,),))
    sampling = Sampling(most, temperature, seed=seed)
    engine = Engine(model, 64, slots=1)
    engine.submit(
        Request(Prompt((seed % 60 + 1,)), sampling, frozenset(range(20, 40)) if ends else frozenset(), wording=Wording(
            forced=words))
    )
    tokens = []
    while engine.busy:
        tokens += [choice.token for choice in engine.step() if choice.finish != "end"]
    assert len(tokens) <= most
    for word in words:
        assert any(_within(tokens, each) for each in word), (word, tokens)


def test_what_is_missing_is_written_where_the_room_only_just_holds_it() -> None:
    wanted = Wanted([((1, 2),), ((3,), (4,))])
    assert wanted.next(4) is None
    wanted.take([9])
    assert wanted.next(3) == 1
    wanted.take([9, 1])
    assert wanted.next(2) == 2
    wanted.take([9, 1, 2])
    assert wanted.next(1) == 3
    wanted.take([9, 1, 2, 3])
    assert not wanted.missing and wanted.next(1) is None
    early = Wanted([((3,), (4,))])
    early.take([4])
    assert not early.missing


def _within(tokens: object, word: tuple[int, ...]) -> bool:
    text = list(tokens)  # type: ignore[call-overload]
    return any(tuple(text[at : at + len(word)]) == word for at in range(len(text)))
