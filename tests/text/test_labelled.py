import gzip
import json

import pytest

from trivium.errors import DataError
from trivium.text.examples import Labelled, Pair
from trivium.text.labelled import Columns, read_labelled


def read(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [located.example for located in read_labelled(path, **options)]


def test_the_three_formats_agree(tmp_path):
    expected = [Labelled("so excited, really", "good"), Labelled('wörse "than" that', "0")]
    rows = [{"text": e.text, "label": int(e.label) if e.label == "0" else e.label} for e in expected]
    assert read(tmp_path / "a.jsonl", "\n\n".join(json.dumps(row) for row in rows)) == expected
    table = 'label,text\ngood,"so excited, really"\n0,"wörse ""than"" that"\n'
    assert read(tmp_path / "a.csv", table) == expected
    assert read(tmp_path / "a.tsv", 'text\tlabel\nso excited, really\tgood\nwörse "than" that\t0\n') == expected
    assert read(tmp_path / "a.tsv.gz", gzip.compress(b"text\tlabel\nhi\tx\n")) == [Labelled("hi", "x")]


def test_pairs_and_names_of_ones_own(tmp_path):
    assert read(tmp_path / "a.csv", "text,text2,label\na,b,c\n") == [Pair("a", "b", "c")]
    columns = Columns("sentence1", "sentence2", "gold")
    assert read(tmp_path / "b.csv", "sentence1,sentence2,gold\na,b,c\n", columns=columns) == [Pair("a", "b", "c")]


def test_labels_may_be_absent_for_prediction(tmp_path):
    rows = '{"text": "a"}\n{"text": "b"}'
    assert read(tmp_path / "a.jsonl", rows, labels=False) == [
        Labelled("a", ""),
        Labelled("b", ""),
    ]


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.csv", "text,lable\na,b\n", r"a.csv:2: no column 'label' .*did you mean 'lable'"),
    ("a.jsonl", '{"txt": "a", "label": "b"}', r"a.jsonl:1: no column 'text' .*did you mean 'txt'"),
    ("a.csv", "text,text_2,label\na,b,c\n", r"a.csv:2: column 'text_2' would be ignored: call it 'text2'"),
    ("a.csv", "text,label\na,b\n ,c\n", r"a.csv:3: the text in 'text' is empty"),
    ("a.csv", "text,text2,label\na,,c\n", r"a.csv:2: the text in 'text2' is empty"),
    ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": null}', "a.jsonl:2: the label in 'label' is null"),
    ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "a"}', r"a.jsonl:2: the label in 'label' is missing"),
    ("a.jsonl", '{"text": "a", "label": 0.5}', r"a.jsonl:1: the label in 'label' is float"),
    ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "a"', r"a.jsonl:2: not valid JSON"),
    ("a.jsonl", '["a"]', r"a.jsonl:1: a JSON object is wanted"),
    ("a.jsonl", '{"text": "\\ud800", "label": "x"}', r"a.jsonl:1: half a surrogate pair in 'text'"),
    ("a.csv", "text,label\na,b,c\n", r"a.csv:2: 3 columns where the header has 2"),
    ("a.tsv", b"text\tlabel\nfine\tx\ncaf\xe9\ty\n", r"a.tsv:3: byte 21 \(0xe9\) is not UTF-8"),
    ("a.csv", "", r"a.csv is empty"),
    ("a.txt", "a\n", r"labelled examples are read from .jsonl"),
])  # fmt: skip
def test_bad_input_names_file_line_and_field(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, content)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="is not a file"):
        list(read_labelled(tmp_path / "none.csv"))
