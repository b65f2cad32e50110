"""A program for a process of its own: opens a folder with ``onnxruntime`` and answers what it computes on given rows.

It is run by path and imports nothing of Trivium; text is cut by the ``tokenizers`` library from the folder's
``tokenizer.json``.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


def main(job_file: str) -> None:
    """Writes ``answer.json`` and ``answer.npz`` beside the job."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    runtime: Any = import_module("onnxruntime")
    folder, rows, pad = Path(job["path"]), job["rows"], job["pad"]
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = job["threads"], 3

    def run(name: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = runtime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
        wanted = {each.name: given[each.name] for each in session.get_inputs()}
        names = [each.name for each in session.get_outputs()]
        return dict(zip(names, session.run(names, wanted), strict=True))

    given = _padded([row["ids"] for row in rows], pad)
    given["token_type_ids"] = np.zeros_like(given["input_ids"])
    output = "last_hidden_state" if job["measure"] == "hidden" else "logits"
    if rows[0]["target"] is None:
        said = run("model.onnx", given)
        ends = ("start_logits", "end_logits")
        found = np.stack([said[end] for end in ends], -1) if ends[0] in said else said[output]
    else:
        states = run("encoder_model.onnx", given)["last_hidden_state"]
        later = {"encoder_attention_mask": given["attention_mask"], "encoder_hidden_states": states}
        later["input_ids"] = _padded([row["target"] for row in rows], pad)["input_ids"]
        found = run("decoder_model.onnx", later)[output]
    arrays = {}
    for number, row in enumerate(rows):
        length = len(row["target"] or row["ids"])
        whole = found[number].astype(np.float32)
        arrays[f"row{number}"] = whole[None] if found.ndim == 2 else whole[:length]
    tokenizer: Any = import_module("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    stops = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id")
    answer = {
        "reader": f"onnxruntime {runtime.__version__}",
        "ids": [tokenizer.encode(text).ids for text in job["texts"]],
        "stops": [] if stops is None else [stops] if isinstance(stops, int) else list(stops),
    }
    np.savez(Path(job_file).with_name("answer.npz"), **arrays)
    Path(job_file).with_name("answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _padded(rows: list[list[int]], pad: int) -> dict[str, np.ndarray]:
    width = max(map(len, rows))
    return {
        "input_ids": np.array([row + [pad] * (width - len(row)) for row in rows], np.int64),
        "attention_mask": np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64),
    }


if __name__ == "__main__":
    main(sys.argv[1])
