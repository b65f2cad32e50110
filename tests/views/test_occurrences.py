"""Static against contextual vectors: the same word in several sentences, as numbers and as a picture."""

from pathlib import Path

import numpy as np
import pytest

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES
from trivium.vectors.files import save_vectors
from trivium.vectors.vectors import Vectors
from trivium.verbs.occurrences import inspect_word, summary, word_page
from trivium.views.concordance import concordance
from trivium.views.occurrences import Word, WordView, occurrence_map, view_of

BANKS = (
    "She sat on the bank and watched the boats go by.",
    "He took his money out of the bank in town.",
    "A bank that lends too much may fail.",
)
PLACES = ("They met at the river bank at noon.", "They met at the US bank at noon.")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = sorted({word.strip(".") for text in BANKS + PLACES for word in text.split()})
    path = tmp_path_factory.mktemp("vectors") / "static.txt"
    matrix = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    save_vectors(Vectors(words, matrix), path, format="text")
    return path


# ---- static: one vector ----


@pytest.mark.parametrize("texts", [BANKS, PLACES])
def test_static_vectors_have_cosine_1_everywhere_and_one_point(vectors: Path, texts: tuple[str, ...]) -> None:
    view = inspect_word(vectors, "bank", texts)
    assert view.static and view.layer is None
    np.testing.assert_allclose(view.cosines, 1.0, atol=1e-12)
    assert view.mean_cosine == pytest.approx(1.0)
    assert {one.point for one in view.occurrences} == {(0.0, 0.0)} and view.shares == (0.0, 0.0)
    picture = occurrence_map(view)
    assert picture.count("<circle") == 1
    assert f"1\N{EN DASH}{len(texts)}" in picture and "its vector is static" in picture


def test_static_neighbours_are_the_same_for_every_occurrence_and_by_cosine(vectors: Path) -> None:
    from trivium.vectors.files import load_vectors

    view = inspect_word(vectors, "bank", BANKS, neighbours=3)
    table = load_vectors(vectors)
    present = {word.strip(".") for text in BANKS for word in text.split()} - {"bank"}
    cosines = {word: float(table.unit[table.row(word)] @ table.unit[table.row("bank")]) for word in present}
    best = sorted(cosines, key=lambda word: -cosines[word])[:3]
    for one in view.occurrences:
        assert [each.word for each in one.words] == best
        assert [each.cosine for each in one.words] == pytest.approx([cosines[word] for word in best], abs=1e-6)


def test_a_phrase_is_looked_up_as_files_spell_it() -> None:
    vectors = Vectors(["New_York", "in"], np.eye(2, dtype=np.float32))
    assert len(inspect_word(vectors, "New York", ["in New York", "New York"]).occurrences) == 2


# ---- contextual: a vector an occurrence, in every model ----


@pytest.mark.parametrize("name", list(FAMILIES))
@pytest.mark.parametrize("texts", [BANKS, PLACES])
def test_contextual_vectors_differ_between_sentences(
    tiny_models: dict[str, Path], name: str, texts: tuple[str, ...]
) -> None:
    view = inspect_word(tiny_models[name], "bank", texts)
    assert not view.static
    apart = view.cosines[~np.eye(len(texts), dtype=bool)]
    assert (apart < 1 - 1e-6).all() and view.mean_cosine < 1
    assert len({one.point for one in view.occurrences}) == len(texts)
    assert occurrence_map(view).count("<circle") == len(texts)


def test_elmos_words_are_static_before_any_layer_has_read_their_context(tiny_models: dict[str, Path]) -> None:
    view = inspect_word(tiny_models["elmo"], "bank", BANKS, layer=0)
    np.testing.assert_allclose(view.cosines, 1.0, atol=1e-6)
    assert "this layer gives it the same vector in every context" in occurrence_map(view)


# ---- the numbers, by hand ----


