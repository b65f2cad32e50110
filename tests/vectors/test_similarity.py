"""Neighbours and analogies: the worked example of the definitions, brute force in float64, and gensim."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.vectors import similarity
from trivium.vectors.similarity import analogy, cosine_table, nearest, neighbours
from trivium.vectors.vectors import Vectors

ROYAL = Vectors(
    ["man", "woman", "king", "queen", "apple"],
    np.array([[1, 0, 0.2], [1, 1, 0.2], [0.2, 0, 1], [0.2, 1, 1], [-1, 0.1, 0.1]], np.float32),
)


def random_vectors(words: int = 200, dimensions: int = 12, seed: int = 0) -> Vectors:
    matrix = np.random.default_rng(seed).normal(size=(words, dimensions)).astype(np.float32)
    return Vectors([f"w{i}" for i in range(words)], matrix)


@pytest.fixture(params=["kept", "blocks"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalised rows kept beside the vectors, or made again in blocks of seven as for a large mapped file."""
    if request.param == "blocks":
        monkeypatch.setattr(similarity, "_KEPT", 0)
        monkeypatch.setattr(similarity, "_ROWS", 7)


def test_king_minus_man_plus_woman_is_queen(either_way: None) -> None:
    found = analogy(ROYAL, ["king", "woman"], ["man"])
    assert [(each.word, round(each.similarity, 6)) for each in found] == [("queen", 0.968102), ("apple", 0.210153)]
    # With the words of the question let in, the rest of the worked example: king .765427, woman .482142, man .084817.
    unit = ROYAL.matrix / np.linalg.norm(ROYAL.matrix, axis=1, keepdims=True)
    target = unit[2] - unit[0] + unit[1]
    every = nearest(ROYAL, target[None], 5)[0]
    assert [(each.word, round(each.similarity, 6)) for each in every] == [
        ("queen", 0.968102),
        ("king", 0.765427),
        ("woman", 0.482142),
        ("apple", 0.210153),
        ("man", 0.084817),
    ]


def test_3cosmul_is_the_quotient_of_shifted_cosines(either_way: None) -> None:
    vectors = random_vectors()
    unit = vectors.matrix.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    shifted = (1 + unit @ unit.T) / 2
    wanted = shifted[3] * shifted[9] / (shifted[5] + 0.001)
    wanted[[3, 9, 5]] = -np.inf
    order = np.argsort(-wanted)[:10]
    found = analogy(vectors, ["w3", "w9"], ["w5"], method="mul")
    assert [each.word for each in found] == [f"w{row}" for row in order]
    assert [each.similarity for each in found] == pytest.approx(wanted[order].tolist(), rel=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 8), st.integers(1, 70))
def test_neighbours_are_those_of_brute_force(seed: int, words: int, dimensions: int, count: int) -> None:
    vectors = random_vectors(words, dimensions, seed)
    asked = ["w0", f"w{words - 1}"]
    unit = vectors.matrix.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for word, found in zip(asked, neighbours(vectors, asked, count), strict=True):
        own = vectors.row(word)
        wanted = unit @ unit[own]
        assert len(found) == min(count, words - 1) and word not in [each.word for each in found]
        kept = sorted(np.delete(wanted, own), reverse=True)[: len(found)]
        assert [each.similarity for each in found] == pytest.approx(kept, abs=1e-5)
        for each in found:
            assert each.similarity == pytest.approx(wanted[vectors.row(each.word)], abs=1e-5)


def test_equal_cosines_come_by_frequency_and_zero_rows_are_near_to_nothing(either_way: None) -> None:
    matrix = np.array([[1, 0], [0, 0], [2, 0], [1, 1], [3, 0]], np.float32)
    vectors = Vectors(list("abcde"), matrix)
    found = neighbours(vectors, ["a"], 3)[0]
    assert [(each.word, round(each.similarity, 4)) for each in found] == [("c", 1), ("e", 1), ("d", 0.7071)]
    assert neighbours(vectors, ["b"], 2)[0][0].similarity == 0
    assert [each.word for each in neighbours(vectors, ["e"], 9, limit=2)[0]] == ["a", "b"]


