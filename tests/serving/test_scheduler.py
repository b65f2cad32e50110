"""The one thread that computes: whose turn it is, what is over the bounds, who has left, what takes too long."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import trivium
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import save
from trivium.generation.prompts import Prompt
from trivium.generation.sampling import Sampling
from trivium.serving.house import Served
from trivium.serving.refusals import Refusal
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings
from trivium.serving.turns import Turns


@pytest.fixture(scope="module")
def model(tiny_models: dict[str, Path]) -> trivium.LanguageModel:
    return trivium.load(tiny_models["llama"], device="cpu")


@asynccontextmanager
async def working(**settings: Any) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(ServeSettings(**settings))
    scheduler.start()
    try:
        yield scheduler
    finally:
        await asyncio.to_thread(scheduler.stop)


def ran(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 250))


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.002)


@asynccontextmanager
async def held(scheduler: Scheduler) -> AsyncIterator[None]:
    """Nothing is computed meanwhile, for a job of the key "held" does not end."""
    end, jobs = threading.Event(), scheduler.load.in_flight
    job = asyncio.create_task(scheduler.run("held", end.wait))
    await until(lambda: scheduler.load.in_flight > jobs and not scheduler.load.waiting)
    try:
        yield
    finally:
        end.set()
    assert await job


def text(model: trivium.LanguageModel, words: str) -> Prompt:
    return Prompt(tuple(model.tokenizer.encode(words).ids))


async def written(
    scheduler: Scheduler, served: Served, key: str, prompts: list[Prompt], sampling: Sampling, samples: int = 1
) -> dict[tuple[int, int], list[int]]:
    tokens: dict[tuple[int, int], list[int]] = {}
    async with aclosing(scheduler.write(key, served, prompts, sampling, samples)) as steps:
        async for step in steps:
            assert len({(piece.prompt, piece.sample) for piece in step}) == len(step)
            for piece in step:
                tokens.setdefault((piece.prompt, piece.sample), []).append(piece.token)
    return tokens


def test_turns_go_round_the_keys() -> None:
    turns: Turns[str] = Turns()
    for key, items in {"a": "123", "b": "4", "c": "56"}.items():
        for item in items:
            turns.add(key, item)
    found = []
    while (item := turns.take()) is not None:
        found.append(item)
        turns.remove(next(key for key, items in {"a": "123", "b": "4", "c": "56"}.items() if item in items), item)
    assert found == list("145263") and len(turns) == 0


def test_turns_pass_over_what_cannot_begin() -> None:
    turns: Turns[int] = Turns()
    for item in (1, 2, 3):
        turns.add("a", item)
    assert turns.take(lambda key, item: item > 1) == 2
    assert turns.take(lambda key, item: item > 9) is None
    turns.remove("a", 9), turns.remove("b", 1)
    assert list(turns) == [1, 2, 3]


def test_texts_are_what_each_is_alone(model: trivium.LanguageModel) -> None:
    served = Served("m", model, 0, places=3)
    prompts = [text(model, words) for words in ("The fox", "A list of items", "Return", "Every model", "Raise an")]

    async def test() -> None:
        async with working(running=3) as scheduler:
            asked = [
                written(scheduler, served, f"key{n % 2}", [prompt], Sampling(max_tokens=6 + n, seed=n), samples=2)
                for n, prompt in enumerate(prompts)
            ]
            together = await asyncio.gather(*asked)
        for n, (prompt, found) in enumerate(zip(prompts, together, strict=True)):
            writer = model.writer(slots=2)
            writer.submit(prompt, Sampling(max_tokens=6 + n, seed=n), samples=2)
            expected = {each.sample: each for each in writer.completions()}
            for (_, sample), tokens in found.items():
                assert [token for token in tokens if token is not None] == list(expected[sample].tokens)

    ran(test)


def test_a_long_prompt_is_read_between_the_steps_of_others(
    tiny_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The work between two tokens of a text is bounded, counted in tokens that the model reads."""
    family, tokenizer = FAMILIES["llama"], trivium.load(tiny_models["llama"]).tokenizer
    size = family.size("tiny", tokenizer.vocab_size, context=2048, pad_token=tokenizer.pad)
    save(initialise(network(size), 0), family, tokenizer, tmp_path)
    model = trivium.load(tmp_path, device="cpu")
    served, sampling = Served("m", model, 0, places=2), Sampling(max_tokens=9, min_tokens=9, seed=1)
    long = Prompt(tuple(4 + n * n % 300 for n in range(1500)))
    read: list[int] = []
    between: list[int] = []
    model.model.register_forward_pre_hook(lambda _, given: read.append(given[0].target.ids.numel()))

    async def test() -> None:
        async with working(running=2) as scheduler:
            step = scheduler._step
            monkeypatch.setattr(scheduler, "_step", lambda name: (step(name), between.append(sum(read)), read.clear()))
            async with held(scheduler):
                stream = asyncio.create_task(written(scheduler, served, "a", [text(model, "The fox")], sampling))
                await until(lambda: scheduler.load.waiting == 1)
                other = asyncio.create_task(written(scheduler, served, "b", [long], sampling))
                await until(lambda: scheduler.load.waiting == 2)
            for found, prompt in ((await stream, text(model, "The fox")), (await other, long)):
                writer = model.writer(slots=1)
                writer.submit(prompt, sampling)
                assert found[0, 0] == list(next(writer.completions()).tokens)

    ran(test)
    begun = next(at for at, count in enumerate(between) if count > 256)
    assert between[begun : begun + 3] == [513, 513, 1500 - 2 * 512 + 1]  # and a token of the stream each time
    assert max(between) == 513


