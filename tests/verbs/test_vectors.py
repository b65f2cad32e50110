"""The verbs of word vectors: planted clusters are found again, questions are understood, files found and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trivium.errors import DataError, SettingsError
from trivium.randomness import Draws
from trivium.text.examples import Document, Labelled
from trivium.vectors.files import load_vectors, save_vectors
from trivium.vectors.glove import GloveSettings
from trivium.vectors.vectors import Vectors
from trivium.vectors.vocabulary import VocabularySettings
from trivium.vectors.word2vec import Word2VecSettings
from trivium.verbs.vector_classifier import classify_with_vectors
from trivium.verbs.vector_map import map_words
from trivium.verbs.vector_training import train_vectors
from trivium.verbs.vectors import convert_vectors, evaluate_vectors, similar_words, word_analogy, word_table

TOPICS = {"sea": "ship wave sail harbour storm anchor".split(), "farm": "cow barn field plough harvest hen".split()}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of six words of one topic each."""
    drawn = Draws(0, np.arange(1500)).integers("words", 6, 6)
    topics = list(TOPICS.values())
    lines = [" ".join(topics[line % 2][word] for word in row) for line, row in enumerate(drawn)]
    path = tmp_path_factory.mktemp("text") / "topics.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def trained(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "topics.safetensors"
    settings = Word2VecSettings(dimensions=16, window=3, epochs=10, sample=0, learning_rate=0.05)
    train_vectors([text], out, settings)
    return out


def royal() -> Vectors:
    matrix = np.array([[1, 0, 0.2], [1, 1, 0.2], [0.2, 0, 1], [0.2, 1, 1], [-1, 0.1, 0.1]], np.float32)
    return Vectors(["man", "woman", "king", "queen", "apple"], matrix)


@pytest.mark.parametrize(
    ("settings", "algorithm"),
    [
        (Word2VecSettings(dimensions=16, window=3, epochs=10, sample=0, learning_rate=0.05), "skipgram"),
        (Word2VecSettings("cbow", dimensions=16, window=3, epochs=20, sample=0), "cbow"),
        (GloveSettings(dimensions=8, window=5, iterations=30, unknown=False), "glove"),
    ],
)
def test_neighbours_of_a_word_are_of_its_topic(text: Path, tmp_path: Path, settings: object, algorithm: str) -> None:
    news: list[object] = []
    made = train_vectors([text], tmp_path / "v.bin", settings, progress=news.append)  # type: ignore[arg-type]
    assert (made.algorithm, made.words, made.tokens, made.format) == (algorithm, 12, 9000, "binary")
    assert made.rate and made.rate > 0 and news and made.unit == ("pairs" if algorithm == "glove" else "words")
    for words in TOPICS.values():
        near = {each.word for found in similar_words(tmp_path / "v.bin", words, 5) for each in found.neighbours}
        assert near == set(words)


def test_training_twice_gives_the_same_file(text: Path, trained: Path, tmp_path: Path) -> None:
    settings = Word2VecSettings(dimensions=16, window=3, epochs=10, sample=0, learning_rate=0.05)
    train_vectors((), tmp_path / "again.safetensors", settings, documents=[text.read_text()])
    assert (tmp_path / "again.safetensors").read_bytes() == trained.read_bytes()


def test_one_hot_vectors_are_all_apart(text: Path, tmp_path: Path) -> None:
    made = train_vectors([text], tmp_path / "v.txt", VocabularySettings())
    assert (made.algorithm, made.words, made.dimensions, made.rate) == ("onehot", 12, 12, None)
    table = word_table(tmp_path / "v.txt", load_vectors(tmp_path / "v.txt").words)
    assert table.cosines == np.eye(12).tolist()


def test_punctuation_in_frequent_words_is_told(tmp_path: Path) -> None:
    documents = ["the sea, the sea, the sea\nthe (sea)"] * 9
    made = train_vectors((), tmp_path / "a.txt", VocabularySettings(), documents=documents)
    assert made.punctuated == ("sea,", "(sea)")
    split = VocabularySettings(pattern="words")
    assert train_vectors((), tmp_path / "b.txt", split, documents=documents).punctuated == ()


def test_what_a_file_was_learnt_by_stands_in_it(trained: Path) -> None:
    from trivium.vectors.mapped_file import MappedFile

    about = MappedFile(trained).about
    assert about["algorithm"] == "skipgram" and about["tokens"] == "9000"
    assert json.loads(about["settings"])["vocabulary"]["min_count"] == 5


