"""Each command once or more, as text and as JSON; what it computes is tested with its verb."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest

from trivium.cli.run import run
from trivium.verbs.recipe import recipe_names


def test_config_show_names_the_origin_of_each_value(trivium_command) -> None:
    outcome = trivium_command("config", "show", "gpt2-mini", "--set", "training.steps=9", "--data", "a.txt", "b.txt")
    assert outcome.code == 0, outcome.err
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in outcome.out.splitlines()}
    assert rows["training.steps"].endswith("--set") and rows["training.steps"].startswith("9")
    assert rows["data.files"].endswith("--data") and '["a.txt", "b.txt"]' in rows["data.files"]
    assert rows["model.family"].endswith("recipe gpt2-mini")
    assert rows["training.keep"].endswith("default")
    assert "training.minutes" not in rows and "data.corpus" not in rows


def test_config_show_as_json(trivium_command) -> None:
    for name in recipe_names():
        outcome = trivium_command("config", "show", name, "--json")
        values = {each["name"]: each["value"] for each in json.loads(outcome.out)}
        assert values["training.seed"] == 0 and outcome.err == ""


def test_config_schema_is_json(trivium_command) -> None:
    schema = json.loads(trivium_command("config", "schema").out)
    assert set(schema["properties"]) == {"data", "from", "tokenizer", "model", "objective", "training"}


def test_doctor(trivium_command) -> None:
    outcome = trivium_command("doctor", "--json")
    findings = {each["name"]: each for each in json.loads(outcome.out)}
    assert {"python", "torch", "cpu", "products", "allocator", "memory", "disk", "python-docs", "extras"} <= set(
        findings
    )
    assert "SHA-256" in findings["python-docs"]["value"]
    assert "GFLOP/s" in findings["products"]["value"]


def test_runs_of_an_empty_folder(trivium_command, tmp_path: Path) -> None:
    assert trivium_command("runs", tmp_path).out == f"no runs in {tmp_path}\n"
    assert json.loads(trivium_command("runs", tmp_path, "--json").out) == []
    missing = trivium_command("runs", tmp_path / "missing")
    assert missing.code == 3 and "is not a folder" in missing.err


def test_tokenizer_train_and_show(trivium_command, tmp_path: Path, text_file: Path) -> None:
    out = tmp_path / "tokenizer"
    made = trivium_command("tokenizer", "train", text_file, "--out", out, "--vocab-size", 350, "--json")
    assert json.loads(made.out)["vocab_size"] == 350 and made.code == 0
    shown = trivium_command("tokenizer", "show", out, "--text", "A list</s>")
    assert "BPE with 350 tokens" in shown.out and "bytes a token" in shown.out
    view = json.loads(trivium_command("tokenizer", "show", out, "--text", "A list</s>", "--json").out)
    assert "".join(each["text"] for each in view["pieces"]) == "A list</s>"
    again = trivium_command("tokenizer", "train", text_file, "--out", out)
    assert again.code == 2 and "is in use" in again.err
    missing = trivium_command("tokenizer", "train", tmp_path / "nothing.txt", "--out", tmp_path / "x")
    assert missing.code == 3 and "nothing.txt" in missing.err
    large = trivium_command("tokenizer", "train", text_file, "--out", tmp_path / "y", "--vocab-size", 50000)
    assert large.code == 3 and "support only" in large.err


def test_generate(trivium_command, tiny_models: dict[str, Path]) -> None:
    arguments = ("generate", "--model", tiny_models["gpt2"], "--prompt", "The quick", "--max-tokens", 5, "--seed", 3)
    streamed = trivium_command(*arguments)
    assert streamed.code == 0, streamed.err
    assert streamed.out.startswith("The quick")
    whole = json.loads(trivium_command(*arguments, "--json").out)
    assert "The quick" + whole[0]["text"] + "\n" == streamed.out
    assert len(json.loads(trivium_command(*arguments, "--samples", 3, "--json").out)) == 3
    assert trivium_command(*arguments, "--temperature", -1).code == 2


def test_generate_with_beams(trivium_command, tiny_models: dict[str, Path]) -> None:
    arguments = ("generate", "--model", tiny_models["gpt2"], "--prompt", "The quick", "--max-tokens", 5)
    beams = ("--beams", 3, "--length-penalty", 0.6, "--early-stopping", "never", "--no-repeat-ngram", 2)
    shown = trivium_command(*arguments, *beams, "--min-tokens", 2, "--samples", 2).out.splitlines()
    made = json.loads(trivium_command(*arguments, *beams, "--min-tokens", 2, "--samples", 2, "--json").out)
    assert shown[0].startswith("The quick") and "---" in shown
    assert [each["sample"] for each in made] == [0, 1] and made[0]["score"] >= made[1]["score"]
    refused = trivium_command(*arguments, "--length-penalty", 2)
    assert refused.code == 2 and "say how many beams" in refused.err
    assert trivium_command(*arguments, "--beams", 2, "--temperature", 1).code == 2


def test_generate_with_a_form(trivium_command, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    arguments = ("generate", "--model", tiny_models["gpt2"], "--prompt", "A", "--max-tokens", 80)
    assert trivium_command(*arguments, "--choices", " yes", "--choices", " no").out in ("A yes\n", "A no\n")
    assert re.fullmatch(r"A [a-c]{4}\n", trivium_command(*arguments, "--regex", " [a-c]{4}", "--temperature", 0).out)
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], '
                      '"additionalProperties": false}')  # fmt: skip
    (made,) = json.loads(trivium_command(*arguments, "--json-schema", schema, "--json").out)
    assert json.loads(made["text"])["a"] in (1, 2) and made["finish"] == "stop"
    for content, code, says in (('{"type": "objekt"}', 2, "Invalid type: objekt"), ("[", 3, "not valid JSON")):
        schema.write_text(content)
        refused = trivium_command(*arguments, "--json-schema", schema)
        assert refused.code == code and says in refused.err and refused.err.count("\n") == 1 and refused.out == ""
    assert trivium_command(*arguments, "--regex", "a", "--beams", 2).code == 2
    assert trivium_command(*arguments, "--regex", "a", "--choices", "b").code == 2


def test_generate_with_a_draft(trivium_command, tiny_models: dict[str, Path]) -> None:
    model = tiny_models["gpt2"]
    arguments = ("generate", "--model", model, "--prompt", "The quick", "--max-tokens", 6, "--temperature", 0)
    plain, drafted = trivium_command(*arguments), trivium_command(*arguments, "--draft", model, "--draft-tokens", 2)
    assert plain.out == drafted.out
    assert "100% of the tokens" in drafted.err and "were accepted" in drafted.err
    assert json.loads(trivium_command(*arguments, "--draft", model, "--json").out)[0]["acceptance"] == 1.0
    other = trivium_command(*arguments, "--draft", tiny_models["t5"])
    assert other.code == 2 and ("tokenizers differ" in other.err or "drafts for" in other.err)
    assert trivium_command(*arguments, "--draft", model, "--draft-tokens", 0).code == 2
    beams = trivium_command(*arguments[:-2], "--draft", model, "--beams", 2)
    assert beams.code == 2 and "nothing can be drafted" in beams.err


def test_generate_by_contrast(trivium_command, tiny_models: dict[str, Path]) -> None:
    arguments = ("generate", "--model", tiny_models["gpt2"], "--prompt", "The quick", "--max-tokens", 6)
    greedy = trivium_command(*arguments, "--temperature", 0)
    assert trivium_command(*arguments, "--contrastive", 0).out == greedy.out
    assert trivium_command(*arguments, "--contrastive", 0.9, "--top-k", 8).out != greedy.out
    assert trivium_command(*arguments, "--contrastive", 1.5).code == 2
    refused = trivium_command(*arguments, "--contrastive", 0.6, "--min-p", 0.1)
    assert refused.code == 2 and "contrastive search draws nothing" in refused.err
    assert trivium_command(*arguments, "--contrastive", 0.6, "--beams", 2).code == 2


def test_generate_by_words_and_the_best_of_several(trivium_command, tiny_models: dict[str, Path]) -> None:
    arguments = ("generate", "--model", tiny_models["gpt2"], "--prompt", "The quick", "--max-tokens", 6)
    rules = ("--forced-word", "list", "--banned-word", "dog", "--logit-bias", " the=3", "--typical-p", 0.9)
    made = trivium_command(*arguments, *rules, "--presence-penalty", 0.5, "--frequency-penalty", 0.5, "--json")
    assert made.code == 0 and "list" in json.loads(made.out)[0]["text"], made.err
    best = json.loads(trivium_command(*arguments, "--best-of", 4, "--samples", 2, "--json").out)
    assert len(best) == 2 and best[0]["score"] >= best[1]["score"]
    likely = trivium_command(*arguments, "--temperature", 0, "--top-log-probabilities", 2).out.splitlines()
    assert likely[0].startswith("The quick") and sum(line.startswith("   ") for line in likely) == 6
    refused = trivium_command(*arguments, "--logit-bias", "the")
    assert refused.code == 2 and "must look like" in refused.err
    for search in (("--beams", 2), ("--contrastive", 0.6)):
        made = trivium_command(*arguments, *search, "--forced-word", "list", "--banned-word", "dog", "--json")
        assert made.code == 0 and "list" in json.loads(made.out)[0]["text"], made.err
        refused = trivium_command(*arguments, *search, "--typical-p", 0.9)
        assert refused.code == 2 and "typical_p is a setting of sampling" in refused.err


def test_generate_for_many_requests(trivium_command, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    rows = [{"id": "a", "prompt": "The quick", "seed": 1}, {"prompt": "A list", "samples": 2, "max_tokens": 3}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("generate", "--model", tiny_models["gpt2"], "--max-tokens", 5)
    outcome = trivium_command(*arguments, "--requests", file, "--slots", 2)
    made = {(row["id"], row["sample"]): row for row in map(json.loads, outcome.out.splitlines())}
    assert set(made) == {("a", 0), (1, 0), (1, 1)}, outcome.err
    assert [len(row["tokens"]) for _, row in sorted(made.items(), key=str)] == [5, 3, 3]
    alone = trivium_command(*arguments, "--prompt", "The quick", "--seed", 1, "--json")
    assert made["a", 0]["text"] == json.loads(alone.out)[0]["text"]
    assert len(json.loads(trivium_command(*arguments, "--requests", file, "--json").out)) == 3
    for row, said in (({"text": "x"}, "prompt is missing"), ({"prompt": "x", "temprature": 1}, "temperature"),
                      ({"prompt": "x", "samples": "2"}, "samples is '2'"), ({"prompt": 5}, "no text"),
                      ({"prompt": "x", "top_p": 2}, "top_p is 2")):  # fmt: skip
        file.write_text(json.dumps(row) + "\n")
        refused = trivium_command(*arguments, "--requests", file)
        assert refused.code == 3 and f"{file}:1" in refused.err and said in refused.err, refused.err
    assert trivium_command(*arguments).code == 2
    assert trivium_command(*arguments, "--requests", file, "--prompt", "x").code == 2
    assert trivium_command(*arguments, "--requests", tmp_path / "none.jsonl").code == 3
    file.write_text("")
    assert trivium_command(*arguments, "--requests", file).code == 3


def test_generate_needs_a_model(trivium_command, tmp_path: Path) -> None:
    outcome = trivium_command("generate", "--model", tmp_path / "none", "--prompt", "x")
    assert outcome.code == 3 and "there is no model folder" in outcome.err


def test_fill(trivium_command, tiny_models: dict[str, Path]) -> None:
    text = "A list is a ___ of items."
    outcome = trivium_command("fill", text, "--model", tiny_models["bert"], "--top", 3)
    assert outcome.code == 0, outcome.err
    assert "blank 1:" in outcome.out and "all others" in outcome.out
    filling = json.loads(trivium_command("fill", text, "--model", tiny_models["bert"], "--json").out)
    blank = filling["blanks"][0]
    assert len(blank["candidates"]) == 5
    assert abs(sum(each["probability"] for each in blank["candidates"]) + blank["other"] - 1) < 1e-5
    spans = json.loads(trivium_command("fill", text, "--model", tiny_models["t5"], "--size", 3, "--json").out)
    assert {len(each["tokens"]) for each in spans["blanks"][0]["candidates"]} == {3}
    refused = trivium_command("fill", text, "--model", tiny_models["bert"], "--size", 2)
    assert refused.code == 2 and "one token" in refused.err
    refused = trivium_command("fill", text, "--model", tiny_models["gpt2"])
    assert refused.code == 2 and "decoder" in refused.err


def test_inspect_model(trivium_command, tiny_models: dict[str, Path]) -> None:
    outcome = trivium_command("inspect", "model", "--model", tiny_models["bert"])
    assert outcome.code == 0 and "bert, encoder:" in outcome.out
    view = json.loads(trivium_command("inspect", "model", "--model", tiny_models["t5"], "--json").out)
    assert view["parameters"] == sum(part["parameters"] for part in view["parts"])


def test_inspect_text(trivium_command, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "attention.html"
    outcome = trivium_command("inspect", "text", "A list", "--model", tiny_models["gpt2"], "--html", page)
    assert outcome.code == 0 and "entropy" in outcome.out and "wrote" in outcome.err
    assert "<svg" in page.read_text(encoding="utf-8")
    nowhere = tmp_path / "missing" / "page.html"  # told before the model is looked for
    refused = trivium_command("inspect", "text", "A list", "--model", tmp_path / "no-model", "--html", nowhere)
    assert refused.code == 2 and "a file in a folder that exists" in refused.err
    for name in ("bert", "t5"):
        view = json.loads(trivium_command("inspect", "text", "A list", "--model", tiny_models[name], "--json").out)
        assert len(view["attention"]["weights"][0][0]) == len(view["tokens"])


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty rows whose label one word gives away."""
    rows = [{"text": f"it was {('good', 'awful')[i % 2]} {i}", "label": ("up", "down")[i % 2]} for i in range(40)]
    path = tmp_path_factory.mktemp("reviews") / "reviews.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def classifier(tiny_models: dict[str, Path], reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finetuned") / "classifier"
    arguments = ["finetune", "--model", tiny_models["bert"], "--train", reviews, "--dev", reviews, "--out", out]
    assert run([str(each) for each in [*arguments, "--steps", 30, "--learning-rate", 0.01, "--seed", 1]]) == 0
    return out


