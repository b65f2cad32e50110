"""Words as models see them: the mean of their tokens' states, whatever stands beside them in a batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.transformer import Inputs, Record, Tokens
from trivium.verbs.load import LanguageModel, load
from trivium.views import word_states
from trivium.views.word_states import read_words

TEXT = "The quick brown foxes jump over unbelievably lazy dogs."
FOXES = (16, 21)


@pytest.fixture(scope="module", params=list(FAMILIES))
def loaded(request: pytest.FixtureRequest, tiny_models: dict[str, Path]) -> LanguageModel:
    return load(tiny_models[request.param])


def all_states(loaded: LanguageModel, text: str, layer: int | None) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """(T, W) of the text's own tokens, control tokens left off, in one unbatched pass; and the tokens' offsets."""
    encoding = loaded.tokenizer.encode(text)
    ids = torch.tensor([encoding.ids])
    tokenizer, first = loaded.tokenizer, 0
    if loaded.kind == "encoder":
        before, after = tokenizer.layout().before, tokenizer.layout().after
        ids, first = torch.tensor([[*before, *encoding.ids, *after]]), len(before)
    elif loaded.kind == "decoder":
        ids, first = torch.tensor([[tokenizer.end, *encoding.ids]]), 1
    else:  # T5's end, or what BART has around a text
        before, after = tokenizer.layout().before, tokenizer.layout().after or (tokenizer.end,)
        ids, first = torch.tensor([[*before, *encoding.ids, *after]]), len(before)
    record = Record.empty()
    start = Tokens(torch.tensor([[loaded.config.start_token or 0]]))
    both = loaded.kind == "encoder-decoder"
    with torch.no_grad():
        out = loaded.model(Inputs(Tokens(ids), start if both else Tokens(ids)), record=record)
    layers = record.encoder_hidden if loaded.kind != "decoder" else record.decoder_hidden
    last = out.source_hidden if both else out.hidden
    states = last if layer is None else layers[layer]
    return states[0, first : first + len(encoding.ids)].numpy(), encoding.offsets


@pytest.mark.parametrize("layer", [None, 0])
def test_a_word_is_the_mean_of_its_tokens(loaded: LanguageModel, layer: int | None) -> None:
    """The oracle joins tokens to words by overlap of characters, one word at a time."""
    (reading,) = read_words(loaded.model, loaded.tokenizer, [(TEXT, FOXES)], layer)
    states, offsets = all_states(loaded, TEXT, layer)
    assert [TEXT[start:end] for start, end in reading.words] == [*TEXT[:-1].split(), "."]
    for (start, end), vector in zip(reading.words, reading.states, strict=True):
        inside = [n for n, (left, right) in enumerate(offsets) if left < end and right > start]
        np.testing.assert_allclose(vector, states[inside].mean(0), atol=2e-5)


def test_a_line_does_not_depend_on_those_beside_it(loaded: LanguageModel) -> None:
    lines = [(TEXT, FOXES), ("A fox.", (2, 5)), (TEXT, FOXES), ("Over " * 20, (0, 4))]
    together = read_words(loaded.model, loaded.tokenizer, lines)
    for line, reading in zip(lines, together, strict=True):
        (alone,) = read_words(loaded.model, loaded.tokenizer, [line])
        assert alone.words == reading.words
        np.testing.assert_allclose(alone.states, reading.states, atol=2e-5)


def test_a_long_line_is_read_around_the_word(loaded: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_states, "WINDOW", 24)
    text = "many lazy dogs " * 40 + "fox " + "and dogs " * 40
    place = text.index("fox")
    (reading,) = read_words(loaded.model, loaded.tokenizer, [(text, (place, place + 3))])
    assert (place, place + 3) in reading.words
    assert 0 < reading.words[0][0] and reading.words[-1][1] < len(text.rstrip())
    for edge in ("fox " + text, text + " fox"):
        place = edge.rindex("fox") if edge.endswith("fox") else 0
        (reading,) = read_words(loaded.model, loaded.tokenizer, [(edge, (place, place + 3))])
        assert (place, place + 3) in reading.words


def test_a_layer_that_is_not_there_is_refused(loaded: LanguageModel) -> None:
    with pytest.raises(SettingsError, match=r"layers 0 \(embeddings\) to"):
        read_words(loaded.model, loaded.tokenizer, [(TEXT, FOXES)], 99)
