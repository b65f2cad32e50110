"""Prompts that are read in both directions, as a prefix language model learnt them: held against transformers' GPT-2,
Llama and Qwen 2, which run the whole text at every step with a mask of our own, without cache, batch or padding."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import trivium
from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import save
from trivium.generation.contrastive import Contrastive, ContrastiveDecoding
from trivium.generation.engine import Engine, Request, run
from trivium.generation.prompts import Prompt, beginning, opening
from trivium.generation.sampling import Sampling
from trivium.generation.search import Search, search
from trivium.generation.speculative import Draft, SpeculativeDecoding
from trivium.settings import build
from trivium.tasks.rewrite_items import encode_rewrites, rewrite_batch
from trivium.tokenizers import Tokenizer
from trivium.transformer import Model, Network, TransformerConfig
from trivium.verbs.convert.writers import write
from trivium.verbs.pretraining_model import config_of
from trivium.verbs.recipe import From, Recipe
from trivium.verbs.source_model import opened
from trivium.views import steps

GREEDY, NO_ENDS = Sampling(max_tokens=8, temperature=0), frozenset[int]()
PROMPTS = [Prompt(ids) for ids in ((5, 9, 2, 70), (7,), (3, 3, 60, 11, 4, 8, 1, 90, 33), (9, 2), (5, 9, 2, 71))]


class Pair:
    """A random model of ours that reads prompts in both directions, in its folder, and theirs of the same weights."""

    def __init__(self, family: str, tokenizer: Tokenizer, folder: Path) -> None:
        config = FAMILIES[family].size("tiny", tokenizer.vocab_size, pad_token=0, bidirectional_prompt=True)
        model = initialise(network(replace(config, init_std=0.3)), 1)
        assert save(model, FAMILIES[family], tokenizer, folder) is FAMILIES[family]
        self.folder, self.loaded = folder, trivium.load(folder)
        self.ours: Network = self.loaded.model
        self.theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()

    def after(self, prompt: Sequence[int], written: Sequence[int]) -> torch.Tensor:
        """(T, V) log-probabilities by theirs after each token."""
        return self.read(prompt, written)[0]

    def looked(self, prompt: Sequence[int], written: Sequence[int]) -> torch.Tensor:
        """(T, T): where theirs looks in its last layer, the mean of its heads."""
        return self.read(prompt, written)[1]

    @torch.no_grad()
    def read(self, prompt: Sequence[int], written: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.tensor([[*prompt, *written]])
        place = torch.arange(ids.shape[1])
        seen = (place[None, :] <= place[:, None]) | (place < len(prompt))[None, :]
        mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        found = self.theirs(ids, attention_mask=mask[None, None], output_attentions=True)
        return found.logits[0].log_softmax(-1), found.attentions[-1][0].mean(0)

    def greedy(self, prompt: Sequence[int], count: int = 8) -> tuple[int, ...]:
        written: tuple[int, ...] = ()
        for _ in range(count):
            written = (*written, int(self.after(prompt, written)[-1].argmax()))
        return written


@pytest.fixture(scope="module", params=["gpt2", "llama", "qwen2"])
def pair(
    request: pytest.FixtureRequest, tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    tokenizer = trivium.load(tiny_models["gpt2"]).tokenizer
    return Pair(request.param, tokenizer, tmp_path_factory.mktemp(request.param))


def test_the_folder_says_so_and_transformers_opens_it(pair: Pair) -> None:
    written = json.loads((pair.folder / "config.json").read_text())
    assert written["bidirectional_prompt"] is True and written["model_type"] == pair.theirs.config.model_type
    assert pair.loaded.config.bidirectional_prompt and pair.theirs.config.bidirectional_prompt
    plain = replace(pair.loaded.config, bidirectional_prompt=False)
    assert "bidirectional_prompt" not in pair.loaded.family.config_out(plain)


def test_a_ragged_batch_is_written_as_by_the_whole_text_at_each_step(pair: Pair) -> None:
    expected = [pair.greedy(prompt.ids) for prompt in PROMPTS]
    together = run(pair.ours, PROMPTS, GREEDY, NO_ENDS, pair.ours.config.vocab_size)
    assert [each.tokens for each in together] == expected
    for prompt, each in zip(PROMPTS, together, strict=True):
        exact = pair.after(prompt.ids, each.tokens[:-1])[len(prompt.ids) - 1 :]
        assert each.log_probabilities == pytest.approx(exact.amax(-1).tolist(), abs=1e-4)
    causal = replace(pair.ours.config, bidirectional_prompt=False)
    other = network(causal)
    other.load_state_dict(pair.ours.state_dict())
    written = run(other.eval(), PROMPTS, GREEDY, NO_ENDS, causal.vocab_size)
    assert written[1].tokens == expected[1]  # of one token, which sees itself alone
    assert sum(each.tokens != wanted for each, wanted in zip(written, expected, strict=True)) >= 1


def test_prompts_are_read_whole_and_only_equal_ones_once(pair: Pair) -> None:
    """Also where a prompt is longer than what is read between two steps, and where it begins as an earlier one."""
    model, long = pair.ours, Prompt(tuple(range(20, 44)))
    prompts = [long, *PROMPTS, Prompt((*long.ids, 3)), long, Prompt((*long.ids, *pair.greedy(long.ids)))]
    engine = Engine(model, model.config.vocab_size, slots=2, read_at_once=5)
    found: dict[int, list[int]] = {}
    for prompt in prompts:
        engine.submit(Request(prompt, GREEDY))
    while engine.busy:
        for choice in engine.step():
            found.setdefault(choice.row, []).append(choice.token)
    assert [tuple(found[n]) for n in range(len(prompts))] == [pair.greedy(prompt.ids) for prompt in prompts]
    assert engine.work.taken_over == len(long.ids)  # the second time that it came


def test_other_ways_to_write_read_prompts_so_too(pair: Pair) -> None:
    model, size = pair.ours, pair.ours.config.vocab_size
    for prompt, best in zip(PROMPTS, search(model, PROMPTS, Search(beams=3, max_tokens=5), NO_ENDS, size), strict=True):
        chances = pair.after(prompt.ids, best[0].tokens)[len(prompt.ids) - 1 :]
        exact = [float(row[token]) for row, token in zip(chances, best[0].tokens, strict=False)]
        assert best[0].log_probabilities == pytest.approx(exact, abs=1e-4)
        assert sum(exact) >= sum(run(model, [prompt], Sampling(5, 0.0), NO_ENDS, size)[0].log_probabilities) - 1e-4
    expected = {row: list(pair.greedy(prompt.ids, 5)) for row, prompt in enumerate(PROMPTS)}
    drafter = network(replace(model.config, width=16, heads=2, head_width=None, kv_heads=None))  # which guesses badly
    for decoding in (
        ContrastiveDecoding(model, PROMPTS, Contrastive(max_tokens=5, penalty=0.0), NO_ENDS, size),
        SpeculativeDecoding(model, PROMPTS, Sampling(5, 0.0), NO_ENDS, size, Draft(model, 3)),
        SpeculativeDecoding(model, PROMPTS, Sampling(5, 0.0), NO_ENDS, size, Draft(drafter.eval(), 3)),
    ):
        found: dict[int, list[int]] = {}
        for step in decoding:
            for choice in step:
                found.setdefault(choice.row, []).append(choice.token)
        assert found == expected


def test_continuations_are_scored_after_a_prompt_that_is_read_so(pair: Pair) -> None:
    tokenizer = pair.loaded.tokenizer
    texts = ("raise an error when", "a list of items is")
    pairs = [(text, f" {word}") for text in texts for word in ("the", "every x")]
    for (text, ending), score in zip(pairs, pair.loaded.scores(pairs), strict=True):
        prompt, targets = opening(tokenizer, tokenizer.encode(text).ids), tokenizer.encode(ending).ids
        exact = pair.after(prompt, targets)[len(prompt) - 1 : -1].gather(1, torch.tensor(targets)[:, None])[:, 0]
        assert score.log_probabilities == pytest.approx(exact.tolist(), abs=1e-4)
    text = tokenizer.encode("a list of items").ids  # a text alone has no prompt: each token sees what is before it
    whole = (*beginning(tokenizer), *text)
    exact = pair.after(whole[:1], whole[1:])[:-1].gather(1, torch.tensor(whole[1:])[:, None])[:, 0]
    assert pair.loaded.surprise("a list of items").nats == pytest.approx(-float(exact.sum()), abs=1e-3)


def test_the_view_of_a_text_as_it_is_written_looks_where_it_looked(pair: Pair) -> None:
    view = steps.decoding(pair.ours, pair.loaded.tokenizer, "a list of items", max_tokens=4)
    prompt = opening(pair.loaded.tokenizer, pair.loaded.tokenizer.encode("a list of items").ids)
    written = [step.token for step in view.steps]
    assert tuple(written) == pair.greedy(prompt, 4)[: len(written)] and len(written) > 1
    exact = pair.looked(prompt, written[:-1])[len(prompt) - 1 :]
    for number, step in enumerate(view.steps):
        assert step.attention == pytest.approx(exact[number, : len(prompt) + number].tolist(), abs=1e-4)


def test_rewriting_learns_what_it_will_read(pair: Pair) -> None:
    """The source of each row is seen in both directions while the target is learnt, and scored in the same way."""
    items = encode_rewrites(
        ["a list", "raise an error when"], ["the", "every model"], pair.loaded.tokenizer, pair.ours.config, "\n",
        (20, 8),
    )  # fmt: skip
    batch = rewrite_batch(items, np.arange(2), [])
    assert batch.inputs.target is not None and batch.inputs.target.prefix is not None
    assert batch.inputs.target.prefix.sum(1).tolist() == [len(prompt.ids) for prompt in items.prompts]
    with torch.no_grad():
        logits = pair.ours(batch.inputs, at=batch.targets["at"]).logits
    exact = [
        pair.after(prompt.ids, target)[len(prompt.ids) - 1 : -1]
        for prompt, target in zip(items.prompts, items.targets, strict=True)
    ]
    torch.testing.assert_close(logits.log_softmax(-1), torch.cat(exact), atol=1e-4, rtol=1e-4)
    assert items.question(0).known == len(items.prompts[0].ids)


def test_what_has_an_encoder_has_no_prompt_to_read_so() -> None:
    with pytest.raises(SettingsError, match="bidirectional_prompt is for a decoder alone, and the model has 1 encoder"):
        TransformerConfig(32, 16, 2, 32, encoder_layers=1, decoder_layers=1, bidirectional_prompt=True)


def test_a_model_of_no_family_says_so_too(tmp_path: Path) -> None:
    config = TransformerConfig(32, 16, 2, 32, decoder_layers=1, norm_place="post", bidirectional_prompt=True)
    save(Model(config), FAMILIES["gpt2"], None, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["trivium"]["bidirectional_prompt"] is True


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ({"kind": "prefix"}, True),
        ({"kind": "causal"}, False),
        ({"kind": "mixed", "parts": [{"kind": "causal"}, {"kind": "prefix"}]}, True),
    ],
    ids=["prefix", "causal", "mixed"],
)
def test_a_run_s_objective_decides(pair: Pair, objective: dict[str, object], expected: bool) -> None:
    """Also where it goes on from a model that reads in both directions."""
    model = {"family": pair.loaded.family.name, "size": "tiny"}
    data = {"data": {"corpus": "python-docs"}, "tokenizer": {"vocab_size": 320}}
    training = {"steps": 1, "batch_tokens": 256}
    asked = build(Recipe, {**data, "model": model, "objective": objective, "training": training})
    assert config_of(asked, 320, 0, 1).bidirectional_prompt is expected
    begun, _ = opened(replace(asked, from_=From(str(pair.folder))))
    assert config_of(begun, 320, 0, 1).bidirectional_prompt is expected


def test_what_cannot_say_so_is_told(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivium.verbs.convert.writers.write_onnx", lambda *given: [])  # the graphs do not matter here
    assert write(pair.loaded, tmp_path / "onnx", "onnx", "float32")[1] == ("bidirectional_prompt",)
    assert write(pair.loaded, tmp_path / "hf", "hf", "float32")[1] == ()  # its config.json says it
    if pair.loaded.family.name == "qwen2":  # which has no form as GGUF
        return
    _, left_out = write(pair.loaded, tmp_path / "model.gguf", "gguf", "float32")
    assert left_out[-1:] == ("bidirectional_prompt",)
