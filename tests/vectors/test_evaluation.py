"""Analogy and similarity files: the rules of counting on planted answers, gensim's figures, lines that are wrong."""

from pathlib import Path

import numpy as np
import pytest

from trivium.errors import DataError, SettingsError
from trivium.vectors.evaluation import (
    Pair,
    evaluate_analogies,
    evaluate_similarity,
    read_analogies,
    read_pairs,
)
from trivium.vectors.vectors import Vectors

QUESTIONS = """: capital
Oslo Norway Rome Italy
Oslo Norway Paris France
Oslo Norway Atlantis Sea
: gram1-opposite
able unable likely unlikely
: empty
"""


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.txt"
    path.write_text(QUESTIONS)
    return path


def planted() -> Vectors:
    """Capital and country differ by one direction, all but France, which lies where Rome does."""
    base = np.eye(8, dtype=np.float32)
    rows = {"oslo": base[0], "norway": base[0] + base[7], "rome": base[1], "italy": base[1] + base[7]}
    rows |= {"paris": base[2], "france": base[1] + base[0] * 0.1, "able": base[3], "unable": base[3] + base[6]}
    rows |= {"likely": base[4], "unlikely": base[4] + base[6], "Oslo": base[5], "Unlikely": -base[5]}
    return Vectors(list(rows), np.array(list(rows.values())))


@pytest.mark.parametrize("method", ["add", "mul"])
def test_sections_are_counted_by_themselves(questions: Path, method: str) -> None:
    sections = read_analogies(questions)
    assert [(each.name, len(each.questions)) for each in sections] == [
        ("capital", 3),
        ("gram1-opposite", 1),
        ("empty", 0),
    ]
    scores = evaluate_analogies(planted(), sections, method=method)
    found = [(each.name, each.right, each.asked, each.skipped) for each in scores.sections]
    assert found == [("capital", 1, 2, 1), ("gram1-opposite", 1, 1, 0), ("empty", 0, 0, 0)]
    assert (scores.semantic.accuracy, scores.syntactic.accuracy, scores.total.accuracy) == (0.5, 1.0, 2 / 3)
    assert scores.sections[2].accuracy is None and scores.words == 12 and scores.method == method


def test_only_the_frequent_words_are_asked_and_searched(questions: Path) -> None:
    scores = evaluate_analogies(planted(), read_analogies(questions), restrict=4)
    assert [(each.asked, each.skipped) for each in scores.sections] == [(1, 2), (0, 1), (0, 0)]
    assert scores.words == 4


def test_exact_case_leaves_out_what_is_spelt_otherwise(questions: Path) -> None:
    scores = evaluate_analogies(planted(), read_analogies(questions), case="exact")
    assert [(each.asked, each.skipped) for each in scores.sections] == [(0, 3), (1, 0), (0, 0)]


def test_a_spelling_of_the_questions_own_words_is_no_answer() -> None:
    matrix = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1], [0.1, 1, 1]], np.float32)
    near = np.array([[0, 1, 0.99]], np.float32)  # "C" would win, were it not the c of the question
    vectors = Vectors(["a", "b", "c", "d", "x", "C"], np.concatenate([matrix, near]))
    from trivium.vectors.evaluation import Questions

    sections = [Questions("s", [("a", "b", "c", "d")])]
    assert evaluate_analogies(vectors, sections).total.right == 1
    other = Vectors(
        ["a", "b", "c", "x", "D", "d"], np.concatenate([matrix[:3], matrix[4:], near * 2, matrix[3:4] * 0.9])
    )
    assert evaluate_analogies(other, sections).total.right == 1  # D and d are one word


@pytest.mark.parametrize("restrict", [60, 1000])
def test_gensim_counts_the_same(tmp_path: Path, restrict: int) -> None:
    models = pytest.importorskip("gensim.models")
    rng = np.random.default_rng(3)
    words = [f"w{i}" for i in range(80)] + [f"W{i}" for i in range(0, 80, 9)]
    base = rng.normal(size=(40, 10))
    matrix = np.concatenate(
        [base, base + rng.normal(size=10) + 0.6 * rng.normal(size=(40, 10)), rng.normal(size=(9, 10))]
    )
    vectors = Vectors(words, matrix.astype(np.float32))
    pairs = [(f"w{i}", f"w{i + 40}") for i in range(40)]
    text = ": semantic\n" + "".join(f"{a} {b} {c} {d}\n" for a, b in pairs[:20] for c, d in pairs[:20] if a != c)
    text += ": gram\n" + "".join(f"{a} {b} {c} {d}\n" for a, b in pairs[20:] for c, d in pairs[18:] if a != c)
    path = tmp_path / "questions.txt"
    path.write_text(text)
    keyed = models.KeyedVectors(10)
    keyed.add_vectors(words, vectors.matrix)
    _, theirs = keyed.evaluate_word_analogies(str(path), restrict_vocab=restrict)
    wanted = {s["section"]: (len(s["correct"]), len(s["correct"]) + len(s["incorrect"])) for s in theirs}
    scores = evaluate_analogies(vectors, read_analogies(path), restrict=restrict)
    found = {each.name: (each.right, each.asked) for each in scores.sections}
    total = wanted.pop("Total accuracy")
    assert found == wanted and (scores.total.right, scores.total.asked) == total
    assert 0 < scores.total.right < scores.total.asked


