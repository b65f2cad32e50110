"""Jobs in steps: what has begun is not refused, what takes too long is, and nothing is computed twice."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from trivium.serving.asked import in_steps
from trivium.serving.house import House
from trivium.serving.refusals import Refusal
from trivium.serving.settings import ServeSettings


class Crowded:
    """Refuses the calls that are numbered so."""

    def __init__(self, *full):
        self.full, self.calls, self.keys = full, 0, set()

    async def run(self, key, job):
        self.calls += 1
        self.keys.add(key)
        if self.calls in self.full:
            raise Refusal(429, "full")
        return job()


def computed(scheduler, steps, deadline=600.0):
    house = House({}, scheduler, ServeSettings(deadline=deadline))
    return asyncio.run(in_steps(house, SimpleNamespace(state=SimpleNamespace(key="k")), steps))


def test_what_has_begun_waits_for_a_place():
    scheduler = Crowded(2, 3)
    assert computed(scheduler, iter("abc")) == ["a", "b", "c"]
    assert scheduler.calls == 6 and scheduler.keys == {"k"}


def test_what_has_not_begun_is_refused():
    with pytest.raises(Refusal) as caught:
        computed(Crowded(1), iter("abc"))
    assert caught.value.status == 429


def test_all_steps_together_have_the_time_of_one_request():
    with pytest.raises(Refusal) as caught:
        computed(Crowded(), (time.sleep(0.02) for _ in range(1000)), deadline=0.1)
    assert caught.value.status == 408 and "after 0.1 seconds" in caught.value.message


def test_an_error_of_a_step_is_told():
    with pytest.raises(ZeroDivisionError):
        computed(Crowded(), (1 // number for number in (1, 0)))
    assert computed(Crowded(), iter(())) == []
