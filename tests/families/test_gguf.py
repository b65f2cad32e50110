"""GGUF read and written, held against the ``gguf`` package of llama.cpp: metadata, every kind of numbers, both ways."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import quants
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from trivium.errors import DataError, SettingsError
from trivium.families.gguf import GgufFile, outgoing, write_gguf
from trivium.families.gguf_blocks import KINDS, READ, WRITTEN, widened

SCALARS = {
    "UINT8": np.uint8(255), "INT8": np.int8(-128), "UINT16": np.uint16(65535), "INT16": np.int16(-32768),
    "UINT32": np.uint32(2**32 - 1), "INT32": np.int32(-(2**31)), "UINT64": np.uint64(2**64 - 1),
    "INT64": np.int64(-(2**63)), "FLOAT32": np.float32(0.1), "FLOAT64": np.float64(0.1), "BOOL": np.bool_(True),
}  # fmt: skip


@pytest.mark.parametrize("number", KINDS)
def test_every_kind_has_the_name_and_size_that_the_package_knows(number: int) -> None:
    theirs = gguf.GGMLQuantizationType(number)
    assert (theirs.name, gguf.GGML_QUANT_SIZES[theirs]) == (
        KINDS[number].name,
        (KINDS[number].size, KINDS[number].nbytes),
    )


def test_all_kinds_of_the_package_are_listed() -> None:
    assert set(KINDS) == {kind.value for kind in gguf.GGMLQuantizationType}


@pytest.mark.parametrize("name", [name for name in READ if name not in ("F32", "F16")])
def test_blocks_widen_to_the_bits_of_the_reference(name: str) -> None:
    """On random bytes: every scale, infinite and NaN ones too, and every pattern of bits."""
    kind = next(kind for kind in KINDS.values() if kind.name == name)
    blocks = np.random.default_rng(7).integers(0, 256, (4500, kind.nbytes), np.uint8)
    with np.errstate(all="ignore"):
        theirs = quants.dequantize(blocks, gguf.GGMLQuantizationType[name]).reshape(-1)
    assert np.array_equal(widened(kind, blocks).view(np.uint32), theirs.view(np.uint32)) or np.array_equal(
        widened(kind, blocks), theirs, equal_nan=True
    )


def test_plain_numbers_are_what_numpy_says() -> None:
    values = np.array([0.0, -0.0, 1.5, -65504, np.inf, 6e-8], np.float32)
    assert np.array_equal(widened(WRITTEN["F32"], values.view(np.uint8)), values)
    assert np.array_equal(widened(WRITTEN["F16"], values.astype(np.float16).view(np.uint8)), values.astype(np.float16))


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=32, max_size=32).map(lambda v: np.array([v], np.float32)),
    st.sampled_from([1.0, 0.0, 1e-6]),
)
def test_q8_0_is_packed_to_the_bytes_of_the_reference(values: np.ndarray, factor: float) -> None:
    values = (values * np.float32(factor)).astype(np.float32)
    values = np.where(np.abs(values) < 1e-30, 0, values).astype(np.float32)
    assert WRITTEN["Q8_0"].pack(values).tobytes() == quants.quantize(values, gguf.GGMLQuantizationType.Q8_0).tobytes()


def test_q8_0_rounds_halves_away_from_zero() -> None:
    values = np.arange(-16, 16, dtype=np.float32)[None] + 0.5
    values[0, 0] = -127
    packed = WRITTEN["Q8_0"].pack(values)[0, 2:].view(np.int8)
    assert packed.tolist() == [-127, *range(-15, 0), *range(1, 17)]


# ---- files of theirs ----


def theirs(path: Path, tensors: dict[str, np.ndarray] | None = None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in SCALARS.items():
        writer.add_key_value(f"scalar.{name}", value, gguf.GGUFValueType[name])
        several = [value.item(), *([False] if name == "BOOL" else [0, 1])]
        writer.add_key_value(f"array.{name}", several, gguf.GGUFValueType.ARRAY, gguf.GGUFValueType[name])
    writer.add_string("text", "naïve ▁ 私\x00\n")
    writer.add_array("texts", ["", "a", "▁the"])
    writer.add_array("flags", [True, False])
    for name, values in (tensors or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_of_every_type_is_read_as_they_read_it(tmp_path: Path) -> None:
    path = theirs(tmp_path / "a.gguf")
    fields = gguf.GGUFReader(path).fields
    with GgufFile(path) as file:
        metadata = file.header.metadata
    assert set(metadata) == {name for name in fields if not name.startswith("GGUF.")}
    for name, value in metadata.items():
        expected = fields[name].contents()
        assert (value.tolist() if isinstance(value, np.ndarray) else value) == expected, name
    assert metadata["scalar.UINT64"] == 2**64 - 1 and metadata["scalar.BOOL"] is True
    assert metadata["text"] == "naïve ▁ 私\x00\n" and metadata["texts"] == ["", "a", "▁the"]


def test_tensors_of_their_files_keep_names_shapes_and_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tensors = {
        "a.weight": rng.standard_normal((3, 64)).astype(np.float32),
        "b.weight": rng.standard_normal((2, 3, 5)).astype(np.float16),
        "c": rng.standard_normal(7).astype(np.float32),
    }
    with GgufFile(theirs(tmp_path / "a.gguf", tensors)) as file:
        assert list(file.header.tensors) == list(tensors) and file.numbers == 3 * 64 + 30 + 7
        for name, values in tensors.items():
            assert np.array_equal(file.read(name), values.astype(np.float32))
        with pytest.raises(DataError, match="has no tensor 'd'"):
            file.read("d")


def test_what_was_read_outlives_the_file(tmp_path: Path) -> None:
    path = theirs(tmp_path / "a.gguf", {"a": np.ones((2, 32), np.float32)})
    with GgufFile(path) as file:
        read = file.read("a")
        ids = file.header.metadata["array.UINT16"]
    path.write_bytes(b"")
    read += 1
    assert (read == 2).all() and ids.tolist() == [65535, 0, 1]


# ---- files of ours ----


@settings(max_examples=25)
@given(st.data())
def test_what_we_write_is_read_back_by_both(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("ours") / "a.gguf"
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    precision = data.draw(st.sampled_from(["F32", "F16", "Q8_0"]))
    shapes = data.draw(st.lists(array_shapes(min_dims=1, max_dims=4, max_side=70), max_size=6))
    tensors = {f"t{i}": rng.standard_normal(shape).astype(np.float32) for i, shape in enumerate(shapes)}
    metadata = {"general.architecture": "llama", **{f"s.{n}": v for n, v in SCALARS.items()}}
    metadata |= {"texts": ["a", "é"], "numbers": np.arange(3, dtype=np.int16), "none": [], "ints": [-1, 2], "b": [True]}
    if data.draw(st.booleans()):
        metadata["general.alignment"] = data.draw(st.sampled_from([8, 32, 64]))
    write_gguf(path, metadata, [outgoing(n, v.shape, precision, lambda v=v: v) for n, v in tensors.items()])
    reference = gguf.GGUFReader(path)
    with GgufFile(path) as file:
        for name, value in metadata.items():
            plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
            read = file.header.metadata[name]
            assert (
                (read.tolist() if isinstance(read, np.ndarray) else read) == pytest.approx(plain)
                if (isinstance(plain, float))
                else plain == (read.tolist() if isinstance(read, np.ndarray) else read)
            )
            if plain != []:  # their reader gives None for an array of nothing
                assert reference.fields[name].contents() == (read.tolist() if isinstance(read, np.ndarray) else read)
        assert [tensor.name for tensor in reference.tensors] == list(file.header.tensors) == list(tensors)
        for tensor in reference.tensors:
            values = tensors[tensor.name]
            read = file.read(tensor.name)
            assert np.array_equal(quants.dequantize(tensor.data, tensor.tensor_type).reshape(values.shape), read)
            if values.ndim == 1 or precision == "F32":
                assert np.array_equal(read, values)
            elif tensor.tensor_type.name == "F16":
                assert np.array_equal(read, values.astype(np.float16))
            else:
                assert np.abs(read - values).max() <= np.abs(values).max() / 127 * 0.52


def test_nested_arrays_come_back(tmp_path: Path) -> None:
    value = [["a", "b"], [], ["c"]]
    write_gguf(tmp_path / "a.gguf", {"deep": value}, [])
    with GgufFile(tmp_path / "a.gguf") as file:
        assert file.header.metadata["deep"] == value


def test_a_failed_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    write_gguf(path, {"a": 1}, [])
    before = path.read_bytes()
    for bad, error in ((np.array([[np.nan, 1]], np.float32), "NaN"), (np.array([[7e4, 1]], np.float32), "65504")):
        with pytest.raises(DataError, match=error):
            write_gguf(path, {}, [outgoing("t", (1, 2), "F16", lambda bad=bad: bad)])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("metadata", "tensors", "words"),
    [
        ({"a": None}, [], "a is a NoneType"),
        ({"a": ["b", 1]}, [], "several types"),
        ({}, [outgoing("t", (1,), "F32", lambda: np.zeros(2, np.float32))], "announced"),
        ({}, [outgoing("t" * 65, (1,), "F32", lambda: np.zeros(1, np.float32))], "too long"),
        ({}, [outgoing("t", (1,), "F32", lambda: np.zeros(1, np.float32))] * 2, "twice"),
    ],
)
def test_what_the_format_cannot_hold_is_said(tmp_path: Path, metadata: dict, tensors: list, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        write_gguf(tmp_path / "a.gguf", metadata, tensors)


def test_an_unknown_precision_is_said() -> None:
    with pytest.raises(SettingsError, match="F32, F16, Q8_0, BF16, not as 'Q4_K'"):
        outgoing("t", (1, 2), "Q4_K", lambda: np.zeros((1, 2)))  # type: ignore[arg-type]
