"""Writing: Trivium against ``transformers``, CTranslate2 and llama.cpp, the same weights, on this machine, in one run.

    python benchmarks/generation.py                    # measure on an idle machine
    python benchmarks/generation.py --quick            # does it run at all

Three cases: one request, 16 at once of equal lengths, and 64 requests of 16 to 256 tokens that share 16 places. Each
measurement is a fresh process (``generation_cell.py``). Prompts are 32 random tokens, choice is greedy, nothing but its
length ends a text. Batches of equal prompts are the best case of engines that write a batch until its longest text is
done; only tokens that were asked for count. The bound is the bytes of all weights over the speed at which memory is
read here. llama.cpp and CTranslate2 are shown where they are installed. int8's cost is said of SmolLM2-135M's
real weights (where the model is installed) on a text of novels (``TRIVIUM_DATA``).
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from inference_cell import make_llama
from pretraining import machine

HERE = Path(__file__).parent
NAMES = {
    "transformers-float32": "transformers `generate`, float32",
    "transformers-bfloat16": "transformers `generate`, bf16",
    "ctranslate2-float32": "CTranslate2, float32",
    "ctranslate2-int8": "CTranslate2, int8",
    "llama.cpp-q8_0": "llama.cpp, Q8_0",
    "trivium-float32": "**Trivium**, float32",
    "trivium-bfloat16": "**Trivium**, bf16",
    "trivium-int8": "**Trivium**, int8",
}
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1, "q8_0": 1.0625}
SHAPES = {"smollm2": "SmolLM2-135M's shape (30 layers, width 576)", "gpt2": "A small GPT-2 (6 layers, width 384)"}
CASES = {"one": "one request", "sixteen": "16 requests of equal length", "ragged": "64 requests, 16 places"}


def make_gpt2(folder: Path, tiny: bool) -> Path:
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"n_embd": 64, "n_layer": 2, "n_head": 2} if tiny else {"n_embd": 384, "n_layer": 6, "n_head": 6}
    config = transformers.GPT2Config(vocab_size=8192, n_positions=1024, bos_token_id=0, eos_token_id=0, **sizes)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def add_tokenizer(folder: Path, vocabulary: int) -> None:
    """Words that are numbers: converters ask for a tokenizer."""
    import transformers

    from tokenizers import Tokenizer, models

    words = {f"w{number}": number for number in range(vocabulary)}
    made = Tokenizer(models.WordLevel(words, unk_token="w0"))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="w0", bos_token="w0", eos_token="w0"
    ).save_pretrained(folder)


def add_ctranslate2(folder: Path) -> bool:
    """The model in its own formats, in the same folder."""
    if find_spec("ctranslate2") is None:
        return False
    from ctranslate2.converters import TransformersConverter

    for precision in ("float32", "int8"):
        TransformersConverter(str(folder)).convert(str(folder / f"ctranslate2-{precision}"), quantization=precision)
    return True


def add_gguf(folder: Path) -> bool:
    """The real model's weights, as the file of its kind that is nearest to ours."""
    from trivium.errors import TriviumError
    from trivium.verbs.convert import convert

    if find_spec("xllamacpp") is None:
        return False
    try:
        convert("smollm2-135m", folder / "q8_0.gguf", dtype="q8_0")
    except TriviumError as problem:
        print(f"llama.cpp is left out: {problem}", file=sys.stderr)
        return False
    return True


def read_rate() -> float:
    """GB/s at which all threads together read a gigabyte, the best of five."""
    import torch

    values, best = torch.ones(1 << 28), float("inf")
    for _ in range(5):
        started = time.perf_counter()
        values.sum()
        best = min(best, time.perf_counter() - started)
    return values.numel() * 4 / best / 1e9


