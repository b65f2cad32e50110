"""``trivium inspect text``: one text inside a model, on the terminal, as JSON, as a page and as a picture."""

import json
import re

import pytest

TEXT = "Every model reads <b>tokens</b>."


def test_all_that_a_decoder_has_to_show(trivium_command, tiny_models, tmp_path) -> None:
    page = tmp_path / "inside.html"
    arguments = ("--model", tiny_models["gpt2"], "--html", page, "--max-tokens", 4)
    outcome = trivium_command("inspect", "text", TEXT, *arguments)
    assert outcome.code == 0 and "wrote" in outcome.err
    for words in ("decoder attention", "what each layer would say", "bits per character", "what it writes"):
        assert words in outcome.out
    written = page.read_text(encoding="utf-8")
    assert re.findall(r"<h2[^>]*>([^<]+)", written) == [
        "Surprise", "Attention", "Attention rollout", "Layer by layer", "As it is written",
    ]  # fmt: skip
    assert "<script" not in written and "<b>tokens" not in written and "http" not in re.sub(r"http-equiv", "", written)
    assert str(tmp_path) not in written


def test_json_has_every_view(trivium_command, tiny_models) -> None:
    found = trivium_command(
        "inspect", "text", TEXT, "--model", tiny_models["t5"], "--answer", "It does.", "--stack", "cross", "--layers",
        "1,2", "--heads", "2", "--top", "3", "--json",
    )  # fmt: skip
    view = json.loads(found.out)
    assert view["attention"]["stack"] == "cross" and view["attention"]["heads"] == [2] and view["rollout"] is None
    assert [len(each) for each in view["lens"]["top"][0]] == [3] * len(view["lens"]["tokens"])
    assert view["lens"]["layers"] == [1, 2]
    assert "".join(each["text"] for each in view["surprise"]["tokens"]).strip() == "It does."
    assert len(view["steps"]["prompt"]) == len(view["tokens"]) == len(view["ids"])


def test_only_what_is_asked_for_is_shown(trivium_command, tiny_models) -> None:
    arguments = ("inspect", "text", TEXT, "--model", tiny_models["bert"], "--show")
    view = json.loads(trivium_command(*arguments, "lens", "--json").out)
    assert view["lens"] is not None and view["attention"] is view["surprise"] is view["steps"] is None
    view = json.loads(trivium_command(*arguments, "attention, surprise", "--json").out)
    assert view["attention"] is not None and view["surprise"] is not None and view["lens"] is None


def test_a_long_text_is_seen_as_means(trivium_command, tiny_models, tmp_path) -> None:
    page, long = tmp_path / "inside.html", "list " * 20
    arguments = ("inspect", "text", long, "--model", tiny_models["bert"])
    assert trivium_command(*arguments, "--html", page).code == 0
    written = page.read_text(encoding="utf-8")
    assert "the mean over the heads" in written and "data:image/png" in written and len(written) < 600_000
    view = json.loads(trivium_command(*arguments, "--layers", "2", "--json").out)
    assert view["attention"]["summary"] == "none" and view["attention"]["layers"] == [2]
    view = json.loads(trivium_command(*arguments, "--summary", "rollout", "--show", "attention", "--json").out)
    assert view["attention"]["summary"] == "rollout" and view["rollout"] is None


def test_a_picture_is_one_head(trivium_command, tiny_models, tmp_path) -> None:
    picture = tmp_path / "head.svg"
    arguments = ("inspect", "text", TEXT, "--model", tiny_models["gpt2"], "--picture", picture)
    refused = trivium_command(*arguments)
    assert refused.code == 2 and "name one of --layers and one of --heads" in refused.err and not picture.exists()
    assert trivium_command(*arguments, "--layers", "1", "--heads", "2").code == 0
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    assert trivium_command(*arguments, "--show", "lens").code == 2


def test_a_model_without_attention_shows_what_it_has(trivium_command, tiny_models) -> None:
    shown = trivium_command("inspect", "text", "A list", "--model", tiny_models["lstm"])
    assert shown.code == 0 and "bits per character" in shown.out and "what it writes" in shown.out
    outcome = trivium_command("inspect", "text", "A list", "--model", tiny_models["elmo"])
    assert outcome.code == 2 and "no attention to show" in outcome.err and "--word" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--layers", "1,x"), "give numbers with commas"),
        (("--layers", "3"), "layers 1 to 2"),
        (("--show", "lenses"), "choose some of attention, lens, surprise, steps"),
        (("--answer", "b"), "reads one text"),
        (("--stack", "cross"), "decoder attention"),
        (("--top", "0"), "top is 0"),
        (("--word", "list", "--top", "3", "--heads", "1"), "leave out --word"),
    ],
)
def test_refusals_are_one_sentence(trivium_command, tiny_models, arguments, sentence) -> None:
    outcome = trivium_command("inspect", "text", "A list", "--model", tiny_models["gpt2"], *arguments)
    assert outcome.code == 2 and sentence in outcome.err and len(outcome.err.strip().splitlines()) == 1
