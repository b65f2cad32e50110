"""Unigram training: the facts' worked EM step and losses, brute force over all segmentations, exact sizes."""

import itertools
import math
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma as scipy_digamma

from trivium.errors import DataError, SettingsError
from trivium.text.python_docs import documents
from trivium.tokenizers import ALGORITHMS, Tokenizer, expectation, unigram
from trivium.tokenizers.charsmap import nmt_nfkc
from trivium.tokenizers.expectation import digamma, e_step, fit, m_step, prune_losses
from trivium.tokenizers.seeds import Lattices, seeds
from trivium.tokenizers.sentencepiece import sentencepieces_of
from trivium.tokenizers.units import Units, count_units

WORKED = {"h": 0.2, "u": 0.2, "g": 0.2, "hu": 0.1, "ug": 0.2, "hug": 0.1}
CORPUS = {"hug": 10, "ug": 5}
POSTERIORS = {"h u g": 0.047619, "h ug": 0.238095, "hu g": 0.119048, "hug": 0.595238}


def lattices_of(vocabulary, corpus):
    """The kernels' arrays, made by trying every piece at every place; single characters come first."""
    texts = sorted(vocabulary, key=lambda text: len(text) > 1)
    starts, first, pieces, places = [0], [], [], {}
    for word in corpus:
        for at in range(len(word)):
            first.append(len(pieces))
            for number, text in enumerate(texts):
                if word.startswith(text, at):
                    pieces.append(number)
                    places.setdefault(number, len(first) - 1)
        first.append(len(pieces))
        starts.append(len(first))
    first.append(len(pieces))
    return Lattices(
        np.array(starts),
        np.array(list(corpus.values())),
        np.array(first),
        np.array(pieces, np.int32),
        np.array([len(text) for text in texts], np.int32),
        np.array([places.get(number, 0) for number in range(len(texts))], np.int32),
        np.log([vocabulary[text] for text in texts]),
        texts,
        sum(len(text) == 1 for text in texts),
    )


def segmentations(word, vocabulary):
    """All of them, each with its probability."""
    if not word:
        return [((), 1.0)]
    return [
        ((word[:size], *rest), vocabulary[word[:size]] * chance)
        for size in range(1, len(word) + 1)
        if word[:size] in vocabulary
        for rest, chance in segmentations(word[size:], vocabulary)
    ]


def brute_force(vocabulary, corpus):
    expected, likelihood = dict.fromkeys(vocabulary, 0.0), 0.0
    for word, count in corpus.items():
        ways = segmentations(word, vocabulary)
        total = sum(chance for _, chance in ways)
        likelihood += count * math.log(total)
        for pieces, chance in ways:
            for piece in pieces:
                expected[piece] += count * chance / total
    return expected, likelihood


def test_the_worked_em_step():
    lattices = lattices_of(WORKED, CORPUS)
    expected, likelihood = e_step(lattices)
    found = dict(zip(lattices.texts, expected, strict=True))
    want = {"h": 2.857143, "u": 1.309524, "g": 2.5, "hu": 1.190476, "ug": 6.547619, "hug": 5.952381}
    assert found == pytest.approx(want, abs=1e-6)
    assert expected.sum() == pytest.approx(20.357143, abs=1e-6)
    assert likelihood == pytest.approx(-24.973495, abs=1e-6)
    _, plain = m_step(expected, sparse=False)
    want = {"h": 0.140351, "u": 0.064327, "g": 0.122807, "hu": 0.058480, "ug": 0.321637, "hug": 0.292398}
    assert dict(zip(lattices.texts, np.exp(plain), strict=True)) == pytest.approx(want, abs=1e-6)
    _, sparse = m_step(expected)
    want = {"h": -2.123937, "u": -3.147112, "g": -2.285513, "hu": -3.289847, "ug": -1.187871, "hug": -1.291224}
    assert dict(zip(lattices.texts, sparse, strict=True)) == pytest.approx(want, abs=1e-6)


def test_the_worked_prune_losses():
    lattices = lattices_of(WORKED, CORPUS)
    expected, _ = e_step(lattices)
    lattices.keep(*m_step(expected, sparse=False))
    losses = dict(zip(lattices.texts, prune_losses(lattices), strict=True))
    assert losses["hug"] == pytest.approx(0.681101, abs=1e-6)
    assert losses["ug"] == pytest.approx(0.557992, abs=1e-6)
    assert losses["hu"] == -math.inf
    assert [losses[each] for each in "hug"] == [math.inf] * 3
    assert losses["ug"] < losses["hug"]  # ug would go before hug


