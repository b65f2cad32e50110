"""The one thread that computes: whose turn it is, what is over the bounds, who has left, what takes too long."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import trivium
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
    asyncio.run(asyncio.wait_for(test(), 60))


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


def test_a_long_request_does_not_keep_another_key_out(model: trivium.LanguageModel) -> None:
    served, order = Served("m", model, 0, places=2), []

    async def test() -> None:
        async with working(running=2) as scheduler:

            async def one(key: str, count: int) -> None:
                prompts = [text(model, f"The fox number {n}") for n in range(count)]
                await written(scheduler, served, key, prompts, Sampling(max_tokens=20, min_tokens=20))
                order.append(key)

            greedy = [asyncio.create_task(one("greedy", 12)) for _ in range(3)]
            await asyncio.sleep(0.05)
            await one("other", 1)
            await asyncio.gather(*greedy)

    ran(test)
    assert order[0] == "other"


def test_with_several_keys_none_has_all_places(model: trivium.LanguageModel) -> None:
    served, most = Served("m", model, 0, places=4), []

    async def test() -> None:
        async with working(running=4, keys=("greedy", "other")) as scheduler:
            prompts = [text(model, f"The fox number {n}") for n in range(8)]
            task = asyncio.create_task(
                written(scheduler, served, "greedy", prompts, Sampling(max_tokens=20, min_tokens=20))
            )
            while not task.done():
                most.append(scheduler.load.texts)
                await asyncio.sleep(0)
            await task

    ran(test)
    assert max(most) == 3


def test_what_is_over_the_bounds_is_refused_with_a_time(model: trivium.LanguageModel) -> None:
    async def test() -> None:
        async with working(waiting=2, per_key=4) as scheduler:
            hold = threading.Event()
            first = asyncio.create_task(scheduler.run("a", hold.wait))
            await asyncio.sleep(0.1)  # it is being done and does not wait
            two = [asyncio.create_task(scheduler.run("a", int)) for _ in range(2)]
            await asyncio.sleep(0.05)
            with pytest.raises(Refusal, match="2 requests wait, and no more may") as caught:
                await scheduler.run("b", int)
            assert caught.value.status == 429 and 1 <= int(caught.value.headers["Retry-After"]) <= 60
            assert scheduler.load.refused == 1 and scheduler.load.waiting == 2 and scheduler.load.in_flight == 3
            hold.set()
            assert await asyncio.gather(first, *two) == [True, 0, 0]
            hold.clear()
            many = [asyncio.create_task(scheduler.run("a", hold.wait))]
            await asyncio.sleep(0.05)
            many += [asyncio.create_task(scheduler.run("a", int)) for _ in range(2)]
            await asyncio.sleep(0.05)
            hold.set()
            await asyncio.gather(*many)
        async with working(per_key=1) as scheduler:
            hold.clear()
            first = asyncio.create_task(scheduler.run("a", hold.wait))
            await asyncio.sleep(0.05)
            with pytest.raises(Refusal, match="1 requests of this key"):
                await scheduler.run("a", int)
            other = asyncio.create_task(scheduler.run("b", int))
            hold.set()
            assert await other == 0 and await first

    ran(test)


def test_who_leaves_is_written_for_no_more(model: trivium.LanguageModel) -> None:
    served = Served("m", model, 0, places=2)

    async def test() -> None:
        async with working(running=2) as scheduler:
            prompts = [text(model, f"The fox number {n}") for n in range(6)]
            steps = scheduler.write("a", served, prompts, Sampling(max_tokens=40, min_tokens=40))
            await anext(steps)
            before = scheduler.load.tokens_written
            await steps.aclose()
            while scheduler.load.texts:
                await asyncio.sleep(0.005)
            assert scheduler.load.tokens_written - before <= 2 * 2 + 2  # two steps of two texts, and the one at hand
            assert (scheduler.load.waiting, scheduler.load.in_flight) == (0, 0)
            done = []
            hold = threading.Event()
            first = asyncio.create_task(scheduler.run("a", hold.wait))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(scheduler.run("a", lambda: done.append(1)))
            await asyncio.sleep(0.05)
            second.cancel()
            await asyncio.sleep(0)
            hold.set()
            await first
            await scheduler.run("a", int)
            assert not done

    ran(test)


def test_what_takes_too_long_ends(model: trivium.LanguageModel) -> None:
    served = Served("m", model, 0, places=1)

    async def test() -> None:
        async with working(running=1, deadline=0.3) as scheduler:
            slow = asyncio.create_task(scheduler.run("b", lambda: time.sleep(0.5)))
            prompts = [text(model, "The fox")]
            with pytest.raises(Refusal, match=r"after 0\.3 seconds") as caught:
                await written(scheduler, served, "a", prompts, Sampling(max_tokens=40, min_tokens=40), samples=8)
            assert caught.value.status == 408
            await slow
            assert await scheduler.run("a", int) == 0

    ran(test)


def test_one_that_fails_leaves_the_others(model: trivium.LanguageModel, caplog: pytest.LogCaptureFixture) -> None:
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
            broken = asyncio.create_task(
                written(scheduler, served, "a", [text(model, "The fox")], Sampling(max_tokens=30, min_tokens=30))
            )
            while not scheduler.load.texts:
                await asyncio.sleep(0)
            writer = scheduler._writers["m"]
            writer.engine.step = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
            with pytest.raises(Refusal, match="its log says why"):
                await broken
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
        await asyncio.sleep(0.05)
        scheduler.close(5)
        with pytest.raises(Refusal, match="stopping") as caught:
            await scheduler.run("a", int)
        assert caught.value.status == 503 and caught.value.headers["Retry-After"]
        assert len((await fine)[0, 0]) == 10
        await asyncio.to_thread(scheduler.stop)
        scheduler = Scheduler(ServeSettings(running=1))
        scheduler.start()
        many = [text(model, f"The fox {n}") for n in range(40)]
        long = asyncio.create_task(written(scheduler, served, "a", many, Sampling(max_tokens=50, min_tokens=50)))
        await asyncio.sleep(0.05)
        scheduler.close(0.1)
        with pytest.raises(Refusal, match="longer than it waits"):
            await long
        await asyncio.to_thread(scheduler.stop)

    ran(test)