@pytest.mark.parametrize(
    ("question", "plus", "minus"),
    [
        ("king - man + woman", ("king", "woman"), ("man",)),
        (["king", "-", "man", "+", "woman"], ("king", "woman"), ("man",)),
        ("man king woman", ("king", "woman"), ("man",)),
        ("- man + king + woman", ("king", "woman"), ("man",)),
    ],
)
def test_questions_are_understood(question: str | list[str], plus: tuple[str, ...], minus: tuple[str, ...]) -> None:
    made = word_analogy(royal(), question)
    assert (made.plus, made.minus) == (plus, minus)
    assert [each.word for each in made.answers] == ["queen", "apple"]
    assert made.answers[0].similarity == pytest.approx(0.968102, abs=1e-6)
    product = word_analogy(royal(), question, "mul", 1)
    assert [each.word for each in product.answers] == ["apple"]  # all but opposite to man: the quotient's weakness


@pytest.mark.parametrize("question", ["", "king", "a b c d", "king - - man", "king man + woman", "king -", "+", "- -"])
def test_questions_that_are_none(question: str) -> None:
    with pytest.raises(SettingsError, match="an analogy is three words|is no sum of words"):
        word_analogy(royal(), question)


def test_evaluation_takes_files_or_those_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIVIUM_DATA", raising=False)
    with pytest.raises(SettingsError, match="TRIVIUM_DATA is not set"):
        evaluate_vectors(royal())
    monkeypatch.setenv("TRIVIUM_DATA", str(tmp_path))
    with pytest.raises(SettingsError, match="has neither questions-words.txt nor a .tsv"):
        evaluate_vectors(royal())
    folder = tmp_path / "word_vectors"
    folder.mkdir()
    (folder / "questions-words.txt").write_text(": gram-royal\nman king woman queen\nMan Woman King Queen\na b c d\n")
    (folder / "pairs.tsv").write_text("word1\tword2\tscore\nking\tqueen\t9\nman\tapple\t1\nking\tman\t4\nx\ty\t3\n")
    found = evaluate_vectors(royal())
    assert found.analogies is not None
    assert (found.analogies.total.right, found.analogies.total.asked, found.analogies.total.skipped) == (2, 2, 1)
    assert [(each.name, each.spearman, each.pairs, each.skipped) for each in found.similarity] == [("pairs", 1.0, 3, 1)]
    alone = evaluate_vectors(royal(), similarity=[folder / "pairs.tsv"])
    assert alone.analogies is None and len(alone.similarity) == 1
    few = evaluate_vectors(royal(), folder / "questions-words.txt", restrict=3, case="exact")
    assert few.analogies is not None and (few.analogies.total.asked, few.similarity) == (0, [])


def test_conversion_keeps_every_bit_and_no_old_file(trained: Path, tmp_path: Path) -> None:
    made = convert_vectors(trained, tmp_path / "v.txt")
    assert made.exact and np.array_equal(load_vectors(tmp_path / "v.txt").matrix, load_vectors(trained).matrix)
    with pytest.raises(SettingsError, match="exists: choose another name"):
        convert_vectors(trained, tmp_path / "v.txt")