def small_models(draw):
    words = draw(st.lists(st.text("abc", min_size=1, max_size=7), min_size=1, max_size=4, unique=True))
    parts = {word[i:j] for word in words for i in range(len(word)) for j in range(i + 1, len(word) + 1)}
    chosen = sorted(part for part in parts if len(part) == 1 or draw(st.booleans()))
    weights = [draw(st.integers(1, 50)) for _ in chosen]
    corpus = {word: draw(st.integers(1, 9)) for word in words}
    return {part: weight / sum(weights) for part, weight in zip(chosen, weights, strict=True)}, corpus


@given(st.composite(small_models)())
def test_an_e_step_sums_over_all_segmentations(model):
    vocabulary, corpus = model
    lattices = lattices_of(vocabulary, corpus)
    expected, likelihood = e_step(lattices)
    want, want_likelihood = brute_force(vocabulary, corpus)
    assert dict(zip(lattices.texts, expected, strict=True)) == pytest.approx(want)
    assert likelihood == pytest.approx(want_likelihood)


@given(st.composite(small_models)())
def test_plain_em_never_lowers_the_likelihood(model):
    lattices = lattices_of(*model)
    before = -math.inf
    for _ in range(5):
        expected, likelihood = e_step(lattices)
        assert likelihood >= before - 1e-9 * abs(likelihood)
        before = likelihood
        lattices.keep(*m_step(expected, sparse=False, least=0.0))


def test_letters_that_die_out_do_not_take_their_long_piece_along():
    third = {"a": 1 / 3, "abbbbb": 1 / 3, "b": 1 / 3}
    lattices = lattices_of(third, {"aabbbbb": 1})
    for _ in range(8):  # b's share falls below 1e-300, beside a piece of which it is a part
        expected, likelihood = e_step(lattices)
        lattices.keep(*m_step(expected, sparse=False, least=0.0))
    assert likelihood == pytest.approx(math.log(1 / 4))  # a, then the long piece, each one half
    assert dict(zip(lattices.texts, expected, strict=True)) == pytest.approx({"a": 1, "abbbbb": 1, "b": 0})


@given(st.composite(small_models)())
def test_losses_by_their_definition(model):
    vocabulary, corpus = model
    lattices = lattices_of(vocabulary, corpus)
    found = dict(zip(lattices.texts, prune_losses(lattices), strict=True))

    def best(word, known):
        ways = segmentations(word, known)
        return max(ways, key=lambda way: way[1]) if ways else ((), 0.0)

    ranked = [[way[1] for way in sorted(segmentations(word, vocabulary), key=lambda way: -way[1])] for word in corpus]
    if any(len(ways) > 1 and ways[0] == pytest.approx(ways[1]) for ways in ranked):
        return  # a tie may be broken either way
    paths = {word: best(word, vocabulary)[0] for word in corpus}
    used = {piece: sum(corpus[word] * path.count(piece) for word, path in paths.items()) for piece in vocabulary}
    total, words = sum(used.values()), sum(corpus.values())
    for piece in vocabulary:
        others, chance = best(piece, {text: p for text, p in vocabulary.items() if text != piece})
        if len(piece) == 1:
            assert found[piece] == math.inf
        elif chance == pytest.approx(vocabulary[piece]):
            continue
        elif used[piece] == 0 or chance > vocabulary[piece]:
            assert found[piece] == -math.inf
        else:
            inside = sum(corpus[word] for word, path in paths.items() if piece in path) / words
            after = math.log(total + used[piece] * (len(others) - 1))
            alternative = sum(math.log(used[other] + used[piece]) - after for other in others)
            if len(segmentations(piece, vocabulary)) < 3:  # else the second best may be a tie
                assert found[piece] == pytest.approx(inside * (math.log(used[piece] / total) - alternative))


def test_digamma_is_scipys():
    x = np.concatenate([np.geomspace(1e-6, 1e9, 400), np.arange(1, 40) / 2])
    assert digamma(x) == pytest.approx(scipy_digamma(x), rel=1e-12, abs=1e-12)


def test_units_of_any_length_keep_their_precision():
    """A run of 50,000 letters has a probability far below the smallest number of 64 bits."""
    vocabulary = {"a": 0.001, "aa": 0.0005, "aaa": 0.00001}
    for length in (300, 50_000):
        expected, likelihood = e_step(lattices_of(vocabulary, {"a" * length: 2}))
        forward = [0.0]
        for end in range(1, length + 1):
            forward.append(
                np.logaddexp.reduce([forward[end - n] + math.log(vocabulary["a" * n]) for n in (1, 2, 3) if n <= end])
            )
        assert likelihood == pytest.approx(2 * forward[-1], rel=1e-9)
        assert expected @ [1, 2, 3] == pytest.approx(2 * length, rel=1e-9)