def test_a_long_request_does_not_keep_another_key_out(model: trivium.LanguageModel) -> None:
    served, order = Served("m", model, 0, places=2), []

    async def test() -> None:
        async with working(running=2) as scheduler:

            async def one(key: str, count: int) -> None:
                prompts = [text(model, f"The fox number {n}") for n in range(count)]
                await written(scheduler, served, key, prompts, Sampling(max_tokens=5, min_tokens=5))
                order.append(key)

            async with held(scheduler):
                asked = [asyncio.create_task(one("greedy", 12)) for _ in range(3)]
                await until(lambda: scheduler.load.waiting == 3)
                asked.append(asyncio.create_task(one("other", 1)))
                await until(lambda: scheduler.load.waiting == 4)
            await asyncio.gather(*asked)

    ran(test)
    assert order[0] == "other"


def test_with_several_keys_none_has_all_places(
    model: trivium.LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, most = Served("m", model, 0, places=4), []

    async def test() -> None:
        async with working(running=4, keys=("greedy", "other")) as scheduler:
            prompts = [text(model, f"The fox number {n}") for n in range(8)]
            count = scheduler._count
            monkeypatch.setattr(scheduler, "_count", lambda: (count(), most.append(scheduler.load.texts)))
            await written(scheduler, served, "greedy", prompts, Sampling(max_tokens=20, min_tokens=20))

    ran(test)
    assert max(most) == 3


def test_what_is_over_the_bounds_is_refused_with_a_time(model: trivium.LanguageModel) -> None:
    async def test() -> None:
        async with working(waiting=2, per_key=4) as scheduler:
            for _ in range(2):  # when those have ended, there is room again
                async with held(scheduler):
                    two = [asyncio.create_task(scheduler.run("a", int)) for _ in range(2)]
                    await until(lambda: scheduler.load.waiting == 2)
                    with pytest.raises(Refusal, match="2 requests wait, and no more may") as caught:
                        await scheduler.run("b", int)
                    assert caught.value.status == 429 and 1 <= int(caught.value.headers["Retry-After"]) <= 60
                    assert scheduler.load.waiting == 2 and scheduler.load.in_flight == 3
                assert await asyncio.gather(*two) == [0, 0]
            assert scheduler.load.refused == 2
        async with working(per_key=1) as scheduler:
            async with held(scheduler):
                with pytest.raises(Refusal, match="1 requests of this key"):
                    await scheduler.run("held", int)
                other = asyncio.create_task(scheduler.run("b", int))
            assert await other == 0

    ran(test)


def test_who_leaves_is_written_for_no_more(model: trivium.LanguageModel) -> None:
    served = Served("m", model, 0, places=2)

    async def test() -> None:
        async with working(running=2) as scheduler:
            prompts = [text(model, f"The fox number {n}") for n in range(6)]
            steps = scheduler.write("a", served, prompts, Sampling(max_tokens=40, min_tokens=40))
            await anext(steps)
            await steps.aclose()
            before = scheduler.load.tokens_written
            await until(lambda: not scheduler.load.texts)
            assert scheduler.load.tokens_written - before <= 2 * 2 + 2  # two steps of two texts, and the one at hand
            assert (scheduler.load.waiting, scheduler.load.in_flight) == (0, 0)
            done = []
            async with held(scheduler):
                second = asyncio.create_task(scheduler.run("a", lambda: done.append(1)))
                await until(lambda: scheduler.load.waiting == 1)
                second.cancel()
                await until(lambda: scheduler.load.waiting == 0)
            await scheduler.run("a", int)
            assert not done

    ran(test)


def test_what_takes_too_long_ends(model: trivium.LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served("m", model, 0, places=1)

    async def test() -> None:
        async with working(running=1, deadline=0.3) as scheduler:
            soon = scheduler._until
            monkeypatch.setattr(scheduler, "_until", lambda: math.inf)  # but for one
            async with held(scheduler):
                monkeypatch.setattr(scheduler, "_until", soon)
                late = asyncio.create_task(written(scheduler, served, "a", [text(model, "The fox")], Sampling()))
                await until(lambda: scheduler.load.waiting == 1)
                monkeypatch.setattr(scheduler, "_until", lambda: math.inf)
                await asyncio.sleep(0.3)
            with pytest.raises(Refusal, match=r"after 0\.3 seconds") as caught:
                await late
            assert caught.value.status == 408
            assert await scheduler.run("a", int) == 0

    ran(test)


def test_one_that_fails_leaves_the_others(
    model: trivium.LanguageModel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served("m", model, 0, places=2)

    async def test() -> None:
        async with working(running=2) as scheduler:
            fine = asyncio.create_task(
                written(scheduler, served, "a", [text(model, "The fox")], Sampling(max_tokens=30, min_tokens=30))
            )
            with pytest.raises(trivium.SettingsError, match="context"):
                await written(scheduler, served, "a", [text(model, "The fox " * 200)], Sampling())
            with pytest.raises(Refusal, match="its log says why") as caught:
                await scheduler.run("a", lambda: 1 / 0)
            assert caught.value.status == 500
            assert len((await fine)[0, 0]) == 30
            monkeypatch.setattr(scheduler._writers["m"].engine, "step", lambda: 1 / 0)
            with pytest.raises(Refusal, match="its log says why"):
                await written(scheduler, served, "a", [text(model, "The fox")], Sampling(max_tokens=3))
            again = await written(scheduler, served, "a", [text(model, "The fox")], Sampling(max_tokens=3))
            assert again

    ran(test)
    assert "ZeroDivisionError" in caplog.text


def test_when_it_closes_it_takes_nothing_new_and_ends_what_is_there(model: trivium.LanguageModel) -> None:
    served = Served("m", model, 0, places=1)

    async def test() -> None:
        scheduler = Scheduler(ServeSettings(running=1))
        scheduler.start()
        short = Sampling(max_tokens=10, min_tokens=10)
        fine = asyncio.create_task(written(scheduler, served, "a", [text(model, "The fox")], short))
        await until(lambda: scheduler.load.in_flight == 1)
        scheduler.close(200)
        with pytest.raises(Refusal, match="stopping") as caught:
            await scheduler.run("a", int)
        assert caught.value.status == 503 and caught.value.headers["Retry-After"]
        assert len((await fine)[0, 0]) == 10
        await asyncio.to_thread(scheduler.stop)
        scheduler = Scheduler(ServeSettings(running=1))
        scheduler.start()
        many = [text(model, f"The fox {n}") for n in range(40)]
        long = asyncio.create_task(written(scheduler, served, "a", many, Sampling(max_tokens=50, min_tokens=50)))
        await until(lambda: scheduler.load.in_flight == 1)
        scheduler.close(0.1)
        with pytest.raises(Refusal, match="longer than it waits"):
            await long
        await asyncio.to_thread(scheduler.stop)

    ran(test)
