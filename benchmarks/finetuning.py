"""Fine-tuning on real sentences: Trivium against ``transformers``' Trainer and peft, on this machine, in one run.

    python benchmarks/finetuning.py                    # measure on an idle machine
    python benchmarks/finetuning.py --quick            # does it run at all

One epoch over SST-2's first sentences in batches of 32, from the same weights: all-MiniLM-L6-v2 (``make demo-models``).
Each cell is a fresh process (``finetuning_cell.py``); rounds alternate the order of the engines. ``TRIVIUM_DATA`` has
sst2/train.tsv. A chain's loss and decoding have a benchmark of their own, ``crf.py``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from finetuning_cell import ENGINES, examples
from pretraining import machine

HERE = Path(__file__).parent
LORA = ("peft", "peft-same-batches", "trivium-lora")


def in_a_new_process(*arguments: str) -> dict:
    """What ``finetuning_cell.py`` prints."""
    command = [sys.executable, str(HERE / "finetuning_cell.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(names: list[str], found: dict[str, list[dict]], ours: str) -> str:
    """Each engine beside one of ours; ratios above 1 are ours to the better."""
    lines = ["", f"| engine | examples/s | of each round | {ours} is | peak, MB | last losses |"]
    lines += ["|---|---:|---|---:|---:|---:|"]
    best = median(run["rate"] for run in found[ours])
    for name in names:
        rates = [run["rate"] for run in found[name]]
        peak, last = (median(run[key] for run in found[name]) for key in ("peak", "last"))
        lines.append(
            f"| {ENGINES[name]} | {median(rates):.0f} | {', '.join(f'{rate:.0f}' for rate in rates)} | "
            f"{best / median(rates):.2f}x | {peak:,.0f} | {last:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--sentences", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="64 sentences, one round: for tests")
    options = parser.parse_args()
    count, rounds = (64, 1) if options.quick else (options.sentences, options.rounds)
    words = sum(len(text.split()) for text in examples(count)[0]) / count
    print(f"{machine()}; load average at the start {os.getloadavg()[0]:.1f}.")
    print(f"{count:,} sentences of {words:.1f} words on average, batches of 32, one epoch.")
    found: dict[str, list[dict]] = {name: [] for name in options.engines}
    with tempfile.TemporaryDirectory() as temporary:
        from trivium.families.demo_models import find_model

        folder = Path(shutil.copytree(find_model("all-minilm-l6-v2"), Path(temporary) / "minilm"))
        for number in range(rounds):
            for name in options.engines if number % 2 == 0 else reversed(options.engines):
                found[name].append(in_a_new_process(name, str(folder), str(count)))
                print(f"round {number + 1}: {name}: {found[name][-1]['rate']:.0f} examples/s", file=sys.stderr)
    full = [name for name in options.engines if name not in LORA]
    if "trivium" in full:
        print(table(full, found, "trivium"))
    if "trivium-lora" in options.engines:
        print(table([name for name in options.engines if name in LORA or name == "trivium"], found, "trivium-lora"))


if __name__ == "__main__":
    main()
