"""word2vec against hand numbers, torch's derivatives and planted meanings; repeatable, interruptible."""

import heapq
import os
import signal
import threading
import time
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from trivium.errors import RefusedError, SettingsError, TriviumError
from trivium.vectors import word2vec
from trivium.vectors import word2vec_kernels as kernels
from trivium.vectors.huffman import Tree, huffman
from trivium.vectors.network import Network, aligned_zeros, scratch
from trivium.vectors.progress import Progress
from trivium.vectors.sentences import END, Corpus, read_corpus
from trivium.vectors.vectors import Vectors
from trivium.vectors.vocabulary import VocabularySettings, prepare
from trivium.vectors.word2vec import Chunk, Word2VecSettings, chunks, cut, decayed, train_on, train_word2vec

# ---- the update ----


def test_one_step_gives_the_hand_numbers() -> None:
    inputs, outputs, nodes = aligned_zeros(1, 16), aligned_zeros(3, 16), aligned_zeros(0, 16)
    inputs[0, :2] = 0.1, 0.2
    outputs[1, :2], outputs[2, :2] = (0.3, -0.1), (-0.2, 0.4)
    table = kernels.sigmoid_table()
    right = kernels.dot(inputs, 0, outputs, 1)
    wrong = kernels.dot(inputs, 0, outputs, 2)
    loss = -np.log(kernels.sigmoid(right, table)) - np.log(kernels.sigmoid(-wrong, table))
    assert loss == pytest.approx(1.411757, abs=1e-6)
    _, error, _, drawn = scratch(1, 16)
    drawn[2][0] = 2  # the noise word that was drawn for this prediction
    alias = kernels.build_alias(np.full(3, 1 / 3))
    state = np.array([0], np.uint64)
    kernels.predict(
        inputs, 0, 1, np.float32(0.1), outputs, alias, nodes, Tree.none().arrays, table, state, error, drawn
    )
    assert inputs[0, :2] + error[0, :2] == pytest.approx([0.12522491, 0.17442518], abs=5e-8)
    assert outputs[1, :2] == pytest.approx([0.304975, -0.09005], abs=5e-8)
    assert outputs[2, :2] == pytest.approx([-0.20514996, 0.38970009], abs=5e-8)


def test_a_noise_word_equal_to_the_target_is_skipped_not_replaced() -> None:
    inputs, outputs, nodes = aligned_zeros(1, 16), aligned_zeros(3, 16), aligned_zeros(0, 16)
    inputs[0, 0] = outputs[1, 0] = 1
    _, error, _, drawn = scratch(2, 16)
    drawn[2][:] = 1  # both draws hit the word that is to be predicted
    alias, state = kernels.build_alias(np.full(3, 1 / 3)), np.array([0], np.uint64)
    table = kernels.sigmoid_table()
    kernels.predict(
        inputs, 0, 1, np.float32(0.1), outputs, alias, nodes, Tree.none().arrays, table, state, error, drawn
    )
    assert outputs[1, 0] == pytest.approx(1 + 0.1 * (1 - 1 / (1 + np.exp(-1))), abs=1e-6)
    assert not outputs[[0, 2]].any()


def test_the_sigmoid_between_the_points_of_its_table() -> None:
    table = kernels.sigmoid_table()
    xs = np.linspace(-5.999, 5.999, 1001).astype(np.float32)
    assert [kernels.sigmoid(x, table) for x in xs] == pytest.approx(1 / (1 + np.exp(-xs.astype(float))), abs=3e-7)
    assert (kernels.sigmoid(np.float32(6), table), kernels.sigmoid(np.float32(-7), table)) == (1, 0)


def by_autograd(
    network: Network, sentence: list[int], algorithm: str, noise: list[int], tree: Tree, rate: float
) -> dict[str, np.ndarray]:
    """The same training with window 1 by torch in float64: one step of plain descent on each prediction's loss."""
    held = {
        name: torch.tensor(getattr(network, name).astype(float), requires_grad=True)
        for name in ("inputs", "outputs", "nodes")
    }
    for centre, word in enumerate(sentence):
        around = [p for p in (centre - 1, centre + 1) if 0 <= p < len(sentence)]
        for context in [around] if algorithm == "cbow" else [[p] for p in around]:
            rows = held["inputs"][[sentence[p] for p in context]]
            # CBOW's code gives each row the whole gradient of the mean, so the rows are summed here and the mean's
            # value, not its derivative, is what is predicted from.
            x = rows.sum(0) + (rows.mean(0) - rows.sum(0)).detach()
            loss = torch.zeros(())
            if len(held["outputs"]):
                loss = -torch.nn.functional.logsigmoid(held["outputs"][word] @ x)
                for other in noise:
                    if other != word:
                        loss = loss - torch.nn.functional.logsigmoid(-held["outputs"][other] @ x)
            for k in range(tree.offsets[word], tree.offsets[word + 1]) if len(held["nodes"]) else ():
                logit = held["nodes"][tree.points[k]] @ x
                loss = loss - torch.nn.functional.logsigmoid(logit if tree.codes[k] == 0 else -logit)
            gradients = torch.autograd.grad(loss, list(held.values()), allow_unused=True)
            with torch.no_grad():
                for value, gradient in zip(held.values(), gradients, strict=True):
                    if gradient is not None:
                        value -= rate * gradient
    return {name: value.detach().numpy() for name, value in held.items()}


