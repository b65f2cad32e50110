"""What tasks on texts have in common: long ones, GPT-1's way, losses beside the task's."""

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise, network
from trivium.tasks import MultiLabel, MultipleChoice, Regression, SequenceClassification, predict_all
from trivium.text.examples import Choices, Labelled, Located, MultiLabelled, Pair, Rated
from trivium.tokenizers.extension import DELIMITER, EXTRACT, START
from trivium.transformer import SEQUENCE
from trivium.verbs.finetune import finetune
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning, fit, tuned_of

YES_NO = ("no", "yes")
SHORT = FineTuning(steps=3, batch=4, learning_rate=1e-3, precision="float32")
PAIRS = [Pair("It's a snow day!", "There is snow outside.", "yes"), Pair("my dog is hairy", "cat", "no")] * 4


def body(family, tokenizer, **changes):
    return initialise(network(FAMILIES[family].size("tiny", tokenizer.vocab_size, **changes)), 0)


def tuned(family, tokenizer, task):
    return tuned_of(body(family, tokenizer), tokenizer, task, 1, FAMILIES[family].heads)


# ---- GPT-1's way: Radford et al. 2018, figure 1 ----


def spelt(made, ids):
    return [made.tokenizer.piece(number) for number in ids]


def test_the_four_kinds_of_input_of_gpt1(tokenizer):
    """Classification: start text extract. Entailment: start premise delim hypothesis extract. Similarity: both orders.
    Multiple choice: start context delim answer extract, for each answer."""

    def ids(text):
        return tokenizer.encode(text).ids

    a, b = "There is snow outside.", "my dog is hairy"
    start, delimiter, extract = (tokenizer.vocab_size + n for n in range(3))
    one = tuned("gpt1", tokenizer, SequenceClassification(YES_NO))
    assert one.task.inputs == "gpt1"  # the family's own way, unless told
    assert [one.tokenizer.piece(n) for n in (start, delimiter, extract)] == [START, DELIMITER, EXTRACT]
    assert one.model.config.vocab_size == tokenizer.vocab_size + 3 == len(one.model.tokens.weight)
    assert one.encode([Labelled(a, "yes")]).ids[0].tolist() == [start, *ids(a), extract]
    there, back = [start, *ids(a), delimiter, *ids(b), extract], [start, *ids(b), delimiter, *ids(a), extract]
    assert one.encode([Pair(a, b, "yes")]).ids[0].tolist() == there
    similar = tuned("gpt1", tokenizer, SequenceClassification(YES_NO, symmetric=True))
    assert [row.tolist() for row in similar.encode([Pair(a, b, "yes")]).ids] == [there, back]
    choice = tuned("gpt1", tokenizer, MultipleChoice())
    rows = choice.encode([Choices("", a, ("cat", b), 0), Choices(a, "Who?", ("cat", b), 0)]).ids
    assert [row.tolist() for row in rows] == [
        [start, *ids(a), delimiter, *ids("cat"), extract],
        there,
        [start, *ids(a), *ids(" Who?"), delimiter, *ids("cat"), extract],
        [start, *ids(a), *ids(" Who?"), delimiter, *ids(b), extract],
    ]
    plain = tuned("gpt1", tokenizer, SequenceClassification(YES_NO, inputs="plain"))
    assert plain.model.config.vocab_size == tokenizer.vocab_size
    assert tuned("gpt2", tokenizer, SequenceClassification(YES_NO)).model.config.vocab_size == tokenizer.vocab_size
    told = tuned("gpt2", tokenizer, SequenceClassification(YES_NO, inputs="gpt1"))
    assert told.encode([Labelled(a, "yes")]).ids[0].tolist() == [start, *ids(a), extract]


def test_the_three_tokens_are_new_and_no_text_spells_them(tokenizer):
    source = body("gpt1", tokenizer)
    made = tuned_of(source, tokenizer, SequenceClassification(YES_NO), 1, FAMILIES["gpt1"].heads)
    rows, old = made.model.tokens.weight, source.tokens.weight
    assert torch.equal(rows[: len(old)], old)
    assert 0.01 < rows[len(old) :].std() < 0.03 and rows[len(old) :].mean().abs() < 0.01  # N(0, .02)
    text = f"{START} a {DELIMITER} b {EXTRACT}"
    assert max(made.encode([Labelled(text, "")]).ids[0][1:-1]) < tokenizer.vocab_size
    again = tuned_of(made.model, made.tokenizer, SequenceClassification(YES_NO), 2, FAMILIES["gpt1"].heads)
    assert again.model.config.vocab_size == made.model.config.vocab_size  # nothing is added twice
    assert torch.equal(again.model.tokens.weight, rows)


