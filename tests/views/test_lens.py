"""The logit lens against ``transformers``' hidden states; surprise and steps against its logits, token by token."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.views.reference import ANSWER, CLASSES, TEXT, answer_of, reference

from trivium.errors import RefusedError, SettingsError
from trivium.generation.sampling import Sampling
from trivium.transformer import Inputs
from trivium.verbs.inspect import inspect_lens, inspect_steps, inspect_surprise
from trivium.verbs.load import load
from trivium.views import lens as module
from trivium.views.passage import passage

FAMILIES = ["bert", "gpt2", "llama", "t5", "bart"]


def by_layer(folder: Path, name: str) -> torch.Tensor:
    """(L + 1, T, V) probabilities: ``transformers``' states of each layer through its own final norm and head."""
    model, made = reference(folder, name, "output_hidden_states")
    with torch.no_grad():
        states = made.hidden_states if answer_of(name) is None else made.decoder_hidden_states
        found = []
        for number, state in enumerate(states):
            last = number == len(states) - 1  # normed already
            if name == "bert":
                logits = model.cls(state)
            elif name == "gpt2":
                logits = model.lm_head(state if last else model.transformer.ln_f(state))
            elif name == "llama":
                logits = model.lm_head(state if last else model.model.norm(state))
            elif name == "t5":
                normed = state if last else model.decoder.final_layer_norm(state)
                tied = model.config.tie_word_embeddings
                logits = model.lm_head(normed * model.model_dim**-0.5 if tied else normed)
            else:
                logits = model.lm_head(state) + model.final_logits_bias
            found.append(logits[0].softmax(-1))
    torch.testing.assert_close(found[-1], made.logits[0].softmax(-1))
    return torch.stack(found)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_layer_says_what_the_references_states_say(tiny_models, monkeypatch, name: str) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 1000)  # three rows at a time
    answer = answer_of(name)
    expected = by_layer(tiny_models[name], name)
    view = inspect_lens(tiny_models[name], TEXT, answer, top=4)
    assert view.layers == (0, 1, 2) and len(view.top[0]) == len(view.tokens) == expected.shape[1]
    values = np.array([[[math.exp(one.log_probability) for one in place] for place in layer] for layer in view.top])
    np.testing.assert_allclose(values, expected.topk(4, dim=-1).values.numpy(), rtol=2e-4)
    for layer, row in enumerate(view.top):
        for place, tops in enumerate(row):
            for one in tops:
                assert expected[layer, place, one.token] == pytest.approx(math.exp(one.log_probability), rel=2e-4)
    assert [one.token for one in view.final] == expected[-1].argmax(-1).tolist()
    chosen = expected[:, torch.arange(expected.shape[1]), expected[-1].argmax(-1)]
    np.testing.assert_allclose(np.array(view.chances), chosen.numpy(), rtol=2e-4)


def test_some_layers_are_the_same_as_among_all(tiny_models) -> None:
    whole, some = inspect_lens(tiny_models["gpt2"], TEXT), inspect_lens(tiny_models["gpt2"], TEXT, layers=[1])
    assert some.layers == (1,) and some.top == (whole.top[1],) and some.final == whole.final


def test_the_last_layer_of_a_two_stream_network_is_the_network(tiny_models) -> None:
    loaded = load(tiny_models["xlnet"])
    view = inspect_lens(loaded, TEXT, top=2)
    read = passage(loaded.model, loaded.tokenizer, TEXT)
    with torch.no_grad():
        logits = loaded.model(Inputs(target=read.inputs(torch.device("cpu")).source), at="all").logits[0]
    assert [[one.token for one in place] for place in view.top[-1]] == logits.topk(2).indices.tolist()
    assert view.stack == "decoder" and tuple(place[0].token for place in view.top[-1]) == tuple(
        one.token for one in view.final
    )


def test_an_encoders_blank_is_its_mask(tiny_models) -> None:
    loaded = load(tiny_models["bert"])
    view, filled = inspect_lens(loaded, "A list is a ___.", top=3), loaded.fill("A list is a ___.", top=3)
    place = view.tokens.index(loaded.tokenizer.piece(loaded.tokenizer.mask))
    expected = [(candidate.tokens[0], candidate.probability) for candidate in filled.blanks[0].candidates]
    for one, (token, probability) in zip(view.top[-1][place], expected, strict=True):
        assert one.token == token and math.exp(one.log_probability) == pytest.approx(probability, rel=1e-4)


def test_a_lens_that_cannot_be_had_is_refused(tiny_models) -> None:
    for name in ("lstm", "elmo"):
        with pytest.raises(SettingsError, match="recurrent"):
            inspect_lens(tiny_models[name], TEXT)
    with pytest.raises(SettingsError, match="top is 0"):
        inspect_lens(tiny_models["gpt2"], TEXT, top=0)
    with pytest.raises(SettingsError, match=r"layers has 3: this model has layers 0 \(embeddings\) to 2"):
        inspect_lens(tiny_models["gpt2"], TEXT, layers=[3])
    with pytest.raises(RefusedError, match="may be asked for at once"):
        inspect_lens(tiny_models["gpt2"], TEXT, most=10)
    with pytest.raises(SettingsError, match="reads at most 64"):
        inspect_lens(tiny_models["gpt2"], "list " * 200)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_each_token_costs_what_the_reference_says(tiny_models, name: str) -> None:
    loaded = load(tiny_models[name])
    view = inspect_surprise(loaded, TEXT, top=3)
    ids = torch.tensor([passage(loaded.model, loaded.tokenizer, loaded.tokenizer.decode([]) + TEXT).target.ids])
    begun = torch.tensor([[loaded.tokenizer.end, *ids[0].tolist()]])  # as texts are scored: after the end of another
    with torch.no_grad():
        chances = CLASSES[name].from_pretrained(tiny_models[name]).eval()(begun).logits[0].log_softmax(-1)
    own = chances[torch.arange(ids.shape[1]), ids[0]]
    np.testing.assert_allclose([one.log_probability for one in view.tokens], own.numpy(), rtol=1e-4)
    assert [[one.token for one in token.top] for token in view.tokens] == chances[:-1].topk(3).indices.tolist()
    assert view.bits == pytest.approx(-own.sum().item() / math.log(2), rel=1e-5)
    assert view.perplexity == pytest.approx(math.exp(-own.mean().item()), rel=1e-4)
    assert "".join(TEXT[one.start : one.end] for one in view.tokens) == TEXT