@given(
    st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=20), st.integers(1, 4)),
        min_size=1,
        max_size=8,
        unique_by=lambda x: x[0],
    )
)
def test_seeds_are_the_substrings_followed_by_different_characters_and_whole_units(pairs):
    words, counts = [word for word, _ in pairs], [count for _, count in pairs]
    characters = sorted({each for word in words for each in word})
    totals = [sum(count * word.count(each) for word, count in pairs) for each in characters]
    lattices = seeds(Units(words, np.array(counts), characters, np.array(totals)))
    places = {}
    for number, word in enumerate(words):
        for i, j in itertools.combinations(range(len(word) + 1), 2):
            if 2 <= j - i <= 16:
                places.setdefault(word[i:j], []).append((number, i))
    want = {}
    for text, found in places.items():
        # Of text cut at 16 characters nothing is known about what follows.
        following = {words[n][i + len(text)] if i + len(text) < len(words[n]) else ("end", n) for n, i in found}
        frequency = sum(counts[n] for n, _ in found)
        branches = len(following) > 1 or (len(text) == 16 and len(found) > 1)
        whole = any(words[n] == text for n, _ in found)
        if frequency > 1 and (branches or whole):
            want[text] = frequency * len(text)
    assert set(lattices.texts[len(characters) :]) == set(want)
    scores = np.exp(lattices.scores)
    assert scores[len(characters) :] * (sum(totals) + sum(want.values())) == pytest.approx(
        [want[text] for text in lattices.texts[len(characters) :]]
    )
    for start, word in zip(lattices.starts, words, strict=False):
        for at in range(len(word)):
            edges = lattices.pieces[lattices.first[start + at] : lattices.first[start + at + 1]]
            assert {lattices.texts[each] for each in edges} == {
                each for each in lattices.texts if word.startswith(each, at)
            }
    for text, place in zip(lattices.texts, lattices.places, strict=True):
        assert "\0".join(words)[place : place + len(text)] == text


@pytest.fixture(scope="module")
def texts():
    return [document.text for document in documents()][:600]


@pytest.fixture(scope="module")
def counted(texts):
    return count_units(texts, nmt_nfkc(), 1.0, False)


def test_the_vocabulary_is_exact_and_every_character_survives(texts, counted):
    controls = 37
    for size in (controls + 256 + len(counted.alphabet), 700, 1500):
        tokenizer = unigram.train_unigram(texts, size, coverage=1.0)
        assert tokenizer.vocab_size == size
        pieces = [tokenizer.piece(number) for number in range(size)]
        assert len(set(pieces)) == size
        assert set(counted.alphabet) <= set(pieces)
        assert pieces[:3] == ["<pad>", "<s>", "</s>"]
        assert pieces[37 : 37 + 256] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert ALGORITHMS["unigram"] == "trivium.tokenizers.unigram:train_unigram"


def test_scores_are_sorted_and_exact_in_32_bits(texts):
    tokenizer = unigram.train_unigram(texts, 800, byte_fallback=False)
    model = __import__("json").loads(tokenizer.whole.to_str())["model"]
    scores = [score for _, score in model["vocab"][37:]]
    assert scores == sorted(scores, reverse=True)
    assert all(float(np.float32(score)) == score and score * 1024 == round(score * 1024) for score in scores)


def test_accents_are_taken_off_before_anything_is_learnt(texts, tmp_path):
    """XLNet's recipe: the pieces of what its preprocess_text leaves, and the same ids for a text with accents."""
    accented = [text.replace("e", "\u00e9").replace("o", "o\u0308") + " ``so''" for text in texts]
    straight = [unicodedata.normalize("NFKD", text.replace("``", '"').replace("''", '"')) for text in accented]
    plain = ["".join(sign for sign in text if unicodedata.category(sign) != "Mn") for text in straight]
    stripping = unigram.train_unigram(accented, 600, strip_accents=True)
    assert stripping.whole.get_vocab() == unigram.train_unigram(plain, 600).whole.get_vocab()
    assert stripping.encode_batch(accented) == stripping.encode_batch(plain)
    assert stripping.normalise("``Caf\u00e9''") == '"Cafe"'
    again = Tokenizer.load(_saved(stripping, tmp_path))
    assert again.encode(accented[0]).ids == stripping.encode(plain[0]).ids
    with pytest.raises(SettingsError, match="does not follow SentencePiece's conventions"):
        sentencepieces_of(stripping)


