"""Twelve small models of all three stacks, and what a training step of each takes, measured in a process of its own."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from trivium.transformer import Config
from trivium.verbs.plan import planned_config
from trivium.verbs.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Shape:
    """A recipe and what differs from it."""

    recipe: str
    layers: int
    width: int
    context: int
    batch_tokens: int
    precision: str

    @property
    def sets(self) -> list[str]:
        encoder, decoder = {"bert-mini": (1, 0), "gpt2-mini": (0, 1), "t5-mini": (1, 1)}[self.recipe]
        return [
            f"model.encoder_layers={encoder * self.layers}", f"model.decoder_layers={decoder * self.layers}",
            f"model.width={self.width}", f"model.heads={self.width // 32}", f"model.ffn_width={4 * self.width}",
            f"model.context={self.context}", f"training.batch_tokens={self.batch_tokens}",
            f"training.precision={self.precision}", "training.device=cpu", "tokenizer.vocab_size=4096",
        ]  # fmt: skip

    def made(self) -> tuple[Recipe, Config]:
        recipe = load_recipe(self.recipe, (), self.sets).recipe
        return recipe, planned_config(recipe)


SHAPES = [
    Shape("bert-mini", 2, 128, 64, 4096, "float32"),
    Shape("bert-mini", 4, 256, 128, 4096, "float32"),
    Shape("bert-mini", 6, 256, 256, 2048, "bfloat16"),
    Shape("bert-mini", 2, 512, 128, 2048, "float32"),
    Shape("gpt2-mini", 2, 128, 128, 2048, "float32"),
    Shape("gpt2-mini", 4, 256, 256, 4096, "float32"),
    Shape("gpt2-mini", 6, 128, 64, 4096, "bfloat16"),
    Shape("gpt2-mini", 3, 512, 256, 2048, "float32"),
    Shape("t5-mini", 2, 128, 64, 2048, "float32"),
    Shape("t5-mini", 2, 256, 128, 4096, "float32"),
    Shape("t5-mini", 3, 256, 256, 2048, "bfloat16"),
    Shape("t5-mini", 2, 512, 128, 2048, "float32"),
]


@dataclass(frozen=True)
class Measured:
    peak: int  # bytes above those of a process that has trained another, tiny model
    seconds: float  # median of nineteen steps


def measure(shape: Shape) -> Measured:
    """A training step as ``trivium pretrain`` takes it, in a new process."""
    command = [sys.executable, __file__, json.dumps(shape.__dict__)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return Measured(**json.loads(found.stdout.splitlines()[-1]))


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition(f"{field}:")[2].split()[0])


def _here(shape: Shape) -> None:
    from trivium.training.allocator import keep_freed_memory
    from trivium.verbs.specimen import specimen_trainer

    keep_freed_memory()
    tiny = replace(shape, width=32, layers=1, batch_tokens=shape.context)
    with specimen_trainer(*tiny.made(), steps=2) as trainer:
        assert len(list(trainer)) == 2
    del trainer
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    before = _resident("VmRSS")
    with specimen_trainer(*shape.made(), steps=20) as trainer:
        seconds = [step.seconds for step in trainer]
    print(json.dumps({"peak": _resident("VmHWM") - before, "seconds": median(seconds[1:])}))


if __name__ == "__main__":
    _here(Shape(**json.loads(sys.argv[1])))
