import json
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise, network
from trivium.metrics.answers import exact_match, token_f1
from trivium.tasks import Answering, predict_all
from trivium.tasks.answer_spans import Best, answered, best_places, ranked
from trivium.tasks.passages import Passage, encode_questions, windows
from trivium.text.examples import Answer, Located, Question
from trivium.tokenizers import train_bpe
from trivium.tokenizers.unigram import train_unigram
from trivium.tokenizers.wordpiece import train_wordpiece
from trivium.transformer import SPAN

LINES = [
    "The cat sat on the mat, and my dog is hairy; after such a late night we drive home.",
    "Who sat on the mat? What is hairy? When do we drive?",
] * 20
CONTEXT = "The cat sat on the mat, and my dog is hairy; after such a late night we drive home."
LONG = " ".join([CONTEXT] * 3)
FAMILIES_WITH_ANSWERS = ["bert", "roberta", "distilbert", "spanbert", "xlnet", "bart", "t5", "gpt2", "gpt1", "llama"]


def question(text, asked="Who sat?", context=CONTEXT):
    return Question(asked, context, (Answer(text, context.index(text)),) if text else ())


@cache
def trained(name):
    """WordPiece with pieces of words or whole words, byte-level BPE, Unigram."""
    train, size = {
        "wordpiece": (train_wordpiece, 70), "words": (train_wordpiece, 87), "bpe": (train_bpe, 300),
        "unigram": (train_unigram, 330),
    }[name]  # fmt: skip
    return train(LINES, size)


def built(family, task=None):
    tokenizer = trained("wordpiece" if family in ("bert", "distilbert", "spanbert") else "bpe")
    task = task or Answering(length=40, stride=8, max_query=6)
    published = FAMILIES[family].heads
    size = "tiny" if "tiny" in FAMILIES[family].sizes else next(iter(FAMILIES[family].sizes))
    body = FAMILIES[family].size(size, tokenizer.vocab_size, pad_token=tokenizer.pad)
    config = task.configure(body, published)
    model = initialise(network(config, task.heads(config, published)), 0).eval()
    return task, model, task.layout(tokenizer, config)


# ---- windows ----


def test_windows_of_the_worked_example():
    """Ten tokens, windows of five, one after every two; tokens 0-3 count in window 0, 4-5 in 1, 6-7 in 2, 8-9 in 3."""
    found = windows(10, 5, 2)
    assert [(window.first, window.size) for window in found] == [(0, 5), (2, 5), (4, 5), (6, 4)]
    owned = [list(window.first + np.flatnonzero(window.own)) for window in found]
    assert owned == [[0, 1, 2, 3], [4, 5], [6, 7], [8, 9]]


@given(st.integers(0, 70), st.integers(1, 20), st.integers(1, 25))
def test_windows_are_those_of_run_squad(count, room, stride):
    expected, start = [], 0
    while True:
        length = min(room, count - start)
        expected.append((start, length))
        if start + length == count:
            break
        start += min(length, stride)
    found = windows(count, room, stride)
    assert [(window.first, window.size) for window in found] == expected
    for token in range(count):
        best, owner = None, None
        for number, (first, size) in enumerate(expected):
            if first <= token < first + size:
                context = min(token - first, first + size - 1 - token) + 0.01 * size
                if best is None or context > best:
                    best, owner = context, number
        owners = [n for n, w in enumerate(found) if w.first <= token < w.first + w.size and w.own[token - w.first]]
        assert owners == [owner]


@pytest.mark.parametrize("family", ["bert", "roberta", "t5"])
def test_ids_are_those_of_transformers(family, tmp_path):
    task, model, tokenizer = built(family)
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    items = task.encode([question("cat", context=LONG)], tokenizer, model.config)
    room = int(items.rows[0].window.size)
    expected = theirs(
        "Who sat?", LONG, max_length=40, stride=room - 8, truncation="only_second", return_overflowing_tokens=True
    )
    assert len(items) > 5 and [row.ids.tolist() for row in items.rows] == expected["input_ids"]
    if family == "bert":
        assert [row.segments.tolist() for row in items.rows] == expected["token_type_ids"]