def test_small_products_give_the_same(questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate_analogies(planted(), read_analogies(questions))
    monkeypatch.setattr("trivium.vectors.evaluation._SCORES", 1)
    assert evaluate_analogies(planted(), read_analogies(questions)) == whole


SPELT = {
    "tabs.tsv": "word1\tword2\tscore\ntiger\tcat\t7.35\ntiger\ttiger\t10.00\n",
    "bare.txt": "tiger cat 7.35\ntiger tiger 10.00\n",
    "commas.csv": "Word 1,Word 2,Human (mean)\r\ntiger,cat,7.35\r\ntiger,tiger,10.00\r\n",
    "simlex.txt": "word1\tword2\tPOS\tSimLex999\tconc\ntiger\tcat\tN\t7.35\t1\ntiger\ttiger\tN\t10\t2\n",
    "comment.tsv": "# of 2002\ntiger\tcat\t7.35\n\ntiger\ttiger\t10.00\n",
}


@pytest.mark.parametrize("name", SPELT)
def test_pairs_are_read_in_the_forms_they_come_in(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SPELT[name].encode())
    assert read_pairs(tmp_path / name) == [Pair("tiger", "cat", 7.35), Pair("tiger", "tiger", 10.0)]


def test_spearman_of_the_known_pairs() -> None:
    vectors = Vectors(["a", "B", "c", "d"], np.array([[1, 0], [1, 0.1], [1, 1], [0, 1]], np.float32))
    pairs = [Pair("A", "b", 9), Pair("a", "c", 5), Pair("a", "d", 6), Pair("a", "nothing", 1)]
    score = evaluate_similarity(vectors, pairs, "mine")
    assert (score.name, score.pairs, score.skipped) == ("mine", 3, 1)
    assert score.spearman == pytest.approx(0.5)  # cosines rank 3 2 1, people 3 1 2
    exact = evaluate_similarity(vectors, pairs, "mine", case="exact")
    assert (exact.spearman, exact.pairs, exact.skipped) == (None, 2, 2)
    assert evaluate_similarity(vectors, pairs[3:], "none").spearman is None


def test_gensim_ranks_the_same(tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    rng = np.random.default_rng(5)
    words = [f"w{i}" for i in range(60)]
    vectors = Vectors(words, rng.normal(size=(60, 8)).astype(np.float32))
    pairs = [(f"w{i}", f"W{j}", int(rng.integers(0, 6))) for i, j in rng.integers(0, 66, (300, 2))]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{a}\t{b}\t{score}\n" for a, b, score in pairs))
    keyed = models.KeyedVectors(8)
    keyed.add_vectors(words, vectors.matrix)
    _, theirs, unknown = keyed.evaluate_word_pairs(str(path), case_insensitive=True)
    score = evaluate_similarity(vectors, read_pairs(path), "pairs")
    assert score.spearman == pytest.approx(float(theirs[0]), abs=1e-6)
    assert score.skipped / 300 == pytest.approx(unknown / 100)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "holds no analogies"),
        (": only\n: headings\n", "holds no analogies"),
        ("a b c d\n", ":1: no heading"),
        (": s\na b c d\na b c\n", ":3: 3 words where an analogy has 4"),
        (": s\na b c d e\n", ":2: 5 words where an analogy has 4"),
        (b": s\na b c \xff\n", ":2: byte 10 (0xff) is not UTF-8"),
    ],
)
def test_analogy_lines_that_are_wrong_are_named(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    path = tmp_path / "q.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_analogies(path)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "holds no pairs"),
        ("word1\tword2\tscore\n", "holds no pairs"),
        ("a\tb\n", ":1: two words and a score are wanted"),
        ("a\tb\tc\nd\te\tf\n", ":2: two words and a score are wanted"),
        ("a\tb\t1\nc\td\n", ":2: 2 columns where other lines have 3"),
        ("a\tb\t1\nc\td\thigh\n", ":2: the score 'high' is not a number"),
        ("a\tb\t1\nc\td\tnan\n", ":2: the score 'nan' is not a number"),
        ("a\tb\t1\nc\t\t2\n", ":2: a word is missing"),
    ],
)
def test_pair_lines_that_are_wrong_are_named(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "p.tsv"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert sentence in str(caught.value)


def test_settings_that_cannot_be_used(questions: Path) -> None:
    sections = read_analogies(questions)
    for options, sentence in (
        ({"method": "sum"}, "choose add"),
        ({"restrict": 0}, "restrict = 0"),
        ({"case": "no"}, "case"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            evaluate_analogies(planted(), sections, **options)