@pytest.mark.parametrize("algorithm", ["skipgram", "cbow"])
@pytest.mark.parametrize(("negatives", "hierarchical"), [(3, False), (0, True), (2, True)])
def test_training_is_descent_on_the_loss(algorithm: str, negatives: int, hierarchical: bool) -> None:
    counts = np.array([9, 7, 5, 5, 2, 1])
    settings = Word2VecSettings(
        algorithm=algorithm,  # type: ignore[arg-type]
        dimensions=20,
        window=1,
        negatives=negatives,
        hierarchical=hierarchical,
        sample=0,
    )
    network = Network(counts, settings)
    random = np.random.default_rng(0)
    for matrix in (network.inputs, network.outputs, network.nodes):
        matrix[:, :20] = random.normal(size=(len(matrix), 20)) * 0.3
    network.alias = kernels.build_alias(np.eye(6)[4])  # every noise word is word 4
    sentence = [0, 3, 4, 1, 1, 5, 2, 0]
    tree = huffman(counts)
    expected = by_autograd(network, sentence, algorithm, [4] * negatives, tree, 0.1)
    ids = np.array([*sentence, END], np.int32)
    network.train(0, ids, Chunk(0, len(ids), len(sentence), 0.1, key=5))
    for name, value in expected.items():
        assert getattr(network, name) == pytest.approx(value, abs=2e-6), name
    assert not network.inputs[:, 20:].any()  # what fills a row up stays zero


@pytest.mark.parametrize("window", [1, 4, 5])
def test_words_at_a_distance_are_paired_as_often_as_their_weight_says(window: int) -> None:
    # Target vectors are all the same, noise vectors are zero and the rate is tiny, so that every pair adds one and the
    # same step to the row of its context word.
    words, repeats = 9, 4000
    settings = Word2VecSettings(dimensions=16, window=window, negatives=1, sample=0)
    network = Network(np.full(words + 1, 5), settings)
    network.inputs[:] = 0
    network.outputs[:words, 0] = 1
    network.alias = kernels.build_alias(np.eye(words + 1)[words])
    ids = np.tile(np.append(np.arange(words), END).astype(np.int32), repeats)
    network.train(0, ids, Chunk(0, len(ids), words * repeats, 2.0**-24, key=11))
    pairs = network.inputs[:words, 0] / (2.0**-24 * 0.5)
    place = np.arange(words)
    distance = np.abs(place[:, None] - place[None, :])
    chance = np.where(distance > 0, np.maximum(window - distance + 1, 0) / window, 0)
    sigma = np.sqrt(repeats * (chance * (1 - chance)).sum(1))
    assert np.all(np.abs(pairs - repeats * chance.sum(1)) <= 4 * sigma + repeats * 1e-2)
    if window == 1:
        assert pairs == pytest.approx(repeats * chance.sum(1), rel=1e-3)


def test_sentences_are_cut_at_a_thousand_words() -> None:
    ids, sentence = np.zeros(2500, np.int32), np.zeros(kernels.LONGEST, np.int32)
    keep, state = np.ones(1), np.array([1], np.uint64)
    lengths, at = [], 0
    while at < len(ids):
        at, length = kernels.next_sentence(ids, at, len(ids), keep, state, sentence)
        lengths.append(length)
    assert lengths == [1000, 1000, 500]


# ---- Huffman's tree ----


def heap_cost(counts: list[int]) -> int:
    """Bits of the whole text in the best code: the sum of all joined weights."""
    heap, cost = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    return cost


@pytest.mark.parametrize(
    "counts", [[1, 1], [5, 3, 1], [7] * 9, sorted(np.random.default_rng(0).zipf(1.5, 300).tolist(), reverse=True)]
)
def test_huffman_codes_are_shortest_and_prefix_free(counts: list[int]) -> None:
    tree = huffman(np.array(counts))
    codes = ["".join(map(str, tree.codes[a:b])) for a, b in zip(tree.offsets, tree.offsets[1:], strict=False)]
    assert sum(len(code) * count for code, count in zip(codes, counts, strict=True)) == heap_cost(counts)
    for one in codes:
        assert sum(other.startswith(one) for other in codes) == 1
    assert sum(2.0 ** -len(code) for code in codes) == 1
    assert len(counts) > 100 or max(map(len, codes)) <= 40
    for word in range(len(counts)):
        path = tree.points[tree.offsets[word] : tree.offsets[word + 1]]
        assert path[0] == len(counts) - 2  # the root
        assert np.all(np.diff(path) < 0)