def test_where_the_summary_comes_last_the_passage_comes_first():
    task, model, tokenizer = built("xlnet")
    row = task.encode([question("")], tokenizer, model.config).rows[0]
    assert row.ids[-1] == tokenizer.classify and row.nowhere == len(row.ids) - 1 and row.offset == 0
    assert row.target == (row.nowhere, row.nowhere) and sorted(set(row.segments)) == [0, 1, 2]
    task, model, tokenizer = built("gpt2")
    row = task.encode([question("")], tokenizer, model.config).rows[0]
    assert row.ids[-1] == tokenizer.end and row.nowhere == len(row.ids) - 1 and row.offset > 0


# ---- targets ----


@pytest.mark.parametrize("family", FAMILIES_WITH_ANSWERS)
@pytest.mark.parametrize("text", ["The cat", "hairy", "drive home.", "after such a late night"])
def test_targets_are_the_answers_tokens_in_each_window_that_holds_it(family, text):
    task, model, tokenizer = built(family)
    items = task.encode([question(text)], tokenizer, model.config)
    passage, held = items.passages[0], 0
    for row in items.rows:
        if row.target == (row.nowhere, row.nowhere):
            continue
        held += 1
        first, last = (place - row.offset + row.window.first for place in row.target)
        start, end = passage.span(first, last)
        assert CONTEXT[start:end] == text
        if "[UNK]" not in (said := tokenizer.decode(row.ids[row.target[0] : row.target[1] + 1], skip_special=False)):
            assert said.strip() in (text, text.lower())
    assert 0 < held and items.notes[0].startswith("1 of 1 questions have passages that are read in windows")


def test_an_answer_inside_a_token_takes_the_whole_token():
    tokenizer = trained("words").with_layout("classify")
    items = encode_questions([question("air")], tokenizer, 60, 20, 10, 30, segments=True, decoder=False)
    (row,) = [row for row in items.rows if row.target != (0, 0)][:1]
    first, last = (place - row.offset + row.window.first for place in row.target)
    start, end = items.passages[0].span(first, last)
    assert CONTEXT[start:end] == "hairy" and any("inside a token" in each for each in items.notes)


def test_what_is_cut_or_cannot_be_found_is_counted():
    task, model, tokenizer = built("bert", Answering(length=40, stride=30, max_query=3, max_answer=4))
    examples = [question("The cat sat on the mat, and my"), question("cat", "Who? Who?")]
    items = task.encode(examples, tokenizer, model.config)
    assert items.truncated == 2
    assert any(each.startswith("1 of 2 questions have answers longer than 4 tokens") for each in items.notes)
    with pytest.raises(SettingsError, match="a length of 6 tokens leaves no room for a passage beside a question of 3"):
        Answering(length=6, max_query=3).encode([question("cat")], tokenizer, model.config)


# ---- loss and scores beside transformers ----


@pytest.mark.parametrize("family", [name for name in FAMILIES_WITH_ANSWERS if name != "gpt1"])
def test_loss_and_scores_are_those_of_transformers(family, tmp_path):
    task, model, tokenizer = built(family)
    huggingface.save(model, FAMILIES[family], tokenizer, tmp_path)
    theirs = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path).eval()
    items = task.encode([question("dog"), question("")], tokenizer, model.config)
    full = np.flatnonzero(items.lengths == items.lengths.max())
    assert len(full) > 1
    batch = task.batch(items, full)  # no padding, which theirs would count
    tokens = batch.inputs.source
    given = {"input_ids": tokens.ids} | ({} if tokens.segments is None else {"token_type_ids": tokens.segments})
    target = batch.targets[SPAN]
    with torch.no_grad():
        said = theirs(**given, start_positions=target[:, 0], end_positions=target[:, 1])
        scores, loss = task.scores(model, batch), task.loss(model, batch)[SPAN]
    torch.testing.assert_close(scores, torch.stack([said.start_logits, said.end_logits], -1), rtol=1e-4, atol=1e-5)
    assert float(loss.total) / loss.count == pytest.approx(float(said.loss), rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES_WITH_ANSWERS)