def test_finetune_and_its_run(trivium_command, classifier: Path, reviews: Path, tiny_models: dict[str, Path]) -> None:
    found = json.loads(trivium_command("runs", classifier, "--json").out)
    assert [(each["state"], each["step"], each["objective"]) for each in found] == [("done", 30, "sequence")]
    again = trivium_command("finetune", "--model", tiny_models["bert"], "--train", reviews, "--out", classifier)
    assert again.code == 2 and "already holds a run" in again.err and again.err.count("\n") == 1
    wrong = trivium_command(
        "finetune", "--model", tiny_models["bert"], "--train", reviews, "--out", classifier / "x", "--task", "sequences"
    )
    assert wrong.code == 2 and "sequence" in wrong.err


def test_finetune_by_lora(trivium_command, reviews: Path, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    asked = ["finetune", "--model", tiny_models["bert"], "--train", reviews, "--method", "lora", "--steps", 2]
    told = trivium_command(*asked, "--lora", "rank=2", "--lora", "targets=query,value:1", "--out", tmp_path / "a")
    assert told.code == 0 and "parameters learnt" in told.out and "needs its base" in told.out
    made = json.loads(trivium_command(*asked, "--merge", "--out", tmp_path / "w", "--json").out)
    assert made["adapter_bytes"] is None and 0 < made["trained_parameters"] < made["parameters"]
    for folder in ("a", "w"):
        assert len(trivium_command("predict", "--model", tmp_path / folder, reviews).out.splitlines()) == 40
        assert trivium_command("inspect", "model", "--model", tmp_path / folder).code == 0
        assert '"step": 2' in trivium_command("runs", tmp_path / folder, "--json").out
    wrong = trivium_command(*asked[:-4], "--lora", "rank=2", "--out", tmp_path / "x")
    assert wrong.code == 2 and "add --method lora" in wrong.err
    shutil.rmtree(tmp_path / "w")
    lost = json.loads((tmp_path / "a" / "adapter_config.json").read_text()) | {"base_model_name_or_path": "gone"}
    (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(lost))
    outcome = trivium_command("predict", "--model", tmp_path / "a", reviews)
    assert outcome.code == 3 and "gone, which is not there" in outcome.err and outcome.err.count("\n") == 1


def test_finetune_names_the_bad_row(trivium_command, tmp_path: Path, tiny_models: dict[str, Path]) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a", "label": "x"}\n{"text": \n')
    outcome = trivium_command("finetune", "--model", tiny_models["bert"], "--train", bad, "--out", tmp_path / "out")
    assert outcome.code == 3 and "bad.jsonl:2" in outcome.err.replace(", line ", ":")


def test_predict(trivium_command, classifier: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads(trivium_command("predict", "--model", classifier, reviews, "--json").out)
    assert len(whole) == 40
    assert sum(row["label"] == row["gold"] for row in whole) >= 38
    lines = trivium_command("predict", "--model", classifier, reviews).out.splitlines()
    assert [json.loads(line) for line in lines] == whole
    monkeypatch.setattr("sys.stdin", io.StringIO("it was good 0\n\n" + '{"text": "it was awful 1"}\n'))
    assert [
        json.loads(each)["label"] for each in trivium_command("predict", "--model", classifier).out.splitlines()
    ] == [
        whole[0]["label"],
        whole[1]["label"],
    ]


def test_predict_needs_a_classifier(trivium_command, tiny_models: dict[str, Path], reviews: Path) -> None:
    outcome = trivium_command("predict", "--model", tiny_models["bert"], reviews)
    assert outcome.code == 2 and "was not fine-tuned for a task" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--minutes", "-1"], 2, "minutes = -1"),
        (["--data", "missing.txt"], 3, "missing.txt does not exist"),
        (["--data", "small.txt", "small.txt"], 4, "too few to learn from"),
        (["--out", "used"], 2, "used is in use"),
        (["--precision", "float16"], 2, "--precision"),
    ],
)
def test_quickstart_refuses_before_it_starts(
    trivium_command, arguments: list[str], code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    (tmp_path / "small.txt").write_text("A short text.\n")
    outcome = trivium_command("quickstart", *arguments)
    assert outcome.code == code, outcome.err
    assert sentence in outcome.err and "Traceback" not in outcome.err and outcome.out == ""
