"""Encoding real sentences, and loading a checkpoint: Trivium against ``transformers``, on this machine, in one run.

    python benchmarks/inference.py                    # measure on an idle machine
    python benchmarks/inference.py --quick            # does it run at all

Each measurement is a fresh process (``inference_cell.py``); rounds alternate the order of the engines. Encoding counts
tokenising, the model and the mean of each text's states, not importing and loading; loading counts from the folder to a
model that can be called, with imports apart. ``TRIVIUM_DATA`` has sst2/train.tsv; the vocabulary is all-MiniLM-L6-v2's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from inference_cell import ENCODERS, LOADERS, make_encoder, make_llama
from pretraining import machine

HERE = Path(__file__).parent
NAMES = {
    "transformers": "transformers, batches of 32 in file order, float32",
    "transformers-sorted": "transformers, batches of 32 sorted by length, float32",
    "trivium": "**Trivium**, float32",
    "trivium-bfloat16": "**Trivium**, bf16",
}
SHAPES = {"minilm": "MiniLM-L6 shape (6 layers, width 384)", "base": "BERT-base shape (12 layers, width 768)"}


def in_a_new_process(*arguments: str) -> dict:
    """What ``inference_cell.py`` prints."""
    command = [sys.executable, str(HERE / "inference_cell.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measured(cells: list[tuple[str, ...]], rounds: int) -> dict[tuple[str, ...], list[dict]]:
    """Every cell, every round, back and forth."""
    found: dict[tuple[str, ...], list[dict]] = {cell: [] for cell in cells}
    for number in range(rounds):
        for cell in cells if number % 2 == 0 else reversed(cells):
            found[cell].append(in_a_new_process(*cell))
            print(f"round {number + 1}: {' '.join(cell[:2])}: {found[cell][-1]['seconds']:.2f} s", file=sys.stderr)
    return found


def encoding(shape: str, folder: Path, sentences: int, rounds: int) -> str:
    cells = [(engine, str(folder), str(sentences)) for engine in ENCODERS]
    found = {cell[0]: runs for cell, runs in measured(cells, rounds).items()}
    reference = found["transformers"][0]["vectors"]
    lines = ["", f"### {SHAPES[shape]}, {sentences:,} sentences", ""]
    lines += [
        "| engine | sentences/s | of each round | Trivium, float32, is | largest difference |",
        "|---|---:|---|---:|---:|",
    ]
    ours = median(sentences / run["seconds"] for run in found["trivium"])
    for engine, runs in found.items():
        rates = [sentences / run["seconds"] for run in runs]
        difference = max(abs(a - b) for a, b in zip(runs[0]["vectors"], reference, strict=True))
        lines.append(
            f"| {NAMES[engine]} | {median(rates):,.0f} | {', '.join(f'{rate:,.0f}' for rate in rates)} | "
            f"{ours / median(rates):.2f}x | {difference:.1g} |"
        )
    return "\n".join(lines)


def loading(folders: dict[str, Path], rounds: int) -> str:
    cells = [
        (engine, str(folders[stored]), dtype)
        for stored, dtype in (("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float32"))
        for engine in LOADERS
    ]
    lines = ["", "### Loading SmolLM2-135M's shape", ""]
    lines += [
        "| file, in memory | engine | import, s | load, s | load and first call, s | peak, of the weights | "
        "logits differ by |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for (engine, folder, dtype), runs in measured(cells, rounds).items():
        stored = Path(folder).name
        middle = {key: median(run[key] for run in runs) for key in ("imports", "seconds", "first", "peak")}
        theirs = in_a_new_process("transformers-load", folder, dtype)["logits"] if engine == "trivium-load" else None
        pairs = zip(runs[0]["logits"], theirs or runs[0]["logits"], strict=True)
        same = f"{max(abs(a - b) for a, b in pairs):.1g}" if theirs else ""
        lines.append(
            f"| {stored}, {dtype} | {engine.removesuffix('-load')} | {middle['imports']:.2f} | "
            f"{middle['seconds']:.3f} | {middle['seconds'] + middle['first']:.3f} | {middle['peak']:.2f} | {same} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("minilm", "base", "loading")
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--sentences", type=int, help="of each shape; 3000 and 600 if not given")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny shapes, few sentences: for tests")
    options = parser.parse_args()
    print(f"{machine()}; load average at the start {os.getloadavg()[0]:.1f}.")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for shape, count in (("minilm", 3000), ("base", 600)):
            if shape in options.parts:
                folder = make_encoder(work / shape, "tiny" if options.quick else shape)
                count = 64 if options.quick else options.sentences or count
                print(encoding(shape, folder, count, 1 if options.quick else options.rounds))
        if "loading" in options.parts:
            folders = make_llama(work, tiny=options.quick)
            print(loading(folders, 1 if options.quick else options.rounds + 1))


if __name__ == "__main__":
    main()
