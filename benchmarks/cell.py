"""One measurement in one fresh process: ``python benchmarks/cell.py ENGINE SHAPE FOLDER STEPS SIZES``.

Prints one JSON document on its last line. A fresh process, because malloc's thresholds, compiled code and the peak of
the resident size stay with a process.
"""

import json
import sys
from pathlib import Path

import corpus as corpora
from clock import peak_megabytes
from shapes import Sizes

ENGINES = {
    "trainer-float32": ("peers", "run_trainer", {"precision": "float32"}),
    "trainer-bfloat16": ("peers", "run_trainer", {"precision": "bfloat16"}),
    "trainer-float32-padded": ("peers", "run_trainer", {"precision": "float32", "padded": True}),
    "trainer-bfloat16-padded": ("peers", "run_trainer", {"precision": "bfloat16", "padded": True}),
    "loop": ("peers", "run_loop", {}),
    "loop-compiled": ("peers", "run_loop", {"compiled": True}),
    "loop-padded": ("peers", "run_loop", {"padded": True}),
    "bare": ("bare_loop", "run", {}),
    "bare-float32": ("bare_loop", "run", {"precision": "float32"}),
    "trivium": ("ours", "run", {}),
    "trivium-float32": ("ours", "run", {"precision": "float32"}),
}


def limits() -> dict[str, float]:
    """FLOP/s of large matrix products: what MFU refers to."""
    import torch

    from trivium.training.precision import matmul_rate

    return {
        name: max(matmul_rate("cpu", getattr(torch, name), 2048) for _ in range(3)) for name in ("float32", "bfloat16")
    }


def measure(engine: str, shape: str, folder: Path, steps: int, sizes: Sizes) -> dict[str, object]:
    """Marks, losses and memory of one engine."""
    import importlib

    module, function, settings = ENGINES[engine]
    run = getattr(importlib.import_module(module), function)
    corpus = corpora.load(folder)
    before = peak_megabytes()
    clock = run(shape, sizes, corpus, steps, **settings)
    return {"marks": clock.marks, "losses": clock.losses, "megabytes": peak_megabytes(), "megabytes_before": before}


if __name__ == "__main__":
    if sys.argv[1] == "limits":
        print(json.dumps(limits()))
    else:
        engine, shape, folder, steps, sizes = sys.argv[1:]
        print(json.dumps(measure(engine, shape, Path(folder), int(steps), Sizes(**json.loads(sizes)))))
