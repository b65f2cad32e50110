from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from transformers import AutoTokenizer

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES
from trivium.settings import build, dump
from trivium.tasks import Tagging, WordTags, predict_all
from trivium.tasks.word_pieces import encode_words, windows
from trivium.tasks.word_scores import word_scores
from trivium.text.examples import Located, Tagged
from trivium.text.tag_schemes import misplaced
from trivium.tokenizers import train_bpe
from trivium.tokenizers.characters import train_characters
from trivium.tokenizers.unigram import train_unigram
from trivium.tokenizers.wordpiece import train_wordpiece
from trivium.transformer import TOKEN, Model, initialise

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
LINES = [
    "I'm so excited about the winter storm warning.",
    "The cat sat on the mat, and my dog is hairy; after such a late night we drive home.",
] * 20
SENTENCES = [
    Tagged(("the", "winter", "storm"), ("O", "B-LOC", "I-LOC")),
    Tagged(("hairy", "(", "dogs", ")", "drive", "!?", "home-warning"), ("B-PER", "I-PER", "O", "O", "O", "O", "B-LOC")),
    Tagged(("cat",), ("B-PER",)),
]


@pytest.mark.parametrize(("train", "size"), [(train_bpe, 300), (train_wordpiece, 100), (train_unigram, 330)])
def test_pieces_of_words_are_those_that_transformers_gives(train, size, tmp_path):
    tokenizer = train(LINES, size)
    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    words = ["The", "excited", "(", "storm", ")", "home-cat", "naïve", "1", "000"]
    (found,) = encode_words([words], tokenizer)
    whole = theirs(" ".join(words), add_special_tokens=False)["input_ids"]
    assert [number for word in found for number in word.ids] == whole
    for word, pieces in zip(words[1:], found[1:], strict=True):  # " word" where the space is a part of it
        plain = tokenizer.normalise(word).strip(" ▁")
        assert tokenizer.decode(pieces.ids).strip() == plain or tokenizer.unknown in pieces.ids


def test_a_space_by_itself_is_no_piece_of_a_word():
    tokenizer = train_characters(LINES, 60)
    first, second = encode_words([("cat", "dog")], tokenizer)[0]
    assert first.spaces == 0 and second.spaces == 1
    assert tokenizer.decode(second.ids[1:]) == "dog"


def test_a_word_that_a_tokenizer_drops_is_unknown():
    tokenizer = train_wordpiece(LINES, 100)
    (found,) = encode_words([("cat", "\u200b\u0000", "dog")], tokenizer)
    assert all(word.ids for word in found) and found[1].ids == (tokenizer.unknown,)


@pytest.mark.parametrize(("sizes", "room"), [([1] * 10, 4), ([3, 1, 4, 4, 1, 1, 2], 4), ([2, 2], 4), ([5], 5)])
def test_windows_own_each_word_once(sizes, room):
    found = windows(sizes, room)
    assert [n for window in found for n in range(window.own_first, window.own_last)] == list(range(len(sizes)))
    for window in found:
        assert sum(sizes[window.first : window.last]) <= room
        assert window.first <= window.own_first < window.own_last <= window.last


