"""One measurement in one fresh process: ``python benchmarks/inference_cell.py ENGINE FOLDER SENTENCES|DTYPE``.

Prints one JSON document on its last line. Nothing of an engine is imported before its clock of imports runs.
"""

import csv
import json
import os
import sys
import time
from pathlib import Path

BATCH = 32
LAYERS = {"minilm": (6, 384, 12, 1536), "base": (12, 768, 12, 3072), "tiny": (2, 32, 2, 64)}
LLAMA = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
TINY_LLAMA = {"hidden_size": 72, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 9}


def sentences(count: int) -> list[str]:
    """The first of SST-2's training sentences, in the order of the file."""
    data = os.environ.get("TRIVIUM_DATA")
    if data is None:
        raise SystemExit("set TRIVIUM_DATA to a folder with sst2/train.tsv")
    with open(Path(data) / "sst2" / "train.tsv", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row["sentence"] for row, _ in zip(rows, range(count), strict=False)]


def make_encoder(folder: Path, shape: str) -> Path:
    """A BERT of random weights with all-MiniLM-L6-v2's vocabulary, saved by transformers."""
    import torch
    import transformers

    from trivium.families.demo_models import find_model

    layers, width, heads, ffn = LAYERS[shape]
    torch.manual_seed(0)
    config = transformers.BertConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=ffn
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(find_model("all-minilm-l6-v2")).save_pretrained(folder)
    return folder


def make_llama(work: Path, tiny: bool) -> dict[str, Path]:
    """SmolLM2-135M's shape with random weights, in float32 and in bfloat16, saved by transformers."""
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = TINY_LLAMA if tiny else LLAMA
    config = transformers.LlamaConfig(
        vocab_size=49152, num_key_value_heads=3, max_position_embeddings=8192, rope_theta=100000.0,
        tie_word_embeddings=True, **sizes,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    for dtype in ("float32", "bfloat16"):
        model.to(getattr(torch, dtype)).save_pretrained(work / dtype)
    return {dtype: work / dtype for dtype in ("float32", "bfloat16")}


# ---- encoding ----


def transformers_encoder(folder: Path, count: int, by_length: bool) -> dict:
    """Batches of 32, each padded to its longest, the mean over real tokens."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False).eval()

    def encode(texts: list[str]) -> "torch.Tensor":
        order = list(range(len(texts)))
        if by_length:  # as sentence-transformers does it: by the number of characters
            order.sort(key=lambda number: -len(texts[number]))
        found = torch.zeros(len(texts), model.config.hidden_size)
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH):
                numbers = order[start : start + BATCH]
                batch = tokenizer(
                    [texts[n] for n in numbers], padding=True, truncation=True, max_length=512, return_tensors="pt"
                )
                states = model(**batch).last_hidden_state
                mask = batch["attention_mask"].unsqueeze(-1).float()
                found[torch.tensor(numbers)] = (states * mask).sum(1) / mask.sum(1)
        return found

    return timed(encode, count)


def trivium_encoder(folder: Path, count: int, precision: str) -> dict:
    import trivium

    model = trivium.load(folder, precision=precision)
    return timed(lambda texts: model.embed(texts, pooling="mean"), count)


def timed(encode, count: int) -> dict:
    """Seconds for all sentences, after a few others to warm up; two numbers of each of the first vectors."""
    texts = sentences(count + 2 * BATCH)
    encode(texts[count:])
    started = time.perf_counter()
    found = encode(texts[:count])
    return {"seconds": time.perf_counter() - started, "vectors": found[:50, :2].reshape(-1).tolist()}


# ---- loading ----


def loaded(folder: Path, dtype: str, engine: str) -> dict:
    """Seconds of import, load and first call; by how much the resident size grew at its peak, by the weights' bytes."""
    started = time.perf_counter()
    import torch

    if engine == "transformers":
        import transformers

        made = transformers.LlamaForCausalLM

        def load():
            return made.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

        def call(model, ids):
            return model(ids).logits[0, -1]
    else:
        from trivium.families import huggingface
        from trivium.transformer import Inputs, Model, Tokens  # noqa: F401 (the module that load imports)

        def load():
            return huggingface.load(folder, dtype=getattr(torch, dtype)).model.eval()

        def call(model, ids):
            return model(Inputs(target=Tokens(ids)), at=torch.tensor([ids.shape[1] - 1])).logits[0]

    imported = time.perf_counter()
    base = restart_peak()
    begun = time.perf_counter()
    model = load()
    done = time.perf_counter()
    with torch.inference_mode():
        logits = call(model, torch.arange(16)[None])
    ended = time.perf_counter()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return {
        "imports": imported - started,
        "seconds": done - begun,
        "first": ended - done,
        "peak": (status("VmHWM") - base) / weights,
        "logits": logits[:20].float().tolist(),
    }


def status(name: str) -> int:
    """Bytes, from the kernel's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"this system says no {name}")


def restart_peak() -> int:
    """Lets the kernel's peak begin at what is resident now, which it returns."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


ENCODERS = {
    "transformers": lambda folder, count: transformers_encoder(folder, count, by_length=False),
    "transformers-sorted": lambda folder, count: transformers_encoder(folder, count, by_length=True),
    "trivium": lambda folder, count: trivium_encoder(folder, count, "float32"),
    "trivium-bfloat16": lambda folder, count: trivium_encoder(folder, count, "bfloat16"),
}
LOADERS = {
    "transformers-load": lambda folder, dtype: loaded(folder, dtype, "transformers"),
    "trivium-load": lambda folder, dtype: loaded(folder, dtype, "trivium"),
}

if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    engine, place, argument = sys.argv[1:]
    if engine in ENCODERS:
        print(json.dumps(ENCODERS[engine](Path(place), int(argument))))
    else:
        print(json.dumps(LOADERS[engine](Path(place), argument)))