def test_a_map_is_a_page_and_its_numbers(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    made = map_words(trained, list(TOPICS.values()), out, pairs=[("ship", "sail"), ("cow", "hen")])
    page = out.read_text(encoding="utf-8")
    assert page.count("<circle") == 12 == len(made.words) and "Cosines" in page and 'class="c1"' in page
    sides = {topic: [made.points[made.words.index(word)][0] for word in words] for topic, words in TOPICS.items()}
    assert max(sides["sea"]) < min(sides["farm"]) or max(sides["farm"]) < min(sides["sea"])
    assert made.shares[0] > made.shares[1] >= 0
    assert map_words(royal(), count=4).words == ("man", "woman", "king", "queen")
    assert map_words(royal(), [["man", "king"]], pairs=[("man", "woman")]).words == ("man", "king", "woman")


def sentences(count: int, start: int) -> list[Labelled]:
    drawn = Draws(1, np.arange(start, start + count)).integers("examples", 3, 6)
    names = list(TOPICS)
    return [
        Labelled(" ".join(TOPICS[names[i % 2]][word] for word in row) + " Ship!" * (i % 7 == 0), names[i % 2])
        for i, row in enumerate(drawn)
    ]


def test_averaged_vectors_know_words_that_the_examples_lack(trained: Path) -> None:
    # Four training examples hold few of the words; only the vectors know which topic the others belong to.
    train = [
        Labelled("ship wave", "sea"),
        Labelled("cow barn", "farm"),
        Labelled("sail", "sea"),
        Labelled("field", "farm"),
    ]
    made = classify_with_vectors(trained, train, sentences(40, 0), sentences(200, 40))
    scores = {each.name: each.scores["accuracy"] for each in made.rivals}
    bag, averaged = scores["TF-IDF + logistic regression"], scores["averaged word vectors + logistic regression"]
    assert averaged > 0.97 > bag > scores["majority class"] == 0.5
    assert (made.labels, made.train, made.dev, made.test) == (("farm", "sea"), 4, 40, 200)
    assert made.known == 1.0  # "Ship" is known as "ship"
    assert made.rivals[2].interval.low < averaged <= made.rivals[2].interval.high
    on_dev = classify_with_vectors(trained, train, sentences(40, 0))
    assert on_dev.test == 0 and on_dev.rivals[2].scores["accuracy"] > 0.9


def test_mean_vectors_by_hand() -> None:
    from trivium.lab.baselines import mean_vectors

    vectors = Vectors(["a", "b"], np.array([[3, 4], [0, 10]], np.float32))
    assert mean_vectors(vectors, ["a, B!", "none", "a a b"]).tolist() == [[1.5, 7], [0, 0], [2, 6]]
    unit = mean_vectors(vectors, ["a b", "", "b"], unit=True)
    assert unit == pytest.approx(np.array([[0.3, 0.9], [0, 0], [0, 1]]), abs=1e-7)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda p: train_vectors([], p / "v.bin"), SettingsError, "either files with text or --corpus"),
        (lambda p: train_vectors(["x"], p / "v.bin", corpus="python-docs"), SettingsError, "either files with text"),
        (lambda p: train_vectors([], p / "v.bin", corpus="brown"), SettingsError, "there is no corpus 'brown'"),
        (lambda p: train_vectors(["x"], p / "v.pickle"), SettingsError, "tells the format"),
        (lambda p: train_vectors([p / "x.txt"], p / "v.bin"), DataError, "does not exist"),
        (lambda p: train_vectors([], p, documents=["a"]), SettingsError, "exists: choose another --out"),
        (lambda p: train_vectors([], p / "v.bin", documents=[]), DataError, "no words"),
        (lambda p: train_vectors([], p / "v.bin", documents=["a b c"]), DataError, "min_count = 5 leaves 0"),
        (lambda p: similar_words(royal(), []), SettingsError, "name a word"),
        (lambda p: word_table(royal(), ["king"]), SettingsError, "two words or more"),
        (lambda p: map_words(royal(), [["king"]]), SettingsError, "3 different words"),
        (lambda p: map_words(royal(), out=p), SettingsError, "is a folder"),
        (lambda p: classify_with_vectors(royal(), [], []), DataError, "train has no examples"),
        (lambda p: classify_with_vectors(royal(), [Labelled("a", "x")], [Labelled("a", "x")]), DataError, "two labels"),
    ],
)
def test_what_cannot_be_done(
    call: Callable[[Path], object], error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=sentence):
        call(tmp_path)


def test_the_embedded_corpus_is_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"train": [Document("The list. The dict, the set.", "a"), Document("A list", "b")], "test": []}
    monkeypatch.setattr("trivium.text.python_docs.documents", parts.__getitem__)
    settings = VocabularySettings(lowercase=True, pattern="words", min_count=2)
    assert train_vectors((), tmp_path / "v.txt", settings, corpus="python-docs").words == 2
    assert load_vectors(tmp_path / "v.txt").words == ["the", "list"]


def test_vectors_in_memory_serve_as_a_file_does(trained: Path, tmp_path: Path) -> None:
    opened = load_vectors(trained)
    assert similar_words(opened, ["ship"], 3) == similar_words(trained, ["ship"], 3)
    assert len(similar_words(trained, [opened.words[0]], 99, limit=4)[0].neighbours) == 3
    save_vectors(royal(), tmp_path / "v.vec")
    assert word_table(tmp_path / "v.vec", ["king", "queen"]).cosines[0][1] == pytest.approx(
        (0.04 + 1) / np.sqrt(1.04 * 2.04), abs=1e-6
    )
