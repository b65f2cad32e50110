"""Files of vectors: byte for byte the C tools' layouts, exchange with gensim, round trips, damage of every kind."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from trivium.errors import DataError, RefusedError, SettingsError, TriviumError
from trivium.vectors import files
from trivium.vectors.files import convert_vectors, load_vectors, save_vectors
from trivium.vectors.saving import FORMATS
from trivium.vectors.vectors import Vectors

WORDS = ["</s>", "the", "naïve", "New_York", "猫"]
MATRIX = np.array(
    [[0.125, -1.5, 3.0], [1e-8, 0.1, -0.0], [7.25, 1 / 3, -2e10], [1.0, 2.0, 3.0], [-0.5, 0.25, 1e-30]], np.float32
)
# As word2vec.c writes them: "%lld %lld\n", then "%s ", D times fwrite or "%lf ", then "\n".
BINARY = b"5 3\n" + b"".join(
    word.encode() + b" " + struct.pack("<3f", *row) + b"\n" for word, row in zip(WORDS, MATRIX.tolist(), strict=True)
)
TEXT = (
    "5 3\n"
    "</s> 0.125000 -1.500000 3.000000 \n"
    "the 0.000000 0.100000 -0.000000 \n"
    "naïve 7.250000 0.333333 -20000000000.000000 \n"
    "New_York 1.000000 2.000000 3.000000 \n"
    "猫 -0.500000 0.250000 0.000000 \n"
).encode()
# As GloVe writes them: no header, "%s", D times " %lf", "\n".
GLOVE = b"".join(line.rstrip(b" ") + b"\n" for line in TEXT.splitlines()[1:])


def vectors() -> Vectors:
    return Vectors(list(WORDS), MATRIX.copy(), np.array([9, 8, 7, 6, 5]))


def same(found: Vectors, words: list[str] = WORDS, matrix: np.ndarray = MATRIX) -> None:
    assert list(found.words) == words
    assert found.matrix.dtype == np.float32
    assert found.matrix.tobytes() == matrix.tobytes()  # -0.0 and all


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_binary_is_the_c_tools_byte_for_byte(tmp_path: Path) -> None:
    made = save_vectors(vectors(), tmp_path / "v.bin")
    assert (tmp_path / "v.bin").read_bytes() == BINARY
    assert (made.format, made.words, made.dimensions, made.bytes, made.exact) == ("binary", 5, 3, len(BINARY), True)
    same(load_vectors(written(tmp_path / "c", BINARY)))


def test_binary_without_line_ends_is_read_too(tmp_path: Path) -> None:
    rows = zip(WORDS, MATRIX.tolist(), strict=True)
    content = b"5 3\n" + b"".join(word.encode() + b" " + struct.pack("<3f", *row) for word, row in rows)
    same(load_vectors(written(tmp_path / "v.bin", content)))


def test_numbers_that_look_like_line_ends_and_spaces(tmp_path: Path) -> None:
    matrix = np.frombuffer(b"\n\n\n\n     \n \n" * 2, "<f4").reshape(2, 3).astype(np.float32)
    save_vectors(Vectors(["a", "b"], matrix), tmp_path / "v.bin")
    same(load_vectors(tmp_path / "v.bin"), ["a", "b"], matrix)


def test_text_with_six_decimals_is_the_c_tools_byte_for_byte(tmp_path: Path) -> None:
    made = save_vectors(vectors(), tmp_path / "v.txt", decimals=6)
    assert (tmp_path / "v.txt").read_bytes() == TEXT and not made.exact
    save_vectors(vectors(), tmp_path / "glove.txt", "glove", decimals=6)
    assert (tmp_path / "glove.txt").read_bytes() == GLOVE
    rounded = np.array([[float(f"{x:.6f}") for x in row] for row in MATRIX.tolist()], np.float32)
    for name in ("v.txt", "glove.txt"):
        same(load_vectors(tmp_path / name), WORDS, rounded)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_back_the_same_bits(tmp_path: Path, format: str) -> None:
    made = save_vectors(vectors(), tmp_path / "file", format)
    found = load_vectors(tmp_path / "file")
    same(found)
    assert (found.counts is None) == (format != "trivium")
    first = load_vectors(tmp_path / "file", limit=2)
    same(first, WORDS[:2], MATRIX[:2])
    same(load_vectors(tmp_path / "file", limit=99))
    for other in FORMATS:
        again = convert_vectors(tmp_path / "file", tmp_path / f"other.{other}", other)
        assert again.fingerprint == made.fingerprint and again.words == 5
        same(load_vectors(tmp_path / f"other.{other}"))
    assert convert_vectors(tmp_path / "file", tmp_path / "few.vec", limit=3).words == 3
    same(load_vectors(tmp_path / "few.vec"), WORDS[:3], MATRIX[:3])


def test_our_own_file_is_mapped_and_opens_with_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tmp_path / "v.safetensors"
    save_vectors(vectors(), path, about={"algorithm": "by hand"})
    found = load_vectors(path)
    assert isinstance(found.matrix.base, np.memmap) or isinstance(found.matrix.base.base, np.memmap)
    assert not found.matrix.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        found.matrix[0, 0] = 1
    assert found.counts is not None and found.counts.tolist() == [9, 8, 7, 6, 5]
    tensors = load_file(path)
    assert tensors["vectors"].tobytes() == MATRIX.tobytes()
    assert tensors["words"].tobytes().decode().split("\n") == WORDS
    assert tensors["counts"].tolist() == [9, 8, 7, 6, 5]
    # With an odd number of float32 the counts do not lie at a multiple of 8 bytes.
    save_vectors(Vectors(["a"], np.ones((1, 3), np.float32), np.array([4])), path)
    assert load_vectors(path).counts.tolist() == [4]  # type: ignore[union-attr]


def test_gzip_is_read_as_it_is(tmp_path: Path) -> None:
    for name, content in (("v.bin.gz", BINARY), ("v.txt.gz", TEXT), ("g.txt.gz", GLOVE)):
        found = load_vectors(written(tmp_path / name, gzip.compress(content)))
        assert list(found.words) == WORDS
    with pytest.raises(DataError, match="gzip data: give it a name that ends in .gz"):
        load_vectors(written(tmp_path / "v.txt", gzip.compress(TEXT)))
    with pytest.raises(SettingsError, match="uncompressed"):
        save_vectors(vectors(), tmp_path / "v.gz", "text")


def test_glove_words_may_hold_spaces_and_odd_characters(tmp_path: Path) -> None:
    content = ". 1 2\n. . . 3 4\nat name@domain.com 5 6\n\xa0 7 8\n12 9 10\n".encode()
    found = load_vectors(written(tmp_path / "g.txt", content))
    assert list(found.words) == [".", ". . .", "at name@domain.com", "\xa0", "12"]
    assert found.matrix.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    convert_vectors(tmp_path / "g.txt", tmp_path / "g.safetensors")
    assert list(load_vectors(tmp_path / "g.safetensors").words) == list(found.words)
    with pytest.raises(DataError, match=r"'\. \. \.' \(row 2\) cannot stand in a file of format binary"):
        convert_vectors(tmp_path / "g.txt", tmp_path / "g.bin")
    assert not list(tmp_path.glob("*g.bin*"))


def test_numbers_are_read_as_python_reads_them(tmp_path: Path) -> None:
    spelt = ["1", "-1.5e-3", "+2.25", ".5", "5.", "1E4", "1e-50", "-0", "0.1000000014901161193847656", "3.4028235e38"]
    content = f"word {' '.join(spelt)}\r\nother\t{' '.join(spelt)}  \r\n\n\n".encode()
    found = load_vectors(written(tmp_path / "v.vec", content))
    assert found.matrix.tobytes() == np.array([list(map(float, spelt))] * 2, np.float64).astype(np.float32).tobytes()
    assert list(found.words) == ["word", "other"]


def test_pieces_of_any_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for format in FORMATS:
        save_vectors(vectors(), tmp_path / format, format)
    for size in (1, 7, 16, 40):
        monkeypatch.setattr("trivium.text.decoding.CHUNK_BYTES", size)
        monkeypatch.setattr("trivium.vectors.text_file._PIECE", size)
        monkeypatch.setattr("trivium.vectors.binary_file._PIECE", size)
        for format in FORMATS:
            same(load_vectors(tmp_path / format))
            same(load_vectors(tmp_path / format, 3), WORDS[:3], MATRIX[:3])


words = st.text(st.characters(blacklist_characters=" \t\r\n", blacklist_categories=("Cs",)), min_size=1, max_size=8)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
rows = st.integers(2, 4).flatmap(
    lambda width: st.lists(
        st.tuples(words, st.lists(numbers, min_size=width, max_size=width)),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    )
)


@given(rows, st.sampled_from(FORMATS))
@hypothesis_settings(max_examples=150)
def test_any_words_and_numbers_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list, format: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-{format}"
    matrix = np.array([row for _, row in rows], np.float32)
    save_vectors(Vectors([word for word, _ in rows], matrix), path, format)
    same(load_vectors(path, format=format), [word for word, _ in rows], matrix)


# ---- damage ----


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    place = st.integers(0, len(content) - 1)
    return st.one_of(
        place.map(lambda at: content[:at]),
        st.tuples(place, st.binary(min_size=1, max_size=6)).map(lambda c: content[: c[0]] + c[1] + content[c[0] :]),
        st.tuples(place, st.integers(0, 255)).map(lambda c: content[: c[0]] + bytes([c[1]]) + content[c[0] + 1 :]),
        st.tuples(place, st.integers(1, 30)).map(lambda c: content[: c[0]] + content[c[0] + c[1] :]),
        st.tuples(place, st.sampled_from([b"9", b"-1", b"nan", b"\n", b" ", b"\xff", b"1e999", b"0" * 300])).map(
            lambda c: content[: c[0]] + c[1] + content[c[0] + len(c[1]) :]
        ),
    )


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    for format in FORMATS:
        save_vectors(vectors(), folder / format, format)
    return {format: (folder / format).read_bytes() for format in FORMATS}


def _damage(tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes], data: st.DataObject) -> None:
    format = data.draw(st.sampled_from(FORMATS))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data.draw(damaged(contents[format])))
    for limit in (None, 2):
        try:
            found = load_vectors(path, limit)
        except DataError as error:
            assert "damaged" in str(error) and "\n" not in str(error)  # the file's name
        else:
            assert len(found.words) == len(found.matrix) and (format == "trivium" or np.isfinite(found.matrix).all())


@given(data=st.data())
@hypothesis_settings(max_examples=150)
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, contents: dict[str, bytes], data: st.DataObject) -> None:
    _damage(tmp_path_factory, contents, data)


@pytest.mark.slow
@given(data=st.data())
@hypothesis_settings(max_examples=3000)
def test_many_damaged_files(tmp_path_factory, contents: dict[str, bytes], data: st.DataObject) -> None:
    _damage(tmp_path_factory, contents, data)


ROW = struct.pack("<2f", 1, 2)
REFUSED = [
    (b"", "is empty"),
    (b"\n \n", "is empty"),
    (b"PK\x03\x04 and so on", "is a zip archive: unpack it first"),
    (b"some sentence\nof a text\n", "line 1: neither a header"),
    (b"0 5\n", "promises 0 words of 5 dimensions"),
    (b"5 0\na\n", "promises 5 words of 0 dimensions"),
    (b"900000000 300000\na 1 2\n", "900,000,000 rows of 300000 numbers need"),
    (b"3 2\na 1.0 2.0\nb 1.0 2.00\n", "truncated: it ends after 2 of the 3 rows"),
    (b"1 2\na 1 2\nb 1 2\n", "line 3: the file goes on after the 1 rows"),
    (b"2 2\na 1 2\nb 1 2 3\n", "line 3: 3 numbers after the word where other rows have 2"),
    (b"a 1 2\nb 1 2\nc 1\n", "line 3: 1 numbers after the word where other rows have 2"),
    (b"a 1 2\n\nc 1 2\n", "line 2: 0 numbers"),
    (b"2 2\na 1 2\nb 1 x2\n", "line 3: 'x2' is not a number"),
    (b"2 2\na 1 two\nb 1 2\n", "line 2: 'two' is not a number"),
    (b"a 1 2\nb 1 nan\n", "the vector of 'b' (row 2) holds a number that is not finite"),
    (b"a 1 2\nb 1 1e39\n", "the vector of 'b' (row 2) holds a number that is not finite"),
    (b"a 1 2\nb 1 2\na 3 4\n", "the word 'a' stands twice, in rows 1 and 3"),
    (b"a 1 2\nb\xff 1 2\n", "line 2: the word of row 2 is not UTF-8 (byte 0xff)"),
    (b"2 2\na " + ROW + b"\nb " + ROW[:5], "ends at byte 22 inside row 2 of the 2 rows of 2 numbers"),
    (b"1 2\na " + ROW + b"\nb " + ROW, "goes on at byte 14 after the 1 rows"),
    (b"2 2\na " + ROW + b"\n " + ROW + b"\n", "byte 15: row 2 has no word"),
    (b"2 2\na " + ROW + b"\nb\xff " + ROW + b"\n", "byte 15: the word of row 2 is not UTF-8"),
    (b"1 2\na " + struct.pack("<2f", 1, np.inf) + b"\n", "the vector of 'a' (row 1) holds a number that is not finite"),
    (b"2 2\na " + ROW + b"\n" + b"b" * 9000 + ROW, "byte 14: no word ends within 4096 bytes at row 2"),
    ((1 << 16).to_bytes(8, "little") + b"{}", "is not a sound file of vectors"),
    ((2).to_bytes(8, "little") + b"{}", "is not a sound file of vectors"),
]


@pytest.mark.parametrize(("content", "sentence"), REFUSED, ids=[sentence[:40] for _, sentence in REFUSED])
def test_what_is_wrong_is_said_and_where(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = written(
        tmp_path / "wrong.vec" if content[-1:] == b"\n" and b"\0" not in content else tmp_path / "w", content
    )
    with pytest.raises(DataError) as caught:
        load_vectors(path)
    assert sentence in str(caught.value) and path.name in str(caught.value)


def test_a_mapped_file_of_another_size_is_refused(tmp_path: Path) -> None:
    save_vectors(vectors(), tmp_path / "v.safetensors")
    content = (tmp_path / "v.safetensors").read_bytes()
    for changed in (content[:-1], content + b"x"):
        with pytest.raises(DataError, match="truncated or damaged"):
            load_vectors(written(tmp_path / "w.safetensors", changed))
    fewer = written(tmp_path / "w.safetensors", content.replace(b"the\n", b"the_"))
    with pytest.raises(DataError, match="4 words for 5 vectors"):
        load_vectors(fewer)


def test_errors_replace_takes_words_that_are_not_utf8_and_the_first_of_two(tmp_path: Path) -> None:
    path = written(tmp_path / "v.txt", b"3 2\na\xff 1 2\nb 3 4\na\xfe 5 6\n")
    found = load_vectors(path, errors="replace")
    assert list(found.words) == ["a\ufffd", "b", "a\ufffd"] and found["a\ufffd"].tolist() == [1, 2]
    made = convert_vectors(path, tmp_path / "v.bin", errors="replace")
    assert made.words == 2
    same(load_vectors(tmp_path / "v.bin"), ["a\ufffd", "b"], np.array([[1, 2], [3, 4]], np.float32))
    with pytest.raises(DataError, match="not UTF-8"):
        convert_vectors(path, tmp_path / "w.bin")


def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    save_vectors(vectors(), tmp_path / "v.txt")
    for call, sentence in (
        (lambda: load_vectors(tmp_path / "v.txt", 0), "limit = 0"),
        (lambda: save_vectors(vectors(), tmp_path / "v.pkl"), "tells the format"),
        (lambda: save_vectors(vectors(), tmp_path / "v.bin", decimals=3), "decimals = 3"),
        (lambda: save_vectors(vectors(), tmp_path / "none" / "v.bin"), "in a folder that exists"),
        (lambda: convert_vectors(tmp_path / "v.txt", tmp_path / "v.txt"), "is the file to convert"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            call()
    with pytest.raises(DataError, match="is not a file"):
        load_vectors(tmp_path / "missing.bin")
    with pytest.raises(DataError, match="no header"):
        load_vectors(written(tmp_path / "g.txt", GLOVE), format="text")
    with pytest.raises(DataError, match="not a safetensors file"):
        load_vectors(tmp_path / "v.txt", format="trivium")


def test_more_than_memory_is_refused_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:  # a file with a hole: 4 TB in a few kilobytes
        file.write(b"10000000000 100\n")
        file.truncate(10**10 * 402 + 16)
    with pytest.raises(RefusedError, match="trivium vectors convert"):
        load_vectors(path)
    with pytest.raises(DataError, match="row 1 has no word|no word ends"):
        load_vectors(path, limit=10)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.bin"
    save_vectors(vectors(), path)
    with pytest.raises(DataError, match="cannot stand"):
        save_vectors(Vectors(["a", "b c"], MATRIX[:2]), path)
    assert path.read_bytes() == BINARY and [each.name for each in tmp_path.iterdir()] == ["v.bin"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trivium.vectors.saving.write_file", full)
    with pytest.raises(TriviumError, match="No space left on device"):
        save_vectors(vectors(), path)
    assert path.read_bytes() == BINARY


def test_what_is_read_back_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shortened(blocks: object, rows: int, dimensions: int) -> list[bytes]:
        list(blocks)  # type: ignore[call-overload]
        return [BINARY[:-2] + b"\x40\n"]

    monkeypatch.setattr("trivium.vectors.saving.binary_pieces", shortened)
    with pytest.raises(TriviumError, match="reads back otherwise"):
        save_vectors(vectors(), tmp_path / "v.bin")
    assert not list(tmp_path.iterdir())


# ---- gensim ----


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_opens_our_files_and_we_its(tmp_path: Path, binary: bool) -> None:
    models = pytest.importorskip("gensim.models")
    words = [f"word{i}" for i in range(300)] + ["ünïcode", "猫"]
    matrix = np.random.default_rng(0).normal(size=(302, 17)).astype(np.float32)
    ours = tmp_path / ("ours.bin" if binary else "ours.txt")
    save_vectors(Vectors(words, matrix), ours)
    keyed = models.KeyedVectors.load_word2vec_format(str(ours), binary=binary)
    assert keyed.index_to_key == words and np.array_equal(keyed.vectors, matrix)
    theirs = tmp_path / "theirs"
    keyed.save_word2vec_format(str(theirs), binary=binary, sort_attr="none")
    same(load_vectors(theirs), words, matrix)


def test_gensim_opens_what_we_write_for_glove(tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    save_vectors(vectors(), tmp_path / "g.txt", "glove")
    keyed = models.KeyedVectors.load_word2vec_format(str(tmp_path / "g.txt"), binary=False, no_header=True)
    assert keyed.index_to_key == WORDS and np.array_equal(keyed.vectors, MATRIX)


def test_the_door_of_files_is_complete() -> None:
    assert sorted(files.__all__) == ["Converted", "convert_vectors", "load_vectors", "save_vectors"]
