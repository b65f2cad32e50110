"""Texts: stop strings and streaming over a real byte-level tokenizer, whose random model writes broken UTF-8 too."""

from collections.abc import Callable, Sequence

import pytest

from trivium.errors import SettingsError
from trivium.generation.completion import complete, stream
from trivium.generation.prompts import Prompt, opening, prompt_of, source_ids
from trivium.generation.sampling import Sampling
from trivium.tokenizers import STYLES, Tokenizer, train_bpe
from trivium.transformer import Model

TEXT = ["the cat sat on the mat and the dog sat on the log 🌍 é ü 日本"] * 30
FREE = Sampling(max_tokens=40, temperature=1.0, top_p=1.0, seed=2)
Tiny = Callable[..., Model]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXT, 320)


@pytest.fixture
def decoder(tiny: Tiny, tokenizer: Tokenizer) -> Model:
    return tiny(decoder=2, vocab=tokenizer.vocab_size, context=64)


PROMPTS = ["the cat", "on the mat and the dog sat", "日本 🌍"]


def test_pieces_join_to_the_decoded_tokens(decoder: Model, tokenizer: Tokenizer) -> None:
    done = complete(decoder, tokenizer, PROMPTS, FREE, samples=4)
    assert [(c.prompt, c.sample) for c in done] == [(p, s) for p in range(3) for s in range(4)]
    for completion in done:
        ids = tokenizer.encode(PROMPTS[completion.prompt]).ids
        whole = tokenizer.decode([*ids, *completion.tokens])
        assert completion.text == whole.removeprefix(PROMPTS[completion.prompt])
        assert str(completion) == completion.text
    assert any("\ufffd" in c.text for c in done)  # the random model did write broken characters


def test_pieces_in_order_are_the_completions(decoder: Model, tokenizer: Tokenizer) -> None:
    texts: dict[tuple[int, int], str] = {}
    for piece in stream(decoder, tokenizer, PROMPTS, FREE, samples=2):
        texts[piece.prompt, piece.sample] = texts.get((piece.prompt, piece.sample), "") + piece.text
    assert texts == {(c.prompt, c.sample): c.text for c in complete(decoder, tokenizer, PROMPTS, FREE, samples=2)}


def test_a_text_does_not_depend_on_those_beside_it(decoder: Model, tokenizer: Tokenizer) -> None:
    together = complete(decoder, tokenizer, PROMPTS, FREE, samples=3)
    alone = [complete(decoder, tokenizer, [p], FREE, samples=2)[1].text for p in PROMPTS]
    assert [c.text for c in together if c.sample == 1] == alone


def test_stop_strings_cut_what_would_have_been_written(decoder: Model, tokenizer: Tokenizer) -> None:
    for free in complete(decoder, tokenizer, PROMPTS, FREE):
        stop = free.text[9:12]
        assert len(stop) == 3
        sampling = Sampling(max_tokens=40, temperature=1.0, top_p=1.0, seed=2, stop=("never there", stop))
        cut = complete(decoder, tokenizer, PROMPTS, sampling)[free.prompt]
        assert cut.finish == "stop"
        assert cut.text == free.text[: free.text.index(stop)]
        assert free.tokens[: len(cut.tokens)] == cut.tokens and len(cut.tokens) < len(free.tokens)


def test_what_is_held_back_for_a_stop_string_comes_at_the_end(decoder: Model, tokenizer: Tokenizer) -> None:
    free = complete(decoder, tokenizer, ["the cat"], FREE)[0]
    stop = free.text[-2:] + "and something more"
    sampling = Sampling(max_tokens=40, temperature=1.0, top_p=1.0, seed=2, stop=(stop,))
    assert complete(decoder, tokenizer, ["the cat"], sampling)[0].text == free.text


def test_the_model_ends_a_text_by_the_end_token(decoder: Model, tokenizer: Tokenizer) -> None:
    greedy = Sampling(max_tokens=40, temperature=0)
    free = complete(decoder, tokenizer, ["the cat"], greedy)[0].tokens
    last = next(token for token in free[3:] if token not in free[:3])
    # exchanging two rows of the (tied) embedding renames the tokens: the model now writes the end token there
    weight = decoder.tokens.weight.data
    weight[[tokenizer.end, last]] = weight[[last, tokenizer.end]]
    ended = complete(decoder, tokenizer, ["the cat"], greedy)[0]
    assert (ended.tokens, ended.finish) == (free[: free.index(last)], "end")
    assert len(ended.log_probabilities) == len(ended.tokens) + 1


def test_context_end_is_said(decoder: Model, tokenizer: Tokenizer) -> None:
    done = complete(decoder, tokenizer, PROMPTS, Sampling(max_tokens=1000, temperature=0))
    for prompt, completion in zip(PROMPTS, done, strict=True):
        assert completion.finish == "context"
        assert len(tokenizer.encode(prompt).ids) + len(completion.tokens) == 64


def test_special_strings_in_a_prompt_are_text(decoder: Model, tokenizer: Tokenizer) -> None:
    ids = prompt_of(decoder, tokenizer, "the </s> cat").ids
    assert tokenizer.end not in ids and tokenizer.decode(ids) == "the </s> cat"


def test_an_empty_prompt_begins_as_documents_do(decoder: Model, tokenizer: Tokenizer) -> None:
    assert prompt_of(decoder, tokenizer, "") == Prompt((tokenizer.end,))  # type: ignore[arg-type]
    assert complete(decoder, tokenizer, [""], FREE)[0].tokens
    nameless = train_bpe(TEXT, 280, specials=type(STYLES["t5"])(*[None] * 7, sentinels=()))
    with pytest.raises(SettingsError, match="prompt is empty.*give at least one word"):
        opening(nameless, [])
    assert opening(nameless, [5]) == (5,)


def test_an_encoder_decoder_reads_the_prompt_and_begins_anew(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(encoder=1, decoder=1, vocab=tokenizer.vocab_size, position="relative")
    ids = tokenizer.encode("the cat").ids
    assert prompt_of(model, tokenizer, "the cat") == Prompt((0,), (*ids, tokenizer.end))
    done = complete(model, tokenizer, ["the cat", "on the mat"], FREE)
    for completion in done:
        assert completion.text == tokenizer.decode(completion.tokens)


def test_what_cannot_be_done_is_refused_before_the_first_piece(tiny: Tiny, tokenizer: Tokenizer) -> None:
    with pytest.raises(SettingsError, match="use fill"):
        stream(tiny(encoder=1, vocab=tokenizer.vocab_size), tokenizer, ["the cat"], FREE)


def test_no_prompts_and_no_samples(decoder: Model, tokenizer: Tokenizer) -> None:
    assert complete(decoder, tokenizer, [], FREE) == []
    with pytest.raises(SettingsError, match="samples is 0"):
        complete(decoder, tokenizer, ["x"], FREE, samples=0)


def test_source_without_an_end_token() -> None:
    nameless = train_bpe(TEXT, 280, specials=type(STYLES["t5"])(*[None] * 7, sentinels=()))
    ids: Sequence[int] = (4, 5)
    assert source_ids(nameless, ids) == (4, 5)
