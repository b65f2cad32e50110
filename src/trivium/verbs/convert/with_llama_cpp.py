"""A program for a process of its own: opens a GGUF file with llama.cpp (``xllamacpp``) and answers what it computes.

It is run by path and imports nothing of Trivium. llama.cpp prints to the terminal and starts threads, so it is asked
over its server on this machine alone, and the process ends without waiting for it. A decoder's probabilities come after
the last token of a text, so that a row is asked for as several beginnings of it; an encoder's hidden states come whole.
"""

import http.client
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


def main(job_file: str) -> None:
    """Writes ``answer.json`` and ``answer.npz`` beside the job."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    package: Any = import_module("xllamacpp")
    settings = package.CommonParams()
    settings.model.path, settings.n_ctx, settings.port = job["path"], 256, 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = job["threads"]
    # Keys and values as exact as the rest, and the plain attention.
    settings.cache_type_k = settings.cache_type_v = package.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = package.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    hidden = job["measure"] == "hidden"
    if hidden:
        settings.embedding, settings.embd_normalize = True, -1
        settings.pooling_type = package.llama_pooling_type.LLAMA_POOLING_TYPE_NONE
    server = package.Server(settings)
    line = http.client.HTTPConnection(server.listening_address.removeprefix("http://"))

    def ask(path: str, body: dict[str, object] | None = None) -> Any:
        content = None if body is None else json.dumps(body)
        line.request("GET" if body is None else "POST", path, content, {"Content-Type": "application/json"})
        return json.loads(line.getresponse().read())

    arrays: dict[str, Any] = {}
    for number, row in enumerate(job["rows"]):
        if hidden:
            said = ask("/embedding", {"content": row["ids"], "embd_normalize": -1})
            arrays[f"row{number}"] = np.array(said[0]["embedding"], np.float32)
            continue
        found = np.full((len(row["ids"]), job["width"]), np.nan, np.float32)
        for position in job["positions"][number]:
            begun = row["ids"][: position + 1]
            asked = {"prompt": begun, "n_predict": 1, "n_probs": job["most"], "temperature": 0, "cache_prompt": False}
            # Probabilities are those of the model; they are told only beside a chosen token that is whole text.
            asked["logit_bias"] = [[job["spoken"], 1e6]]
            for each in ask("/completion", asked)["completion_probabilities"][0]["top_logprobs"]:
                found[position, each["id"]] = each["logprob"]
        arrays[f"row{number}"] = found
    end = ask("/props").get("eos_token")
    texts = [{"content": text, "add_special": True, "parse_special": False} for text in job["texts"]]
    answer = {
        "reader": f"llama.cpp (xllamacpp {package.__version__})",
        "ids": [ask("/tokenize", text)["tokens"] for text in texts],
        "stops": ask("/tokenize", {"content": end, "parse_special": True})["tokens"] if end else [],
    }
    np.savez(Path(job_file).with_name("answer.npz"), **arrays)
    Path(job_file).with_name("answer.json").write_text(json.dumps(answer), encoding="utf-8")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
