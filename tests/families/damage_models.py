"""A process that damages the files of small models again and again and opens them: all but a TriviumError of one
sentence, or a reading, is a failure; so is more than a second or 200 MB.

    python damage_models.py FOLDER WHAT COUNT SEED

FOLDER holds the folders of models; WHAT is header, config, index, tokenizer or all. Run by itself so that a crash, a
hang and too much memory are seen from outside. Prints one JSON object.
"""

import copy
import json
import random
import resource
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch  # noqa: F401  (what it takes is not counted)

from trivium.errors import TriviumError
from trivium.families.huggingface import load

ROOM = 200 << 20
STRANGE: list[Any] = [
    0, -1, 1, 3, 2**31, 2**40, 2**63, 10**5000, 1e308, float("nan"), float("inf"), "8", "", [], {}, None, True, False,
    [0, 2**40], [[]], {"a": 1}, "../model.safetensors", "\ud800", "F4", "F64", "I64", "BOOL", "x\ny",
]  # fmt: skip
NAMES = ["", "a", "dtype", "weight", "x\ny", "\ud800", "__metadata__", "model.norm.weight"]
DEEP = "[" * 100_000


def changed(document: Any, draw: random.Random) -> Any:
    """One to three changes of values or names, anywhere in it."""
    made = copy.deepcopy(document)
    for _ in range(draw.randint(1, 3)):
        node: Any = made
        if not node:
            break
        place: Any = draw.choice(list(node))
        while isinstance(node[place], dict | list) and node[place] and draw.random() < 0.8:
            node = node[place]
            place = draw.choice(list(node)) if isinstance(node, dict) else draw.randrange(len(node))
        way = draw.random()
        if way < 0.15:
            del node[place]
        elif way < 0.3 and isinstance(node, dict):
            node[draw.choice(NAMES)] = node[place]
        elif way < 0.5 and type(node[place]) is int:
            node[place] += draw.choice([-1, 1, 4, 1000, 1 << 33])
        else:
            node[place] = copy.deepcopy(draw.choice(STRANGE))
    return made


def spelt(document: Any, draw: random.Random) -> bytes:
    """Its JSON, at times with a hole, a name twice, or endless brackets."""
    sys.set_int_max_str_digits(0)
    text = json.dumps(document)
    sys.set_int_max_str_digits(4300)
    way = draw.random()
    place = draw.randrange(len(text) + 1)
    if way < 0.05:
        text = text[:place]
    elif way < 0.1:
        text = text[:place] + draw.choice(["}", '"', "9" * 99999, "\x00", "é"]) + text[place + draw.randint(0, 3) :]
    elif way < 0.12:
        text = '{"a": 1, "a": 2, ' + text[1:]
    elif way < 0.14:
        text = '{"a": ' + DEEP + ", " + text[1:]
    return text.encode("utf-8", "surrogatepass")


def damage_json(path: Path, draw: random.Random) -> None:
    path.write_bytes(spelt(changed(json.loads(path.read_bytes()), draw), draw))


def damage_header(path: Path, draw: random.Random) -> None:
    """Of a safetensors file: its bits, its end, its length, or what it says."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    way = draw.random()
    if way < 0.1:
        del data[draw.randrange(len(data)) :]
    elif way < 0.2:
        data[draw.randrange(8 + length)] ^= 1 << draw.randrange(8)
    elif way < 0.25:
        data[:8] = struct.pack("<Q", draw.choice([0, 1, 7, length - 1, length + 1, 2**31, 2**40, 2**63, 2**64 - 1]))
    elif way < 0.3:
        data += bytes(draw.randrange(1, 99))
    else:
        header = spelt(changed(json.loads(data[8 : 8 + length]), draw), draw)
        data[: 8 + length] = struct.pack("<Q", len(header)) + header
    path.write_bytes(data)


def damage(folder: Path, what: str, draw: random.Random) -> None:
    parts = list(folder.glob("*.safetensors"))
    ways: dict[str, Callable[[], None]] = {
        "header": lambda: damage_header(draw.choice(parts), draw),
        "config": lambda: damage_json(folder / "config.json", draw),
        "index": lambda: damage_json(folder / "model.safetensors.index.json", draw),
        "tokenizer": lambda: damage_json(folder / draw.choice(["tokenizer.json", "tokenizer_config.json"]), draw),
    }
    if len(parts) == 1:
        del ways["index"]
    ways.get(what, draw.choice(list(ways.values())))()


def main(source: Path, what: str, count: int, seed: int) -> None:
    models = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("broken"))
    if what == "index":
        models = [path for path in models if (path / "model.safetensors.index.json").exists()]
    for folder in models:
        load(folder)  # whole, and what is imported on the way
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM,) * 2)
    draw = random.Random(seed)
    broken = source / f"broken-{what}-{seed}"
    opened, refused, slowest = 0, 0, 0.0
    for number in range(count):
        shutil.copytree(draw.choice(models), broken)
        damage(broken, what, draw)
        signal.alarm(20)  # a hang ends the process
        begun = time.process_time()  # not the clock on the wall: other tests run beside this one
        try:
            load(broken)
            opened += 1
        except TriviumError as error:
            said = str(error)
            assert error.exit_code in (3, 4) and said.isprintable() and len(said) < 1500, repr(said)
            refused += 1
        except BaseException:
            print(f"damage {number} of {what}, seed {seed}, is left in {broken}", file=sys.stderr)
            raise
        took = time.process_time() - begun
        signal.alarm(0)
        slowest = max(slowest, took)
        assert took < 1, f"damage {number} took {took:.1f} s, see {broken}"
        shutil.rmtree(broken)
    print(json.dumps({"opened": opened, "refused": refused, "slowest": slowest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
