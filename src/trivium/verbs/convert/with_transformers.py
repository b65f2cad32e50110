"""A program for a process of its own: opens a folder with ``transformers`` and answers what it computes on given rows.

It is run by path, imports nothing of Trivium, and takes ``transformers`` by name at run time: the package itself never
imports it, and works where it is not installed.
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
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    torch.set_num_threads(job["threads"])
    kind = getattr(transformers, job["class"])
    model, loading = kind.from_pretrained(
        job["path"], dtype=torch.float32, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    model.eval()
    rows, pad = job["rows"], job["pad"]
    given = _padded([row["ids"] for row in rows], pad, torch)
    if rows[0]["target"] is not None:
        given["decoder_input_ids"] = _padded([row["target"] for row in rows], pad, torch)["input_ids"]
    if job["choices"]:  # one to choose from
        given = {name: tensor[:, None] for name, tensor in given.items()}
    with torch.no_grad():
        out = model(**given)
    if job["measure"] == "hidden":
        values = out.last_hidden_state
    elif "start_logits" in out:
        values = torch.stack([out.start_logits, out.end_logits], -1)
    else:
        values = out["seq_relationship_logits" if "seq_relationship_logits" in out else "logits"]
    found = values.float().numpy()
    arrays = {}
    for number, row in enumerate(rows):
        length = len(row["target"] or row["ids"])
        arrays[f"row{number}"] = found[number][None] if found.ndim == 2 else found[number, :length]
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["path"], local_files_only=True)
    stops = getattr(model.generation_config, "eos_token_id", None) if model.can_generate() else None
    answer = {
        "reader": f"transformers {transformers.__version__}",
        "ids": [tokenizer(text)["input_ids"] for text in job["texts"]],
        "stops": [] if stops is None else [stops] if isinstance(stops, int) else list(stops),
        "missing": sorted(map(str, loading["missing_keys"])),
        "unexpected": sorted(map(str, loading["unexpected_keys"])),
    }
    np.savez(Path(job_file).with_name("answer.npz"), **arrays)
    Path(job_file).with_name("answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _padded(rows: list[list[int]], pad: int, torch: Any) -> dict[str, Any]:
    width = max(map(len, rows))
    return {
        "input_ids": torch.tensor([row + [pad] * (width - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }


if __name__ == "__main__":
    main(sys.argv[1])