def small(neighbours: int = 2, layer: int | None = 1) -> WordView:
    """Three occurrences in two lines, and four other words."""
    found = concordance(["bank a bank b", "bank a c"], "bank", 9)
    vectors = np.array([[1.0, 0, 0], [0, 2.0, 0], [1, 1, 0]])
    words = [Word("a", 0, "line 0"), Word("b", 0, "b"), Word("A", 1, "line 1"), Word("c", 1, "c")]
    others = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 3, 3]])
    return view_of(found, "hand", layer, vectors, [0, 0, 1], words, others, neighbours)


def test_cosines_neighbours_and_means() -> None:
    view = small()
    half = 2**-0.5
    np.testing.assert_allclose(view.cosines, [[1, 0, half], [0, 1, half], [half, half, 1]])
    assert view.mean_cosine == pytest.approx((0 + half + half) / 3)
    first, second, third = view.occurrences
    assert [number for number, _ in first.nearest] == [3, 2] and first.nearest[0][1] == pytest.approx(half)
    assert [each.word for each in first.words] == ["A", "c"]  # line 1 alone: those of its own line are left out
    assert first.words[0].cosine == pytest.approx(3**-0.5) and first.words[0].context == "line 1"
    assert [each.word for each in third.words] == ["a", "b"] and second.number == 2
    assert [each.word for each in small(neighbours=9, layer=None).occurrences[2].words] == ["A", "b", "c"]
    assert view.background == pytest.approx((0 + 0 + half) / 3)  # a-b, a-c and b-c, each word's first occurrence


def test_a_single_occurrence_and_no_neighbours() -> None:
    found = concordance(["bank"], "bank", 9)
    view = view_of(found, "hand", 1, np.ones((1, 3)), [0], [], np.empty((0, 3)), 5)
    assert view.mean_cosine is None and view.background is None and view.cosines.tolist() == [[1.0]]
    assert view.occurrences[0].words == () == view.occurrences[0].nearest
    assert "<circle" in occurrence_map(view) and "1 occurrence of 'bank' in 1 line" in summary(view)


def test_points_that_coincide_share_one_label() -> None:
    found = concordance(["bank"] * 5, "bank", 9)
    rows = np.array([[1.0, 0], [0, 1], [1, 0], [1, 0], [0, 1]])
    picture = occurrence_map(view_of(found, "hand", 1, rows, range(5), [], np.empty((0, 2)), 0))
    assert picture.count("<circle") == 2 and "1, 3\N{EN DASH}4" in picture and "2, 5" in picture


def test_the_page_is_whole_and_harmless() -> None:
    found = concordance(["<script>alert(1)</script> bank & more", "bank"], "bank", 1)
    page = word_page(view_of(found, "<b>model</b>", 1, np.ones((1, 3)), [0], [], np.empty((0, 3)), 5))
    assert "<script>alert" not in page and "&lt;script&gt;" in page and "<mark>bank</mark>" in page
    assert "the first 1 occurrences" in page


# ---- what is asked for ----


def test_the_first_occurrences_of_files_are_taken(vectors: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(BANKS * 3), encoding="utf-8")
    view = inspect_word(vectors, "bank", data=tmp_path / "text.txt", most=4)
    assert len(view.occurrences) == 4 and view.more and "the first 4 occurrences" in summary(view)
    assert not inspect_word(vectors, "bank", data=[tmp_path / "text.txt"]).more


def test_what_cannot_be_answered_is_refused(vectors: Path, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no text to look for"):
        inspect_word(vectors, "bank")
    with pytest.raises(SettingsError, match="one of them"):
        inspect_word(vectors, "bank", BANKS, data=tmp_path)
    with pytest.raises(SettingsError, match="no layers"):
        inspect_word(vectors, "bank", BANKS, layer=1)
    with pytest.raises(SettingsError, match="neighbours = -1"):
        inspect_word(vectors, "bank", BANKS, neighbours=-1)
    with pytest.raises(DataError, match="'Boats' is not among"):
        inspect_word(vectors, "Boats", ["Boats go by."])
    with pytest.raises(DataError, match="no model folder and no file"):
        inspect_word(tmp_path / "nothing", "bank", BANKS)
    with pytest.raises(SettingsError, match="layers 0"):
        inspect_word(tiny_models["bert"], "bank", BANKS, layer=3)
