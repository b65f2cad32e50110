"""``/views`` over a real socket: the numbers are those of Python; what cannot be shown is refused in one sentence."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import trivium

TEXT = "Every model reads tokens."
KINDS = ("bert", "gpt2", "t5", "xlnet", "lstm")
Ask = Callable[..., tuple[int, dict]]


@pytest.fixture(scope="module")
def ask(tiny_models: dict[str, Path]) -> Iterator[Ask]:
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    from tests.serving.live_server import live

    from trivium.serving.abilities import abilities_of
    from trivium.serving.app import application
    from trivium.serving.house import House, Served
    from trivium.serving.scheduler import Scheduler
    from trivium.serving.settings import Caps, ServeSettings

    settings = ServeSettings(caps=Caps(view_numbers=10_000, texts=4))
    loaded = {name: trivium.load(tiny_models[name]) for name in KINDS}
    models = {name: Served(name, each, 0, abilities=abilities_of(each, None, False)) for name, each in loaded.items()}
    with live(application(House(models, Scheduler(settings), settings))) as port:

        def ask(view: str, **body: object) -> tuple[int, dict]:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/views/{view}", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as refused:
                return refused.code, json.load(refused)

        yield ask


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("gpt2", {"layers": [2], "heads": [2]}),
        ("gpt2", {"summary": "mean"}),
        ("bert", {"summary": "rollout"}),
        ("bert", {"answer": "It writes tokens.", "layers": [1]}),
        ("t5", {"answer": "It writes tokens.", "stack": "cross"}),
        ("t5", {"stack": "decoder"}),
        ("xlnet", {}),
    ],
)
def test_attention_is_that_of_python(ask: Ask, tiny_models: dict[str, Path], name: str, asked: dict) -> None:
    status, view = ask("attention", model=name, text=TEXT, **asked)
    expected = trivium.inspect_text(tiny_models[name], TEXT, **asked).attention
    assert status == 200 and view["model"] == name and view["stack"] == expected.stack
    assert view["queries"] == list(expected.queries) and view["keys"] == list(expected.keys)
    assert view["layers"] == list(expected.layers) and view["heads"] == list(expected.heads)
    np.testing.assert_allclose(np.array(view["weights"]), expected.weights, atol=5.1e-5)
    assert view["summaries"][0]["entropy"] == pytest.approx(expected.summaries[0].entropy, abs=1e-4)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5", "xlnet"])
def test_the_lens_is_that_of_python(ask: Ask, tiny_models: dict[str, Path], name: str) -> None:
    answer = "It writes." if name == "t5" else None
    status, view = ask("lens", model=name, text=TEXT, answer=answer, top=2, layers=[0, 2])
    expected = trivium.inspect_lens(tiny_models[name], TEXT, answer, top=2, layers=[0, 2])
    assert status == 200 and view["layers"] == [0, 2] and view["tokens"] == list(expected.tokens)
    ids = [[[one.token for one in place] for place in layer] for layer in expected.top]
    assert [[[one["id"] for one in place] for place in layer] for layer in view["top"]] == ids
    assert [one["id"] for one in view["final"]] == [place[0]["id"] for place in view["top"][-1]]


def test_words_are_found_in_their_texts(ask: Ask) -> None:
    texts = ["First line.\nThe bank was closed.", "A Bank lends; the bank is closed."]
    status, view = ask("words", model="bert", word="bank", texts=texts, neighbours=2)
    assert status == 200 and view["layers"] == view["layer"] == 2 and len(view["occurrences"]) == 3
    places = [(one["text"], texts[one["text"]][one["start"] : one["end"]]) for one in view["occurrences"]]
    assert places == [(0, "bank"), (1, "Bank"), (1, "bank")]
    assert np.array(view["cosines"]).shape == (3, 3) and view["static"][0][2] == 1.0 and view["static"][0][1] < 1.0
    assert [len(each) for each in view["neighbours"]] == [2, 2, 2]
    assert all(each["text_number"] == 1 for each in view["neighbours"][0])
    assert ask("words", model="lstm", word="bank", texts=["The bank."], layer=0)[1]["cosines"] == [[1.0]]


@pytest.mark.parametrize("name", ["bert", "gpt2", "xlnet", "lstm"])
def test_surprise_adds_up_to_the_score(ask: Ask, tiny_models: dict[str, Path], name: str) -> None:
    status, view = ask("surprise", model=name, text=TEXT, top=3)
    assert status == 200
    assert view["bits"] == pytest.approx(trivium.load(tiny_models[name]).surprise(TEXT).nats / np.log(2), rel=1e-5)
    assert [TEXT[one["start"] : one["end"]] for one in view["tokens"]] == [one["text"] for one in view["tokens"]]
    assert all(len(one["top"]) == 3 for one in view["tokens"])
    assert ask("surprise", text=TEXT)[1]["model"] == "bert"  # the first that predicts words


def test_an_encoder_decoder_is_surprised_by_an_answer(ask: Ask, tiny_models: dict[str, Path]) -> None:
    status, view = ask("surprise", model="t5", text=TEXT, answer="It does.", top=2)
    assert status == 200 and "".join(one["text"] for one in view["tokens"]) == "It does."
    expected = trivium.load(tiny_models["t5"]).score(TEXT, "It does.").log_probability
    assert view["bits"] == pytest.approx(-expected / np.log(2), rel=1e-5)
    assert all(len(one["top"]) == 2 for one in view["tokens"])


def test_steps_are_what_the_model_writes(ask: Ask, tiny_models: dict[str, Path]) -> None:
    for name in ("gpt2", "t5", "lstm"):
        status, view = ask("steps", model=name, prompt="A list", max_tokens=5, top=2)
        written = trivium.load(tiny_models[name]).generate("A list", trivium.Sampling(max_tokens=5, temperature=0))
        assert status == 200 and tuple(one["id"] for one in view["steps"])[: len(written.tokens)] == written.tokens
        for number, step in enumerate(view["steps"]):
            seen = {"gpt2": len(view["prompt"]) + number, "t5": len(view["prompt"]), "lstm": 0}[name]
            assert len(step["attention"]) == seen and len(step["top"]) == 2
            assert sum(step["attention"]) == pytest.approx(1 if seen else 0, abs=0.01)


@pytest.mark.parametrize(
    ("view", "body", "status", "sentence"),
    [
        ("attention", {"text": TEXT, "model": "lstm"}, 400, "does not show attention"),
        ("attention", {"text": TEXT, "model": "gpt2", "layers": [3]}, 400, "layers 1 to 2"),
        ("attention", {"text": TEXT, "model": "gpt2", "layers": []}, 400, "layers is empty"),
        ("attention", {"text": TEXT, "model": "gpt2", "heads": [0]}, 400, "heads has 0"),
        ("attention", {"text": TEXT, "model": "gpt2", "stack": "cross"}, 400, "this model has decoder attention"),
        ("attention", {"text": TEXT, "model": "t5", "stack": "cross", "summary": "rollout"}, 400, "another stack"),
        ("attention", {"text": TEXT, "model": "gpt2", "answer": "b"}, 400, "reads one text"),
        ("attention", {"text": "a list " * 15, "model": "gpt2"}, 400, "may be asked for at once"),
        ("attention", {"text": "a list " * 200, "model": "gpt2"}, 400, "reads at most 64"),
        ("attention", {"text": TEXT, "heads": "1"}, 400, "heads"),
        ("attention", {"text": TEXT, "colour": "red"}, 400, "colour is not supported"),
        ("attention", {}, 400, "text"),
        ("attention", {"text": TEXT, "model": "nobody"}, 404, "there is no model"),
        ("lens", {"text": TEXT, "layers": [9]}, 400, "layers 0 (embeddings) to 2"),
        ("lens", {"text": TEXT, "top": 21}, 400, "at most 20"),
        ("words", {"word": "bank", "texts": ["A list."]}, 400, "does not occur"),
        ("words", {"word": "", "texts": ["A list."]}, 400, "give one with a letter"),
        ("words", {"word": "list", "texts": ["A list."] * 5}, 400, "at most 4 are answered"),
        ("words", {"word": "list", "texts": ["A list."], "layer": 7}, 400, "layers 0"),
        ("surprise", {"text": TEXT, "model": "t5"}, 400, "give an answer"),
        ("surprise", {"text": "", "model": "gpt2"}, 400, "too short"),
        ("steps", {"prompt": TEXT, "max_tokens": 65}, 400, "max_tokens"),
        ("steps", {"prompt": TEXT, "layer": 3}, 400, "layers 1 to 2"),
    ],
)
def test_what_cannot_be_shown_is_refused(ask: Ask, view: str, body: dict, status: int, sentence: str) -> None:
    code, said = ask(view, **body)
    assert code == status and sentence in said["error"]["message"]
    assert set(said["error"]) == {"message", "type", "param", "code"}
