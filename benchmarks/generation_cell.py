"""One engine that writes, measured in one fresh process: ``python benchmarks/generation_cell.py ENGINE JOB.json``.

A job is a folder of weights, prompts as token ids, how many tokens each request wants, and how many are written side by
side. Prints one JSON document on its last line. Nothing stops a text but its length, and nothing is decoded.
"""

import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from inference_cell import restart_peak, status

WARM_UP = 4
Write = Callable[[list[list[int]], list[int]], None]


def transformers_engine(folder: Path, precision: str, slots: int) -> Write:
    """``generate``: as many prompts at a time as there are slots, in the order they come, until the longest has its
    tokens."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, precision)).eval()

    def write(prompts: list[list[int]], wanted: list[int]) -> None:
        for start in range(0, len(prompts), slots):
            ids = torch.tensor(prompts[start : start + slots])
            most = max(wanted[start : start + slots])
            made = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=most, min_new_tokens=most, do_sample=False,
                pad_token_id=0,
            )  # fmt: skip
            assert made.shape[1] == ids.shape[1] + most

    return write


def trivium_engine(folder: Path, precision: str, slots: int) -> Write:
    """Requests that join and leave a running batch."""
    import torch

    from trivium.families import huggingface
    from trivium.generation.engine import Engine, Request
    from trivium.generation.prompts import Prompt
    from trivium.generation.sampling import Sampling
    from trivium.verbs.load import inference_form

    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    network = inference_form(huggingface.load(folder, dtype=dtype).model, precision)

    def write(prompts: list[list[int]], wanted: list[int]) -> None:
        longest = max(len(ids) + count for ids, count in zip(prompts, wanted, strict=True))
        engine = Engine(network, network.config.vocab_size, slots=slots, longest=longest, reuse=0)
        for ids, count in zip(prompts, wanted, strict=True):
            engine.submit(Request(Prompt(tuple(ids)), Sampling(max_tokens=count, temperature=0)))
        made = 0
        while engine.busy:
            made += len(engine.step())
        assert made == sum(wanted)

    return write


def ctranslate2_engine(folder: Path, precision: str, slots: int) -> Write:
    import ctranslate2
    import torch

    generator = ctranslate2.Generator(str(folder / f"ctranslate2-{precision}"), intra_threads=torch.get_num_threads())
    words = json.loads((folder / f"ctranslate2-{precision}" / "vocabulary.json").read_text(encoding="utf-8"))

    def write(prompts: list[list[int]], wanted: list[int]) -> None:
        for start in range(0, len(prompts), slots):
            some, most = prompts[start : start + slots], max(wanted[start : start + slots])
            made = generator.generate_batch(
                [[words[number] for number in ids] for ids in some], max_length=most, min_length=most, sampling_topk=1,
                include_prompt_in_result=False, end_token=[],
            )  # fmt: skip
            assert all(len(each.sequences_ids[0]) == most for each in made)

    return write


def llama_cpp_engine(folder: Path, precision: str, slots: int) -> Write:
    """Its server, a client's thread a slot."""
    import torch
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.port = str(folder / f"{precision}.gguf"), 0
    settings.n_parallel, settings.n_ctx = slots, 512 * slots
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = torch.get_num_threads()
    server = xllamacpp.Server(settings)
    address = server.listening_address.removeprefix("http://")

    def write(prompts: list[list[int]], wanted: list[int]) -> None:
        waiting = list(zip(prompts, wanted, strict=True))[::-1]

        def client() -> None:
            line = http.client.HTTPConnection(address)
            while True:
                try:
                    ids, count = waiting.pop()
                except IndexError:
                    return
                asked = {"prompt": ids, "n_predict": count, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
                line.request("POST", "/completion", json.dumps(asked), {"Content-Type": "application/json"})
                found = json.loads(line.getresponse().read())
                assert found["tokens_predicted"] == count

        clients = [threading.Thread(target=client) for _ in range(min(slots, len(prompts)))]
        for each in clients:
            each.start()
        for each in clients:
            each.join()

    write.server = server  # type: ignore[attr-defined]
    return write


ENGINES = {
    "transformers": transformers_engine,
    "trivium": trivium_engine,
    "ctranslate2": ctranslate2_engine,
    "llama.cpp": llama_cpp_engine,
}


def measured(write: Write, prompts: list[list[int]], wanted: list[int], repeats: int) -> dict[str, float]:
    """The best of some repeats, since what disturbs a machine only adds; of one request also its first token."""

    def seconds(counts: list[int]) -> float:
        started = time.perf_counter()
        write(prompts, counts)
        return time.perf_counter() - started

    seconds([min(WARM_UP, count) for count in wanted])
    whole = min(seconds(wanted) for _ in range(repeats))
    found = {"seconds": whole, "tokens": sum(wanted), "rate": sum(wanted) / whole}
    if len(prompts) == 1:
        found["first"] = min(seconds([1]) for _ in range(max(3, repeats)))
        found["between"] = (whole - found["first"]) / (wanted[0] - 1)
    return found


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    engine, place = sys.argv[1:]
    job = json.loads(Path(place).read_text(encoding="utf-8"))
    name, _, number = engine.partition("-")
    import torch  # noqa: F401 (its libraries are no engine's memory)

    before = restart_peak()
    made = ENGINES[name](Path(job["folder"]), number, job["slots"])
    found = measured(made, job["prompts"], job["wanted"], job["repeats"])
    found["memory"] = (status("VmHWM") - before) / 2**20
    found["resident"] = (status("VmRSS") - before) / 2**20
    print(json.dumps(found), flush=True)
    os._exit(0)  # llama.cpp's threads are not waited for