def test_an_encoders_tokens_are_masked_one_by_one(tiny_models) -> None:
    loaded = load(tiny_models["bert"])
    view = inspect_surprise(loaded, TEXT, top=0)
    assert -view.bits * math.log(2) == pytest.approx(loaded.score("", TEXT).log_probability, rel=1e-5)
    assert all(one.top == () for one in view.tokens)


def test_an_answer_is_weighed_after_its_text(tiny_models) -> None:
    for name in ("t5", "gpt2", "seq2seq"):
        loaded = load(tiny_models[name])
        view = inspect_surprise(loaded, "A list", " is mutable.")
        expected = loaded.score("A list", " is mutable.").log_probability
        assert -view.bits * math.log(2) == pytest.approx(expected, rel=1e-5)
        assert "".join(one.text for one in view.tokens).strip() == "is mutable."
    with pytest.raises(SettingsError, match="give an answer"):
        inspect_surprise(tiny_models["t5"], TEXT)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_each_token_of_an_answer_costs_what_the_reference_says(tiny_models, name: str) -> None:
    """Of the target, given the source: the decoder reads its start and what of the answer stands before the token."""
    loaded = load(tiny_models[name])
    view = inspect_surprise(loaded, TEXT, ANSWER, top=3)
    read = passage(loaded.model, loaded.tokenizer, TEXT, ANSWER)
    targets = torch.tensor(loaded.tokenizer.encode(ANSWER).ids)
    reference = CLASSES[name].from_pretrained(tiny_models[name]).eval()
    start = torch.tensor([reference.config.decoder_start_token_id])
    with torch.no_grad():
        made = reference(
            input_ids=torch.tensor([read.source.ids]), decoder_input_ids=torch.cat([start, targets[:-1]])[None]
        )
    chances = made.logits[0].log_softmax(-1)
    own = chances[torch.arange(len(targets)), targets]
    np.testing.assert_allclose([one.log_probability for one in view.tokens], own.numpy(), rtol=1e-5)
    assert [[one.token for one in token.top] for token in view.tokens] == chances.topk(3).indices.tolist()
    assert view.bits == pytest.approx(-own.sum().item() / math.log(2), rel=1e-5)
    assert "".join(one.text for one in view.tokens) == ANSWER
    assert view.bits_per_character == pytest.approx(view.bits / len(ANSWER))
    other = inspect_surprise(loaded, "Another text.", ANSWER, top=0)  # the source is seen: that is more than rounding
    changes = [abs(a.bits / b.bits - 1) for a, b in zip(view.tokens, other.tokens, strict=True)]
    assert max(changes) > 2e-5


def test_a_text_longer_than_the_context_is_read_in_windows(tiny_models) -> None:
    loaded, text = load(tiny_models["gpt2"]), "A list is mutable. " * 30
    view = inspect_surprise(loaded, text, top=0)
    assert view.bits * math.log(2) == pytest.approx(loaded.surprise(text).nats, rel=1e-5)
    assert len(view.tokens) == len(loaded.tokenizer.encode(text).ids) > 64


@pytest.mark.parametrize("name", ["gpt2", "t5", "bart", "seq2seq", "lstm", "xlnet"])
def test_steps_are_what_the_engine_writes(tiny_models, name: str) -> None:
    loaded = load(tiny_models[name])
    view = inspect_steps(loaded, "A list", max_tokens=6, top=3)
    made = loaded.generate("A list", Sampling(max_tokens=6, temperature=0, top_log_probabilities=3))
    assert tuple(step.token for step in view.steps)[: len(made.tokens)] == made.tokens
    assert [step.log_probability for step in view.steps] == pytest.approx(made.log_probabilities, abs=1e-5)
    assert view.finish == made.finish and all(len(step.top) == 3 for step in view.steps)


def test_each_step_looks_as_the_reference_does(tiny_models) -> None:
    """Without teacher forcing: the reference reads what was written so far, anew at every step."""
    loaded = load(tiny_models["gpt2"])
    reference = CLASSES["gpt2"].from_pretrained(tiny_models["gpt2"], attn_implementation="eager").eval()
    view = inspect_steps(loaded, "A list", max_tokens=4, layer=1)
    ids = loaded.tokenizer.encode("A list").ids
    assert "".join(view.prompt) == "A list" and view.layer == 1
    for step in view.steps:
        with torch.no_grad():
            looked = reference(torch.tensor([ids]), output_attentions=True).attentions[0][0].mean(0)[-1]
        np.testing.assert_allclose(step.attention, looked.numpy(), atol=2e-5)
        ids.append(step.token)


def test_an_encoder_writes_nothing(tiny_models) -> None:
    with pytest.raises(SettingsError, match="does not write"):
        inspect_steps(tiny_models["bert"], TEXT)
    with pytest.raises(SettingsError, match="layers 1 to 2"):
        inspect_steps(tiny_models["gpt2"], TEXT, layer=3)
    with pytest.raises(SettingsError, match="no attention"):
        inspect_steps(tiny_models["lstm"], TEXT, layer=1)