def weights_of(folder: Path) -> int:
    """How many numbers a token reads: all but the positions; the embeddings count once, as the output projection."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        names = [name for name in file.keys() if "wpe" not in name]  # noqa: SIM118 (no mapping)
        shapes = [file.get_slice(name).get_shape() for name in names]
    return sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes)


def jobs(case: str, tokens: int, vocabulary: int) -> tuple[list[list[int]], list[int], int]:
    """Prompts, how many tokens each wants, and places."""
    draw = random.Random(7)
    count = {"one": 1, "sixteen": 16, "ragged": 64}[case]
    prompts = [[draw.randrange(3, vocabulary) for _ in range(32)] for _ in range(count)]
    least = max(1, tokens // 8)
    wanted = [draw.randint(least, 2 * tokens) if case == "ragged" else tokens for _ in range(count)]
    return prompts, wanted, 1 if case == "one" else 16


def measure(engine: str, job: dict, work: Path) -> dict | None:
    """What the cell prints; None where the engine cannot do it."""
    place = work / "job.json"
    place.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, str(HERE / "generation_cell.py"), engine, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{engine} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def table(shape: str, case: str, found: dict[str, dict], weights: int, rate: float) -> str:
    peers = {name: found[name]["rate"] for name in found if name.startswith("transformers")}
    base = max(peers.values(), default=float("nan"))
    lines = ["", f"### {SHAPES[shape]}: {CASES[case]}", ""]
    one = case == "one"
    lines += [
        "| engine | tokens/s | of `transformers`' best |" + (" of the bound | first token, ms | between, ms |" if one else "") + " memory, MB |",  # noqa: E501
        "|---|---:|---:|" + ("---:|---:|---:|" if one else "") + "---:|",
    ]
    for name, each in found.items():
        row = f"| {NAMES[name]} | {each['rate']:,.1f} | {each['rate'] / base:.2f}x |"
        if one:
            bound = rate * 1e9 / (weights * BYTES[name.split("-", 1)[1]])
            row += f" {1 / each['between'] / bound:.0%} | {each['first'] * 1e3:.1f} | {each['between'] * 1e3:.2f} |"
        lines.append(f"{row} {each['memory']:,.0f} |")
    return "\n".join(lines)


def cost_of_int8(lines: int) -> str:
    """Perplexity of the real weights on novels."""
    import gzip

    from trivium.errors import TriviumError
    from trivium.verbs.evaluate import evaluate

    data = os.environ.get("TRIVIUM_DATA")
    if data is None:
        return ""
    with tempfile.TemporaryDirectory() as temporary:
        text = Path(temporary) / "novels.txt"
        with gzip.open(Path(data) / "novels" / "dev.txt.gz", "rt", encoding="utf-8") as file:
            text.write_text("".join(line for line, _ in zip(file, range(lines), strict=False)), encoding="utf-8")
        found = []
        for precision in ("bfloat16", "int8"):
            try:
                result = evaluate("smollm2-135m", "text", text, precision=precision).results[0]  # type: ignore[arg-type]
            except TriviumError as problem:
                return f"\nint8's cost was not measured: {problem}"
            found.append(f"{precision} {result.scores['perplexity'].value:.4f}")
        text = f"Perplexity of SmolLM2-135M's real weights on {lines} lines of novels: {', '.join(found)}"
        return f"\n{text}; {result.notes[-1]}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--engines", nargs="+", choices=NAMES, default=list(NAMES), metavar="E", help=", ".join(NAMES))
    parser.add_argument("--tokens", type=int, default=128, help="of a text; ragged ones have from an eighth to twice")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--lines", type=int, default=400, help="of novels, for int8's cost; 0: not measured")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, few tokens: for tests")
    options = parser.parse_args()
    tokens, repeats = (8, 1) if options.quick else (options.tokens, options.repeats)
    rate = read_rate()
    print(f"{machine()}; memory is read at {rate:.1f} GB/s; load average at the start {os.getloadavg()[0]:.1f}.")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for shape in options.shapes:
            tiny = options.quick
            folder = make_llama(work / "llama", tiny)["float32"] if shape == "smollm2" else make_gpt2(work / "gpt2", tiny)  # noqa: E501
            vocabulary = 49152 if shape == "smollm2" else 8192
            there = {"transformers", "trivium"}
            if any(name.startswith("ctranslate2") for name in options.engines):
                add_tokenizer(folder, vocabulary)
                there |= {"ctranslate2"} if add_ctranslate2(folder) else set()
            if shape == "smollm2" and not tiny and any(name.startswith("llama.cpp") for name in options.engines):
                there |= {"llama.cpp"} if add_gguf(folder) else set()
            for case in options.cases:
                prompts, wanted, slots = jobs(case, tokens, vocabulary)
                job = {"folder": str(folder), "prompts": prompts, "wanted": wanted, "slots": slots, "repeats": repeats}
                found = {}
                for engine in options.engines:
                    if engine.split("-")[0] in there and (made := measure(engine, job, work)) is not None:
                        found[engine] = made
                        print(f"{shape}, {case}: {engine}: {made['rate']:.1f} tokens/s", file=sys.stderr, flush=True)
                print(table(shape, case, found, weights_of(folder), rate), flush=True)
    if options.lines and not options.quick:
        print(cost_of_int8(options.lines))


if __name__ == "__main__":
    main()