def test_loss_and_answers_do_not_depend_on_the_batch(family):
    task, model, tokenizer = built(family, Answering(length=40, stride=8, max_query=6, unanswerable=True))
    examples = [question("cat"), question("", "Why?"), question("hairy", "What is?", LONG), Question("?", "Home.")]
    items = task.encode(examples, tokenizer, model.config)
    with torch.no_grad():
        together = task.loss(model, task.batch(items, np.arange(len(items))))[SPAN]
        alone = [task.loss(model, task.batch(items, np.array([n])))[SPAN] for n in range(len(items))]
    assert float(together.total) == pytest.approx(sum(float(each.total) for each in alone), rel=1e-5)
    assert together.count == sum(each.count for each in alone) == len(items)
    said = [predict_all(task, model, examples, items, tokens) for tokens in (1, 100, 10_000)]
    windows_of = np.bincount(items.examples)
    assert sum(each.loss * count for each, count in zip(said[0], windows_of, strict=True)) == pytest.approx(
        float(together.total), rel=1e-5
    )
    assert task.score(said[1], examples)["loss"] == pytest.approx(np.mean([each.loss for each in said[0]]), rel=1e-5)
    for one, other in zip(said[0], said[1], strict=True):
        assert [span[:3] for span in one.spans[:5]] == [span[:3] for span in other.spans[:5]]
        assert one.margin == pytest.approx(other.margin, abs=1e-5)
    assert [each.row()["answer"] for each in said[1]] == [each.row()["answer"] for each in said[2]]


# ---- from scores to answers ----


def by_loops(passage, rows, scores, keep, longest):
    """run_squad.py's candidates and n-best, one pair after the other, of (T, 2) scores of each window."""
    found = []
    for row, each in zip(rows, scores, strict=True):
        places = range(row.offset, row.offset + row.window.size)
        begin = sorted((p for p in places if row.window.own[p - row.offset]), key=lambda p: -each[p, 0])[:keep]
        for first in begin:
            for last in sorted(places, key=lambda p: -each[p, 1])[:keep]:
                if first <= last < first + longest:
                    shift = row.window.first - row.offset
                    found.append((each[first, 0] + each[last, 1], first + shift, last + shift))
    kept = {}
    for score, first, last in sorted(found, key=lambda one: -one[0]):
        text = passage.text[passage.starts[first] : passage.ends[last]].strip()
        if text and text not in kept:
            kept[text] = score
    return list(kept.items())[:keep]


@pytest.mark.parametrize("family", ["bert", "xlnet", "gpt2"])
@pytest.mark.parametrize(("keep", "longest"), [(20, 30), (3, 2), (4, 1), (60, 8)])
def test_the_best_answers_by_brute_force(family, keep, longest):
    task, model, tokenizer = built(family, Answering(length=40, stride=8, max_query=6, n_best=keep, max_answer=longest))
    items = task.encode([question("cat", context=LONG)], tokenizer, model.config)
    batch = task.batch(items, np.arange(len(items)))
    scores = torch.randn(len(items), batch.targets["own"].shape[1], 2, generator=torch.Generator().manual_seed(keep))
    target = batch.targets
    best = best_places(scores, target["own"], target["within"], target["shift"], target["nowhere"], keep)
    found = ranked(items.passages[0], best, keep, longest)
    expected = by_loops(items.passages[0], items.rows, scores.double().numpy(), keep, longest)
    assert [text for text, *_ in found] == [text for text, _ in expected]
    assert [span[3] for span in found] == pytest.approx([score for _, score in expected], abs=1e-6)
    silent = [float(scores[n, row.nowhere].sum()) for n, row in enumerate(items.rows)]
    made = answered(question("cat"), items.passages[0], best, keep, longest, threshold=0.0)
    assert made.margin == pytest.approx(min(silent) - expected[0][1], abs=1e-5)
    whole = torch.tensor([score for _, score in expected] + [min(silent)]).softmax(0)
    assert [span.probability for span in made.spans] + [made.no_answer] == pytest.approx(whole.tolist(), abs=1e-5)


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=40), st.sampled_from(["bpe", "wordpiece", "unigram"]), st.integers(0, 1000))
def test_an_answer_is_a_stretch_of_the_original_text(context, name, seed):
    tokenizer = trained(name)
    tokenizer = tokenizer.with_layout("classify" if tokenizer.classify is not None else "end")
    items = encode_questions([Question("Who?", context)], tokenizer, 24, 4, 8, 30, segments=False, decoder=False)
    task = Answering(n_best=5)
    batch = task.batch(items, np.arange(len(items)))
    target = batch.targets
    scores = torch.randn(*target["own"].shape, 2, generator=torch.Generator().manual_seed(seed))
    best = best_places(scores, target["own"], target["within"], target["shift"], target["nowhere"], 5)
    (made,) = task.predictions([Question("Who?", context)], items, best)
    for span in made.spans:
        assert span.text == context[span.start : span.end] == span.text.strip() != ""
    row = made.row()
    assert row["answer"] == ("" if row["start"] is None else context[row["start"] : row["end"]])
    assert json.loads(json.dumps(row)) == row
    assert sum(span.probability for span in made.spans) + made.no_answer == pytest.approx(1)


