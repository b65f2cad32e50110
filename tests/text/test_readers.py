import gzip
import json

import pytest

from trivium.errors import DataError
from trivium.text.readers import json_object, kind, read_rows


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_rows(path))


def test_the_three_formats_agree(tmp_path):
    expected = [{"text": "so excited, really", "label": "good"}, {"text": 'wörse "than" that', "label": "0"}]
    lines = "\n\n".join(json.dumps(row) for row in expected)
    assert [row for _, row in read(tmp_path / "a.jsonl", lines)] == expected
    table = 'label,text\ngood,"so excited, really"\n0,"wörse ""than"" that"\n'
    assert [row for _, row in read(tmp_path / "a.csv", table)] == expected
    tabs = 'text\tlabel\nso excited, really\tgood\nwörse "than" that\t0\n'
    assert [row for _, row in read(tmp_path / "a.tsv", tabs)] == expected
    packed = read(tmp_path / "a.tsv.gz", gzip.compress(b"text\tlabel\nhi\tx\n"))
    assert packed == [(f"{tmp_path / 'a.tsv.gz'}:2", {"text": "hi", "label": "x"})]


def test_places_count_lines_of_the_file(tmp_path):
    found = read(tmp_path / "a.csv", 'text,label\n"two\nlines",x\nb,y\n')
    assert [place.rpartition(":")[2] for place, _ in found] == ["3", "4"]
    assert [place.rpartition(":")[2] for place, _ in read(tmp_path / "a.jsonl", '\n{"a": 1}\n\n{"a": 2}')] == ["2", "4"]


def test_the_kind_is_told_by_the_name(tmp_path):
    assert [kind(tmp_path / name) for name in ("a.csv.gz", "a.b.TSV", "a.txt", "a")] == [".csv", ".tsv", "", ""]


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "a"', r"a.jsonl:2: not valid JSON"),
    ("a.jsonl", '["a"]', r"a.jsonl:1: a JSON object is wanted"),
    ("a.jsonl", "[" * 100_000, r"a.jsonl:1: not valid JSON"),
    ("a.csv", "text,label\na,b,c\n", r"a.csv:2: 3 columns where the header has 2"),
    ("a.csv", 'text,label\n"a,b\n', r"a.csv:2: not valid CSV"),
    ("a.tsv", b"text\tlabel\nfine\tx\ncaf\xe9\ty\n", r"a.tsv:3: byte 21 \(0xe9\) is not UTF-8"),
    ("a.csv", "", r"a.csv is empty"),
    ("a.csv", "text,label\n", r"a.csv is empty"),
    ("a.txt", "a\n", r"examples are read from .jsonl"),
])  # fmt: skip
def test_bad_input_names_file_and_line(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, content)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="is not a file"):
        list(read_rows(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="line 1: not valid JSON"):
        json_object("line 1", "{")
