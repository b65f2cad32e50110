"""``trivium tokenizer count``: tokens of texts and what they cost."""

import json

import pytest
from transformers import AutoTokenizer

import trivium
from trivium.verbs.token_costs import Prices, count_tokens

TEXTS = ["The fox jumps over the lazy dog.", "A list of items, naïve.", "dog"]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"body": text}) for text in TEXTS))
    return path


def test_tokens_are_those_of_transformers_and_cost_what_they_cost(trivium_command, tiny_models, texts):
    names = [tiny_models["bert"], tiny_models["gpt2"]]
    told = ["--answer", 10, "--price-in", 0.5, "--price-out", 1.5, "--per", 1000, "--hour", 7.2, "--speed", 5]
    call = ["tokenizer", "count", texts, "--field", "body", "--tokenizer", names[0], "--tokenizer", names[1], *told]
    found = json.loads(trivium_command(*call, "--json").out)
    for name, each in zip(names, found, strict=True):
        lengths = [len(AutoTokenizer.from_pretrained(name)(text)["input_ids"]) for text in TEXTS]
        assert (each["tokens"], each["longest"], each["documents"]) == (sum(lengths), max(lengths), 3)
        assert each["bytes"] == sum(len(text.encode()) for text in TEXTS) and each["written"] == 30
        cost = each["cost"]
        assert cost["read"] == pytest.approx(sum(lengths) * 0.5 / 1000) and cost["written"] == pytest.approx(0.045)
        assert cost["total"] == pytest.approx(cost["read"] + cost["written"])
        assert cost["hours"] == pytest.approx(6 / 3600) and cost["own"] == pytest.approx(0.012)
    shown = trivium_command(*call).out.splitlines()
    assert shown[0].split()[-8:] == "cost in cost out cost hours own machine".split()
    assert str(sum(lengths)) in shown[2] and "0.045" in shown[2] and "0.012" in shown[2]


def test_one_text_and_no_prices(trivium_command, tiny_models):
    call = ["tokenizer", "count", "--text", "the dog", "--tokenizer", tiny_models["bert"]]
    outcome = trivium_command(*call)
    assert outcome.code == 0 and "cost" not in outcome.out and "longest" in outcome.out
    (found,) = trivium.count_tokens([], [tiny_models["bert"]], text="the dog")
    assert json.loads(trivium_command(*call, "--json").out)[0]["tokens"] == found.tokens > 2 and found.cost is None


def test_a_gguf_file_is_counted_by_its_own_vocabulary(trivium_command, tiny_models, tmp_path):
    target = tmp_path / "model.gguf"
    assert trivium_command("convert", tiny_models["llama"], target).code == 0
    counts = [count_tokens([], [each], text="the dog, a list")[0].tokens for each in (tiny_models["llama"], target)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--text", "a"], 2, "there is no tokenizer to count with"),
        (["--tokenizer", "{bert}"], 2, "give files to count the tokens of, or a text"),
        (["{file}", "--text", "a", "--tokenizer", "{bert}"], 2, "one of the two"),
        (["--text", "a", "--tokenizer", "{file}"], 3, "is not valid JSON"),
        (["--text", "a", "--tokenizer", "none"], 3, "there is no model folder none"),
        (["{file}.none", "--tokenizer", "{bert}"], 3, "does not exist"),
        (["--text", "a", "--tokenizer", "{bert}", "--answer", "-1"], 2, "answer = -1"),
        (["--text", "a", "--tokenizer", "{bert}", "--price-in", "-1"], 2, "the price read = -1.0"),
        (["--text", "a", "--tokenizer", "{bert}", "--price-out", "nan"], 2, "the price written = nan"),
        (["--text", "a", "--tokenizer", "{bert}", "--price-in", "1", "--per", "0"], 2, "each = 0.0"),
        (["--text", "a", "--tokenizer", "{bert}", "--hour", "1"], 2, "give both"),
        (["--text", "a", "--tokenizer", "{bert}", "--hour", "1", "--speed", "0"], 2, "speed = 0.0"),
    ],
)
def test_what_is_refused(trivium_command, tiny_models, texts, arguments, code, says):
    given = [each.format(bert=tiny_models["bert"], file=texts) for each in arguments]
    outcome = trivium_command("tokenizer", "count", *given)
    assert outcome.code == code and says in outcome.err and "Traceback" not in outcome.err


def test_prices_by_the_million_and_by_the_thousand():
    assert Prices(0.5, 1.5).cost(2_000_000, 1_000_000).total == pytest.approx(2.5)
    assert Prices(0.5, 1.5, 1000).cost(2000, 1000).total == pytest.approx(2.5)
