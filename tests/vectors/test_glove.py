"""GloVe: counts by brute force, steps by hand and by a plain program of the formula, meanings that were planted."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, RefusedError, SettingsError, TriviumError
from trivium.vectors import cooccurrence as counting
from trivium.vectors import glove as module
from trivium.vectors.cooccurrence import cooccurrences, whole
from trivium.vectors.glove import Glove, GloveSettings, fit, records, train_glove, train_on
from trivium.vectors.glove_records import record_type, weight
from trivium.vectors.progress import Progress
from trivium.vectors.sentences import Corpus, read_corpus
from trivium.vectors.vocabulary import VocabularySettings, prepare

Matrix = dict[tuple[str, str], float]


def matrix(corpus: Corpus, **options: object) -> Matrix:
    pairs = whole(cooccurrences(corpus, **options))  # type: ignore[arg-type]
    found = zip(pairs.rows.tolist(), pairs.columns.tolist(), pairs.sums.tolist(), strict=True)
    return {(corpus.words[i], corpus.words[j]): x for i, j, x in found}


def brute_force(lines: list[list[str]], window: int, symmetric: bool, weighted: bool) -> Matrix:
    """As the definition says it: every word, every word to its left."""
    found: Matrix = defaultdict(float)
    for line in lines:
        for at, word in enumerate(line):
            for left in range(max(0, at - window), at):
                value = 1 / (at - left) if weighted else 1.0
                found[word, line[left]] += value
                if symmetric:
                    found[line[left], word] += value
    return dict(found)


# ---- co-occurrence ----


def test_the_worked_example() -> None:
    corpus = read_corpus(["a b c a"])
    expected = {"ab": 1.5, "bc": 1.0, "ac": 1.5}
    assert matrix(corpus, window=2) == {(p[0], p[1]): x for q, x in expected.items() for p in (q, q[::-1])}
    plain = {"ab": 2.0, "bc": 1.0, "ac": 2.0}
    found = matrix(corpus, window=2, distance_weighting=False)
    assert found == {(p[0], p[1]): x for q, x in plain.items() for p in (q, q[::-1])}


def test_a_word_beside_itself_counts_twice() -> None:
    assert matrix(read_corpus(["a a"])) == {("a", "a"): 2.0}
    assert matrix(read_corpus(["a a"]), symmetric=False) == {("a", "a"): 1.0}


texts = st.lists(st.lists(st.sampled_from("abcde"), max_size=12), min_size=1, max_size=5)


@given(texts, st.integers(1, 6), st.booleans(), st.booleans(), st.sampled_from([0, 2, 2048]))
def test_counts_are_those_of_brute_force(
    lines: list[list[str]], window: int, symmetric: bool, weighted: bool, dense: int
) -> None:
    expected = brute_force(lines, window, symmetric, weighted)
    if not any(lines):
        return
    corpus = read_corpus([" ".join(line) for line in lines])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_DENSE", dense)
        if not expected:
            with pytest.raises(DataError, match="no two words"):
                matrix(corpus, window=window, symmetric=symmetric, distance_weighting=weighted)
            return
        found = matrix(corpus, window=window, symmetric=symmetric, distance_weighting=weighted)
    assert found == pytest.approx(expected, rel=1e-12)


def zipfian(tokens: int = 30_000, words: int = 400, seed: int = 0) -> Corpus:
    drawn = np.minimum(np.random.default_rng(seed).zipf(1.3, tokens), words)
    lines = [" ".join(f"w{n}" for n in drawn[at : at + 20]) for at in range(0, tokens, 20)]
    return prepare(lines, VocabularySettings(min_count=1))


def test_a_table_that_fills_goes_to_files_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = zipfian()
    monkeypatch.setattr(counting, "_DENSE", 20)
    held = matrix(corpus)
    kept = []
    keep = counting._kept
    monkeypatch.setattr(counting, "_kept", lambda run: (kept.append(len(run.keys)), keep(run))[1])
    filed = matrix(corpus, memory=256 << 10)
    assert len(kept) > 5
    assert max(kept) * counting._ENTRY <= 64 << 10
    assert filed == pytest.approx(held, rel=1e-12)
    assert all(filed[j, i] == x for (i, j), x in filed.items())


# ---- the cost and its step ----


def test_worked_values_of_the_weight() -> None:
    assert weight(np.array([0, 1, 10, 50, 100, 5000])) == pytest.approx(
        [0, 0.031623, 0.177828, 0.594604, 1, 1], abs=1e-6
    )


def one_pair(settings: GloveSettings, x: float = 10.0, w_bias: float = 0.05) -> tuple[Glove, np.ndarray]:
    glove = Glove.start(2, settings)
    for side, vector, bias in ((glove.words, (0.1, 0.2), w_bias), (glove.contexts, (0.3, -0.1), -0.05)):
        side.vectors[:], side.biases[:, 0] = 0, bias
        side.vectors[:, :2] = vector
    made = np.zeros(1, record_type(np.float64))
    made["row"], made["column"], made["log"], made["weight"] = 0, 1, np.log(x), weight(np.array(x))
    return glove, made


@pytest.mark.parametrize("compat", [True, False])
def test_one_step_gives_the_hand_numbers(compat: bool) -> None:
    settings = GloveSettings(dimensions=2, iterations=1, precision="float64", glove_c_compat=compat)
    glove, made = one_pair(settings)
    costs = fit(glove, made, settings)
    assert 2 * costs[0] == pytest.approx(0.934654, abs=1e-6)
    assert glove.words.vectors[0, :2] == pytest.approx([0.10611529, 0.19796157], abs=5e-9)
    assert glove.contexts.vectors[1, :2] == pytest.approx([0.30203843, -0.09592314], abs=5e-9)
    slope = 0.40768569
    assert glove.words.biases[0, 0] == pytest.approx(0.45768569 if compat else 0.05 + 0.05 * slope, abs=5e-9)
    # What the squares have grown by: with the quirk the vectors' are multiplied by the rate first.
    grown = (0.3 * slope * (0.05 if compat else 1)) ** 2
    assert glove.words.squares[0, 0] - 1 == pytest.approx(grown, abs=1e-9)
    assert glove.words.biases[0, 1] - 1 == pytest.approx(slope**2, abs=1e-8)
    assert glove.words.vectors[1, :2].tolist() == [0.1, 0.2]  # the other word has not moved


def test_gradients_are_clipped_at_a_hundred() -> None:
    settings = GloveSettings(dimensions=2, iterations=1, precision="float64")
    glove, made = one_pair(settings, x=100.0, w_bias=1e4)
    fit(glove, made, settings)
    assert glove.words.vectors[0, 0] == pytest.approx(0.1 - 0.05 * 100)
    assert glove.words.vectors[0, 1] == pytest.approx(0.2 + 0.05 * 100)
    assert glove.words.squares[0, 0] == pytest.approx(1 + 100**2)
    assert glove.words.biases[0, 0] == pytest.approx(1e4 - 0.05 * 100)


def plain(glove: Glove, shuffled: np.ndarray, settings: GloveSettings) -> tuple[np.ndarray, list[float]]:
    """The formula as a plain program: AdaGrad on f(X) (w.c + b + b' - log X)^2 / 2, pair by pair."""
    size, eta = settings.dimensions, settings.learning_rate
    w, c = (side.vectors[:, :size].astype(float) for side in (glove.words, glove.contexts))
    b, d = (side.biases[:, 0].astype(float) for side in (glove.words, glove.contexts))
    sw, sc, sb, sd = (np.ones_like(each) for each in (w, c, b, d))
    costs = []
    for _ in range(settings.iterations):
        cost = 0.0
        for i, j, log, f in shuffled.tolist():
            diff = w[i] @ c[j] + b[i] + d[j] - log
            cost += 0.5 * f * diff**2
            gw, gc, gb = np.clip(f * diff * c[j], -100, 100), np.clip(f * diff * w[i], -100, 100), f * diff
            if settings.glove_c_compat:
                w[i] -= eta * gw / np.sqrt(sw[i])
                c[j] -= eta * gc / np.sqrt(sc[j])
                b[i] -= gb / np.sqrt(sb[i])
                d[j] -= gb / np.sqrt(sd[j])
                sw[i] += (eta * gw) ** 2
                sc[j] += (eta * gc) ** 2
            else:
                gb = float(np.clip(gb, -100, 100))
                w[i] -= eta * gw / np.sqrt(sw[i])
                c[j] -= eta * gc / np.sqrt(sc[j])
                b[i] -= eta * gb / np.sqrt(sb[i])
                d[j] -= eta * gb / np.sqrt(sd[j])
                sw[i] += gw**2
                sc[j] += gc**2
            sb[i] += gb**2
            sd[j] += gb**2
        costs.append(cost / len(shuffled))
    return w + c, costs


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize(("precision", "near"), [("float64", 1e-11), ("float32", 1e-5)])
def test_training_is_the_formula(compat: bool, precision: str, near: float) -> None:
    corpus = zipfian(2000, 40)
    settings = GloveSettings(
        dimensions=7,
        iterations=4,
        x_max=20.0,
        precision=precision,  # type: ignore[arg-type]
        glove_c_compat=compat,
        learning_rate=0.2,
        window=4,
    )
    glove, shuffled = Glove.start(len(corpus.words), settings), records(corpus, settings)
    expected, costs = plain(glove, shuffled, settings)
    assert fit(glove, shuffled, settings) == pytest.approx(costs, rel=near)
    assert glove.words.vectors[:, :7] + glove.contexts.vectors[:, :7] == pytest.approx(expected, rel=near, abs=near)
    assert not glove.words.vectors[:, 7:].any()
    assert costs[-1] < costs[0]


# ---- the records ----


def test_records_hold_every_pair_once_in_an_order_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = zipfian(4000, 100)
    settings = GloveSettings(precision="float64")
    made = records(corpus, settings)
    found = {(corpus.words[r["row"]], corpus.words[r["column"]]): float(np.exp(r["log"])) for r in made}
    assert found == pytest.approx(matrix(corpus), rel=1e-12)
    assert len(found) == len(made)
    assert made["weight"] == pytest.approx(weight(np.exp(made["log"])))
    other = records(corpus, GloveSettings(precision="float64", seed=1))
    assert not np.array_equal(made, other)
    assert np.array_equal(np.sort(made, order=["row", "column"]), np.sort(other, order=["row", "column"]))
    # No part of the file is richer in frequent words than another.
    halves = [made["row"][: len(made) // 2].mean(), made["row"][len(made) // 2 :].mean()]
    assert abs(halves[0] - halves[1]) < 4 * made["row"].std() * 2 / np.sqrt(len(made))


def test_records_above_the_memory_come_from_a_file_in_the_same_order() -> None:
    corpus = zipfian(30_000, 400)
    held = records(corpus, GloveSettings(vocabulary=VocabularySettings(memory=1 << 30)))
    filed = records(corpus, GloveSettings(vocabulary=VocabularySettings(memory=1 << 20)))
    assert len(held) > 20_000
    assert np.array_equal(held[["row", "column"]], filed[["row", "column"]])
    assert held["log"] == pytest.approx(filed["log"], rel=1e-6, abs=1e-6)


# ---- the whole ----


def ice_and_steam() -> list[str]:
    """Sentences on ice and steam: solid goes with ice, gas with steam, water and fashion with both alike."""
    random = np.random.default_rng(0)
    lines = []
    for number in range(4000):
        of = "ice" if number % 2 else "steam"
        likely = {"ice": [0.4, 0.05, 0.35, 0.2], "steam": [0.05, 0.4, 0.35, 0.2]}[of]
        others = random.choice(["solid", "gas", "water", "fashion"], 2, p=likely)
        filler = f"f{random.integers(0, 12)}"
        lines.append(f"{others[0]} {of} {others[1]} {filler}")
    return lines


def test_ratios_of_probabilities_tell_what_belongs_to_which() -> None:
    corpus = prepare(ice_and_steam(), VocabularySettings())
    found = matrix(corpus, window=2)
    totals = {w: sum(x for (i, _), x in found.items() if i == w) for w in ("ice", "steam")}

    def ratio(k: str) -> float:
        return (found["ice", k] / totals["ice"]) / (found["steam", k] / totals["steam"])

    assert ratio("solid") > 4
    assert ratio("gas") < 0.25
    assert 0.8 < ratio("water") < 1.25
    assert 0.8 < ratio("fashion") < 1.25
    # What the model has learnt says the same: the differences of its logarithms are those ratios.
    settings = GloveSettings(dimensions=10, iterations=60, window=2, glove_c_compat=True)
    glove = Glove.start(len(corpus.words), settings)
    costs = fit(glove, records(corpus, settings), settings)
    assert costs[-1] < 0.05 * costs[0]
    ice, steam = (corpus.words.index(word) for word in ("ice", "steam"))
    for k in ("solid", "gas", "water", "fashion"):
        context = glove.contexts.vectors[corpus.words.index(k)]
        learnt = (glove.words.vectors[ice] - glove.words.vectors[steam]) @ context
        learnt += glove.words.biases[ice, 0] - glove.words.biases[steam, 0]
        assert learnt == pytest.approx(np.log(found["ice", k] / found["steam", k]), abs=0.25)


def test_the_result_is_the_sum_with_a_row_for_unknown_words() -> None:
    corpus = zipfian(6000, 300)
    settings = GloveSettings(dimensions=12, iterations=2)
    glove = Glove.start(len(corpus.words), settings)
    fit(glove, records(corpus, settings), settings)
    vectors = train_on(corpus, settings)
    assert vectors.words[:-1] == corpus.words and vectors.words[-1] == "<unk>"
    assert np.array_equal(vectors.matrix[:-1], (glove.words.vectors + glove.contexts.vectors)[:, :12])
    assert vectors["<unk>"] == pytest.approx(vectors.matrix[-101:-1].mean(0), abs=1e-7)
    assert vectors.counts is not None and vectors.counts[-1] == 0
    assert train_on(corpus, GloveSettings(dimensions=12, iterations=1, unknown=False)).words == corpus.words


def test_one_thread_gives_the_same_bits_and_two_learn_as_well() -> None:
    corpus = zipfian(20_000, 300)
    settings = GloveSettings(dimensions=20, iterations=5)
    assert np.array_equal(train_on(corpus, settings).matrix, train_on(corpus, settings).matrix)
    assert not np.array_equal(
        train_on(corpus, settings).matrix, train_on(corpus, GloveSettings(dimensions=20, iterations=5, seed=1)).matrix
    )
    costs = []
    for threads in (1, 2):
        both = GloveSettings(dimensions=20, iterations=5, threads=threads)
        glove = Glove.start(len(corpus.words), both)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_PIECE_WORK", 0)  # pieces of a thousand, so that two threads have work
            costs.append(fit(glove, records(corpus, both), both))
    assert costs[1][-1] == pytest.approx(costs[0][-1], rel=0.25)  # updates cross: on a small text that can be seen
    assert all(a > b for a, b in zip(costs[0], costs[0][1:], strict=False))


def test_progress_says_pairs_and_cost() -> None:
    seen: list[Progress] = []
    train_glove(ice_and_steam(), GloveSettings(dimensions=4, iterations=3), progress=seen.append)
    assert seen[-1].done == seen[-1].total > 0
    assert seen[-1].unit == "pairs"
    assert seen[-1].loss is not None and seen[-1].loss > 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dimensions": 0}, "dimensions is 0"),
        ({"window": 0}, "window is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"x_max": 0.0}, "x_max is 0.0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"power": -1.0}, "power is -1.0"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ],
)
def test_settings_that_cannot_be(changed: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        GloveSettings(**changed)


def test_texts_that_teach_nothing_and_costs_beyond_all_numbers() -> None:
    with pytest.raises(DataError, match="no two words"):
        train_glove(["a\nb\n" * 9], GloveSettings())
    with pytest.raises(DataError, match="no words"):
        train_glove([], GloveSettings())
    with pytest.raises(RefusedError, match="raise min_count"):
        train_glove(ice_and_steam(), GloveSettings(dimensions=10**12))
    with pytest.raises(TriviumError, match="learning_rate = 1e\\+38: lower it"):
        train_glove(ice_and_steam(), GloveSettings(learning_rate=1e38, iterations=2))
