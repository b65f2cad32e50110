"""Readers: what each format gives, and what a user is told about files that cannot be read."""

import csv
import gzip
import json
import tracemalloc

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from trivium.errors import DataError
from trivium.text.decoding import CHUNK_BYTES
from trivium.text.documents import read_documents, source_fingerprint
from trivium.text.formats import LONGEST_SECTION, SECTION

TEXTS = ['First, with "quotes", commas\nand a second line.', "Zweiter Text: Grüße, 你好, 🙂.", "third"]


def write(path, format_name):
    if format_name == "jsonl":
        text = "".join(json.dumps({"id": n, "text": t}, ensure_ascii=n == 1) + "\n" for n, t in enumerate(TEXTS))
        path.write_text(text, "utf-8")
    elif format_name in ("csv", "tsv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, delimiter="," if format_name == "csv" else "\t")
            rows.writerows([("id", "text"), *enumerate(TEXTS)])
    elif format_name == "parquet":
        parquet.write_table(pyarrow.table({"id": [0, 1, 2], "text": TEXTS}), path)
    return path


@pytest.mark.parametrize("format_name", ["jsonl", "csv", "tsv", "parquet"])
def test_a_row_is_a_document(tmp_path, format_name):
    path = write(tmp_path / f"data.{format_name}", format_name)
    assert list(read_documents(path)) == TEXTS
    if format_name != "parquet":
        zipped = tmp_path / f"data.{format_name}.gz"
        zipped.write_bytes(gzip.compress(path.read_bytes()))
        assert list(read_documents(zipped)) == TEXTS


def test_another_field_and_plain_strings(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "one"}\n\n"two"\n{"body": ""}\n{"body": "three", "text": 1}')
    assert list(read_documents(path, field="body")) == ["one", "two", "three"]


def test_folders_are_read_in_order_without_hidden_or_foreign_files(tmp_path):
    for name, text in {"b/2.txt": "two", "a.md": "zero", "b/1.txt.gz": "one", "c.JSONL": '"three"'}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    for name in (".hidden.txt", "picture.png", "b/code.py", "b/empty.txt"):
        (tmp_path / name).write_bytes(b"" if "empty" in name else b"\x89PNG\0")
    assert list(read_documents(tmp_path)) == ["zero", "three", "one", "two"]
    assert list(read_documents([tmp_path / "b", str(tmp_path / "a.md")])) == ["one", "two", "zero"]


paragraphs = st.lists(
    st.text(alphabet="ab é🙂\n", min_size=1, max_size=200).map(lambda text: text * 40), min_size=1, max_size=30
)


@given(paragraphs.map("\n\n".join))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sections_of_a_plain_text_are_the_text(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("plain") / "a.txt"
    path.write_bytes(text.encode())
    if not text.strip():
        with pytest.raises(DataError, match="is empty"):
            list(read_documents(path))
        return
    sections = list(read_documents(path))
    joined = "".join(sections)
    assert text.startswith(joined) and not text[len(joined) :].strip()
    for section in sections[:-1]:
        assert SECTION <= len(section) <= LONGEST_SECTION
        assert section.endswith("\n\n")


def test_short_texts_are_gathered_and_long_ones_parted_at_empty_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(["x" * 600] * 10))
    assert [section.count("x") for section in read_documents(path)] == [2400, 2400, 1200]


def test_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert list(read_documents(path)) == ["one\ntwo\nthree\n"]


def test_a_line_of_a_hundred_megabytes_is_read_in_pieces(tmp_path):
    path = tmp_path / "line.txt"
    words = b"word " * (CHUNK_BYTES // 5)
    with path.open("wb") as file:
        for _ in range(100):
            file.write(words)
    tracemalloc.start()
    characters = pieces = 0
    for section in read_documents(path):
        assert len(section) <= LONGEST_SECTION + 2
        assert section.split(maxsplit=1)[0] == "word"
        characters += len(section)
        pieces += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert characters >= 100 * len(words) - 1 and pieces > 1000
    assert peak < 20 << 20


def test_a_character_on_the_border_of_two_chunks(tmp_path):
    path = tmp_path / "a.txt"
    text = "a" * (CHUNK_BYTES - 2) + "🙂" + "b"
    path.write_text(text, "utf-8")
    assert "".join(read_documents(path)) == text


@pytest.mark.parametrize("before", [0, 10, CHUNK_BYTES - 1, CHUNK_BYTES + 7])
def test_bytes_that_are_not_utf8_are_named(tmp_path, before):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"\n" * (before // 2) + b"a" * (before - before // 2) + b"caf\xe9 au lait")
    with pytest.raises(DataError, match=rf"latin\.txt:{before // 2 + 1}: byte {before + 3} \(0xe9\) is not UTF-8"):
        list(read_documents(path))
    assert "".join(read_documents(path, errors="replace")).endswith("caf\ufffd au lait")


def test_a_character_cut_off_at_the_end_is_named(tmp_path):
    path = tmp_path / "cut.txt"
    path.write_bytes("abc\n🙂".encode()[:-1])
    with pytest.raises(DataError, match=r"cut\.txt:2: byte 4 \(0xf0\) is not UTF-8"):
        list(read_documents(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt is empty"),
        ("a.txt", b" \n\n\t", "a.txt is empty"),
        ("a.jsonl", b"\n\n", "a.jsonl is empty"),
        ("a.csv", b"text\n", "a.csv is empty"),
        ("a.txt", b"\x7fELF\x02\x01\0\0", "is binary, not text .a zero at byte 6."),
        ("a.txt", "hello".encode("utf-16"), "is UTF-16, not UTF-8"),
        ("a.txt", b"PK\x03\x04rest", "is a zip archive"),
        ("a.txt", gzip.compress(b"hello", mtime=0), "gzip data: give it a name that ends in .gz"),
        ("a.txt.gz", gzip.compress(b"hello" * 999, mtime=0)[:-9], "damaged gzip data"),
        ("a.txt.gz", b"hello", "damaged gzip data"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"\n', r"a.jsonl:2: not valid JSON .*column"),
        ("a.jsonl", b'{"text": "a"}\n\n{"txt": "b"}\n', r"a.jsonl:3: no field 'text' among 'txt'; did you mean 'txt'"),
        ("a.jsonl", b'{"text": null}', r"a.jsonl:1: the text in field 'text' is null"),
        ("a.jsonl", b"[1, 2]", r"a.jsonl:1: the text in field 'text' is list"),
        ("a.json", b'[\n{"text": "a"}\n]', "one JSON array: write one object a line"),
        ("a.jsonl", b"[" * 100_000 + b"]" * 100_000, "a.jsonl:1: "),
        ("a.jsonl", b'{"text": "\\ud83d"}', r"a.jsonl:1: half a surrogate pair at character 0"),
        ("a.csv", b"id,texts\n1,a\n", r"a.csv:1: no column 'text' among 'id', 'texts'; did you mean 'texts'"),
        ("a.csv", b'text,b\n"x\ny",2\nz\n', r"a.csv:4: 1 columns where the header has 2"),
        ("a.csv", b'text,b\n"x,2\nz\n', r"a.csv:3: not valid CSV"),
        ("a.parquet", b"PAR1 not really", "not a sound Parquet file"),
        ("a.parquet", b"", "not a sound Parquet file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_documents(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_columns_of_parquet_that_are_not_text(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": [1, 2], "body": ["a", None]}), path)
    with pytest.raises(DataError, match="holds int64, not strings"):
        list(read_documents(path))
    with pytest.raises(DataError, match="row 2 has no text"):
        list(read_documents(path, field="body"))
    with pytest.raises(DataError, match="no column 'bdy' among 'text', 'body'; did you mean 'body'"):
        list(read_documents(path, field="bdy"))


def test_what_is_missing_is_said_before_anything_is_read(tmp_path):
    (tmp_path / "novel.txt").write_text("x")
    with pytest.raises(DataError, match=r"nowel.txt does not exist: check the name \(beside it: novel.txt\)"):
        read_documents([tmp_path / "novel.txt", tmp_path / "nowel.txt"])
    with pytest.raises(DataError, match="does not exist either"):
        read_documents(tmp_path / "no" / "a.txt")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"pictures holds no .*file \(1 .png\)"):
        read_documents(tmp_path / "pictures")
    with pytest.raises(DataError, match="no file was named"):
        read_documents([])


def test_half_characters_in_json_can_be_replaced(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('"x\\ud83dy"\n"\\ud83d\\ude42"')
    assert list(read_documents(path, errors="replace")) == ["x\ufffdy", "🙂"]


def test_the_fingerprint_follows_content_name_and_reading(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = source_fingerprint(path)
    assert first == source_fingerprint([path])
    assert first != source_fingerprint(path, errors="replace")
    path.write_text("two")
    assert first != source_fingerprint(path)
