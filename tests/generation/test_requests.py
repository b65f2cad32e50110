"""Requests that join and leave a running batch: each gets what it gets alone, whatever happens beside it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivium.errors import RefusedError, SettingsError, TriviumError
from trivium.generation.engine import Choice, Engine, Request, run
from trivium.generation.prompts import Prompt
from trivium.generation.rules import Forced
from trivium.generation.sampling import Sampling
from trivium.generation.wording import Wording
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.recurrent import initialise as initialise_recurrent
from trivium.transformer import Model, Network
from trivium.transformer.two_stream import TwoStream, initialise_two_stream
from trivium.transformer.two_stream_config import TwoStreamConfig

Tiny = Callable[..., Model]
KINDS = [
    "learned", "rotary", "relative", "source and relative", "source and sinusoidal", "lstm", "source and gru", "xlnet",
]  # fmt: skip
NO_ENDS: frozenset[int] = frozenset()


def network(kind: str, tiny: Tiny) -> Network:
    if kind == "xlnet":
        sizes = {"vocab_size": 64, "width": 16, "heads": 4, "ffn_width": 32, "encoder_layers": 2, "context": 40}
        return initialise_two_stream(TwoStream(TwoStreamConfig(**sizes, init_std=0.3)), 1).eval()  # type: ignore[arg-type]
    if kind.split()[-1] in ("lstm", "gru"):
        layers = {"encoder_layers": 1} if "source" in kind else {}
        sizes = {"vocab_size": 64, "width": 16, "decoder_layers": 2, "cell": kind.split()[-1], **layers}
        return initialise_recurrent(RecurrentModel(RecurrentConfig(**sizes)), 1).eval()  # type: ignore[arg-type]
    return tiny(encoder=1 if "source" in kind else 0, decoder=2, position=kind.split()[-1], context=40)


def wide_apart(model: Network) -> Network:
    """Weights so large that no two tokens tie, of recurrent networks too."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and float(parameter.std()) < 0.25:
                parameter.mul_(0.3 / float(parameter.std()))
    return model


def drain(engine: Engine, found: dict[int, list[Choice]]) -> None:
    while engine.busy:
        note(engine.step(), found)


def note(choices: Sequence[Choice], found: dict[int, list[Choice]]) -> None:
    for choice in choices:
        found.setdefault(choice.row, []).append(choice)


def tokens_of(choices: Sequence[Choice]) -> list[int]:
    return [choice.token for choice in choices]


SETTINGS = st.builds(
    Sampling,
    max_tokens=st.integers(1, 9),
    temperature=st.sampled_from([0.0, 0.7, 1.3]),
    top_k=st.sampled_from([0, 5]),
    top_p=st.sampled_from([0.9, 1.0]),
    typical_p=st.sampled_from([0.8, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.4]),
    presence_penalty=st.sampled_from([0.0, 0.5]),
    frequency_penalty=st.sampled_from([0.0, 0.7]),
    no_repeat_ngram=st.sampled_from([0, 2]),
    min_tokens=st.sampled_from([0, 1]),
    seed=st.integers(0, 5),
    top_log_probabilities=st.sampled_from([0, 3]),
)
TEXTS = st.lists(st.integers(1, 63), min_size=1, max_size=6).map(tuple)
WORDS = st.sampled_from([Wording(), Wording(((3, 2.0), (9, -5.0)), ((7,), (5, 6))), Wording(forced=(((4,), (5, 4)),))])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_requests_that_join_and_leave_get_what_they_get_alone(kind: str, tiny: Tiny, data: st.DataObject) -> None:
    model = wide_apart(network(kind, tiny))
    common = data.draw(st.sampled_from([(), tuple(range(20, 38))]))  # a beginning that prompts share
    requests = []
    for _ in range(data.draw(st.integers(2, 7))):
        text = (*common, *data.draw(TEXTS))
        prompt = Prompt((0,), text, data.draw(st.integers(0, 2))) if "source" in kind else Prompt(text)
        ends = data.draw(st.sampled_from([NO_ENDS, frozenset({1, 2, 60}), frozenset({11})]))
        requests.append(Request(prompt, data.draw(SETTINGS), ends, Forced(), data.draw(WORDS)))
    engine = Engine(
        model, 64, slots=data.draw(st.integers(1, 3)), longest=40,
        read_at_once=data.draw(st.sampled_from([5, 40, 2048])), reuse=data.draw(st.sampled_from([0, 60, 4096])),
    )  # fmt: skip
    found: dict[int, list[Choice]] = {}
    cancelled, waiting = set(), list(requests)
    while waiting or engine.busy:
        move = data.draw(st.sampled_from(["submit", "step", "step", "cancel"]))
        if move == "submit" and waiting:
            engine.submit(waiting.pop(0))
        elif move == "cancel" and found and data.draw(st.integers(0, 3)) == 0:
            handle = data.draw(st.sampled_from(sorted(found)))
            engine.cancel(handle)
            cancelled.add(handle)
        elif move == "step" or not waiting:
            note(engine.step(), found)
    for handle, request in enumerate(requests):
        alone: dict[int, list[Choice]] = {}
        solo = Engine(model, 64, slots=1, longest=40, reuse=0)
        solo.submit(request)
        drain(solo, alone)
        got, expected = found.get(handle, []), alone[0]
        if handle in cancelled:
            expected = expected[: len(got)]
        assert tokens_of(got) == tokens_of(expected), handle
        assert [choice.finish for choice in got] == [choice.finish for choice in expected]
        for one, other in zip(got, expected, strict=True):
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
            assert [token for token, _ in one.top] == [token for token, _ in other.top]