def test_the_summary_is_the_state_of_the_extract_token_also_under_padding(tokenizer):
    made = tuned("gpt1", tokenizer, SequenceClassification(YES_NO))
    examples = [Labelled("cat", ""), Labelled("There is snow outside, and it is late.", "")]
    items = made.encode(examples)
    batch = made.task.batch(items, np.arange(2))
    hidden = made.model(batch.inputs).hidden
    places = [len(ids) - 1 for ids in items.ids]
    ids = batch.inputs.target.ids
    assert places[0] < places[1] and all(made.tokenizer.piece(ids[n, p]) == EXTRACT for n, p in enumerate(places))
    by_hand = torch.stack([hidden[n, place] for n, place in enumerate(places)])
    expected = by_hand @ made.model.heads[SEQUENCE].classifier.weight.T
    torch.testing.assert_close(made.task.scores(made.model, batch), expected)


@pytest.mark.parametrize("family", ["gpt1", "bert", "roberta", "llama"])
def test_similarity_is_exactly_symmetric_and_its_states_are_added(family, tokenizer):
    made = tuned(family, tokenizer, Regression(symmetric=True))
    texts = [("cat", "my dog is hairy, after such a late night"), ("snow", "storm"), ("snow " * 60, "day " * 61)]

    def scores(pairs):
        items = made.encode([Rated(a, b, 1.0) for a, b in pairs])
        return made.task.scores(made.model, made.task.batch(items, np.arange(3)))

    there, back = scores(texts), scores([(b, a) for a, b in texts])
    assert there.shape == (3, 1) and torch.equal(there, back)
    if family == "gpt1":
        single = tuned("gpt1", tokenizer, Regression())
        rows = [Rated(*texts[1], 1.0), Rated(*reversed(texts[1]), 1.0)]
        batch = single.task.batch(single.encode(rows), np.arange(2))
        states = single.model(batch.inputs).hidden
        last = [states[n, (batch.inputs.target.ids[n] == single.tokenizer.classify).nonzero()[0, 0]] for n in range(2)]
        expected = made.model.heads[SEQUENCE].classifier.weight @ (last[0] + last[1])
        torch.testing.assert_close(there[1], expected)


def test_the_second_loss_and_none_at_weight_zero(tokenizer):
    """L3 = L2 + lambda L1 (Radford et al. 2018, equation 5); of each row the mean over its next tokens."""
    examples = [Labelled("cat", "yes"), Labelled("There is snow outside, and it is late.", "no")]

    def losses(weight):
        made = tuned("gpt1", tokenizer, SequenceClassification(YES_NO, lm_weight=weight))
        batch = made.task.batch(made.encode(examples), np.arange(2))
        return made, batch, made.task.loss(made.model, batch)

    made, batch, both = losses(0.5)
    _, alone_batch, alone = losses(0.0)
    assert list(alone) == [SEQUENCE] == list(alone_batch.counts) and "at" not in alone_batch.targets
    assert torch.equal(alone[SEQUENCE].total, both[SEQUENCE].total)
    logits, ids = made.model(batch.inputs, at="all").logits, batch.inputs.target.ids
    lengths = [len(row) for row in made.encode(examples).ids]
    means = [F.cross_entropy(logits[n, : size - 1], ids[n, 1:size]) for n, size in enumerate(lengths)]
    assert both["causal"].count == 2 == batch.counts["causal"]
    torch.testing.assert_close(both["causal"].total, 0.5 * (means[0] + means[1]), rtol=1e-5, atol=1e-5)


def test_training_with_the_second_loss_is_one_step_of_the_sum(tokenizer):
    model, heads = body("gpt1", tokenizer, dropout=0.0, attention_dropout=0.0), FAMILIES["gpt1"].heads

    def losses(weight, tokens, monkeypatched):
        monkeypatched.setattr("trivium.verbs.tuning.MICRO_TOKENS", tokens)
        task = SequenceClassification(YES_NO, lm_weight=weight)
        return fit(model, tokenizer, task, PAIRS, settings=SHORT, published=heads).losses

    with pytest.MonkeyPatch.context() as patch:
        assert losses(0.5, 60, patch) == pytest.approx(losses(0.5, 100_000, patch), rel=1e-4)  # in parts, the same
        assert losses(0.5, 1000, patch)[0] > losses(0.0, 1000, patch)[0] + 1  # about half of log V


