"""`trivium generate --template`: a demonstration by its name, from the command line and from Python."""

import json
from pathlib import Path
from typing import Any

import pytest

import trivium
from trivium.generation.sampling import Sampling
from trivium.text.prompt_templates import prompt_template
from trivium.verbs.templates import choices_of, expected, sampled_as


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    text = 'text = "say {word}:"\nexpects = ["{word}"]\nmax_tokens = 4\ntemperature = 0\n'
    path.write_text(f'{text}[fill]\nword = "list"')
    return path


def test_a_template_is_written_on(trivium_command: Any, tiny_models: dict[str, Path], short: Path) -> None:
    call = ["generate", "--model", tiny_models["gpt2"], "--template", short, "--fill", "word=dog"]
    outcome = trivium_command(*call)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("say dog:") and "'dog'" in outcome.err and "use" in outcome.err
    (made,) = json.loads(trivium_command(*call, "--json").out)
    assert len(made["tokens"]) <= 4
    model = trivium.load(tiny_models["gpt2"])
    (same,) = trivium.generate(model, template=short, fill={"word": "dog"})
    assert list(same.tokens) == made["tokens"] == list(model.generate("say dog:", Sampling(4, temperature=0)).tokens)
    (beam,) = trivium.generate(model, template=short, beams=2)
    assert beam.score is not None


def test_choices_are_ranked_by_their_tokens(trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('text = "a list is"\nchoices = ["good", "bad thing", "x"]')
    model = trivium.load(tiny_models["gpt2"])
    found = choices_of(model, prompt_template(path))
    wanted = {word: model.score("a list is", f" {word}").log_probability for word in ("good", "bad thing", "x")}
    assert [each.text for each in found] == sorted(wanted, key=lambda word: -wanted[word])
    assert sum(each.probability for each in found) == pytest.approx(1)
    assert [each.log_probability for each in found] == pytest.approx(sorted(wanted.values(), reverse=True), abs=1e-4)
    outcome = trivium_command("generate", "--model", tiny_models["gpt2"], "--template", path)
    assert outcome.out.split()[:2] == ["choice", "probability"]
    assert trivium.generate(model, template=path)[0].text == found[0].text


def test_settings_that_are_left_alone_are_the_templates() -> None:
    template = prompt_template("summarise").filled({})
    made = sampled_as(template, Sampling(seed=3))
    assert (made.top_k, made.temperature, made.seed) == (2, 1.0, 3)
    assert sampled_as(template, Sampling(top_k=5, stop=("x",))).top_k == 5
    assert sampled_as(template, Sampling(), searching=True).top_k == 0
    word = prompt_template("novel-word").filled({"word": "screeg"})
    assert expected(word, "They screeg at swords.") == ["the text uses 'screeg'"]
    assert expected(word, "They fight.") == ["the text does not use 'screeg'"]


def test_refusals(trivium_command: Any, tiny_models: dict[str, Path], short: Path) -> None:
    call = ["generate", "--model", tiny_models["gpt2"]]
    for words, message in (
        ([], "give --prompt, --template or --requests"),
        (["--fill", "a=b"], "--fill is for the blanks of a template"),
        (["--template", short, "--prompt", "x"], "a template is a prompt"),
        (["--template", "sarcams"], "did you mean sarcasm?"),
        (["--template", short, "--fill", "wrd=x"], "did you mean word?"),
    ):
        outcome = trivium_command(*call, *words)
        assert outcome.code == 2 and message in outcome.err


def demo_model() -> bool:
    try:
        trivium.load("smollm2-135m")
    except trivium.TriviumError:
        return False
    return True


@pytest.mark.slow
def test_every_demonstration_runs_from_end_to_end(trivium_command: Any) -> None:
    if not demo_model():
        pytest.skip("smollm2-135m is not on this machine: make demo-models")
    from trivium.text.prompt_templates import template_names

    for name in template_names():
        outcome = trivium_command("generate", "--model", "smollm2-135m", "--template", name, "--max-tokens", "12")
        assert outcome.code == 0 and outcome.out.strip(), (name, outcome.err)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A decoder whose tokens are pieces of words."""
    from trivium.families import FAMILIES, huggingface
    from trivium.families.bodies import initialise, network
    from trivium.tokenizers.wordpiece import train_wordpiece_bpe

    tokenizer = train_wordpiece_bpe(["remove the symbols from a word", "t.a*b#le = table"] * 4, 50)
    model = network(FAMILIES["gpt2"].size("tiny", tokenizer.vocab_size, pad_token=tokenizer.pad))
    initialise(model, 0)
    huggingface.save(model, FAMILIES["gpt2"], tokenizer, tmp_path / "words")
    return tmp_path / "words"


def test_a_tokenizer_without_line_breaks_is_told(trivium_command: Any, words: Path, tiny_models: Any) -> None:
    said = "tokenizer cannot write '\\n'"
    call = ("generate", "--template", "remove-symbols", "--max-tokens", 3, "--model")
    made, plain = trivium_command(*call, words), trivium_command(*call, tiny_models["gpt2"])
    assert made.code == 0 and f"{said}, so that no text ends with it: set --max-tokens" in made.err
    assert plain.code in (0, 2) and said not in plain.err
    call = ("evaluate", "--shots", "0", "--suite", "symbol-removal", "--limit", 2, "--set", "max_tokens=3", "--model")
    made, plain = trivium_command(*call, words), trivium_command(*call, tiny_models["gpt2"])
    assert made.code == plain.code == 0, made.err
    assert f"{said}, which ends an answer: all go on to max_tokens" in made.err and said not in plain.err
