import gzip
import json

import pytest

from trivium.errors import DataError, SettingsError
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


def test_sentences_of_conll(tmp_path):
    text = "-DOCSTART- -X- O O\n\n# of the treebank\nEU NNP I-NP I-ORG\n# # I-NP O\n\n\nrejects VBZ I-VP O\n"
    (_, first), (place, second) = read(tmp_path / "a.conll", text)
    assert first["words"] == ["EU", "#"] and first["1"] == ["NNP", "#"]
    assert first["tags"] == first["3"] == ["I-ORG", "O"]
    assert place.endswith(":8") and second["words"] == ["rejects"]
    (tmp_path / "nested.tsv").write_text("New York\tB-LOC\n#\tO\n")
    ((_, row),) = read_rows(tmp_path / "nested.tsv", "conll")
    assert row == {"words": ["New York", "#"], "1": ["B-LOC", "O"], "tags": ["B-LOC", "O"]}


def test_sentences_of_conllu(tmp_path):
    rows = [
        "# text = It's so", "1-2\tIt's\t_\t_\t_\t_\t_\t_\t_\t_", "1\tIt\tit\tPRON\tPRP\t_\t2\tnsubj\t_\t_",
        "2\t's\tbe\tAUX\tVBZ\t_\t0\troot\t_\t_", "2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_",
        "3\tso so\tso\tADV\tRB\t_\t2\tadvmod\t_\t_",
    ]  # fmt: skip
    ((place, row),) = read(tmp_path / "a.conllu", "\n".join(rows) + "\n\n")
    assert row["words"] == ["It", "'s", "so so"] and row["tags"] == row["upos"] == ["PRON", "AUX", "ADV"]
    assert row["xpos"] == ["PRP", "VBZ", "RB"] and row["deprel"] == ["nsubj", "root", "advmod"] and place.endswith(":2")


def test_questions_of_squad_and_lists_of_objects(tmp_path):
    question = {"id": "q1", "question": "Who?", "answers": [{"text": "She", "answer_start": 0}]}
    paragraph = {"context": "She did.", "qas": [question, {"id": "q2", "question": "Why?"}]}
    article = {"title": "t", "paragraphs": [paragraph]}
    found = read(tmp_path / "a.json", json.dumps({"version": "1", "data": [article]}, indent=1))
    assert found[0] == (f"{tmp_path / 'a.json'}:1", {"context": "She did.", **question})
    assert found[1][1] == {"context": "She did.", "id": "q2", "question": "Why?"}
    assert [row for _, row in read(tmp_path / "b.json", '[{"a": 1}, {"b": 2}]')] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.conll", "a X\nb\n", "a.conll:2: 1 columns where the sentence's first word has 2"),
    ("a.conllu", "1\ta\tb\n", "a.conllu:1: 3 columns, and CoNLL-U has 10"),
    ("a.json", "{", "a.json: not valid JSON"),
    ("a.json", '{"a": 1}', "a.json: neither SQuAD's layout"),
    ("a.json", '{"data": [{"paragraphs": 3}]}', "a list 'paragraphs'"),
    ("a.json", '{"data": [{"paragraphs": [{"qas": [1]}]}]}', "a question in 'qas' is int"),
    ("a.json", "[1]", "neither"),
    ("a.conll", "\n\n", "a.conll is empty"),
])  # fmt: skip
def test_bad_sentences_and_documents(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, content)


def test_a_format_that_is_none(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(SettingsError, match="format 'xml' is not known: choose one of .jsonl"):
        list(read_rows(tmp_path / "a.txt", "xml"))
