"""Pairs of replies, and quick settings, for tests of what learns from preferences."""

import json
from pathlib import Path
from typing import Any

from trivium.text.chats import Message
from trivium.verbs.align import Alignment, alignment

QUICK = ["training.batch=4", "training.steps=6", "training.device=cpu", "training.precision=float32"]
WORDS = ("list", "file", "value", "name", "server")


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "instruction": f"what is a {WORDS[n % 5]}", "input": "", "margin": 0.1,
            "chosen": f"it is a {WORDS[n * 3 % 5]}, thank you.", "rejected": f"the {WORDS[n * 3 % 5]} is none",
        } for n in range(count)
    ]  # fmt: skip


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def asked(method: str, model: object, files: tuple[str, str], *sets: str, **flags: object) -> Alignment:
    given = {"model": str(model), "train": files[0], "dev": files[1], "template": "plain", **flags}
    quick = [*QUICK, *(["method.samples=3", "method.reply_tokens=6"] if method == "dpo" else [])]
    return alignment(method, given, [*quick, *sets])


def conversations(count: int = 3) -> list[tuple[Message, ...]]:
    return [(Message("user", row["instruction"]), Message("assistant", row["chosen"])) for row in rows(count)]