def test_a_passage_of_which_nothing_is_left_has_no_answer():
    passage = Passage("\u200b", np.array([], int), np.array([], int), np.array([], int))
    nothing = Best(*(np.full(3, -np.inf) if part % 2 == 0 else np.zeros(3, int) for part in range(4)), 0.5)
    made = answered(Question("?", "\u200b"), passage, [nothing], 3, 30, None)
    assert made.row() == {"answer": "", "start": None, "end": None, "probability": 1.0, "alternatives": []}


@pytest.mark.parametrize("family", ["bert", "xlnet"])
def test_an_answer_anywhere_in_a_long_text_is_found(family):
    """A model that knows the answer: whichever token it is, one window gives it, and its characters are right."""
    task, model, tokenizer = built(family)
    items = task.encode([Question("Who sat?", LONG)], tokenizer, model.config)
    passage = items.passages[0]
    assert len(items) > 10
    batch = task.batch(items, np.arange(len(items)))
    target = batch.targets
    spans = {token: passage.span(token, token) for token in range(len(passage.ids))}
    written = [token for token, (start, end) in spans.items() if start < end]  # all but spaces by themselves
    assert len(written) > 60
    for token in written:
        scores = torch.zeros(*target["own"].shape, 2)
        for number, row in enumerate(items.rows):
            if row.window.first <= token < row.window.first + row.window.size:
                scores[number, token - row.window.first + row.offset] = 10.0
        best = best_places(scores, target["own"], target["within"], target["shift"], target["nowhere"], 20)
        (made,) = task.predictions([Question("Who sat?", LONG)], items, best)
        assert made.spans[0][1:3] == spans[token] and made.spans[0].score == 20.0


# ---- questions without an answer ----


def with_margin(task, text, margin, example):
    start = example.context.index(text)
    passage = Passage(example.context, np.array([0]), np.array([start]), np.array([start + len(text)]))
    best = Best(np.array([0.0]), np.array([0]), np.array([0.0]), np.array([0]), margin)
    return answered(example, passage, [best], 20, 30, task._threshold)


def test_the_threshold_is_the_best_on_dev():
    generator, texts = np.random.default_rng(0), ["The cat", "cat", "hairy", "my dog"]
    task = Answering(unanswerable=True)
    examples = [question(texts[n % 4] if n % 3 else "") for n in range(60)]
    margins = [generator.normal(0 if each.answers else 1) for each in examples]
    said = [
        with_margin(task, texts[generator.integers(4)], margin, each)
        for margin, each in zip(margins, examples, strict=True)
    ]
    settled = task.settled(said, examples)
    scores = settled.score(said, examples)

    def at(threshold):
        right = []
        for each, example in zip(said, examples, strict=True):
            text = "" if each.margin > threshold else each.spans[0].text
            right.append(max((token_f1(text, each.text) for each in example.answers), default=float(text == "")))
        return float(np.mean(right))

    assert scores["f1"] == pytest.approx(max(at(each.margin) for each in said))
    assert scores["f1"] == pytest.approx(at(settled.null_threshold)) and scores["f1"] > task.score(said, examples)["f1"]
    assert {"exact", "answerable_f1", "unanswerable_exact"} <= set(scores)
    assert scores["unanswerable_f1"] == scores["unanswerable_exact"]
    fixed = Answering(unanswerable=True, null_threshold=-0.5)
    assert fixed.settled(said, examples) == fixed
    assert task.settled(said[1:2], examples[1:2]) == task  # dev has one kind alone


