"""Draws what ``trivium evaluate --suite context --json`` measured: plot.py curves.svg RESULTS.json ..."""

import json
import sys
from math import log2
from pathlib import Path
from xml.sax.saxutils import escape

PREFIX = "bits_per_byte_from_"
COLOURS = ("#8c6bb1", "#3182bd", "#31a354", "#d95f0e", "#636363")
LEFT, RIGHT, TOP, BOTTOM = 60, 600, 20, 320  # of the plot, in a picture of 760 x 370


def main(picture: str, *files: str) -> None:
    """One line a model, with its intervals; the files hold one model or several."""
    results = [each for file in files for each in json.loads(Path(file).read_text())["results"]]
    curves = {
        Path(result["model"]).name: {
            int(name.removeprefix(PREFIX)): score for name, score in result["scores"].items() if name.startswith(PREFIX)
        }
        for result in results
    }
    places = sorted({place for curve in curves.values() for place in curve})
    most = max(score["high"] for curve in curves.values() for score in curve.values())

    def at(place: int, value: float) -> tuple[float, float]:
        across = log2(place) / max(1, log2(places[-1]))
        return LEFT + 10 + across * (RIGHT - LEFT - 20), BOTTOM - value / most * (BOTTOM - TOP)

    parts = []
    for value in range(int(most) + 1):
        y = at(1, value)[1]
        parts += [f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="#ddd"/>', text(LEFT - 8, y + 4, str(value), "end")]
    for place in places:
        parts.append(text(at(place, 0)[0], BOTTOM + 18, str(place), "middle"))
    parts.append(text((LEFT + RIGHT) / 2, BOTTOM + 40, "tokens before, at least", "middle"))
    middle = (TOP + BOTTOM) / 2
    parts.append(f'<g transform="rotate(-90 18 {middle})">{text(18, middle, "bits per byte", "middle")}</g>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = {place: at(place, score["value"]) for place, score in curve.items()}
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points.values())
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for place, (x, y) in points.items():
            low, high = (at(place, curve[place][end])[1] for end in ("low", "high"))
            parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        parts.append(f'<circle cx="{RIGHT + 18}" cy="{TOP + 20 * number + 6}" r="4" fill="{colour}"/>')
        parts.append(text(RIGHT + 28, TOP + 20 * number + 10, name, "start"))
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 370" font-family="sans-serif" font-size="13">'
    Path(picture).write_text("\n".join([head, '<path d="M0 0H760V370H0z" fill="#fff"/>', *parts, "</svg>\n"]))


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Letters at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{escape(words)}</text>'


main(*sys.argv[1:])
