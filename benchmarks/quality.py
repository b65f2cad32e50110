"""Does bf16 cost quality? The validation loss after the same steps in float32 and in bf16, three seeds each.

    python benchmarks/quality.py                        # about half an hour on two cores, mostly float32
    python benchmarks/quality.py --shapes masked --steps 150

bf16 passes when its mean lies within the spread (largest minus smallest) of float32's seeds. Validation rows and their
noise are the same for all runs, and both precisions are evaluated in float32, on the masters.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

import corpus as corpora
from shapes import SHAPES, Sizes

HERE = Path(__file__).parent


def validation_loss(shape: str, sizes: Sizes, folder: Path, steps: int, precision: str, seed: int) -> float:
    """Trains in this process; nats per target on the last 64 rows, which training never draws."""
    import numpy as np
    import ours
    import torch

    from trivium.randomness import Draws
    from trivium.text import cut
    from trivium.training.allocator import keep_freed_memory
    from trivium.training.settings import AdamW, TrainingSettings
    from trivium.training.trainer import Trainer
    from trivium.transformer import Model

    keep_freed_memory()
    corpus, goal = corpora.load(folder), ours.objective(shape)
    training, held_out = corpus.shards.split(share=0.02)
    model, feed = ours.parts(shape, sizes, corpora.Corpus(folder, corpus.tokenizer, training), seed)
    settings = TrainingSettings(
        steps=steps, optimizer=AdamW(learning_rate=ours.LEARNING_RATE), precision=precision, device="cpu", seed=seed
    )
    trainer = Trainer(model, goal.loss, feed, settings, steps=steps)
    for _ in trainer:
        pass
    judge = Model(ours.configuration(shape, sizes))
    judge.load_state_dict({**judge.state_dict(), **trainer.optimizer.masters})
    judge.eval()
    blocks = cut(held_out, goal.layout(corpus.tokenizer, sizes.context))
    total = count = 0.0
    with torch.inference_mode():
        for first in range(0, min(64, len(blocks) - 1), 8):
            rows = blocks.rows(np.arange(first, min(first + 8, len(blocks) - 1)))
            batch = goal.batch(rows, Draws(12345, rows.draws), corpus.tokenizer)
            for part in goal.loss(judge, batch).values():
                total, count = total + float(part.total), count + part.count
    return total / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("SHAPE", "PRECISION", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = Sizes().quick() if options.quick else Sizes()
    if options.one:
        shape, precision, seed = options.one
        print(json.dumps(validation_loss(shape, sizes, options.work, options.steps, precision, int(seed))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        facts = corpora.prepare(folder, sizes)
        losses = {
            shape: {
                precision: [one(options, folder, shape, precision, seed) for seed in range(options.seeds)]
                for precision in ("float32", "bfloat16")
            }
            for shape in options.shapes
        }
    print(
        f"Validation loss (nats per target) after {options.steps} steps, {options.seeds} seeds; text: {facts['text']}\n"
    )
    print("| shape | float32 | bf16 | difference of means | float32's spread | within |\n|---|---|---|---:|---:|---|")
    for shape, found in losses.items():
        single, half = found["float32"], found["bfloat16"]
        apart, spread = mean(half) - mean(single), max(single) - min(single)
        shown = [", ".join(f"{loss:.4f}" for loss in row) for row in (single, half)]
        verdict = "yes" if apart <= spread else "NO"
        print(f"| {shape} | {shown[0]} | {shown[1]} | {apart:+.4f} | {spread:.4f} | {verdict} |")
    if options.out:
        options.out.write_text(json.dumps({"steps": options.steps, "corpus": facts, "losses": losses}, indent=1))


def one(options: argparse.Namespace, folder: Path, shape: str, precision: str, seed: int) -> float:
    """One training in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--work", str(folder), "--steps", str(options.steps)]
    command += (["--quick"] if options.quick else []) + ["--one", shape, precision, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    loss = float(json.loads(done.stdout.splitlines()[-1]))
    print(f"{shape} {precision} seed {seed}: {loss:.4f}", file=sys.stderr, flush=True)
    return loss


if __name__ == "__main__":
    main()
