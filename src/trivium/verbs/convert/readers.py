"""Opens what was written in an independent program and asks it for its numbers; in Trivium itself where there is none.

Each program runs in a process of its own (``with_*.py``): it may take memory, print and start threads as it likes, and
leaves nothing behind.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from trivium.errors import TriviumError
from trivium.transformer import Inputs, Tokens
from trivium.transformer.head_config import CHOICE
from trivium.verbs.convert.texts import TEXTS, Row, spoken
from trivium.verbs.load import LanguageModel, load

Format = Literal["hf", "gguf", "onnx"]
Measure = Literal["logits", "log-probabilities", "hidden", "scores"]

PROGRAMS: Mapping[Format, tuple[str, str]] = {
    "hf": ("transformers", "with_transformers.py"),
    "gguf": ("xllamacpp", "with_llama_cpp.py"),
    "onnx": ("onnxruntime", "with_onnxruntime.py"),
}
"""Of each format the package that reads it and the program that asks it."""

INSTALL = "pip install -e '.[export]' in a clone"
MOST = 2000  # tokens whose log-probabilities llama.cpp is asked for at a position
BEGINNINGS = 3  # positions of a row at which it is asked


@dataclass(frozen=True)
class Answer:
    """What a reader computed: of each row ``(positions, numbers)``, NaN where it was not asked; the ids of the texts
    and the tokens that end an answer."""

    reader: str
    independent: bool
    values: list[np.ndarray]
    ids: list[list[int]]
    stops: list[int]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    remark: str = ""


def measure_of(model: LanguageModel, to: Format) -> Measure:
    """What is compared: the scores of a head, of a language model its logits, of all else its hidden states.
    llama.cpp tells probabilities, and of an encoder hidden states."""
    if model.model.heads:
        return "scores"
    no_words = model.model.vocabulary is None or model.config.vocabulary_head == "two-way"
    if no_words or (to == "gguf" and model.kind == "encoder"):
        return "hidden"
    return "log-probabilities" if to == "gguf" else "logits"


def own_values(model: LanguageModel, rows: Sequence[Row], measure: Measure) -> list[np.ndarray]:
    """What a model computes here, in float32, row by row and so without padding."""
    found = []
    with torch.inference_mode():
        for row in rows:
            side = Tokens(torch.tensor([row.ids]))
            inputs = Inputs(target=side) if model.kind == "decoder" else Inputs(source=side)
            if row.target is not None:
                inputs = Inputs(side, Tokens(torch.tensor([row.target])))
            words = measure in ("logits", "log-probabilities")
            heads = list(model.model.heads)[:1] if measure == "scores" else []
            out = model.model(inputs, at="all" if words else None, heads=heads)
            values = out.logits[0] if words else out.hidden[0]  # (T, V) or (T, W)
            if out.heads:
                scores = out.heads[heads[0]]
                values = scores if scores.ndim == 2 else scores[0]  # of the row (1, labels), or of each token
            found.append((values.log_softmax(-1) if measure == "log-probabilities" else values).float().numpy())
    return found


def answer(
    path: Path, to: Format, rows: Sequence[Row], measure: Measure, model: LanguageModel, architecture: str | None
) -> Answer:
    """What the independent reader of a format computes from ``path``, which was made of ``model``. ``architecture``:
    the class of ``transformers`` that computes it, None: there is none."""
    width = model.config.vocab_size
    package, program = PROGRAMS[to]
    if to == "hf" and architecture is None:
        return own_answer(path, rows, measure, "no class of transformers computes this model")
    if not installed(package):
        return own_answer(path, rows, measure, f"{package} is not installed ({INSTALL})")
    job: dict[str, Any] = {
        "path": str(path), "class": architecture, "rows": [asdict(row) for row in rows], "texts": TEXTS,
        "choices": CHOICE in model.model.heads,
        "measure": measure, "pad": model.config.pad_token, "threads": torch.get_num_threads(),
        "width": width, "most": min(width, MOST), "positions": [beginnings(len(row.ids)) for row in rows],
        "spoken": spoken(model.tokenizer),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="trivium-convert-") as folder:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        # -P: the folder of the program is no place to import from.
        command = [sys.executable, "-P", str(Path(__file__).with_name(program)), str(file)]
        quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", env=quiet, check=False)
        if not (file.with_name("answer.json").is_file() and file.with_name("answer.npz").is_file()):
            lines = [each.strip() for each in ended.stderr.splitlines() if each.strip()]
            named = [each for each in lines if re.match(r"[\w.]+(Error|Exception)\b", each)]  # Python's last line
            why = (named or lines or [f"exit code {ended.returncode}"])[-1][:400]
            raise TriviumError(f"{package} cannot open what was written: {why}")
        said = json.loads(file.with_name("answer.json").read_text(encoding="utf-8"))
        with np.load(file.with_name("answer.npz"), allow_pickle=False) as arrays:
            values = [arrays[f"row{number}"] for number in range(len(rows))]
    if measure == "log-probabilities":
        told = [np.isfinite(each).sum(-1) for each in values]
        if any((each[places] < job["most"]).any() for each, places in zip(told, job["positions"], strict=True)):
            raise TriviumError(f"{package} gives no finite probabilities for what was written: the model is damaged")
    missing, unexpected = tuple(said.get("missing", ())), tuple(said.get("unexpected", ()))
    return Answer(said["reader"], True, values, said["ids"], said["stops"], missing, unexpected)


def installed(package: str) -> bool:
    """Whether a package is there, without importing it."""
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def own_answer(path: Path, rows: Sequence[Row], measure: Measure, remark: str) -> Answer:
    """The same by our own reader, which proves the file but not that others read it alike."""
    from trivium.verbs.convert.stops import stop_ids

    model = load(path, device="cpu")
    ids = [model.tokenizer.encode(text, specials=True).ids for text in TEXTS]
    return Answer("trivium", False, own_values(model, rows, measure), ids, stop_ids(model), remark=remark)


def beginnings(length: int) -> list[int]:
    """Some positions of a row, the last among them."""
    return sorted({max(0, length * part // BEGINNINGS - 1) for part in range(1, BEGINNINGS + 1)})
