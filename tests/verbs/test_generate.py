"""Generation through the verbs, against ``transformers`` on tiny random models that it made and saved itself."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from trivium.errors import DataError, SettingsError
from trivium.generation.judge import Judge
from trivium.generation.sampling import Sampling
from trivium.tokenizers import Tokenizer, train_bpe
from trivium.verbs import load as load_verb
from trivium.verbs.convert import convert
from trivium.verbs.generate import generate
from trivium.verbs.load import LanguageModel, load

transformers = pytest.importorskip("transformers")

TEXT = ["the cat sat on the mat and the dog sat on the log 🌍 é ü 日本"] * 30
PROMPTS = ["the cat", "the dog sat on the log and", "a", "日本 mat mat"]
GREEDY = Sampling(max_tokens=20, temperature=0)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_bpe(TEXT, 320)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.vocab_size, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3,
        bos_token_id=tokenizer.begin, eos_token_id=tokenizer.end,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("gpt2")
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.fixture(scope="module", params=["relu", "gated-gelu"])
def t5(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=tokenizer.vocab_size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, n_positions=64,
        feed_forward_proj=request.param, pad_token_id=0, eos_token_id=tokenizer.end, decoder_start_token_id=0,
        initializer_factor=2.0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("t5")
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def reference(model: torch.nn.Module, ids: Sequence[int], tokenizer: Tokenizer, **settings: object) -> tuple[int, ...]:
    """What ``transformers`` writes after the ids, up to the end token."""
    row = torch.tensor([list(ids)])
    with torch.no_grad():
        out = model.generate(
            row, attention_mask=torch.ones_like(row), do_sample=False, num_beams=1, max_new_tokens=20,
            pad_token_id=0, eos_token_id=tokenizer.end, **settings,
        )[0].tolist()  # fmt: skip
    new = out[1:] if model.config.is_encoder_decoder else out[len(ids) :]
    return tuple(new[: new.index(tokenizer.end)] if tokenizer.end in new else new)


@pytest.mark.parametrize("penalty", [1.0, 1.4])
def test_greedy_gpt2_equals_the_reference_token_for_token(gpt2: Path, tokenizer: Tokenizer, penalty: float) -> None:
    theirs = transformers.GPT2LMHeadModel.from_pretrained(gpt2).eval()
    ours = load(gpt2).complete(PROMPTS, Sampling(max_tokens=20, temperature=0, repetition_penalty=penalty))
    for prompt, completion in zip(PROMPTS, ours, strict=True):
        ids = tokenizer.encode(prompt).ids
        assert completion.tokens == reference(theirs, ids, tokenizer, repetition_penalty=penalty)
    assert len({c.tokens for c in ours}) == len(PROMPTS)


def test_greedy_t5_equals_the_reference_token_for_token(t5: Path, tokenizer: Tokenizer) -> None:
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(t5).eval()
    ours = load(t5).complete(PROMPTS, GREEDY)
    for prompt, completion in zip(PROMPTS, ours, strict=True):
        assert completion.tokens == reference(theirs, [*tokenizer.encode(prompt).ids, tokenizer.end], tokenizer)
    assert len({c.tokens for c in ours}) > 1


def test_bfloat16_weights_write_too(gpt2: Path) -> None:
    model = load(gpt2, precision="bfloat16")
    assert {p.dtype for p in model.model.parameters()} == {torch.bfloat16}
    assert len(model.complete(PROMPTS, GREEDY)) == len(PROMPTS)
    with pytest.raises(SettingsError, match="float16.*float32, bfloat16, int8"):
        load(gpt2, precision="float16")  # type: ignore[arg-type]


def test_int8_weights_write_and_do_nothing_else(gpt2: Path, t5: Path, tmp_path: Path) -> None:
    model = load(gpt2, precision="int8")
    assert len(model.complete(PROMPTS, GREEDY)) == len(PROMPTS)
    score, exact = (each.score(PROMPTS[0], " the").log_probability for each in (model, load(gpt2)))
    assert score == pytest.approx(exact, rel=0.05)
    assert load(t5, precision="int8").complete(PROMPTS, GREEDY)
    with pytest.raises(SettingsError, match="cannot be trained: load it with precision float32"):
        model.model.train()
    with pytest.raises(SettingsError, match="cannot be saved"):
        convert(model, tmp_path / "saved")


def test_int8_is_for_transformers_on_a_cpu(tiny_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("xlnet", "lstm"):
        with pytest.raises(SettingsError, match="not of recurrent or two-stream networks"):
            load(tiny_models[name], precision="int8")
    monkeypatch.setattr(load_verb, "choose_device", lambda name: torch.device("cuda"))
    with pytest.raises(SettingsError, match="int8 weights are for CPUs, and the device is cuda"):
        load(tiny_models["gpt2"], precision="int8")


def test_the_verb_is_the_method(gpt2: Path) -> None:
    model = load(gpt2)
    sampling = Sampling(max_tokens=8, temperature=1.1, top_k=30, top_p=0.9, min_p=0.01, seed=7, stop=("zz",))
    expected = model.complete(PROMPTS, sampling, samples=2)
    found = generate(
        gpt2, PROMPTS, max_tokens=8, temperature=1.1, top_k=30, top_p=0.9, min_p=0.01, seed=7, stop="zz", samples=2
    )
    assert found == expected
    assert generate(model, PROMPTS[0], max_tokens=8) == [model.generate(PROMPTS[0], Sampling(max_tokens=8))]
    pieces = list(model.stream(PROMPTS[:1], sampling, samples=2))
    assert ["".join(p.text for p in pieces if p.sample == s) for s in (0, 1)] == [c.text for c in expected[:2]]


def test_a_language_model_is_a_judge(gpt2: Path) -> None:
    judge: Judge = load(gpt2)
    prompt, continuation = "the cat", " sat on the mat"
    assert judge.score(prompt, continuation).tokens >= 4
    assert judge.surprise(prompt).bytes == 7
    assert judge.generate(prompt, GREEDY).text


def test_scores_equal_the_reference_loss(gpt2: Path, tokenizer: Tokenizer) -> None:
    theirs = transformers.GPT2LMHeadModel.from_pretrained(gpt2).eval()
    ids = [tokenizer.end, *tokenizer.encode(TEXT[0][:40]).ids]
    with torch.no_grad():
        loss = float(theirs(torch.tensor([ids]), labels=torch.tensor([ids])).loss)
    found = load(gpt2).surprise(TEXT[0][:40])
    assert found.tokens == len(ids) - 1
    assert found.nats / found.tokens == pytest.approx(loss, rel=1e-5)


def test_scores_of_an_encoder_decoder_equal_the_reference_loss(t5: Path, tokenizer: Tokenizer) -> None:
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(t5).eval()
    source, target = [*tokenizer.encode("the cat").ids, tokenizer.end], tokenizer.encode(" sat on the mat").ids
    with torch.no_grad():
        loss = float(theirs(torch.tensor([source]), labels=torch.tensor([target])).loss)
    found = load(t5).score("the cat", " sat on the mat")
    assert -found.log_probability / found.tokens == pytest.approx(loss, rel=1e-5)
    with pytest.raises(SettingsError, match="score a continuation"):
        load(t5).surprise("the cat")


def test_loading_twice_is_free_and_equal(gpt2: Path) -> None:
    model = load(gpt2)
    assert load(model) is model
    assert model.kind == "decoder" and model.family.name == "gpt2" and model.directory == gpt2
    assert isinstance(model, LanguageModel) and not model.model.training


@pytest.mark.parametrize(
    ("missing", "match"), [("tokenizer.json", "no tokenizer.json"), ("config.json", "config.json")]
)
def test_an_incomplete_folder_names_what_is_missing(gpt2: Path, tmp_path: Path, missing: str, match: str) -> None:
    for file in gpt2.iterdir():
        if file.name != missing:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(DataError, match=match):
        load(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(gpt2: Path, tmp_path: Path) -> None:
    for file in gpt2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    train_bpe([" ".join(f"word{i}" for i in range(500))] * 2, 400).save(tmp_path)
    with pytest.raises(DataError, match="400 tokens and the model 320"):
        load(tmp_path)


def test_no_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no model folder .*nowhere.*--out") as caught:
        load(tmp_path / "nowhere")
    assert caught.value.exit_code == 3


def test_labels_are_predicted_by_fine_tuned_models_only(gpt2: Path, tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(SettingsError, match="trivium finetune"):
        load(gpt2).predict(["the cat"])
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32, id2label={0: "cat", 1: "dog", 2: "mat"},
        initializer_range=0.3,
    )  # fmt: skip
    theirs = transformers.BertForSequenceClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    tokenizer.with_layout("classify").save(tmp_path)
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path)
    model = load(tmp_path)
    assert model.labels == {"sequence": ("cat", "dog", "mat")}
    for text, found in zip(PROMPTS, model.predict(PROMPTS), strict=True):
        with torch.no_grad():
            expected = theirs(**opened(text, return_tensors="pt")).logits[0].softmax(-1).tolist()
        assert found.given == {"text": text}
        assert list(found.prediction.probabilities.values()) == pytest.approx(expected, abs=1e-5)


def test_too_long_a_prompt_is_refused_with_the_numbers(gpt2: Path) -> None:
    with pytest.raises(SettingsError, match=r"context is 64: shorten it by at least \d+ tokens"):
        generate(gpt2, " ".join(TEXT[:3]))