def test_huffman_by_hand() -> None:
    # 1 + 2 = 3 joins 3 to 6, and 6 joins 6: the tie is broken for the inner node, as in word2vec.c.
    tree = huffman(np.array([6, 3, 2, 1]))
    codes = [tree.codes[a:b].tolist() for a, b in zip(tree.offsets, tree.offsets[1:], strict=False)]
    assert codes == [[1], [0, 1], [0, 0, 1], [0, 0, 0]]
    assert tree.points[tree.offsets[3] :].tolist() == [2, 1, 0]


# ---- the whole training ----


def test_the_rate_falls_in_a_straight_line() -> None:
    assert decayed(0.025, 0, 1000) == 0.025
    assert decayed(0.025, 500, 999) == 0.0125
    assert decayed(0.025, 1000, 999) == pytest.approx(0.025 * 1e-4)
    corpus = prepare(["a b c d e f g h i j\n" * 5000], VocabularySettings())
    settings = Word2VecSettings(epochs=3)
    parts = list(chunks(corpus, settings))
    assert [part.rate for part in parts][:2] == [0.025, pytest.approx(0.025 * (1 - parts[0].words / 150_001))]
    assert sum(part.words for part in parts) == 150_000
    assert len({part.key for part in parts}) == len(parts)
    assert all(part.words <= 10_010 for part in parts)
    assert Word2VecSettings(algorithm="cbow").start_rate == 0.05


def test_stretches_end_with_a_sentence_unless_one_is_endless() -> None:
    ids = np.array(([0] * 6 + [END]) * 5, np.int32)
    assert cut(ids, 10) == [(0, 14, 12), (14, 28, 12), (28, 35, 6)]
    assert cut(np.zeros(25, np.int32), 10) == [(0, 10, 10), (10, 20, 10), (20, 25, 5)]
    assert cut(np.array([0] * 9 + [END, 0], np.int32), 10) == [(0, 10, 9), (10, 11, 1)]


GROUPS, SIZE = 5, 8


def planted(sentences: int = 3000, seed: int = 0) -> list[str]:
    """Sentences of words of one group each, with words that stand in all, and a rare word of group 2."""
    random = np.random.default_rng(seed)
    lines = []
    for number in range(sentences):
        group = number % GROUPS
        words = [f"g{group}w{n}" for n in random.integers(0, SIZE, 7)]
        words.insert(3, f"the{random.integers(0, 3)}")
        if number % 125 == 2 and number >= 125:
            words[5] = "rare"
        lines.append(" ".join(words))
    return lines


def near(vectors: Vectors, word: str, count: int) -> list[str]:
    order = np.argsort(-(vectors.unit @ vectors.unit[vectors.row(word)]))
    return [vectors.words[n] for n in order if vectors.words[n] != word][:count]


def purity(vectors: Vectors) -> float:
    """The share of a word's nearest words that are of its group."""
    hits = [
        other.startswith(f"g{group}")
        for group in range(GROUPS)
        for n in range(SIZE)
        for other in near(vectors, f"g{group}w{n}", SIZE - 1)
    ]
    return sum(hits) / len(hits)


SMALL = {"dimensions": 20, "epochs": 8, "sample": 0.0, "seed": 3, "learning_rate": 0.1}


@pytest.mark.parametrize("algorithm", ["skipgram", "cbow"])
@pytest.mark.parametrize("output", [{"negatives": 5}, {"negatives": 0, "hierarchical": True}])
def test_neighbours_fall_in_the_planted_group(algorithm: str, output: dict) -> None:
    settings = Word2VecSettings(algorithm=algorithm, **SMALL, **output)  # type: ignore[arg-type]
    vectors = train_word2vec(planted(), settings)
    assert purity(vectors) > 0.95
    # A word met 23 times is known by the company it keeps.
    assert sum(word.startswith("g2") for word in near(vectors, "rare", 6)) >= 5
    assert vectors.counts is not None and vectors.counts[vectors.row("rare")] == 23


def test_one_thread_gives_the_same_bits_and_the_seed_matters() -> None:
    settings = Word2VecSettings(**{**SMALL, "epochs": 2, "sample": 1e-2})  # type: ignore[arg-type]
    once, again = (train_word2vec(planted(600), settings) for _ in range(2))
    assert np.array_equal(once.matrix, again.matrix)
    assert once.words == again.words
    other = train_word2vec(planted(600), Word2VecSettings(**{**SMALL, "epochs": 2, "sample": 1e-2, "seed": 4}))  # type: ignore[arg-type]
    assert not np.array_equal(once.matrix, other.matrix)
    assert once.matrix.dtype == np.float32
    assert once.matrix.shape == (len(once.words), 20)


