"""The commands of word vectors, as text and as JSON; what they compute is tested with their verbs."""

import json
from pathlib import Path

import pytest

from trivium.cli.run import run

WORDS = ("a", "list", "items", "of", "the")


@pytest.fixture(scope="module")
def vectors(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vectors") / "words.bin"
    arguments = ["vectors", "train", text_file, "--out", out, "--dimensions", 8, "--lowercase", "--pattern", "words"]
    assert run([str(each) for each in arguments]) == 0
    return out


def test_train_by_each_algorithm(trivium_command, text_file: Path, tmp_path: Path) -> None:
    for algorithm, options in {
        "skipgram": ["--window", 3, "--negative", 2, "--sample", 0.01, "--subsample", "paper", "--noise-power", 0.5],
        "cbow": ["--hierarchical", "--epochs", 2, "--learning-rate", 0.02, "--threads", 2, "--phrases", 10],
        "glove": ["--left-only", "--no-distance-weighting", "--x-max", 10, "--power", 0.5, "--no-unknown"],
        "onehot": ["--max-words", 20, "--min-count", 1, "--memory", "64MB", "--to", "glove"],
    }.items():
        out = tmp_path / f"{algorithm}.txt"
        made = trivium_command(
            "vectors", "train", text_file, "--out", out, "--algorithm", algorithm, *options, "--json"
        )
        assert made.code == 0, made.err
        told = json.loads(made.out)
        assert told["algorithm"] == algorithm and told["words"] == (20 if algorithm == "onehot" else told["words"])
        assert "note: " not in made.err
        if algorithm != "onehot":
            assert "/s" in made.err
    compat = ["--glove-c-compat", "--precision", "float64", "--seed", 1, "--dimensions", 4, "--epochs", 2]
    made = trivium_command("vectors", "train", text_file, "--out", tmp_path / "c.vec", "--algorithm", "glove", *compat)
    assert made.code == 0 and "learnt in" in made.out and "pairs/s" in made.out


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--algorithm", "onehot", "--window", "3"], 2, "--window means nothing to onehot"),
        (["--x-max", "3"], 2, "--x-max means nothing to skipgram: leave it out, or choose glove"),
        (["--algorithm", "glove", "--negative", "3"], 2, "choose skipgram or cbow"),
        (["--algorithm", "word2vec"], 2, "--algorithm"),
        (["--window", "0"], 2, "window is 0"),
        (["--memory", "much"], 2, "--memory"),
        (["--pattern", "("], 2, "no regular expression"),
        (["--min-count", "100000"], 3, "min_count = 100000 leaves 0"),
        (["--corpus", "python-docs"], 2, "either files with text or --corpus"),
    ],
)
def test_train_refuses(
    trivium_command, text_file: Path, tmp_path: Path, options: list[str], code: int, sentence: str
) -> None:
    outcome = trivium_command("vectors", "train", text_file, "--out", tmp_path / "v.bin", *options)
    assert (outcome.code, outcome.out) == (code, "") and sentence in outcome.err, outcome.err
    assert outcome.err.count("\n") == 1 and not list(tmp_path.iterdir())


def test_similar(trivium_command, vectors: Path) -> None:
    outcome = trivium_command("vectors", "similar", vectors, "list", "items", "--count", 3)
    assert outcome.code == 0 and outcome.out.count("cosine") == 2 and len(outcome.out.splitlines()) == 9
    found = json.loads(trivium_command("vectors", "similar", vectors, "list", "--limit", 25, "--json").out)
    assert found[0]["word"] == "list" and len(found[0]["neighbours"]) == 10
    unknown = trivium_command("vectors", "similar", vectors, "lists")
    assert unknown.code == 3 and "did you mean list" in unknown.err


def test_analogy(trivium_command, vectors: Path) -> None:
    written = trivium_command("vectors", "analogy", vectors, "list", "-", "items", "+", "a", "--json")
    asked = trivium_command("vectors", "analogy", vectors, "items", "list", "a", "--json")
    quoted = trivium_command("vectors", "analogy", vectors, "list - items + a", "--json")
    assert written.code == 0 and written.out == asked.out == quoted.out
    assert "list + a - items" in trivium_command("vectors", "analogy", vectors, "items", "list", "a").out
    product = trivium_command("vectors", "analogy", vectors, "items", "list", "a", "--method", "mul", "--count", 2)
    assert product.code == 0 and "quotient" in product.out and len(product.out.splitlines()) == 3
    wrong = trivium_command("vectors", "analogy", vectors, "items", "list")
    assert wrong.code == 2 and "three words" in wrong.err


