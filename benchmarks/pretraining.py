"""Tokens per second, MFU and peak memory of pretraining, Trivium against its peers, on this machine, in one run.

    python benchmarks/pretraining.py                    # the table of docs/benchmarks.md; measure on an idle machine
    python benchmarks/pretraining.py --quick            # does it run at all

Each cell of the table is a fresh process. Rounds alternate the order of the engines, so that a machine that slows down
slows all of them. The rate of a cell is the median over windows of steps after the warm-up, of all rounds. Only real
tokens count: what was padded is work done for nothing. MFU is against matrix products measured in the same run.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import corpus as corpora
from cell import ENGINES
from clock import Clock
from shapes import SHAPES, Sizes, flops_per_token

HERE = Path(__file__).parent
DEFAULT = ["trainer-float32", "trainer-bfloat16", "trainer-bfloat16-padded", "loop", "bare", "trivium"]
NAMES = {
    "trainer-float32": "transformers Trainer, float32 (its defaults)",
    "trainer-bfloat16": "transformers Trainer, bf16",
    "trainer-float32-padded": "transformers Trainer, float32, padded paragraphs",
    "trainer-bfloat16-padded": "transformers Trainer, bf16, padded paragraphs",
    "loop": "transformers model, bare loop, bf16",
    "loop-compiled": "transformers model, bare loop, bf16, torch.compile",
    "loop-padded": "transformers model, bare loop, bf16, padded paragraphs",
    "bare": "plain torch, every lever",
    "bare-float32": "plain torch, every lever, float32",
    "trivium": "**Trivium**",
    "trivium-float32": "Trivium, float32",
}


def in_a_new_process(*arguments: str) -> dict:
    """What ``cell.py`` prints."""
    command = [sys.executable, str(HERE / "cell.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace, sizes: Sizes, folder: Path) -> dict:
    """All cells, all rounds."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"load average {load:.1f}: another process runs, and these numbers will mean little", file=sys.stderr)
    result: dict = {
        "machine": machine(),
        "load_average": load,
        "corpus": corpora.prepare(folder, sizes),
        "sizes": sizes.to_dict(),
    }
    result["limits"] = in_a_new_process("limits")
    cells: dict = {shape: {engine: [] for engine in options.engines} for shape in options.shapes}
    for number in range(options.rounds):
        order = [(shape, engine) for shape in options.shapes for engine in options.engines]
        for shape, engine in order if number % 2 == 0 else reversed(order):
            found = in_a_new_process(engine, shape, str(folder), str(options.steps), json.dumps(sizes.to_dict()))
            cells[shape][engine].append(found)
            rates = Clock(marks=found["marks"]).rates(options.warm_up, options.window)
            told = f"round {number + 1}: {shape} {engine}: {median(rates):,.0f} tokens/s, {found['megabytes']:,.0f} MB"
            print(told, file=sys.stderr, flush=True)
    result["cells"] = {
        shape: {engine: summary(runs, shape, engine, sizes, options, result["limits"]) for engine, runs in row.items()}
        for shape, row in cells.items()
    }
    return result


def summary(runs: list[dict], shape: str, engine: str, sizes: Sizes, options: argparse.Namespace, limits: dict) -> dict:
    """The median rate over all windows and what follows from it."""
    rates = [rate for run in runs for rate in Clock(marks=run["marks"]).rates(options.warm_up, options.window)]
    rate = median(rates)
    limit = limits["float32" if "float32" in engine else "bfloat16"]
    return {
        "tokens_per_second": rate,
        "slowest": min(rates),
        "fastest": max(rates),
        "windows": len(rates),
        "mfu": rate * flops_per_token(shape, sizes) / limit,
        "megabytes": max(run["megabytes"] for run in runs),
        "last_loss": runs[-1]["losses"][-1] if runs[-1]["losses"] else None,
    }


def markdown(result: dict) -> str:
    """A table for each shape, and the ratios."""
    lines = []
    for shape, row in result["cells"].items():
        lines += ["", f"### {shape}", "", "| engine | tokens/s | windows from-to | MFU | peak RSS, MB | Trivium is |"]
        lines.append("|---|---:|---:|---:|---:|---:|")
        ours = row.get("trivium", {}).get("tokens_per_second")
        for engine, cell in row.items():
            rate = cell["tokens_per_second"]
            ratio = f"{ours / rate:.2f}x" if ours else ""
            lines.append(
                f"| {NAMES[engine]} | {rate:,.0f} | {cell['slowest']:,.0f}-{cell['fastest']:,.0f} | "
                f"{cell['mfu']:.0%} | {cell['megabytes']:,.0f} | {ratio} |"
            )
    limits = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in result["limits"].items())
    text = result["corpus"]
    head = [
        f"{result['machine']}; load average at the start {result['load_average']:.1f}.",
        f"Limits measured: {limits}.",
        f"Text: {text['text']}, {text['paragraphs']:,} paragraphs, {text['tokens']:,} tokens "
        f"(mean {text['tokens_per_paragraph'][0]}, median {text['tokens_per_paragraph'][1]} a paragraph).",
    ]
    return "\n".join([*head, *lines])


def machine() -> str:
    """Processor, cores and versions."""
    import torch

    names = [
        line.split(":")[1].strip()
        for line in (Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else [])
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.processor()
    return (
        f"{processor}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=DEFAULT, metavar="ENGINE", help=", ".join(ENGINES)
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=27, help="steps of each cell, warm-up included (default 27)")
    parser.add_argument("--warm-up", type=int, default=6)
    parser.add_argument("--window", type=int, default=4, help="steps over which a rate is taken")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the whole result as JSON")
    parser.add_argument("--work", type=Path, help="keep tokenizer and shards here")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, few steps: for tests")
    options = parser.parse_args()
    sizes = Sizes()
    if options.quick:
        sizes, options.steps, options.warm_up, options.window, options.rounds = sizes.quick(), 4, 1, 1, 1
    if options.steps <= options.warm_up + options.window:
        parser.error("--steps must be more than --warm-up and --window together")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(options, sizes, options.work or Path(temporary))
    result["minutes"] = (time.perf_counter() - started) / 60
    print(markdown(result))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