# ---- what is bounded, refused and kept apart ----


def test_a_place_is_free_as_soon_as_a_text_ends(tiny: Tiny) -> None:
    engine = Engine(tiny(decoder=1), 64, slots=2, longest=20, reuse=0)
    for length in (1, 3, 2, 1):
        engine.submit(Request(Prompt((5,)), Sampling(length, 0.0)))
    seen = []
    while engine.busy:
        seen.append([choice.row for choice in engine.step()])
    assert seen == [[0, 1], [1, 2], [1, 2], [3]]
    assert (engine.running, engine.queued, engine.step()) == (0, 0, [])


def test_what_the_cache_cannot_hold_is_refused_when_it_is_submitted(tiny: Tiny) -> None:
    model = tiny(decoder=1)  # a context of 32
    engine = Engine(model, 64, slots=1, longest=10, waiting=1)
    with pytest.raises(RefusedError, match="has 6 tokens and asks for up to 5 more, and this engine holds 10"):
        engine.submit(Request(Prompt((1,) * 6), Sampling(5)))
    with pytest.raises(SettingsError, match="context is 32"):
        engine.submit(Request(Prompt((1,) * 32), Sampling(5)))
    for _ in range(2):
        engine.submit(Request(Prompt((1,)), Sampling(2)))
    with pytest.raises(RefusedError, match="2 requests are written or wait, and 2 may"):
        engine.submit(Request(Prompt((1,)), Sampling(2)))
    engine.cancel(1)
    assert engine.submit(Request(Prompt((1,)), Sampling(2))) == 2
    with pytest.raises(SettingsError, match="forced words take 3 tokens, and there is room for 2"):
        engine.submit(Request(Prompt((1,)), Sampling(2), wording=Wording(forced=(((1, 2, 3),),))))


@pytest.mark.parametrize(
    ("field", "value"), [("slots", 0), ("longest", 1), ("waiting", -1), ("read_at_once", 0), ("reuse", -1)]
)
def test_engines_that_cannot_be_are_refused(tiny: Tiny, field: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"{field} is {value}"):
        Engine(tiny(decoder=1), 64, **{field: value})  # type: ignore[arg-type]


def test_a_cache_larger_than_memory_is_refused(tiny: Tiny) -> None:
    with pytest.raises(RefusedError, match="GB and this machine has.*lower slots or longest"):
        Engine(tiny(decoder=1), 64, slots=1 << 40)


def test_a_cancelled_request_says_no_more_and_its_place_goes_to_the_next(tiny: Tiny) -> None:
    engine = Engine(tiny(decoder=1), 64, slots=1, longest=20)
    first, second, third = (engine.submit(Request(Prompt((n,)), Sampling(3, 0.0))) for n in (1, 2, 3))
    assert [choice.row for choice in engine.step()] == [first]
    engine.cancel(first)
    engine.cancel(second)
    engine.cancel(99)
    found: dict[int, list[Choice]] = {}
    drain(engine, found)
    assert list(found) == [third] and len(found[third]) == 3