@pytest.mark.parametrize(("decide", "expected"), [
    ("first", (0.6, 0.4)), ("mean", (0.366667, 0.633333)), ("product", (0.138462, 0.861538)), ("max", (3 / 7, 4 / 7)),
])  # fmt: skip
def test_a_words_distribution_from_its_pieces(decide, expected):
    """Lecture 1: three pieces, (.6, .4), (.2, .8) and (.3, .7); the maxima .6 and .8 are brought to 1 in sum."""
    rows = torch.tensor([[0.5, 0.5], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
    targets = {"firsts": torch.tensor([[1, 4, -1]]), "words": torch.tensor([[-1, 0, 0, 0, 1]])}
    scores = (rows.log() + 3)[None].requires_grad_()  # of scores only differences count
    words = word_scores(scores, targets, decide)
    assert words[0, 0].exp().tolist() == pytest.approx(expected, abs=1e-6)
    assert words[0, 1].exp().tolist() == pytest.approx([0.9, 0.1], abs=1e-6)
    assert words[0, 2].exp().tolist() == pytest.approx([0.5, 0.5])  # a word without a piece
    words.sum().backward()
    assert scores.grad.isfinite().all()


def built(family, task, tokenizer):
    config = task.configure(FAMILIES[family].size("tiny", tokenizer.vocab_size), FAMILIES[family].heads)
    model = initialise(Model(config, task.heads(config, FAMILIES[family].heads)), 0).eval()
    if task.crf:
        generator = torch.Generator().manual_seed(5)
        for parameter in model.heads[TOKEN].chain.parameters():
            parameter.data.normal_(0, 0.05, generator=generator)
    return model, task.layout(tokenizer, config)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("settings", [{}, {"train_on": "first"}, {"decide": "mean"}, {"crf": True, "decide": "max"}])
@pytest.mark.parametrize("length", [None, 9])
def test_a_sentence_does_not_depend_on_its_neighbours(family, settings, length, tokenizer):
    task = Tagging(LABELS, length=length, **settings)
    model, tokenizer = built(family, task, tokenizer)
    items = task.encode(SENTENCES, tokenizer, model.config)
    assert (len(items) > 3) is (length == 9) and bool(items.notes) is (length == 9)
    together = predict_all(task, model, SENTENCES, items)
    small = predict_all(task, model, SENTENCES, items, tokens=1)
    for example, a, b in zip(SENTENCES, together, small, strict=True):
        assert a.tags == b.tags and len(a.tags) == len(example.words)
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)
        np.testing.assert_allclose(a.probabilities.sum(1), 1, atol=1e-5)
    if task.crf:
        assert all(task._forbidden()[1][p.chosen[0]] == 0 for p in together)
    whole = task.batch(items, np.arange(len(items)))
    parts = [task.batch(items, np.array([n])) for n in range(len(items))]
    losses = [task.loss(model, batch)[TOKEN] for batch in (whole, *parts)]
    assert losses[0].count == sum(loss.count for loss in losses[1:]) == whole.counts[TOKEN]
    torch.testing.assert_close(losses[0].total, sum(loss.total for loss in losses[1:]), rtol=1e-5, atol=1e-4)


def test_later_pieces_of_a_beginning_are_inside(tokenizer):
    (row, *_) = Tagging(LABELS).encode(SENTENCES[1:], tokenizer, FAMILIES["bert"].size("tiny", 340)).rows
    tags = [LABELS[tag] for tag in row.piece_tags[row.words == 6]]
    assert len(tags) > 1 and set(tags[1:]) == {"I-LOC"} and tags[0] == "B-LOC"
    (row, *_) = Tagging(LABELS, b_to_i=False).encode(SENTENCES[1:], tokenizer, FAMILIES["bert"].size("tiny", 340)).rows
    assert {LABELS[tag] for tag in row.piece_tags[row.words == 6]} == {"B-LOC"}


def test_a_chain_never_says_what_is_illegal(tokenizer):
    task = Tagging(LABELS, crf=True)
    model, tokenizer = built("bert", task, tokenizer)
    model.heads[TOKEN].classifier.bias.data.copy_(torch.tensor([0.0, 0.0, 9.0, 0.0, 8.0]))  # I- everywhere
    said = predict_all(task, model, SENTENCES, task.encode(SENTENCES, tokenizer, model.config))
    assert all(misplaced(each.tags, "bio") is None for each in said)
    assert {tag[0] for each in said for tag in each.tags[1:]} == {"I"}


def test_texts_become_words_with_characters():
    task = Tagging(LABELS)
    example = task.example("x", {"text": "Anna  lives in New York."}, {}, False)
    assert example.words == ("Anna", "lives", "in", "New", "York", ".")
    tags = ("B-PER", "O", "O", "B-LOC", "I-LOC", "O")
    said = WordTags(example, tags, np.array([3, 0, 0, 1, 2, 0]), np.eye(6, 5), True)
    assert said.row()["entities"] == [
        {"type": "PER", "text": "Anna", "start": 0, "end": 4, "first": 0, "last": 0},
        {"type": "LOC", "text": "New York", "start": 15, "end": 23, "first": 3, "last": 4},
    ]
    assert task.example("x", {"pos": ["N"], "words": ["a"]}, {"tags": "pos"}, True) == Tagged(("a",), ("N",))


@pytest.mark.parametrize(("row", "message"), [
    ({"words": ["a", "b"], "tags": ["O"]}, "a.conll:7: 2 words in 'words' but 1 tags in 'tags'"),
    ({"words": [], "tags": []}, "a.conll:7: 'words' holds no words"),
    ({"words": ["a", " "], "tags": ["O", "O"]}, "a.conll:7: 'words' holds ' '"),
    ({"words": ["a"], "tag": ["O"]}, "no column 'tags' .*did you mean 'tag'"),
    ({"words": "a b", "tags": ["O"]}, "'words' is str, not a list"),
])  # fmt: skip
def test_rows_that_are_no_sentences(row, message):
    with pytest.raises(DataError, match=message):
        Tagging().example("a.conll:7", row, {}, True)


def located(*tags):
    sentences = [tuple(each.split()) for each in tags]
    return [Located(Tagged(tuple("abcdefg"[: len(s)]), s), f"a.conll:{n}") for n, s in enumerate(sentences)]


def test_learnt_from_the_training_examples():
    learnt = Tagging().learn(located("I-A I-A O", "I-A B-A"), located("O I-A"))
    assert learnt.iob1 and learnt.labels == ("O", "B-A", "I-A") and learnt.main == "f1"
    assert learnt.gold(located("O I-A I-A")[0].example) == ("O", "B-A", "I-A")
    assert Tagging().learn(located("NOUN VERB"), []).main == "accuracy"
    for train, dev, message in [
        (["B-A I-A O", "O I-A"], [], "a.conll:1: word 2 \\('b'\\) has the tag 'I-A' behind 'O', which BIO does not"),
        (["B-A I-A O"], ["I-A"], "a.conll:0: word 1 \\('a'\\) has the tag 'I-A' at the beginning"),
        (["B-A E-A S-A", "O B-A"], [], "the last word \\('b'\\) has the tag 'B-A', and its entity does not end"),
        (["O O"], [], "all words have the tag 'O'"),
        (["O B-A"], ["B-C"], "a.conll:0: word 1 \\('a'\\) has the tag 'B-C', which does not occur"),
    ]:
        with pytest.raises(DataError, match=message):
            Tagging().learn(located(*train), located(*dev))


@pytest.mark.parametrize(("settings", "message"), [
    ({"compare": True, "crf": True}, "compare = true asks all pieces of a word for its tag: leave out crf"),
    ({"compare": True, "train_on": "first"}, "leave out crf, train_on"),
    ({"crf": True, "class_weights": "balanced"}, "no tag counts by itself: leave out class_weights"),
    ({"class_weights": {"O": 0.0}}, "class_weights has 0.0 for 'O': it must be above 0"),
    ({"crf": True, "train_on": "first"}, "a CRF is trained on words"),
    ({"constrained": True}, "set crf = true"),
    ({"decide": "mean", "train_on": "first"}, "asks all pieces"),
    ({"decide": "mean", "b_to_i": True}, "b_to_i = true"),
    ({"labels": ("O",)}, "only one tag"),
])  # fmt: skip
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(SettingsError, match=message):
        Tagging(**settings)


def test_class_weights_are_those_of_the_weighted_cross_entropy(tokenizer):
    weights = {"O": 0.25, "B-LOC": 3.0}
    task = Tagging(LABELS, class_weights=weights, train_on="first")
    model, tokenizer = built("bert", task, tokenizer)
    batch = task.batch(task.encode(SENTENCES, tokenizer, model.config), np.arange(3))
    found = task.loss(model, batch)[TOKEN]
    surprises = [outcome.loss for outcome in task.outcomes(
        predict_all(task, model, SENTENCES, task.encode(SENTENCES, tokenizer, model.config)), SENTENCES
    )]  # fmt: skip
    tags = [tag for example in SENTENCES for tag in example.tags]
    expected = sum(weights.get(tag, 1.0) * surprise for tag, surprise in zip(tags, surprises, strict=True))
    assert float(found.total.detach()) == pytest.approx(expected, rel=1e-5) and found.count == len(tags)
    pieces = Tagging(LABELS, class_weights={"O": 1e-9, **dict.fromkeys(LABELS[1:], 1.0)})
    plain = Tagging(LABELS)
    only = [Tagged(("cat", "winter"), ("O", "O"))]
    batch = plain.batch(plain.encode(only, tokenizer, model.config), np.array([0]))
    with torch.no_grad():
        assert float(pieces.loss(model, batch)[TOKEN].total) < 1e-6 < float(plain.loss(model, batch)[TOKEN].total)


def test_balanced_weights_are_those_of_scikit_learn():
    tags = [tag for example in SENTENCES for tag in example.tags]
    learnt = Tagging(class_weights="balanced").learn([Located(each, "f:1") for each in SENTENCES], [])
    expected = compute_class_weight("balanced", classes=np.array(learnt.labels), y=np.array(tags))
    assert [learnt.class_weights[label] for label in learnt.labels] == pytest.approx(expected.tolist())
    assert build(Tagging, dump(learnt)) == learnt  # as it is saved
    with pytest.raises(SettingsError, match="class_weights names 'B-ORG', which training does not have: choose"):
        Tagging(class_weights={"B-ORG": 2.0}).learn([Located(each, "f:1") for each in SENTENCES], [])
    with pytest.raises(SettingsError, match="class_weights"):
        build(Tagging, {"class_weights": "balance"})


@pytest.mark.parametrize("length", [None, 9])
def test_every_way_to_decide_is_scored_of_one_model(length, tokenizer):
    task = Tagging(LABELS, compare=True, length=length)
    model, tokenizer = built("bert", task, tokenizer)
    items = task.encode(SENTENCES, tokenizer, model.config)
    predicted = predict_all(task, model, SENTENCES, items)
    scores = task.score(predicted, SENTENCES)
    said = set()
    for decide in ("first", "product", "mean", "max"):
        alone = replace(task, decide=decide, compare=False)
        other = predict_all(alone, model, SENTENCES, items)
        assert [each.others[decide] for each in predicted] == [each.tags for each in other]
        assert scores[f"f1_{decide}"] == alone.score(other, SENTENCES)["f1"]
        said.add(tuple(each.tags for each in other))
    assert len(said) > 1  # else nothing was compared
    assert scores["f1"] == scores["f1_first"]
    assert task._later().tolist() == list(range(5))  # no way to decide is favoured by what later pieces learn
