"""Published files, where they are at hand: the folder word_vectors of TRIVIUM_DATA."""

import os
from pathlib import Path

import pytest

from trivium.vectors.evaluation import read_analogies, read_pairs
from trivium.vectors.files import load_vectors
from trivium.vectors.similarity import cosine_table

FOLDER = Path(os.environ.get("TRIVIUM_DATA", Path(__file__).parents[3] / "shared" / "data"), "word_vectors")
NEWS = FOLDER / "GoogleNews-vectors-negative300.bin"


@pytest.mark.skipif(not (FOLDER / "questions-words.txt").is_file(), reason="needs questions-words.txt in TRIVIUM_DATA")
def test_the_analogies_of_mikolov_et_al() -> None:
    sections = read_analogies(FOLDER / "questions-words.txt")
    assert len(sections) == 14 and sum(len(each.questions) for each in sections) == 19_544
    assert sum(each.name.startswith("gram") for each in sections) == 9
    assert sections[0].questions[0] == ("Athens", "Greece", "Baghdad", "Iraq")


@pytest.mark.parametrize(("name", "pairs"), [("wordsim353", 353), ("rg65", 65), ("men", 3000)])
def test_similarity_judgements(name: str, pairs: int) -> None:
    path = FOLDER / f"{name}.tsv"
    if not path.is_file():
        pytest.skip(f"needs {name}.tsv in TRIVIUM_DATA")
    assert len(read_pairs(path)) == pairs


@pytest.mark.skipif(not NEWS.is_file(), reason="needs the GoogleNews vectors (3.4 GB) in TRIVIUM_DATA")
def test_googlenews() -> None:
    words = ["king", "queen", "water", "man", "woman"]
    vectors = load_vectors(NEWS, limit=100_000)
    table = cosine_table(vectors, words)
    wanted = {
        ("king", "queen"): 0.651096,
        ("king", "man"): 0.229427,
        ("king", "woman"): 0.128480,
        ("queen", "woman"): 0.316181,
        ("man", "woman"): 0.766401,
        ("water", "king"): 0.035606,
        ("water", "queen"): 0.018264,
        ("water", "man"): 0.073456,
        ("water", "woman"): 0.101797,
        ("queen", "man"): 0.166582,
    }
    for (first, second), cosine in wanted.items():
        assert table[words.index(first), words.index(second)] == pytest.approx(cosine, abs=1e-5)
    assert vectors.dimensions == 300
    assert (vectors.matrix[:100].view("u4") & 0xFFFF == 0).all()  # every number is exact in bfloat16
