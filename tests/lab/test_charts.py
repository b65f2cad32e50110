"""Charts: ticks against hand-made lists, geometry against the numbers put in, and numbers that can be read back."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import TriviumError
from trivium.lab import Intervals, Series, interval_chart, line_chart
from trivium.lab.charts import log_ticks, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (3.3, 8.4, [4, 6, 8]),
        (0, 1400, [0, 500, 1000]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (2, 2, [2]),
    ],
)
def test_nice_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9))
def test_nice_ticks_are_few_and_inside(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    slack = 1e-6 * (abs(low) + span)
    assert 1 <= len(ticks) <= 7
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)


def test_log_ticks() -> None:
    assert log_ticks(1, 2000) == pytest.approx([1, 10, 100, 1000])
    assert log_ticks(3, 60) == pytest.approx([5, 10, 20, 50])


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def line_paths(chart: str) -> list[list[tuple[float, float]]]:
    return [points(d) for d in re.findall(r'<path class="line[^"]*" d="([^"]*)"', chart)]


def test_line_geometry() -> None:
    chart = str(line_chart([Series("a", [0, 5, 10], [1.0, 3.0, 2.0])], x_label="x", y_label="y", label="a line"))
    (line,) = line_paths(chart)
    assert [x for x, _ in line] == pytest.approx([0, 50, 100])
    y1, y3, y2 = (y for _, y in line)
    assert y3 < y2 < y1  # the SVG's y axis points down
    assert y2 == pytest.approx((y1 + y3) / 2, abs=0.02)


def test_log_axis_spaces_powers_evenly_and_drops_zero() -> None:
    chart = str(line_chart([Series("a", [0, 1, 10, 100], [9, 1, 2, 3])], x_label="", y_label="", label="", log_x=True))
    (line,) = line_paths(chart)
    assert [x for x, _ in line] == pytest.approx([0, 50, 100])


def test_non_finite_points_are_left_out() -> None:
    series = Series("a", [0, 1, 2, 3], [1.0, math.nan, math.inf, 2.0])
    (line,) = line_paths(str(line_chart([series], x_label="", y_label="", label="")))
    assert len(line) == 2
    assert "no finite values" in line_chart([Series("a", [1], [math.nan])], x_label="", y_label="", label="loss")


def test_long_series_are_averaged_not_sampled() -> None:
    zigzag = Series("a", list(range(10_000)), [float(i % 2) for i in range(10_000)])
    flat = Series("b", [0, 9999], [0.5, 0.5])
    first, second = line_paths(str(line_chart([zigzag, flat], x_label="", y_label="", label="")))
    assert len(first) <= 301
    level = second[0][1]
    assert all(abs(y - level) < 5 for _, y in first[:-1])


def test_one_point_and_constant_series_are_drawn() -> None:
    chart = str(line_chart([Series("a", [3], [4.0])], x_label="", y_label="", label=""))
    assert '<path class="dot c0" d="M50.00 50.00h0"/>' in chart  # round ends make a dot of what has no length
    (line,) = line_paths(str(line_chart([Series("a", [1, 2], [4.0, 4.0])], x_label="", y_label="", label="")))
    assert line == [(0.0, 50.0), (100.0, 50.0)]


def test_intervals_lie_where_their_numbers_say() -> None:
    series = [Intervals("ours", [30.0, 40.0], [20.0, 35.0], [40.0, 45.0])]
    chart = str(interval_chart(["8", "16"], series, y_label="accuracy", label="accuracy by labels"))
    whiskers = re.findall(r'class="whisker c0" d="M([\d.]+) ([\d.]+)V([\d.]+)"', chart)
    dots = re.findall(r'class="dot c0" d="M([\d.]+) ([\d.]+)h0"', chart)
    (x0, low0, high0), (x1, low1, high1) = [tuple(map(float, w)) for w in whiskers]
    assert (x0, x1) == pytest.approx((25, 75))
    scale = (100 - low0) / 20  # percent of the axis for each point of accuracy, from a floor of 0
    assert (100 - high0, 100 - low1, 100 - high1) == pytest.approx((40 * scale, 35 * scale, 45 * scale), abs=0.01)
    assert [100 - float(y) for _, y in dots] == pytest.approx([30 * scale, 40 * scale], abs=0.01)
    assert "[20, 40]" in chart  # and to be read


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(TriviumError, match="1 values were given for 2 groups"):
        interval_chart(["8", "16"], [Intervals("ours", [1.0], [1.0], [1.0])], y_label="", label="")
    with pytest.raises(TriviumError, match="2 x values were given for 1 y values"):
        line_chart([Series("a", [1, 2], [1.0])], x_label="", y_label="", label="")
