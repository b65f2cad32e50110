"""GGUF files that lie: each is one sentence that names the file, at once, in little memory, without torch."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trivium.errors import DataError
from trivium.families.gguf import GgufFile, outgoing, write_gguf
from trivium.families.gguf_header import NUMBERS
from trivium.families.llama_gguf import metadata_out

U32, U64 = (lambda n: struct.pack("<I", n)), (lambda n: struct.pack("<Q", n))


def text(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return U64(len(data)) + data


def tensor(name: str = "t", dims: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + U32(len(dims)) + b"".join(map(U64, dims)) + U32(kind) + U64(offset)


def built(
    keys: list[bytes] = [], tensors: list[bytes] = [], data: bytes = bytes(4096), version: int = 3,  # noqa: B006
    counts: tuple[int, int] | None = None, magic: bytes = b"GGUF",
) -> bytes:  # fmt: skip
    counts = counts or (len(tensors), len(keys))
    head = magic + U32(version) + U64(counts[0]) + U64(counts[1]) + b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + U32(kind) + value


HUGE = 2**40
LIES = {
    "empty": (b"", "empty"),
    "short": (b"GGUF\x03", "the header"),
    "magic": (built(magic=b"GGML"), "begins with b'GGML'"),
    "version-1": (built(version=1), "its version is 1, known are 2 and 3"),
    "big-endian": (built(version=0x03000000), "big-endian"),
    "many-tensors": (built(counts=(HUGE, 0)), "claims 1099511627776 tensors"),
    "many-keys": (built(counts=(0, HUGE)), "1099511627776 keys"),
    "more-tensors-than-bytes": (built(counts=(65536, 0)), "the list of tensors"),
    "more-keys-than-bytes": (built(counts=(0, 65536)), "the metadata"),
    "long-key": (built([U64(HUGE) + b"a"]), "claims 1099511627776 bytes"),
    "key-not-utf8": (built([key("a", 0, b"\1")[:8] + b"\xff" + key("a", 0, b"\1")[9:]]), "not UTF-8"),
    "same-key": (built([key("a", 0, b"\1")] * 2), "'a' is there twice"),
    "unknown-type": (built([key("a", 13, bytes(99))]), "type 13"),
    "bool-2": (built([key("a", 7, b"\2")]), "neither|not true"),
    "bools-2": (built([key("a", 9, U32(7) + U64(2) + b"\1\2")]), "neither true"),
    "long-string": (built([key("a", 8, U64(HUGE))]), "claims 1099511627776 bytes"),
    "string-beyond-the-end": (built([key("a", 8, U64(1 << 19))]), "needs 524288 bytes"),
    "string-not-utf8": (built([key("a", 8, text(b"\xc3"))]), "not UTF-8"),
    "long-array": (built([key("a", 9, U32(0) + U64(HUGE))]), "claims 1099511627776 entries"),
    "array-beyond-the-end": (built([key("a", 9, U32(10) + U64(1 << 23))]), "needs 67108864 bytes"),
    "strings-beyond-the-end": (built([key("a", 9, U32(8) + U64(1 << 20))]), "needs 8388608 bytes"),
    "string-in-array": (built([key("a", 9, U32(8) + U64(2) + U64(1) + b"x" + U64(HUGE))]), "entry 1 of 'a' claims"),
    "strings-not-utf8": (built([key("a", 9, U32(8) + U64(1) + text(b"\xff"))]), "entry 0 of 'a' is not UTF-8"),
    "array-of-unknown": (built([key("a", 9, U32(77) + U64(1))]), "type 77"),
    "deep-arrays": (built([key("a", 9, (U32(9) + U64(1)) * 9)]), "more than 4 deep"),
    "array-of-many-arrays": (built([key("a", 9, U32(9) + U64(1 << 20))]), "needs 12582912 bytes"),
    "alignment-0": (built([key("general.alignment", 4, U32(0))]), "alignment is 0"),
    "alignment-3": (built([key("general.alignment", 4, U32(3))]), "alignment is 3"),
    "alignment-huge": (built([key("general.alignment", 4, U32(1 << 31))]), "alignment is 2147483648"),
    "alignment-text": (built([key("general.alignment", 8, text("32"))]), "alignment is 32, not"),
    "dimension-2^40": (built(tensors=[tensor(dims=(HUGE,))]), "needs 4398046511104 bytes"),
    "dimensions-that-overflow": (built(tensors=[tensor(dims=(1 << 32, 1 << 32, 1 << 32, 4))]), "bytes, and the file"),
    "dimension-0": (built(tensors=[tensor(dims=(0, 4))]), "needs 0 bytes"),
    "five-dimensions": (built(tensors=[tensor(dims=(1,) * 5)]), "5 dimensions"),
    "no-dimensions": (built(tensors=[tensor(dims=())]), "0 dimensions"),
    "unknown-kind": (built(tensors=[tensor(kind=4)]), "unknown kind 4"),
    "broken-blocks": (built(tensors=[tensor(dims=(33,), kind=8)]), "which Q8_0 keeps by 32"),
    "same-tensor": (built(tensors=[tensor(), tensor(offset=32)]), "'t' is there twice"),
    "overlap": (built(tensors=[tensor("a", (16,)), tensor("b", (16,), offset=32)]), "'b' overlaps 'a'"),
    "offset-beyond": (built(tensors=[tensor(offset=HUGE)]), "said to lie at"),
    "offset-wraps": (built(tensors=[tensor(offset=2**64 - 32)]), "said to lie at"),
    "offset-unaligned": (built(tensors=[tensor(offset=4)]), "no multiple of 32"),
    "end-cut": (built(tensors=[tensor(dims=(2048,))], data=bytes(8191)), "said to lie at"),
    "long-name": (built(tensors=[tensor("n" * 65)]), "claims 65 bytes, of at most 64"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_sentence_that_names_the_file(tmp_path: Path, lie: str) -> None:
    content, words = LIES[lie]
    path = tmp_path / "lie.gguf"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        GgufFile(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value) and error.value.exit_code == 3


def test_the_honest_file_of_the_same_make_is_read(tmp_path: Path) -> None:
    path = tmp_path / "true.gguf"
    path.write_bytes(built([key("a", 9, U32(8) + U64(1) + text("x"))], [tensor("a", (16,)), tensor("b", (16,), 0, 64)]))
    with GgufFile(path) as file:
        assert file.header.metadata == {"a": ["x"]} and file.read("b").shape == (16,)


def test_an_absent_file_and_a_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        GgufFile(tmp_path / "none.gguf")
    with pytest.raises(DataError, match="cannot be read"):
        GgufFile(tmp_path)


def test_a_kind_that_is_not_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(built(tensors=[tensor(dims=(256,), kind=10)]))
    with GgufFile(path) as file, pytest.raises(DataError, match="keeps 't' as Q2_K, which is not read here"):
        file.read("t")


CHILD = """
import random, resource, struct, sys, time
from pathlib import Path
from trivium.errors import DataError
from trivium.families.gguf import GgufFile
from trivium.families.gguf_tokenizer import gguf_tokenizer
from trivium.families.gguf_layouts import layout_in

path, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
whole = path.read_bytes()
broken = path.with_name("broken.gguf")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
draw = random.Random(seed)
NUMBERS = [0, 1, 2, 3, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
good = bad = 0
slowest = 0.0
for number in range(count):
    data = bytearray(whole)
    way = number % 4
    if way == 0:
        del data[draw.randrange(len(data)):]
    elif way == 1:
        data[draw.randrange(len(data))] = draw.randrange(256)
    elif way == 2:
        at = draw.randrange(len(data) - 8)
        size = draw.choice([4, 8])
        data[at : at + size] = struct.pack("<Q", draw.choice(NUMBERS))[:size]
    else:
        at = draw.randrange(len(data) - 8)
        piece = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 64)))
        data[at : at + draw.choice([0, len(piece)])] = piece
    broken.write_bytes(data)
    begun = time.perf_counter()
    try:
        with GgufFile(broken) as file:
            if "llama" in path.name:
                layout_in(file.header).config_in(file.header, None)
                gguf_tokenizer(file.header).encode("a word <s> 1")
            for name in file.header.tensors:
                file.read(name)
        good += 1
    except DataError as error:
        assert str(broken) in str(error)
        bad += 1
    slowest = max(slowest, time.perf_counter() - begun)
assert "torch" not in sys.modules
print(good, bad, slowest)
"""


COUNTS = pytest.mark.parametrize(
    ("seed", "count"), [(1, 600), pytest.param(2, 20_000, marks=pytest.mark.slow)], ids=["tenth", "all"]
)


def mutated(path: Path, seed: int, count: int) -> tuple[int, int]:
    """How many of so many mutations were read, and how many refused; each within a second, in a process that may take
    200 MB more than it has at the start."""
    command = [sys.executable, "-c", CHILD, str(path), str(seed), str(count)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr
    good, bad, slowest = ended.stdout.split()
    assert int(good) + int(bad) == count
    assert float(slowest) < 1
    return int(good), int(bad)


@COUNTS
def test_thousands_of_mutations_end_in_an_error_or_a_reading(tmp_path: Path, seed: int, count: int) -> None:
    scalars = {code: np.dtype(code).type(7) for code in NUMBERS.values()}
    lists: dict[str, object] = {
        "texts": ["a", "▁the", "é"],
        "deep": [["a"], []],
        "ids": np.arange(5),
        "b": [True, False],
    }
    kinds = [("F32", (3, 5)), ("F16", (2, 64)), ("Q8_0", (2, 2, 64)), ("F32", (9,))]
    rows = [outgoing(f"t{i}", shape, kind, lambda s=shape: np.ones(s)) for i, (kind, shape) in enumerate(kinds)]
    write_gguf(tmp_path / "whole.gguf", {**scalars, "flag": True, "text": "naïve", **lists}, rows)
    good, bad = mutated(tmp_path / "whole.gguf", seed, count)
    assert bad > count / 3 and good > 0


@COUNTS
def test_so_do_mutations_of_a_models_settings_and_vocabulary(tmp_path: Path, seed: int, count: int) -> None:
    words = ["<unk>", "<s>", "</s>", "<x>", *"abdorw ", "Ġ", "wo", "rd", "word", "Ġword"]
    settings = {
        "model_type": "llama", "vocab_size": len(words), "hidden_size": 8, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 16,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4},
    }  # fmt: skip
    vocabulary: dict[str, object] = {
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type": np.array([2, 3, 3, 4, *[1] * (len(words) - 4)], np.int32),
        "tokenizer.ggml.merges": ["w o", "r d", "wo rd", "Ġ word"], "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.add_bos_token": True,
    }  # fmt: skip
    rows = [outgoing("token_embd.weight", (len(words), 8), "F32", lambda: np.ones((len(words), 8)))]
    write_gguf(tmp_path / "llama.gguf", {**metadata_out(settings), **vocabulary}, rows)
    good, bad = mutated(tmp_path / "llama.gguf", seed, count)
    assert bad > count / 3 and good > 0