def test_table_of_cosines() -> None:
    table = cosine_table(ROYAL, ["king", "queen", "man"])
    assert table == pytest.approx(table.T) and np.diag(table) == pytest.approx([1, 1, 1])
    assert table[0, 2] == pytest.approx((0.2 + 0.2) / (np.sqrt(1.04) * np.sqrt(1.04)), abs=1e-7)
    assert cosine_table(ROYAL, ["king"], ["man", "apple"]).shape == (1, 2)


def test_gensim_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("gensim.models")
    monkeypatch.setattr(similarity, "EPSILON", 1e-6)  # gensim's; the paper's is 0.001
    vectors = random_vectors(500, 20)
    keyed = models.KeyedVectors(20)
    keyed.add_vectors(list(vectors.words), vectors.matrix)
    for found, theirs in (
        (neighbours(vectors, ["w7"], 20)[0], keyed.most_similar("w7", topn=20)),
        (analogy(vectors, ["w7", "w8"], ["w9"]), keyed.most_similar(positive=["w7", "w8"], negative=["w9"])),
        (
            analogy(vectors, ["w7", "w8"], ["w9"], method="mul"),
            keyed.most_similar_cosmul(positive=["w7", "w8"], negative=["w9"]),
        ),
    ):
        assert [each.word for each in found] == [word for word, _ in theirs]
        assert [each.similarity for each in found] == pytest.approx([score for _, score in theirs], rel=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: neighbours(ROYAL, ["qeen"]), DataError, "did you mean queen"),
        (lambda: neighbours(ROYAL, ["King"]), DataError, "did you mean king"),
        (lambda: analogy(ROYAL, ["king", "xyzzy"], []), DataError, "'xyzzy' is not among the 5 words"),
        (lambda: neighbours(ROYAL, ["king"], 0), SettingsError, "count = 0"),
        (lambda: analogy(ROYAL, [], ["king"]), SettingsError, "counts positively"),
        (lambda: analogy(ROYAL, ["king"], ["king"]), DataError, "leaves nothing"),
        (lambda: analogy(ROYAL, ["king"], [], method="sum"), SettingsError, "choose add"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_answered(call: Callable[[], object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()


def test_a_number_that_is_not_finite_is_found_where_it_is_used(either_way: None) -> None:
    matrix = ROYAL.matrix.copy()
    matrix[4, 1] = np.nan
    with pytest.raises(DataError, match=r"'apple' \(row 5\) holds a number that is not finite"):
        neighbours(Vectors(ROYAL.words, matrix), ["king"])


def test_rows_that_are_read_from_a_mapped_file_are_looked_at(tmp_path: Path) -> None:
    """Opening a file of our own reads no rows: they are checked by whatever reads them."""
    from trivium.vectors.blocks import Block
    from trivium.vectors.evaluation import Pair, Questions, evaluate_analogies, evaluate_similarity
    from trivium.vectors.files import load_vectors
    from trivium.vectors.mapped_file import write_mapped
    from trivium.vectors.saving import convert_vectors

    matrix = ROYAL.matrix.copy()
    matrix[4, 1] = np.inf
    path = tmp_path / "spoilt.safetensors"
    write_mapped(path, [Block(list(ROYAL.words), matrix.astype(np.float32), None)], {})
    vectors = load_vectors(path)
    assert np.isfinite(vectors["king"]).all()
    sentence = r"'apple' \(row 5\) holds a number that is not finite"
    for call in (
        lambda: vectors["apple"],
        lambda: evaluate_similarity(vectors, [Pair("king", "queen", 1.0), Pair("king", "apple", 2.0)], "pairs"),
        lambda: evaluate_analogies(vectors, [Questions("words", [tuple(ROYAL.words[:4])])]),
        lambda: convert_vectors(path, tmp_path / "copy.safetensors"),
        lambda: convert_vectors(path, tmp_path / "copy.txt"),
    ):
        with pytest.raises(DataError, match=sentence), np.errstate(all="raise"):
            call()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["spoilt.safetensors"]