def test_null_is_said_only_where_training_had_it():
    example = question("cat")
    silent = with_margin(Answering(unanswerable=True), "cat", 3.0, example)
    assert silent.answer is None and silent.row()["answer"] == "" and silent.row()["start"] is None
    assert silent.row()["no_answer_probability"] == silent.row()["probability"] > 0.9
    assert silent.row()["alternatives"][0]["answer"] == "cat"
    always = with_margin(Answering(), "cat", 3.0, example)
    assert always.row() == {"answer": "cat", "start": 4, "end": 7, "probability": 1.0, "alternatives": []}


def test_outcomes_are_decisions():
    task = Answering(unanswerable=True)
    examples = [question("The cat"), question(""), question("hairy")]
    said = [with_margin(task, "cat", -1.0, examples[0]), with_margin(task, "cat", 1.0, examples[1]),
            with_margin(task, "my dog", -1.0, examples[2])]  # fmt: skip
    first, second, third = task.outcomes(said, examples)
    assert (first.gold, first.said) == ("cat", "cat") and exact_match("The cat", "cat")
    assert first.loss == pytest.approx(float(-torch.tensor([0.0, -1.0]).log_softmax(0)[0]), abs=1e-6)
    assert (second.gold, second.said) == ("(no answer)", "(no answer)") and second.loss < 0.4
    assert (third.gold, third.said) == ("hairy", "my dog") and third.loss > 60 and third.text == "Who sat?"


# ---- learning and refusals ----


def test_learning_finds_out_whether_there_may_be_no_answer():
    answerable, silent = Located(question("cat"), "f:1"), Located(question(""), "f:2")
    assert Answering().learn([answerable], [answerable]).unanswerable is False
    assert Answering().learn([answerable, silent], [silent]).unanswerable is True
    with pytest.raises(DataError, match="f:2 has no answer, but every training question has one: add such"):
        Answering().learn([answerable], [silent])
    assert Answering(unanswerable=True).learn([answerable], [silent]).unanswerable
    with pytest.raises(DataError, match="f: none of the 1 questions has an answer"):
        Answering().learn([silent], [])
    with pytest.raises(DataError, match="f:3: the answer 'dog' in 'answers' does not begin at character 3"):
        Answering().learn([Located(Question("?", "a dog, my dog", (Answer("dog", 3),)), "f:3")], [])


@pytest.mark.parametrize(("options", "message"), [
    ({"stride": 0}, "stride = 0: it must be at least 1"), ({"n_best": -1}, "n_best = -1"),
    ({"null_threshold": float("nan")}, "null_threshold = nan: it must be a finite number"),
])  # fmt: skip
def test_settings_that_cannot_be(options, message):
    with pytest.raises(SettingsError, match=message):
        Answering(**options)


def test_a_network_that_spells_is_refused():
    with pytest.raises(SettingsError, match="answers are not found by a network that spells words"):
        Answering().configure(FAMILIES["elmo"].size(next(iter(FAMILIES["elmo"].sizes)), 100), {})


def test_an_answer_of_a_tokenizer_that_drops_it_is_counted():
    tokenizer = trained("wordpiece").with_layout("classify")
    example = Question("Who?", "the \u200b cat", (Answer("\u200b", 4),))
    items = encode_questions([example], tokenizer, 40, 8, 8, 30, segments=False, decoder=False)
    assert items.rows[0].target == (0, 0) and "the tokenizer leaves nothing" in items.notes[-1]
