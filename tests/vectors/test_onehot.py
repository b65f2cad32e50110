"""One-hot encoding: the eleven words of the lecture and what follows from the definition."""

import numpy as np
import pytest

from trivium.errors import DataError, RefusedError
from trivium.vectors.onehot import EXAMPLE, density, encode, one_hot


def test_eleven_words_are_eleven_dimensions() -> None:
    vectors = one_hot(EXAMPLE)
    assert vectors.matrix.shape == (11, 11)
    assert vectors["king"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert np.count_nonzero(vectors.matrix) == 11
    assert density(vectors.matrix) == 11 / 11**2


def test_no_two_words_are_nearer_than_any_other_two() -> None:
    vectors = one_hot(EXAMPLE)
    for a in EXAMPLE:
        for b in EXAMPLE:
            if a != b:
                assert vectors.unit[vectors.row(a)] @ vectors.unit[vectors.row(b)] == 0
                assert np.linalg.norm(vectors[a] - vectors[b]) == np.float32(np.sqrt(2))


def test_a_product_with_a_matrix_reads_a_row_as_an_embedding_layer_does() -> None:
    torch = pytest.importorskip("torch")
    vectors = one_hot(EXAMPLE)
    matrix = np.random.default_rng(0).normal(size=(11, 5)).astype(np.float32)
    text = ["woman", "leaf", "woman"]
    rows = encode(vectors, text) @ matrix
    layer = torch.nn.Embedding.from_pretrained(torch.from_numpy(matrix))
    assert np.array_equal(rows, matrix[[4, 6, 4]])
    assert np.array_equal(rows, layer(torch.tensor([4, 6, 4])).numpy())


def test_words_that_cannot_be_encoded() -> None:
    with pytest.raises(DataError, match="at least one word"):
        one_hot([])
    with pytest.raises(DataError, match="'b' is there twice"):
        one_hot(["a", "b", "c", "b"])
    with pytest.raises(RefusedError, match="10 GB"):
        one_hot([str(n) for n in range(50_000)])
    with pytest.raises(DataError, match="did you mean queen"):
        encode(one_hot(EXAMPLE), ["quen"])
