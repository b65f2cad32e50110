"""Draws what ``trivium evaluate --suite context --json`` measured: plot.py curves.png RESULTS.json ..."""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure

PREFIX = "bits_per_byte_from_"


def main(picture: str, *files: str) -> None:
    """One line a model, with its intervals; the files hold one model or several."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    for result in (each for file in files for each in json.loads(Path(file).read_text())["results"]):
        scores = {int(name.removeprefix(PREFIX)): score for name, score in result["scores"].items() if PREFIX in name}
        values = [score["value"] for score in scores.values()]
        below = [score["value"] - score["low"] for score in scores.values()]
        above = [score["high"] - score["value"] for score in scores.values()]
        name = Path(result["model"]).name
        axes.errorbar(list(scores), values, yerr=[below, above], marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="tokens before, at least", ylabel="bits per byte", ylim=(0, None))
    axes.set_xticks(list(scores), [str(start) for start in scores], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(picture, dpi=110, metadata={"Software": None})


main(*sys.argv[1:])