def test_a_long_prompt_is_not_read_to_its_end_for_nobody(tiny: Tiny) -> None:
    engine = Engine(tiny(decoder=1), 64, slots=4, longest=40, read_at_once=4)
    long = [Request(Prompt((n, *range(1, 30))), Sampling(3, 0.0)) for n in range(2)]
    first = engine.submit(long[0])
    assert engine.step() == [] and engine.running == 1
    engine.cancel(first)
    assert engine.running == 0 and not engine.busy
    second, same = engine.submit(long[1]), engine.submit(long[1])
    assert engine.step() == [] and engine.running == 2
    engine.cancel(second)  # the other still waits for the same prompt
    found: dict[int, list[Choice]] = {}
    drain(engine, found)
    assert list(found) == [same]
    assert tuple(tokens_of(found[same])) == run(engine.model, [long[1].prompt], long[1].sampling, NO_ENDS, 64)[0].tokens


def test_a_text_that_cannot_go_on_ends_alone(tiny: Tiny) -> None:
    model = tiny(decoder=1)
    everything = Wording(banned=tuple((token,) for token in range(64)))
    engine = Engine(model, 64, slots=2, longest=20)
    good = Request(Prompt((5, 6)), Sampling(6, 0.0))
    engine.submit(Request(Prompt((5,)), Sampling(6, 0.0), wording=everything))
    engine.submit(good)
    found: dict[int, list[Choice]] = {}
    drain(engine, found)
    assert [(choice.finish, choice.token) for choice in found[0]] == [("error", -1)]
    assert "no token is left" in str(found[0][0].problem)
    assert tuple(tokens_of(found[1])) == run(model, [good.prompt], good.sampling, NO_ENDS, 64)[0].tokens
    with pytest.raises(SettingsError, match="every one would repeat a sequence of 1 tokens"):
        run(tiny(decoder=1, vocab=4), [Prompt((1, 2, 3, 0))], Sampling(3, 0.0, no_repeat_ngram=1), NO_ENDS, 4)


@pytest.mark.parametrize("last", [True, False])
def test_numbers_that_are_none_do_not_spread(tiny: Tiny, last: bool) -> None:
    """A token whose embedding is damaged makes its own text end, and not the one that gets its place after it."""
    model = tiny(decoder=1, position="rotary", context=40)
    with torch.no_grad():
        model.tokens.weight[63] = torch.nan
    requests = [Request(Prompt((5, 6, 7)), Sampling(12, 0.0)), Request(Prompt((5, 63, 7, 8, 9, 10)), Sampling(12, 0.0))]
    requests = requests if last else requests[::-1]
    late = Request(Prompt((9,) * 9), Sampling(12, 0.0))
    engine = Engine(model, 63, slots=2, longest=40, reuse=0)
    for request in (*requests, late):
        engine.submit(request)
    found: dict[int, list[Choice]] = {}
    drain(engine, found)
    bad = found.pop(int(last))
    assert len(bad) == 1 and isinstance(bad[0].problem, TriviumError) and "not finite" in str(bad[0].problem)
    for handle, request in ((int(not last), requests[not last]), (2, late)):
        assert tuple(tokens_of(found[handle])) == run(model, [request.prompt], request.sampling, NO_ENDS, 63)[0].tokens


def test_random_numbers_are_the_same_past_a_block_of_them(tiny: Tiny) -> None:
    model = tiny(decoder=1, position="none", context=400)
    sampling = Sampling(300, temperature=1.0, seed=4)
    engine = Engine(model, 64, slots=2)
    engine.submit(Request(Prompt((9, 9, 9)), Sampling(7)))
    for _ in range(5):
        engine.step()
    handle = engine.submit(Request(Prompt((1,)), sampling))
    found: dict[int, list[Choice]] = {}
    drain(engine, found)
    assert tuple(tokens_of(found[handle])) == run(model, [Prompt((1,))], sampling, NO_ENDS, 64)[0].tokens


# ---- beginnings that are read once ----

SYSTEM = tuple(range(1, 31))


