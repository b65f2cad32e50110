"""``trivium plan`` as a user meets it."""

import json


def test_a_table_with_the_total_and_the_size_of_the_weights(trivium_command) -> None:
    outcome = trivium_command("plan", "gpt2-xl")
    assert outcome.code == 0 and outcome.err == ""
    lines = outcome.out.splitlines()
    assert lines[0] == "gpt2-xl: 48 decoder layers of width 1600 with 25 attention heads (Radford et al. 2019)"
    assert "total             1,557,611,200  100.0" in lines
    assert lines[-2] == "weights: 6.23 GB in float32 or 3.12 GB in bfloat16"
    assert lines[-1].endswith("without what a batch passes through: 24.9 GB in float32 or 28.0 GB in bfloat16")


def test_a_body_with_its_pooler(trivium_command) -> None:
    lines = trivium_command("plan", "bert-base").out.splitlines()
    assert "as a body, with a pooler and without the vocabulary head: 109,482,240 parameters" in lines


def test_adapters_for_a_hundred_tasks(trivium_command) -> None:
    outcome = trivium_command("plan", "gpt3", "--lora", "rank=4", "--tasks", 100)
    assert outcome.code == 0
    told = "LoRA of rank 4 at query, value: 18,874,368 parameters, one in 9,251; an adapter takes 75.5 MB (72.0 MiB) in"
    assert told in outcome.out and "37.7 MB (36.0 MiB) in bfloat16" in outcome.out
    told = "100 tasks in bfloat16: 353 GB with one base and an adapter each, 34.9 TB as whole models"
    assert told in outcome.out.splitlines()
    assert "LoRA of rank 8" in trivium_command("plan", "gpt2", "--tasks", 2).out
    wrong = trivium_command("plan", "gpt2", "--lora", "targets=quary")
    assert wrong.code == 2 and "did you mean 'query'" in wrong.err
    assert trivium_command("plan", "gpt2", "--tasks", 0).code == 2


def test_one_document_of_json(trivium_command) -> None:
    found = json.loads(trivium_command("plan", "llama-3-8b", "--json").out)
    assert found["parameters"] == 8_030_261_248 and found["config"]["kv_heads"] == 8
    assert sum(each["parameters"] for each in found["components"]) == found["parameters"]


def test_a_recipe_with_changes(trivium_command) -> None:
    outcome = trivium_command("plan", "gpt2-mini", "--set", "model.width=128", "model.heads=4", "--json")
    assert json.loads(outcome.out)["config"]["width"] == 128


def test_an_unknown_name_is_a_usage_error_with_the_nearest(trivium_command) -> None:
    outcome = trivium_command("plan", "bert-bas")
    assert outcome.code == 2 and "did you mean bert-base" in outcome.err and outcome.out == ""


def test_training_on_a_device(trivium_command) -> None:
    outcome = trivium_command(
        "plan", "gpt2-mini", "--device", "h100", "--devices", 2, "--tokens", "1e9", "--price", 2, "--electricity", 0.2,
        "--source", "a=1e8@1", "--source", "b=1e9@3", "--json",
    )  # fmt: skip
    found = json.loads(outcome.out)["training"]
    assert found["tokens"] == 10**9 and found["sources"][0]["epochs"] == 2.5
    assert found["on"]["devices"] == 2 and found["on"]["bill"]["cost"] > 0 and found["on"]["memory"]["peak"] > 0


def test_training_here_is_timed(trivium_command) -> None:
    small = ("model.width=32", "model.heads=2", "training.batch_tokens=256", "model.context=64", "training.steps=10")
    outcome = trivium_command("plan", "gpt2-mini", "--device", "here", "--set", *small)
    assert outcome.err == "timing four steps on this machine\n"
    lines = outcome.out.splitlines()
    assert any(line.startswith("time: ") and ", timed; " in line for line in lines)
    assert any(line.startswith("disk: a checkpoint ") for line in lines)


def test_bad_devices_prices_and_numbers(trivium_command) -> None:
    for given, told in (
        (("--device", "h1000"), "did you mean h100"),
        (("--device", "h100", "--devices", 0), "at least 1"),
        (("--device", "h100", "--price", -1), "not negative"),
        (("--tokens", "many"), "must be a number such as 300e9"),
        (("--source", "wiki"), "must look like wiki=3e9"),
    ):
        outcome = trivium_command("plan", "gpt2", *given)
        assert outcome.code == 2 and told in outcome.err and outcome.out == "", given
    refused = trivium_command("plan", "gpt2-xl", "--device", "t4")
    assert refused.code == 4 and "which has 16.0 GB" in refused.err