def test_two_threads_learn_the_same_meanings() -> None:
    vectors = train_word2vec(planted(), Word2VecSettings(threads=2, **SMALL))  # type: ignore[arg-type]
    assert purity(vectors) > 0.95


def test_a_text_that_can_be_read_only_once_will_do() -> None:
    settings = Word2VecSettings(**{**SMALL, "epochs": 1})  # type: ignore[arg-type]
    listed = train_word2vec(planted(200), settings)
    streamed = train_word2vec((line for line in planted(200)), settings)
    called = train_word2vec(lambda: iter(planted(200)), settings)
    assert np.array_equal(listed.matrix, streamed.matrix)
    assert np.array_equal(listed.matrix, called.matrix)


def test_vectors_begin_small_and_in_range() -> None:
    network = Network(np.full(5000, 1), Word2VecSettings(dimensions=50))
    first = network.vectors()
    assert np.abs(first).max() <= 0.5 / 50
    assert first.std() == pytest.approx(1 / 50 / np.sqrt(12), rel=0.01)
    assert not network.outputs.any()
    assert network.inputs.ctypes.data % 64 == 0


def test_progress_says_words_rate_and_learning_rate() -> None:
    seen: list[Progress] = []
    corpus = prepare(planted(600), VocabularySettings())
    train_on(corpus, Word2VecSettings(**SMALL), progress=seen.append)  # type: ignore[arg-type]
    assert seen[-1].done == seen[-1].total == 8 * corpus.tokens
    assert seen[-1].unit == "words"
    assert seen[-1].rate > 0
    assert all(a.done <= b.done for a, b in zip(seen, seen[1:], strict=False))


def test_ctrl_c_is_answered_within_a_second() -> None:
    corpus = prepare(planted(3000), VocabularySettings())
    train_on(corpus, Word2VecSettings(epochs=1))  # compiled before the clock runs
    stroke = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    stroke.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train_on(corpus, Word2VecSettings(epochs=100_000, window=10, threads=2))
    assert time.monotonic() - begun < 0.3 + 2.0  # a second on an idle machine
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vectors")]


def test_slow_settings_take_shorter_stretches() -> None:
    slow = Word2VecSettings(dimensions=300, window=50, negatives=50)
    assert word2vec._chunk_words(slow) == 653
    assert word2vec._chunk_words(Word2VecSettings()) == 10_000


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    from trivium.vectors.hogwild import share

    def work(thread: int, piece: int) -> None:
        if piece == 5:
            raise ValueError("piece 5")

    with pytest.raises(ValueError, match="piece 5"):
        share(iter(range(10**9)), 2, work)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"algorithm": "glove"}, "algorithm is 'glove'"),
        ({"dimensions": 0}, "dimensions is 0"),
        ({"window": 0}, "window is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"negatives": -1}, "negatives is -1"),
        ({"negatives": 0}, "hierarchical is off"),
        ({"sample": -1.0}, "sample is -1.0"),
        ({"subsample": "no"}, "subsample is 'no'"),
        ({"noise_power": 99.0}, "noise_power is 99.0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_settings_that_cannot_be(changed: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Word2VecSettings(**changed)


def test_matrices_larger_than_the_machine_are_refused() -> None:
    with pytest.raises(RefusedError, match="raise min_count, set max_words or lower dimensions"):
        train_word2vec(planted(300), Word2VecSettings(dimensions=10**12))


def test_vectors_that_grow_beyond_all_numbers_are_no_result() -> None:
    settings = Word2VecSettings(**{**SMALL, "learning_rate": 1e30})  # type: ignore[arg-type]
    with pytest.raises(TriviumError, match="learning_rate = 1e\\+30: lower it"):
        train_word2vec(planted(300), settings)


def test_hierarchical_softmax_needs_no_noise_and_both_work_together() -> None:
    corpus: Corpus = prepare(planted(300), VocabularySettings())
    network = Network(corpus.counts, Word2VecSettings(negatives=0, hierarchical=True))
    assert network.outputs.shape[0] == 0
    assert network.nodes.shape[0] == len(corpus.words) - 1
    assert np.isfinite(train_on(corpus, Word2VecSettings(hierarchical=True, epochs=1)).matrix).all()


def test_a_line_of_one_word_teaches_nothing() -> None:
    lines: Iterable[str] = ["a"] * 10 + ["b"] * 10
    corpus = read_corpus(lines)
    settings = Word2VecSettings(epochs=2, sample=0)
    assert np.array_equal(train_on(corpus, settings).matrix, Network(corpus.counts, settings).vectors())
