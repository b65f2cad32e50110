"""The curves of runs as the browser computes them: ticks as in reports, means as plain sums, a run that was resumed."""

from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'trivium[test]'")
from tests.browser.watched_page import Watched
from tests.serving.folder_of_runs import course

from trivium.lab.charts import log_ticks, nice_ticks


def test_curves(watched: Callable[..., Watched]) -> None:
    page = watched().open("tokens")
    ranges = [(0.0, 1.0), (2.1, 7.3), (-3.0, 3.0), (0.0011, 0.0019), (10.0, 123_456.0), (1.0, 1000.0), (5.0, 9.0)]
    ticks = page.evaluate("""async (ranges) => {
      const { niceTicks, logTicks } = await import("/playground/axes.js");
      return ranges.map(([low, high]) => [niceTicks(low, high), low > 0 ? logTicks(low, high) : []]);
    }""", ranges)
    for (low, high), (nice, log) in zip(ranges, ticks, strict=True):
        assert nice == pytest.approx(nice_ticks(low, high))
        assert log == pytest.approx(log_ticks(low, high) if low > 0 else [])

    lines = course(100)
    parts = {"lines": lines[:8], "samples": [], "recipe": {"a": 1}, "next": 9, "restarted": False}
    again = {**parts, "lines": lines[5:11], "samples": [{"step": 100, "text": "x"}], "recipe": {}, "next": 12}
    told = page.evaluate("""async ([parts, again]) => {
      const { along, begun, curves, smoothed, take, thinned } = await import("/playground/course.js");
      const run = begun();
      take(run, parts);
      take(run, again); // resumed from step 50: steps 60 to 80 come a second time
      const loss = curves(run).get("loss");
      const points = loss.get("train").map((point) => ({ x: point.step, y: point.y }));
      const many = Array.from({ length: 5000 }, (_, x) => ({ x, y: 2 * x }));
      return { points, held: loss.get("evaluation"), smoothed: smoothed(points, 0.6), thinned: thinned(many, 100),
        tokens: along(run, "tokens")(55), flops: along(run, "flops"), recipe: run.recipe };
    }""", [parts, again])
    assert [point["x"] for point in told["points"]] == list(range(10, 101, 10))
    assert [point["y"] for point in told["points"]] == pytest.approx([line["loss"] for line in lines[:10]])
    assert told["held"] == [{"step": 100, "y": 3.1}] and told["recipe"] == {"a": 1}
    assert told["tokens"] == pytest.approx(55 * 512) and told["flops"] is None
    for at, point in enumerate(told["smoothed"]):
        weights = [0.6 ** (at - before) for before in range(at + 1)]
        values = [line["loss"] for line in lines[: at + 1]]
        assert point["y"] == pytest.approx(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    assert len(told["thinned"]) == 100 and told["thinned"][-1] == {"x": 4999, "y": 9998}
    assert all(point["y"] == pytest.approx(2 * point["x"]) for point in told["thinned"])