@pytest.mark.parametrize("kind", ["learned", "rotary", "relative", "lstm", "xlnet"])
def test_a_beginning_that_was_read_is_taken_over(kind: str, tiny: Tiny) -> None:
    model = wide_apart(network(kind, tiny))
    plain = [run(model, [Prompt((*SYSTEM, token))], Sampling(4, 0.0), NO_ENDS, 64)[0].tokens for token in (40, 41, 42)]
    engine = Engine(model, 64, slots=1, longest=40)
    found: dict[int, list[Choice]] = {}
    read = []
    for token in (40, 41, 42, 42):
        engine.submit(Request(Prompt((*SYSTEM, token)), Sampling(4, 0.0)))
        drain(engine, found)
        read.append((engine.work.read, engine.work.taken_over))
    assert [tuple(tokens_of(found[n])) for n in range(4)] == [*plain, plain[2]]
    if kind in ("lstm", "xlnet"):  # a state holds all of a text; and there every token sees the whole prompt
        assert read == [(31, 0), (62, 0), (93, 0), (93, 31)]
    else:
        assert read == [(31, 0), (32, 30), (33, 60), (34, 90)]
    engine.forget()
    engine.submit(Request(Prompt((*SYSTEM, 42)), Sampling(4, 0.0)))
    drain(engine, found)
    assert engine.work.read == read[-1][0] + 31


def test_prompts_that_begin_alike_are_read_together_once(tiny: Tiny) -> None:
    model = tiny(decoder=2, context=60)
    prompts = [Prompt((*SYSTEM, *rest)) for rest in ((40,), (41, 42, 43), (44, 45))]
    engine = Engine(model, 64, slots=4, reuse=0)
    for prompt in (*prompts, replace(prompts[0], sample=1)):
        engine.submit(Request(prompt, Sampling(5, 0.0)))
    found: dict[int, list[Choice]] = {}
    drain(engine, found)
    assert engine.work.read == 30 + 6 and engine.work.taken_over == 3 * 30 - 30 + 31
    for handle, prompt in enumerate(prompts):
        assert tuple(tokens_of(found[handle])) == run(model, [prompt], Sampling(5, 0.0), NO_ENDS, 64)[0].tokens


def test_a_conversation_goes_on_from_what_was_written(tiny: Tiny) -> None:
    """The next turn begins with the last prompt and the reply: only what is new is read."""
    engine = Engine(tiny(decoder=1, context=80), 64, slots=1)
    found: dict[int, list[Choice]] = {}
    engine.submit(Request(Prompt(SYSTEM), Sampling(5, 0.0)))
    drain(engine, found)
    reply = tokens_of(found[0])
    engine.submit(Request(Prompt((*SYSTEM, *reply, 50, 51)), Sampling(5, 0.0)))
    drain(engine, found)
    assert engine.work.taken_over == 34 and engine.work.read == 30 + 3  # the last token of the reply was not read


def test_a_source_that_was_read_is_not_encoded_again(tiny: Tiny) -> None:
    model = tiny(encoder=1, decoder=1, position="relative", context=60)
    engine = Engine(model, 64, slots=1)
    found: dict[int, list[Choice]] = {}
    encoded = []
    assert model.encoder is not None
    model.encoder.register_forward_hook(lambda *_: encoded.append(1))
    for ids in ((0,), (0,), (0, 7)):
        engine.submit(Request(Prompt(ids, SYSTEM), Sampling(5, 0.0)))
        drain(engine, found)
    assert len(encoded) == 1
    expected = run(model, [Prompt((0, 7), SYSTEM)], Sampling(5, 0.0), NO_ENDS, 64)[0].tokens
    assert tuple(tokens_of(found[2])) == expected and tokens_of(found[0]) == tokens_of(found[1])


def test_long_prompts_are_read_in_parts_between_the_steps_of_others(tiny: Tiny) -> None:
    model = tiny(decoder=1, context=60)
    engine = Engine(model, 64, slots=2, read_at_once=4)
    engine.submit(Request(Prompt((5,)), Sampling(12, 0.0)))
    engine.step()
    engine.submit(Request(Prompt(tuple(range(1, 20))), Sampling(12, 0.0)))
    steps = [[choice.row for choice in engine.step()] for _ in range(6)]
    assert steps == [[0]] * 4 + [[0, 1]] * 2
    engine.cancel(0)
    engine.submit(Request(Prompt(tuple(range(1, 20))[::-1]), Sampling(12, 0.0)))
    engine.step()
    engine.cancel(2)  # while its prompt is being read
    found: dict[int, list[Choice]] = {}
    drain(engine, found)
    assert 2 not in found
