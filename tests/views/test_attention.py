"""Attention of some layers and heads: as the reference computes it, however it is asked for; and its picture."""

import base64
import json
import re
import struct
import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from tests.views.reference import ANSWER, TEXT, answer_of, reference

from trivium.errors import RefusedError, SettingsError, TriviumError
from trivium.transformer import looks
from trivium.verbs.inspect import inspect_text
from trivium.verbs.load import load
from trivium.views.attention import _Chosen, attention
from trivium.views.attention_picture import LABELLED, attention_picture, picture_file
from trivium.views.passage import passage

STACKS = [
    ("bert", "encoder"), ("gpt2", "decoder"), ("llama", "decoder"), ("xlnet", "encoder"), ("t5", "encoder"),
    ("t5", "decoder"), ("t5", "cross"), ("bart", "encoder"), ("bart", "decoder"), ("bart", "cross"),
]  # fmt: skip


def of_reference(folder: Path, name: str, stack: str) -> np.ndarray:
    """(L, H, T, S) by ``transformers``."""
    _, made = reference(folder, name, "output_attentions", attn_implementation="eager")
    sides = {"encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    return torch.stack(made.attentions if answer_of(name) is None else made[sides[stack]])[:, 0].numpy()


@pytest.mark.parametrize(("name", "stack"), STACKS)
def test_weights_are_those_of_the_reference(tiny_models, monkeypatch, name: str, stack: str) -> None:
    monkeypatch.setattr(looks, "_AT_ONCE", 40)  # three rows at a time
    expected = of_reference(tiny_models[name], name, stack)
    asked = {"stack": stack, "answer": answer_of(name)}
    view = inspect_text(tiny_models[name], TEXT, **asked).attention
    np.testing.assert_allclose(view.weights, expected, atol=2e-5)
    np.testing.assert_allclose(view.weights.sum(-1), 1, atol=1e-5)
    some = inspect_text(tiny_models[name], TEXT, layers=[2], heads=[2], **asked).attention
    assert some.layers == some.heads == (2,)
    np.testing.assert_allclose(some.weights[0, 0], expected[1, 1], atol=2e-5)
    mean = inspect_text(tiny_models[name], TEXT, summary="mean", layers=[1], **asked).attention
    np.testing.assert_allclose(mean.weights[0, 0], expected[0].mean(0), atol=2e-5)
    assert mean.heads == () and len(mean.summaries) == expected.shape[1]


@pytest.mark.parametrize(("name", "stack"), [each for each in STACKS if each[1] != "cross"])
def test_rollout_is_that_of_its_paper(tiny_models, name: str, stack: str) -> None:
    """Abnar and Zuidema 2020, section 3, on the reference's weights: A = 0.5 W + 0.5 I, normalised, multiplied up."""
    rolled: list[np.ndarray] = []
    for layer in of_reference(tiny_models[name], name, stack).mean(1):
        with_residual = layer + np.eye(len(layer))
        with_residual /= with_residual.sum(-1, keepdims=True)
        rolled.append(with_residual @ rolled[-1] if rolled else with_residual)
    answer = answer_of(name)
    view = inspect_text(tiny_models[name], TEXT, answer, stack=stack, summary="rollout").attention
    assert view.weights.shape[:2] == (1, 1) and view.layers == (2,)
    np.testing.assert_allclose(view.weights[0, 0], rolled[-1], atol=2e-5)
    each = inspect_text(tiny_models[name], TEXT, answer, stack=stack, summary="rollout", layers=[1, 2]).attention
    np.testing.assert_allclose(each.weights[:, 0], rolled, atol=2e-5)


def test_layers_after_the_last_one_asked_for_are_not_computed(tiny_models, monkeypatch) -> None:
    loaded = load(tiny_models["gpt2"])
    reached: list[int] = []
    for number, layer in enumerate(loaded.model.decoder.layers, 1):
        layer.register_forward_hook(lambda *_, number=number: reached.append(number))
    inspect_text(loaded, TEXT, layers=[1])
    assert reached == [1]


def test_no_more_weights_are_in_memory_than_are_asked_for(tiny_models, monkeypatch) -> None:
    """Of a mean the largest tensor made has one head's numbers, though the layer has two."""
    loaded, sizes = load(tiny_models["gpt2"]), []
    monkeypatch.setattr(looks, "_AT_ONCE", 64)
    made = looks.Looking.block
    monkeypatch.setattr(looks.Looking, "block", lambda *a: sizes.append(made(*a).numel()) or made(*a))
    monkeypatch.setattr(looks.Looking, "weights", lambda *_: pytest.fail("all weights were computed"))
    inspect_text(loaded, TEXT, summary="mean")
    assert max(sizes) <= 64


def test_two_texts_of_an_encoder_are_read_as_a_pair(tiny_models) -> None:
    view = inspect_text(tiny_models["bert"], "A list", "An error")
    assert view.tokens.count("</s>") == 2 and view.attention.weights.shape[-1] == len(view.tokens)
    with pytest.raises(SettingsError, match="reads one text"):
        inspect_text(tiny_models["gpt2"], "A list", "An error")


def test_an_answer_that_is_not_given_is_the_models_own(tiny_models) -> None:
    from trivium.generation.sampling import Sampling

    loaded = load(tiny_models["t5"])
    view = inspect_text(loaded, TEXT, stack="cross").attention
    written = loaded.generate(TEXT, Sampling(temperature=0, max_tokens=48)).tokens
    assert len(view.queries) == len(written) + 1


def test_what_is_not_there_is_refused(tiny_models) -> None:
    for asked, sentence in (
        ({"layers": [0]}, "layers has 0: this model has layers 1 to 2"),
        ({"heads": [1, 9]}, "heads has 9"),
        ({"heads": []}, "heads is empty"),
        ({"stack": "cross"}, "this model has decoder attention"),
        ({"summary": "sum"}, "choose none, mean, rollout"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            inspect_text(tiny_models["gpt2"], TEXT, **asked)
    with pytest.raises(SettingsError, match="another stack"):
        inspect_text(tiny_models["t5"], TEXT, ANSWER, stack="cross", summary="rollout")
    with pytest.raises(RefusedError, match="may be asked for at once"):
        inspect_text(tiny_models["gpt2"], TEXT, most=10)


def test_what_memory_does_not_hold_is_refused(tiny_models, monkeypatch) -> None:
    monkeypatch.setattr("trivium.views.attention.physical_memory", lambda: 1000)
    loaded = load(tiny_models["gpt2"])
    with pytest.raises(RefusedError, match="half of this machine's memory"):
        attention(loaded.model, passage(loaded.model, loaded.tokenizer, TEXT))


def test_summaries_of_known_heads() -> None:
    t = 4
    previous = np.eye(t, k=-1)
    previous[0, 0] = 1
    heads = torch.tensor(np.stack([np.eye(t), previous, np.full((t, t), 1 / t)]))
    chosen = _Chosen([1], [1, 2, 3], "none")
    chosen.append(heads[None])
    same, before, uniform = chosen.summaries
    assert (same.entropy, same.same, same.previous, same.next) == (0, 1, 0, 0)
    assert (before.previous, before.first) == (1, 0.5)
    assert uniform.entropy == pytest.approx(2)
    assert (uniform.previous, uniform.same, uniform.next, uniform.first) == pytest.approx((0.25,) * 4)


def test_summaries_do_not_depend_on_how_many_rows_are_computed_at_once(tiny_models, monkeypatch) -> None:
    whole = inspect_text(tiny_models["bert"], TEXT).attention.summaries
    monkeypatch.setattr(looks, "_AT_ONCE", 1)
    for one, other in zip(whole, inspect_text(tiny_models["bert"], TEXT).attention.summaries, strict=True):
        assert vars(one) == pytest.approx(vars(other), abs=1e-6)


def test_json_carries_the_numbers(tiny_models) -> None:
    view = inspect_text(tiny_models["bert"], TEXT).attention
    read = json.loads(json.dumps(view.to_json()))
    np.testing.assert_allclose(np.array(read["weights"]), view.weights, atol=1e-6)
    assert read["queries"] == list(view.queries)
    assert [(h["layer"], h["head"]) for h in read["summaries"]] == [(la, h) for la in (1, 2) for h in (1, 2)]


def test_picture_has_a_map_for_each_head_and_prints_its_weights(tiny_models) -> None:
    view = inspect_text(tiny_models["bert"], "Return <b>list</b>").attention
    picture = str(attention_picture(view, "demo", start=(2, 1)))
    assert "<b>" not in picture and "&lt;" in picture
    assert re.findall(r'id="demo-([lh]\d)" aria-label="[^"]*" checked', picture) == ["l2", "h1"]
    maps = re.split(r'<div class="l\d+h\d+">', picture)[1:]
    assert len(maps) == 4
    for index, one in enumerate(maps):
        printed = sorted(map(int, re.findall(r'class="(?:value|over)">(\d+)<', one)))
        assert printed == sorted(int(100 * w + 0.5) for w in view.weights[index // 2, index % 2].flat if w >= 0.095)


def test_identifiers_are_checked(tiny_models) -> None:
    with pytest.raises(TriviumError, match="no identifier"):
        attention_picture(inspect_text(tiny_models["bert"], TEXT).attention, 'x"><script>')


def test_a_long_text_is_an_image_of_its_weights(tiny_models) -> None:
    """The bytes of the picture are decoded again by hand and held against the weights."""
    view = inspect_text(tiny_models["gpt2"], "list " * 20, layers=[2], heads=[1]).attention
    assert len(view.queries) > LABELLED
    encoded = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", str(attention_picture(view)))
    assert len(encoded) == 1
    image = base64.b64decode(encoded[0])
    width, height = struct.unpack(">II", image[16:24])
    data = zlib.decompress(image[image.index(b"IDAT") + 4 :])
    levels = np.frombuffer(data, np.uint8).reshape(height, width + 1)[:, 1:]
    np.testing.assert_allclose((levels / 255.0) ** 2, view.weights[0, 0], atol=0.006)


def test_an_image_has_no_more_pixels_than_a_screen(tiny_models, monkeypatch) -> None:
    monkeypatch.setattr("trivium.views.attention_picture._PIXELS", 30)
    view = inspect_text(tiny_models["gpt2"], "list " * 20, layers=[2], heads=[1]).attention
    encoded = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", str(attention_picture(view)))
    width, height = struct.unpack(">II", base64.b64decode(encoded[0])[16:24])
    assert width == height <= 30


def test_a_picture_in_a_file_is_labelled(tiny_models) -> None:
    view = inspect_text(tiny_models["bert"], "Return <b>list</b> $x_1$", layers=[2], heads=[1]).attention
    drawn = picture_file(view, Path("head.svg"))
    root = ElementTree.fromstring(drawn)
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {token.strip() for token in view.queries if token.strip()} <= set(texts) and root.tag.endswith("svg")
    assert "layer 2, head 1" in root.find("{http://www.w3.org/2000/svg}title").text
    for path, sentence in (("head.gif", "must end in"), ("a", "must end in")):
        with pytest.raises(SettingsError, match=sentence):
            picture_file(view, Path(path))
    with pytest.raises(SettingsError, match="shows one head"):
        picture_file(inspect_text(tiny_models["bert"], TEXT).attention, Path("head.svg"))


def test_a_picture_as_png_is_drawn_by_matplotlib(tiny_models, monkeypatch) -> None:
    view = inspect_text(tiny_models["bert"], "Return $x_1$ {", summary="mean", layers=[1]).attention
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(SettingsError, match=r"matplotlib, or write an .svg: pip install -e '.\[plots\]'"):
            picture_file(view, Path("mean.png"))
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    assert picture_file(view, Path("mean.png")).startswith(b"\x89PNG")