def test_table(trivium_command, vectors: Path) -> None:
    outcome = trivium_command("vectors", "table", vectors, *WORDS)
    rows = [line.split() for line in outcome.out.splitlines()]
    assert rows[0] == list(WORDS) and [row[0] for row in rows[1:]] == list(WORDS)
    assert all(rows[i + 1][i + 1] == "1.000000" for i in range(5))
    assert json.loads(trivium_command("vectors", "table", vectors, *WORDS, "--json").out)["words"] == list(WORDS)


def test_evaluate(trivium_command, vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "q.txt").write_text(": made-up\na list the items\nKing Queen Man Woman\n")
    (tmp_path / "p.tsv").write_text("list\titems\t3\na\tthe\t4\nof\tin\t1\n")
    options = ["--analogies", tmp_path / "q.txt", "--similarity", tmp_path / "p.tsv", "--restrict", 100]
    outcome = trivium_command("vectors", "evaluate", vectors, *options, "--method", "mul", "--exact-case")
    assert outcome.code == 0 and "made-up" in outcome.out and "3CosMul" in outcome.out and "Spearman" in outcome.out
    found = json.loads(trivium_command("vectors", "evaluate", vectors, *options, "--json").out)
    assert (found["analogies"]["total"]["asked"], found["analogies"]["total"]["skipped"]) == (1, 1)
    assert found["similarity"][0]["pairs"] == 3
    monkeypatch.delenv("TRIVIUM_DATA", raising=False)
    alone = trivium_command("vectors", "evaluate", vectors)
    assert alone.code == 2 and "--analogies" in alone.err


def test_convert(trivium_command, vectors: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.safetensors"
    assert "read back bit for bit" in trivium_command("vectors", "convert", vectors, out).out
    back = json.loads(trivium_command("vectors", "convert", out, tmp_path / "back", "--to", "binary", "--json").out)
    assert back["format"] == "binary" and (tmp_path / "back").read_bytes() == vectors.read_bytes()
    cut = trivium_command("vectors", "convert", out, tmp_path / "v.txt", "--decimals", 6, "--limit", 2)
    assert "cut to 6 decimals" in cut.out and len((tmp_path / "v.txt").read_text().splitlines()) == 3
    damaged = tmp_path / "damaged.bin"
    damaged.write_bytes(vectors.read_bytes()[:-9])
    refused = trivium_command("vectors", "convert", damaged, tmp_path / "w.txt", "--errors", "replace")
    assert refused.code == 3 and "truncated" in refused.err and not (tmp_path / "w.txt").exists()


def test_map(trivium_command, vectors: Path, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    options = ["--words", "a,the,of", "--words", "list,items", "--pairs", "a:the,list:items"]
    outcome = trivium_command("vectors", "map", vectors, "--out", page, *options)
    assert outcome.code == 0 and "of the variance" in outcome.out and "wrote" in outcome.err
    assert page.read_text(encoding="utf-8").count("<circle") == 5
    found = json.loads(trivium_command("vectors", "map", vectors, "--out", page, "--count", 7, "--json").out)
    assert len(found["words"]) == len(found["points"]) == 7
    wrong = trivium_command("vectors", "map", vectors, "--out", page, "--pairs", "a:b:c")
    assert wrong.code == 2 and "--pairs a:b:c" in wrong.err


def test_classify(trivium_command, vectors: Path, tmp_path: Path) -> None:
    rows = [{"body": f"{('a list', 'the number')[i % 2]} {i}", "class": ("x", "y")[i % 2]} for i in range(40)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--train", path, "--dev", path, "--column", "text=body", "--column", "label=class"]
    outcome = trivium_command("vectors", "classify", vectors, *options)
    assert outcome.code == 0, outcome.err
    assert "averaged word vectors" in outcome.out and "by which settings were chosen too" in outcome.out
    found = json.loads(trivium_command("vectors", "classify", vectors, *options, "--test", path, "--json").out)
    assert [each["scores"]["accuracy"] for each in found["rivals"]] == [0.5, 1.0, 1.0] and found["test"] == 40
    missing = trivium_command("vectors", "classify", vectors, "--train", tmp_path / "none.csv", "--dev", path)
    assert missing.code == 3 and "none.csv" in missing.err