def _saved(tokenizer, folder):
    tokenizer.save(folder)
    return folder


def test_sizes_that_cannot_be(texts):
    with pytest.raises(
        SettingsError, match=r"vocabulary size 300 is too small: 37 special tokens, 256 bytes and \d+ char"
    ):
        unigram.train_unigram(texts, 300)
    with pytest.raises(DataError, match=r"a vocabulary of 90000 was asked for, .* supports only \d+ tokens") as error:
        unigram.train_unigram(texts[:3], 90_000)
    supported = int(str(error.value).split("only ")[1].split()[0])
    assert unigram.train_unigram(texts[:3], supported).vocab_size == supported
    assert unigram.train_unigram(texts[:3], supported - 1).vocab_size == supported - 1
    with pytest.raises(DataError):
        unigram.train_unigram(texts[:3], supported + 1)
    for empty in ([], ["", " \n"]):
        with pytest.raises(DataError, match="no text to learn"):
            unigram.train_unigram(empty, 400)
    for setting in ({"prune": 0.0}, {"prune": 1.0}, {"coverage": 0.0}, {"coverage": 1.5}):
        with pytest.raises(SettingsError, match="no share"):
            unigram.train_unigram(texts, 800, **setting)


def test_the_number_of_threads_changes_nothing(texts, monkeypatch):
    monkeypatch.setattr(expectation, "_SMALL_WORK", 10)
    one = unigram.train_unigram(texts, 900, threads=1)
    assert one.fingerprint == unigram.train_unigram(iter(texts), 900, threads=3).fingerprint
    assert one.fingerprint != unigram.train_unigram(texts, 900, sparse=False).fingerprint


@pytest.mark.parametrize("prune", [0.1, 0.2, 0.25])
def test_a_round_drops_the_share_asked_for(counted, monkeypatch, prune):
    sizes = []
    losses = expectation.prune_losses

    def recorded(lattices, threads):
        found = losses(lattices, threads)
        sizes.append((len(found), int((found == -np.inf).sum())))
        return found

    monkeypatch.setattr(expectation, "prune_losses", recorded)
    lattices = seeds(counted)
    fit(lattices, 300, prune)
    assert 300 <= len(lattices.texts) <= 330
    rounds = list(zip(sizes, [*(size for size, _ in sizes[1:]), len(lattices.texts)], strict=True))
    assert len(rounds) > 3
    for (size, unused), after in rounds[:-1]:  # the M step may drop a few more
        target = max(330, int((1 - prune) * size))
        assert after <= target
        assert after >= 0.9 * min(target, size - unused)


def test_likelihood_is_no_worse_than_the_libraries_trainers():
    """The same text and size: bits of the held-out text under each model's own segmentation, and its tokens."""
    import tokenizers

    everything = [document.text for document in documents()]
    train, held = everything[::2][:1500], everything[1::2][:300]
    ours = unigram.train_unigram(train, 2000 + 37, byte_fallback=False, coverage=1.0)
    peer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    peer.normalizer = ours.whole.normalizer
    peer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Metaspace(), tokenizers.pre_tokenizers.UnicodeScripts()]
    )
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=2001, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    peer.train_from_iterator(train, trainer)
    lengths = [sum(len(each.ids) for each in each.encode_batch(held)) for each in (ours.plain, peer)]
    assert lengths[0] < 1.02 * lengths[1]


@pytest.mark.slow
def test_pieces_are_mostly_sentencepieces():
    import io

    import sentencepiece

    train = [line for document in documents() for line in document.text.split("\n") if line][:20_000]
    ours = unigram.train_unigram(train, 4000 + 37 - 3 + 253, coverage=0.9995)
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(train), model_writer=file, vocab_size=4000 + 256, byte_fallback=True, minloglevel=2
    )
    peer = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
    mine = {ours.piece(number) for number in range(ours.vocab_size)}
    theirs = {peer.id_to_piece(number) for number in range(peer.get_piece_size())}
    assert len(mine & theirs) / len(theirs) > 0.8
    rows = random.Random(1).sample(train, 2000)
    assert sum(map(len, ours.encode_batch(rows))) < 1.01 * sum(map(len, peer.encode(rows)))


@settings(max_examples=20)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_can_be_learnt_from_or_says_why(texts_):
    try:
        tokenizer = unigram.train_unigram(texts_, 37 + 256 + 40)
    except (DataError, SettingsError) as error:
        assert str(error)
    else:
        assert tokenizer.vocab_size == 333
