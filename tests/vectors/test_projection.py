"""The map: principal components against scikit-learn and against the covariance's eigenvectors; signs that stay."""

import numpy as np
import pytest

from trivium.errors import DataError, SettingsError
from trivium.vectors.projection import project
from trivium.vectors.vectors import Vectors


def vectors(words: int = 40, dimensions: int = 9) -> Vectors:
    matrix = np.random.default_rng(1).normal(size=(words, dimensions)).astype(np.float32)
    return Vectors([f"w{i}" for i in range(words)], matrix)


def test_points_are_principal_components() -> None:
    made = project(vectors())
    unit = vectors().matrix.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    for column in (0, 1):
        wanted = centred @ axes[:, -1 - column]
        assert np.abs(made.points[:, column]) == pytest.approx(np.abs(wanted), abs=1e-9)
        assert made.shares[column] == pytest.approx(values[-1 - column] / values.sum())
    assert made.points.mean(0) == pytest.approx([0, 0], abs=1e-12)
    assert made.words == tuple(f"w{i}" for i in range(40))


def test_scikit_learn_draws_the_same() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    made = project(vectors())
    unit = vectors().matrix / np.linalg.norm(vectors().matrix, axis=1, keepdims=True)
    pca = decomposition.PCA(2, svd_solver="full").fit(unit.astype(np.float64))
    theirs = pca.transform(unit.astype(np.float64))
    assert np.abs(made.points) == pytest.approx(np.abs(theirs), abs=1e-6)
    assert made.shares == pytest.approx(tuple(pca.explained_variance_ratio_), abs=1e-6)


def test_the_sign_depends_on_the_words_alone_and_not_on_their_order() -> None:
    words = [f"w{i}" for i in range(20)]
    once, turned = project(vectors(), words), project(vectors(), words[::-1])
    assert turned.points[::-1] == pytest.approx(once.points, abs=1e-9)
    flipped = Vectors(vectors().words, -vectors().matrix)
    assert project(flipped, words).points == pytest.approx(-once.points, abs=1e-9) or np.allclose(
        np.abs(project(flipped, words).points), np.abs(once.points)
    )


def test_a_plane_is_shown_whole() -> None:
    flat = np.zeros((5, 6), np.float32)
    flat[:, 2:4] = np.random.default_rng(0).normal(size=(5, 2))
    made = project(Vectors(list("abcde"), flat))
    assert sum(made.shares) == pytest.approx(1)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    far = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    drawn = np.linalg.norm(made.points[:, None] - made.points[None], axis=2)
    assert drawn == pytest.approx(far, abs=1e-6)


def test_one_dimension_and_equal_words_have_a_map_too() -> None:
    line = project(Vectors(list("abc"), np.array([[1], [-1], [2]], np.float32)))
    assert line.points[:, 1].tolist() == [0, 0, 0] and line.shares == pytest.approx((1, 0))
    same = project(Vectors(list("abc"), np.ones((3, 4), np.float32)))
    assert np.abs(same.points).max() < 1e-6


def test_too_few_or_unknown_words() -> None:
    with pytest.raises(SettingsError, match="3 different words or more: 2 were given"):
        project(vectors(), ["w1", "w2", "w1"])
    with pytest.raises(DataError, match="'wombat' is not among"):
        project(vectors(), ["w1", "w2", "wombat"])
