"""The model card says what it must, and the page is complete, escaped, and adds its decisions up."""

import hashlib
import json
import re
from collections import Counter

import pytest
from sklearn.metrics import confusion_matrix
from tests.verbs.sentiment import sentiment

import trivium
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise
from trivium.tasks import Outcome
from trivium.text.examples import Labelled
from trivium.tokenizers import train_bpe
from trivium.transformer import Model
from trivium.verbs.finetune import finetune
from trivium.verbs.finetuning_report import CLASSES, ERRORS, confusion
from trivium.verbs.load import load
from trivium.verbs.predict import load_tuned
from trivium.verbs.tuning import FineTuning

HOSTILE = "<script>alert(1)</script> & `ticks` \x07"
TRAIN, DEV = sentiment(64, 0), sentiment(40, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    tokenizer = train_bpe([example.text for example in TRAIN] * 2, 330)
    config = FAMILIES["bert"].size("tiny", tokenizer.vocab_size)
    huggingface.save(initialise(Model(config), 0), FAMILIES["bert"], tokenizer, folder / "base")
    rows = {"train": [*TRAIN, TRAIN[0], Labelled(HOSTILE, "good")], "dev": [*DEV, TRAIN[0], Labelled(HOSTILE, "bad")]}
    for name, examples in rows.items():
        lines = (json.dumps({"text": each.text, "label": each.label}) + "\n" for each in examples)
        (folder / f"{name}.jsonl").write_text("".join(lines))
    settings = FineTuning(steps=8, batch=16, learning_rate=1e-3, precision="float32", seed=7)
    report = finetune("sequence", folder / "base", folder / "train.jsonl", folder / "dev.jsonl", out=folder / "out",
                      options={"length": 40}, settings=settings)  # fmt: skip
    return folder, report


def test_the_card_says_what_the_model_is(made):
    folder, report = made
    card = (folder / "out" / "README.md").read_text()
    for name in ("train", "dev"):
        digest = hashlib.sha256((folder / f"{name}.jsonl").read_bytes()).hexdigest()
        assert re.search(rf"\| {name} \| {name}.jsonl \| \d+ \| \d+ \| 0 \| 0 \| `{digest}` \|", card)
    assert card.startswith("---\n") and "pipeline_tag: text-classification" in card
    weights = hashlib.sha256((folder / "base" / "model.safetensors").read_bytes()).hexdigest()
    assert f"Base model: base (SHA-256 of its weights: {weights})" in card
    assert "Task: sequence" in card and "Labels: bad, good." in card and "seed 7" in card
    interval = report.intervals["accuracy"]
    shown = f"| **accuracy** | {report.scores['accuracy']:.4f} | {interval.low:.4f} to {interval.high:.4f} |"
    assert shown in card
    dev = hashlib.sha256((folder / "dev.jsonl").read_bytes()).hexdigest()[:12]
    signature = (
        f"task:sequence|metric:accuracy|dev:{dev}|examples:42|length:40|trained:float32|scored:float32|seed:7|"
        f"trivium:{trivium.__version__}"
    )
    assert f"`{signature}`" in card and report.signature == signature
    assert "Examples of dev that are in train, too: 2 (2 letter by letter, 1 of them with another truth there)" in card
    assert "trivium predict --model ." in card and "text, text2, label" in card
    lines = [json.loads(line) for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]
    result = next(line for line in lines if line["kind"] == "result")
    assert result["signature"] == signature and result["intervals"]["accuracy"] == [interval.low, interval.high]
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert {"README.md", "report.html", "model.safetensors", "trivium.toml"} <= set(manifest["files"])
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / "out" / name).read_bytes()).hexdigest()


def test_rows_used_and_skipped_are_rows_read(made):
    _, report = made
    assert [(each.rows, each.used + each.skipped) for each in report.files] == [(66, 66), (42, 42)]


def test_the_page_is_one_file_and_runs_nothing(made):
    page = (made[0] / "out" / "report.html").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "\x07" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    for title in ("Scores", "How it learnt", "What is taken for what", "Worst errors", "Data", "Settings"):
        assert f">{title}</h2>" in page
    assert "learning_rate" in page and "task.length" in page and "letter by letter" in page


def test_the_page_counts_the_decisions_of_the_saved_model(made):
    folder, report = made
    page = (folder / "out" / "report.html").read_text()
    dev = [Labelled(**json.loads(line)) for line in (folder / "dev.jsonl").read_text().splitlines()]
    said = [each.label for each in load_tuned(folder / "out").predict(dev)]
    part = page[page.index(">What is taken for what</h2>") : page.index(">Worst errors</h2>")]
    cells = [int(each) for each in re.findall(r'<td class="num">(\d+)</td>', part)]
    order = [name for name, _ in Counter(each.label for each in dev).most_common()]
    assert cells == confusion_matrix([each.label for each in dev], said, labels=order).flatten().tolist()
    wrong = sum(one.label != other for one, other in zip(dev, said, strict=True))
    assert f"{wrong} of 42 decisions on dev were wrong" in page
    errors = page[page.index(">Worst errors</h2>") : page.index(">Data</h2>")]
    chances = [float(each) for each in re.findall(r'<td class="num">([\d.e-]+)</td>', errors)]
    assert len(chances) == min(wrong, ERRORS) and chances == sorted(chances)  # the worst first
    assert report.scores["accuracy"] == pytest.approx(1 - wrong / 42)


def outcomes(pairs):
    return [Outcome("text", gold, said, 1.0) for gold, said in pairs]


def test_many_classes_share_a_row_and_texts_have_no_table():
    pairs = [(str(n % 30), str(n % 30 if n % 3 else 0)) for n in range(600)]
    names, counts = confusion(outcomes(pairs))
    assert len(names) == CLASSES and names[-1] == "all others" and sum(map(sum, counts)) == 600
    right = sum(counts[n][n] for n in range(CLASSES - 1))
    shown = set(names[:-1])
    assert right == sum(one == other for one, other in pairs if one in shown)
    assert confusion(outcomes([(f"text {n}", f"other {n}") for n in range(100)])) is None
    assert confusion(outcomes([("x", "y")])) == (["x", "y"], [[0, 1], [0, 0]])


def test_without_dev_and_with_a_model_in_memory(made, tmp_path):
    base = load(made[0] / "base")
    report = finetune("sequence", base, TRAIN, out=tmp_path / "o", settings=FineTuning(steps=1, precision="float32"))
    page, card = ((tmp_path / "o" / name).read_text() for name in ("report.html", "README.md"))
    assert "There was no dev set" in page and "Worst errors" not in page
    assert "Scores on dev" not in card and "a list of examples" in card
    assert report.scores is None and report.intervals == {} and report.signature == ""
    assert len(report.files) == 1 and len(report.files[0].sha256) == 64