@pytest.mark.parametrize("options", [{"lm_weight": 0.5}, {"symmetric": True}])
def test_a_model_tuned_in_gpt1s_way_is_the_same_when_opened(options, tokenizer, tmp_path):
    huggingface.save(body("gpt1", tokenizer), FAMILIES["gpt1"], tokenizer, tmp_path / "base")
    report = finetune("sequence", tmp_path / "base", PAIRS, out=tmp_path / "out", options=options, settings=SHORT)
    assert report.opens_in_transformers == ("symmetric" not in options)
    made = load_tuned(tmp_path / "out")
    assert made.task.inputs == "gpt1" and made.tokenizer.piece(made.tokenizer.classify) == EXTRACT
    rows = [{"text": pair.first, "text2": pair.second} for pair in PAIRS[:2]]
    said = [each.prediction.probabilities["yes"] for each in predict(made, rows)]
    in_memory = fit(
        body("gpt1", tokenizer), tokenizer, SequenceClassification(**options), PAIRS, settings=SHORT,
        published=FAMILIES["gpt1"].heads,
    ).tuned.predict(PAIRS[:2])  # fmt: skip
    assert said == pytest.approx([each.probabilities["yes"] for each in in_memory], abs=1e-6)
    if report.opens_in_transformers:
        theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
        tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
        fed = tokens([r["text"] for r in rows], [r["text2"] for r in rows], return_tensors="pt", padding=True)
        with torch.no_grad():
            logits = theirs(**fed).logits
        assert logits.softmax(-1)[:, 1].tolist() == pytest.approx(said, abs=1e-5)


def test_what_cannot_be_tuned_in_gpt1s_way(tokenizer, tmp_path):
    for options in ({"inputs": "gpt1"}, {"lm_weight": 0.5}):
        with pytest.raises(SettingsError, match="for models that read from left to right"):
            tuned("bert", tokenizer, SequenceClassification(YES_NO, **options))
    with pytest.raises(SettingsError, match="lm_weight = -1"):
        SequenceClassification(YES_NO, lm_weight=-1.0)
    huggingface.save(body("gpt1", tokenizer), FAMILIES["gpt1"], tokenizer, tmp_path / "base")
    with pytest.raises(SettingsError, match="an adapter has no place for new tokens"):
        finetune("sequence", tmp_path / "base", PAIRS, out=tmp_path / "out", settings=FineTuning("lora", steps=1))
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match=r"train\[0\]: symmetric = true"):
        Regression(symmetric=True).learn([Located(Rated("a", None, 1.0), "train[0]")], [])
    with pytest.raises(SettingsError, match="symmetric pairs cannot be split"):
        Regression(symmetric=True, on_truncate="split")


# ---- long texts ----

LONG = " ".join(f"snow day {number}" for number in range(60))


def test_long_texts_are_cut_refused_or_split(tokenizer):
    examples = [Labelled("cat", "yes"), Labelled(LONG, "no")]
    cut = tuned("bert", tokenizer, SequenceClassification(YES_NO, length=24)).encode(examples)
    assert cut.truncated == 1 and len(cut) == 2
    refused = tuned("bert", tokenizer, SequenceClassification(YES_NO, length=24, on_truncate="error"))
    with pytest.raises(DataError, match=r"1 of 2 examples are longer than 24 .* 'snow day 0 .*\(number 2\)"):
        refused.encode(examples)
    made = tuned("bert", tokenizer, SequenceClassification(YES_NO, length=24, on_truncate="split"))
    items = made.encode(examples)
    assert items.truncated == 0 and len(items) > 5 and "1 of 2 texts is longer" in items.notes[0]
    batch = made.task.batch(items, np.arange(len(items)))  # every window learns the text's label
    assert batch.targets[SEQUENCE].tolist() == [1] + [0] * (len(items) - 1)
    windows = made.task.scores(made.model, batch).softmax(-1)
    for tokens in (1, 100, 10_000):
        said = predict_all(made.task, made.model, examples, items, tokens)
        assert said[0].probabilities["yes"] == pytest.approx(windows[0, 1].item(), abs=1e-6)
        assert said[1].probabilities["yes"] == pytest.approx(windows[1:, 1].mean().item(), abs=1e-6)


def test_every_kind_of_answer_is_averaged_over_windows(tokenizer):
    for task, example in [
        (Regression(length=24, on_truncate="split"), Rated(LONG, "cat", 1.0)),
        (MultiLabel(labels=("a", "b", "c"), length=24, on_truncate="split"), MultiLabelled(LONG, None, ("a",))),
    ]:
        made = tuned("gpt2", tokenizer, task)
        items = made.encode([example])
        answers = np.stack(task.answers(made.model, task.batch(items, np.arange(len(items)))))
        (said,) = made.predict([example])
        values = [said.value] if isinstance(task, Regression) else list(said.probabilities.values())
        assert values == pytest.approx(answers.mean(0).tolist(), abs=1e-6) and len(items) > 3
