"""Scores against sums of log-probabilities written out by hand, one text at a time."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import SettingsError
from trivium.generation.questions import about_continuation, about_text, windows
from trivium.generation.score import Question, answers, joined, surprise
from trivium.tokenizers import Tokenizer, train_bpe
from trivium.transformer import Inputs, Model, Tokens

TEXT = ["the cat sat on the mat and the dog sat on the log"] * 30
Tiny = Callable[..., Model]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXT, 310)


def log_probabilities(model: Model, ids: list[int], source: list[int] | None = None) -> torch.Tensor:
    """(T, V): what the model says after (or, an encoder, at) each of the ids."""
    side = Tokens(torch.tensor([ids]))
    if model.config.decoder_layers == 0:
        inputs = Inputs(source=side)
    else:
        inputs = Inputs(Tokens(torch.tensor([source])) if source else None, side)
    with torch.no_grad():
        return model(inputs, at="all").logits[0].log_softmax(-1)


def score(model: Model, tokenizer: Tokenizer, prompt: str, continuation: str):  # noqa: ANN201
    return joined(answers(model, about_continuation(model, tokenizer, prompt, continuation)))


def test_a_decoder_scores_a_continuation(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(decoder=2, vocab=tokenizer.vocab_size)
    found = score(model, tokenizer, "the cat sat", " on the log")
    whole, known = tokenizer.encode("the cat sat on the log").ids, len(tokenizer.encode("the cat sat").ids)
    after = log_probabilities(model, whole)
    by_hand = [float(after[at - 1, whole[at]]) for at in range(known, len(whole))]
    assert found.log_probabilities == pytest.approx(by_hand, abs=1e-5)
    assert found.log_probability == pytest.approx(sum(by_hand), abs=1e-5)
    assert found.tokens == len(by_hand) > 2 and not found.greedy


def test_a_token_across_the_border_is_the_continuations(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(decoder=1, vocab=tokenizer.vocab_size)
    whole = tokenizer.encode("the cat").ids
    pieces = [tokenizer.piece(number) for number in whole]
    last = tokenizer.decode(whole[-1:])
    assert len(last) > 1, pieces
    prompt, continuation = "the cat"[: -len(last) + 1], "the cat"[-len(last) + 1 :]
    (question,) = about_continuation(model, tokenizer, prompt, continuation)
    assert question.targets == (whole[-1],)


def test_an_empty_prompt_scores_a_text_from_its_beginning(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(decoder=1, vocab=tokenizer.vocab_size)
    ids = tokenizer.encode("the dog").ids
    assert tokenizer.end is not None
    after = log_probabilities(model, [tokenizer.end, *ids])
    by_hand = sum(float(after[at, token]) for at, token in enumerate(ids))
    assert score(model, tokenizer, "", "the dog").log_probability == pytest.approx(by_hand, abs=1e-5)


def test_greedy_says_whether_each_token_was_the_best(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(decoder=1, vocab=tokenizer.vocab_size)
    ids = [50]
    for _ in range(4):
        ids.append(int(log_probabilities(model, ids)[-1].argmax()))
    best, other = (Question(tuple(ids[:-1]), (2, 3), tuple(t)) for t in (ids[3:], [ids[3], ids[4] + 1]))
    assert [found.greedy for found in answers(model, [best, other])] == [True, False]


def test_an_encoder_decoder_scores_an_answer(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(encoder=1, decoder=1, vocab=tokenizer.vocab_size, position="relative")
    source = [*tokenizer.encode("the cat sat").ids, tokenizer.end]
    target = tokenizer.encode("the dog").ids
    after = log_probabilities(model, [0, *target], source)  # type: ignore[arg-type]
    by_hand = [float(after[at, token]) for at, token in enumerate(target)]
    assert score(model, tokenizer, "the cat sat", "the dog").log_probabilities == pytest.approx(by_hand, abs=1e-5)


def test_an_encoder_masks_one_token_at_a_time(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(encoder=2, vocab=tokenizer.vocab_size)
    ids = tokenizer.encode("the cat sat").ids
    row = [tokenizer.classify, *ids, tokenizer.separator]
    by_hand = []
    for at in range(1, len(ids) + 1):
        masked = [tokenizer.mask if place == at else token for place, token in enumerate(row)]
        by_hand.append(float(log_probabilities(model, masked)[at, row[at]]))  # type: ignore[arg-type]
    questions = about_text(model, tokenizer, "the cat sat")
    assert joined(answers(model, questions)).log_probabilities == pytest.approx(by_hand, abs=1e-5)
    known = len(tokenizer.encode("the cat").ids)
    found = score(model, tokenizer, "the cat", " sat")
    assert found.log_probabilities == pytest.approx(by_hand[known:], abs=1e-5)


@pytest.mark.parametrize(("encoder", "decoder"), [(0, 1), (1, 0), (1, 1)])
def test_scores_do_not_depend_on_the_batch(tiny: Tiny, tokenizer: Tokenizer, encoder: int, decoder: int) -> None:
    model = tiny(encoder=encoder, decoder=decoder, vocab=tokenizer.vocab_size, context=64)
    pairs = [("the cat", " sat on the mat"), ("", "a"), ("the dog sat on the log and the cat sat", " on"), ("x", "yz")]
    questions = [q for pair in pairs for q in about_continuation(model, tokenizer, *pair)]
    together = answers(model, questions)
    for tokens in (1, 30, 10_000):
        for one, other in zip(answers(model, questions, tokens=tokens), together, strict=True):
            assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
    for question, found in zip(questions, together, strict=True):
        assert answers(model, [question])[0].log_probabilities == pytest.approx(found.log_probabilities, abs=1e-5)


# worked example: 10 predictions, context 4
@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (2, [(0, 4, 4), (2, 6, 2), (4, 8, 2), (6, 10, 2)]),
        (4, [(0, 4, 4), (4, 8, 4), (8, 10, 2)]),
        (1, [(0, 4, 4), (1, 5, 1), (2, 6, 1), (3, 7, 1), (4, 8, 1), (5, 9, 1), (6, 10, 1)]),
    ],
)
def test_windows_literally(stride: int, expected: list[tuple[int, int, int]]) -> None:
    assert windows(10, 4, stride) == expected


@given(st.integers(0, 60), st.integers(1, 12), st.data())
def test_windows_score_everything_once_within_the_context(count: int, context: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, context))
    cuts = windows(count, context, stride)
    assert [at for _, end, scored in cuts for at in range(end - scored, end)] == list(range(count))
    assert all(0 < end - begin <= context for begin, end, _ in cuts)


def test_a_stride_beyond_the_context_is_refused() -> None:
    with pytest.raises(SettingsError, match="stride is 5.*context, 4"):
        windows(10, 4, 5)


@pytest.mark.parametrize("stride", [1, 5, 8, None])
def test_a_long_text_in_windows(tiny: Tiny, tokenizer: Tokenizer, stride: int | None) -> None:
    model = tiny(decoder=1, vocab=tokenizer.vocab_size, context=8)
    text = " ".join(TEXT[:2])
    ids = [tokenizer.end, *tokenizer.encode(text).ids]
    total = 0.0
    for begin, end, scored in windows(len(ids) - 1, 8, stride or 4):
        after = log_probabilities(model, ids[begin:end])  # type: ignore[arg-type]
        total -= sum(float(after[at - begin, ids[at + 1]]) for at in range(end - scored, end))
    found = surprise(joined(answers(model, about_text(model, tokenizer, text, stride))), text)
    assert found.nats == pytest.approx(total, rel=1e-5)
    assert (found.tokens, found.bytes, found.characters) == (len(ids) - 1, len(text), len(text))


def test_an_equally_likely_vocabulary_costs_its_logarithm(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(decoder=1, vocab=tokenizer.vocab_size)
    model.tokens.weight.data.zero_()
    found = joined(answers(model, about_text(model, tokenizer, "the cat")))
    assert found.log_probability == pytest.approx(-found.tokens * math.log(tokenizer.vocab_size), rel=1e-5)


def test_long_texts_for_an_encoder_come_in_pieces(tiny: Tiny, tokenizer: Tokenizer) -> None:
    model = tiny(encoder=1, vocab=tokenizer.vocab_size, context=8)
    ids = tokenizer.encode(TEXT[0]).ids
    questions = about_text(model, tokenizer, TEXT[0])
    assert [q.targets[0] for q in questions] == ids
    assert max(len(q.ids) for q in questions) == 8


def test_what_cannot_be_scored_says_so(tiny: Tiny, tokenizer: Tokenizer) -> None:
    decoder = tiny(decoder=1, vocab=tokenizer.vocab_size, context=8)
    with pytest.raises(SettingsError, match="continuation to score is empty"):
        about_continuation(decoder, tokenizer, "the cat", "")
    with pytest.raises(SettingsError, match="context is 8"):
        answers(decoder, about_continuation(decoder, tokenizer, TEXT[0], " x"))
    both = tiny(encoder=1, decoder=1, vocab=tokenizer.vocab_size)
    with pytest.raises(SettingsError, match="score a continuation"):
        about_text(both, tokenizer, "the cat")
