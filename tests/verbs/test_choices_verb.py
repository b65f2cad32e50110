import json

import numpy as np
import pytest
import torch
import transformers

from trivium.errors import DataError
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise, network
from trivium.tasks import MultipleChoice
from trivium.tokenizers import train_bpe
from trivium.transformer import CHOICE
from trivium.verbs.examples import read_examples
from trivium.verbs.finetune import finetune
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning

COLOURS = "red green blue black white".split()
THINGS = "cat dog house tree car".split()
SHORT = FineTuning(steps=4, batch=8, learning_rate=1e-3, precision="float32")


def questions(count, seed):
    """Which colour the thing has, among two to four: the one that is in the context."""
    draw, rows = np.random.default_rng(seed), []
    for _ in range(count):
        colours = draw.choice(COLOURS, draw.integers(2, 5), replace=False).tolist()
        right, thing = int(draw.integers(len(colours))), draw.choice(THINGS)
        rows.append({"question": f"the {thing} is {colours[right]}", "options": colours, "label": colours[right]})
    return rows


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe([" ".join((row["question"], *row["options"])) for row in questions(200, 9)], 325)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    for name, count, seed in (("train", 400, 0), ("dev", 60, 1)):
        lines = (json.dumps(row) for row in questions(count, seed))
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


def base(family, tokenizer, folder):
    config = FAMILIES[family].size("tiny", tokenizer.vocab_size, pad_token=tokenizer.pad)
    huggingface.save(initialise(network(config), 0), FAMILIES[family], tokenizer, folder)
    return folder


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "xlnet"])
def test_loss_and_scores_are_those_of_transformers(family, tokenizer, files, tmp_path):
    out = tmp_path / "out"
    model = base(family, tokenizer, tmp_path / "base")
    report = finetune("choices", model, files / "dev.jsonl", out=out, settings=SHORT)
    assert report.opens_in_transformers and report.labels == ()
    tuned = load_tuned(out)
    assert tuned.task == MultipleChoice()
    theirs = transformers.AutoModelForMultipleChoice.from_pretrained(out).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(out)
    rows = [row for row in questions(40, 3) if len(row["options"]) == 3][:6]
    texts = [(row["question"], option) for row in rows for option in row["options"]]
    fed = tokens([a for a, _ in texts], [b for _, b in texts], return_tensors="pt", padding=True)
    labels = torch.tensor([row["options"].index(row["label"]) for row in rows])
    with torch.no_grad():
        said = theirs(**{name: value.unflatten(0, (-1, 3)) for name, value in fed.items()}, labels=labels)
    examples = [tuned.task.example("", row, {}, True) for row in rows]
    batch = tuned.task.batch(tuned.encode(examples), np.arange(6))
    torch.testing.assert_close(tuned.task.scores(tuned.model, batch).view(6, 3), said.logits, rtol=1e-4, atol=1e-5)
    loss = tuned.task.loss(tuned.model, batch)[CHOICE]
    assert (loss.total / loss.count).item() == pytest.approx(said.loss.item(), abs=1e-5)
    (out / "trivium.toml").unlink()
    found = load_tuned(out)  # by its head alone
    assert isinstance(found.task, MultipleChoice)
    assert [p.probabilities for p in found.predict(examples)] == [p.probabilities for p in tuned.predict(examples)]


@pytest.mark.parametrize("family", ["gpt1", "gpt2"])
def test_a_decoder_is_saved_as_its_class_with_two_heads(family, tokenizer, files, tmp_path):
    out = tmp_path / "out"
    options = {"lm_weight": 0.5} if family == "gpt1" else {}
    report = finetune(
        "choices", base(family, tokenizer, tmp_path / "base"), files / "dev.jsonl", out=out, settings=SHORT,
        options=options,
    )  # fmt: skip
    assert report.opens_in_transformers
    tuned = load_tuned(out)
    kind = {"gpt1": transformers.OpenAIGPTDoubleHeadsModel, "gpt2": transformers.GPT2DoubleHeadsModel}[family]
    theirs = kind.from_pretrained(out).eval()
    rows = [row for row in questions(40, 3) if len(row["options"]) == 2][:5]
    examples = [tuned.task.example("", row, {}, True) for row in rows]
    items = tuned.encode(examples)
    batch = tuned.task.batch(items, np.arange(5))
    ids = batch.inputs.target.ids.unflatten(0, (5, 2))
    lengths = torch.tensor([len(each) for each in items.ids])
    gold = torch.tensor([example.label for example in examples])
    with torch.no_grad():
        said = theirs(ids, mc_token_ids=(lengths - 1).view(5, 2), mc_labels=gold)
    torch.testing.assert_close(tuned.task.scores(tuned.model, batch).view(5, 2), said.mc_logits, rtol=1e-4, atol=1e-5)
    losses = tuned.task.loss(tuned.model, batch)
    assert (losses[CHOICE].total / 5).item() == pytest.approx(said.mc_loss.item(), abs=1e-5)
    if family == "gpt1":  # lm_weight times the mean over rows of the mean over their next tokens, as the paper's code
        logits = said.logits.flatten(0, 1)
        rows_means = [
            torch.nn.functional.cross_entropy(logits[row, : n - 1], ids.flatten(0, 1)[row, 1:n])
            for row, n in enumerate(lengths.tolist())
        ]
        assert losses["causal"].count == 10
        expected = 0.5 * torch.stack(rows_means).mean().item()
        assert (losses["causal"].total / 10).item() == pytest.approx(expected, abs=1e-4)
    else:
        assert list(losses) == [CHOICE]


def test_toy_questions_above_chance_and_the_files_own_fields(tokenizer, files, tmp_path):
    settings = FineTuning(epochs=8, batch=20, learning_rate=3e-3, precision="float32")
    model = base("bert", tokenizer, tmp_path / "base")
    out = tmp_path / "out"
    report = finetune(
        "choices", model, files / "train.jsonl", files / "dev.jsonl", out=out, settings=settings,
        options={"pooling": "mean"},
    )  # fmt: skip
    assert report.scores["accuracy"] > 0.6  # chance: 0.35
    lines = [each.row() for each in predict(out, files / "dev.jsonl")]
    right = [line["choice"] == line["label"] == line["options"][line["index"]] for line in lines]
    assert np.mean(right) == pytest.approx(report.scores["accuracy"])
    assert not report.opens_in_transformers


def test_the_place_of_a_wrong_label_is_told(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"question": "q", "options": ["a", "b"], "label": 0}\n\n'
                                      '{"question": "q", "options": ["a", "b"], "label": 7}\n')  # fmt: skip
    with pytest.raises(DataError, match=r"t.jsonl:3: the label '7'"):
        read_examples(MultipleChoice(), tmp_path / "t.jsonl", None, "train")
