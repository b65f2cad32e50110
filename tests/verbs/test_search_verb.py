"""Beam search through the verbs: published settings of a model's folder, stop strings, refusals; against
``transformers`` on folders that it made itself."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trivium.errors import DataError, SettingsError
from trivium.families import huggingface
from trivium.generation.search import Search
from trivium.tokenizers import Tokenizer, train_bpe
from trivium.verbs.generate import generate
from trivium.verbs.load import load

transformers = pytest.importorskip("transformers")

TEXT = ["the cat sat on the mat and the dog sat on the log 🌍 é ü 日本"] * 30
PROMPTS = ["the cat", "the dog sat on the log and", "a", "日本 mat mat"]
LARGE_CNN = {  # the published settings of BART-large-cnn, in tokens of a smaller vocabulary
    "num_beams": 4, "length_penalty": 2.0, "no_repeat_ngram_size": 3, "min_length": 12, "max_length": 40,
    "early_stopping": True, "forced_bos_token_id": 0, "forced_eos_token_id": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = train_bpe(TEXT, 320).with_layout("classify")
    special = {"bos_token_id": tokenizer.classify, "eos_token_id": tokenizer.end, "pad_token_id": tokenizer.pad}
    torch.manual_seed(3)
    config = transformers.BartConfig(
        vocab_size=tokenizer.vocab_size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64,
        decoder_start_token_id=tokenizer.end, forced_eos_token_id=None, init_std=0.4, **special,
    )  # fmt: skip
    model = transformers.BartForConditionalGeneration(config)
    settings = {**LARGE_CNN, "forced_bos_token_id": tokenizer.classify, "forced_eos_token_id": tokenizer.end}
    ends = [tokenizer.end, 40, 41, 42, 43, 999_999]  # the last is no token of this model
    model.generation_config = transformers.GenerationConfig(
        **{**special, "eos_token_id": ends}, decoder_start_token_id=tokenizer.end, **settings
    )
    folder = tmp_path_factory.mktemp("bart")
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def expected(folder: Path, prompt: str, **settings: object) -> tuple[list[list[int]], list[float]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        out = model.generate(
            **tokenizer(prompt, return_tensors="pt", return_token_type_ids=False), return_dict_in_generate=True,
            output_scores=True, tokenizer=tokenizer, **settings,
        )  # fmt: skip
    return out.sequences[:, 1:].tolist(), out.sequences_scores.tolist()


def test_published_settings_give_the_published_texts(bart: Path) -> None:
    model = load(bart)
    ends = model.generation.ends
    assert 999_999 not in ends and len(ends) == 5
    assert model.search == Search(4, 39, 2.0, True, min_tokens=11, no_repeat_ngram=3)
    found = model.complete(PROMPTS, model.search, samples=2)
    assert [(c.prompt, c.sample) for c in found] == [(p, s) for p in range(4) for s in range(2)]
    assert {c.finish for c in found} == {"end"}
    for number, prompt in enumerate(PROMPTS):
        sequences, scores = expected(bart, prompt, num_return_sequences=2)
        for each, row, score in zip(found[2 * number :], sequences, scores, strict=False):
            assert each.tokens == tuple(row[: len(each.tokens)]) and row[len(each.tokens)] in ends
            assert each.tokens[0] == model.tokenizer.classify and len(each.tokens) >= 11
            assert each.score == pytest.approx(score, rel=1e-4)
            assert len(each.log_probabilities) == len(each.tokens) + 1


def test_what_is_given_goes_before_what_is_published(bart: Path) -> None:
    found = generate(bart, PROMPTS, beams=3, length_penalty=0.5, early_stopping="never", max_tokens=9, samples=3)
    model = load(bart)
    changed = Search(3, 9, 0.5, "never", min_tokens=9, no_repeat_ngram=3)  # the minimum is cut to the given maximum
    assert found == model.complete(PROMPTS, changed, samples=3)
    for number, prompt in enumerate(PROMPTS[:2]):
        sequences, _ = expected(
            bart, prompt, num_beams=3, length_penalty=0.5, early_stopping="never", max_new_tokens=9, min_new_tokens=9,
            num_return_sequences=3,
        )  # fmt: skip
        for each, row in zip(found[3 * number :], sequences, strict=False):
            assert each.tokens == tuple(row[: len(each.tokens)])


def test_one_beam_is_greedy(bart: Path) -> None:
    greedy = generate(bart, PROMPTS, temperature=0, min_tokens=11, no_repeat_ngram=3, max_tokens=39)
    assert generate(bart, PROMPTS, beams=1) == greedy
    assert {c.tokens[0] for c in greedy} == {load(bart).tokenizer.classify}


def test_stop_strings_end_a_beam_as_in_the_reference(bart: Path) -> None:
    model = load(bart)
    stopped = 0
    for prompt, stop in zip(PROMPTS[1:] * 2, (" d", "do", "og", "at", "g4", " th"), strict=True):
        found = model.generate(prompt, replace(model.search, early_stopping=False, stop=(stop,)))
        sequences, scores = expected(bart, prompt, stop_strings=[stop], early_stopping=False)
        assert found.tokens == tuple(sequences[0][: len(found.tokens)])
        assert found.score == pytest.approx(scores[0], rel=1e-4)
        assert stop not in found.text
        stopped += found.finish == "stop"
    assert stopped


def test_the_file_is_kept_when_the_model_is_written_again(bart: Path, tmp_path: Path) -> None:
    written = json.loads((bart / "generation_config.json").read_text())
    loaded = huggingface.load(bart)
    huggingface.save(loaded.model, loaded.family, loaded.tokenizer, tmp_path, generation=loaded.generation)
    again = json.loads((tmp_path / "generation_config.json").read_text())
    assert again == {key: value for key, value in written.items() if key not in ("transformers_version",)}
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
    assert theirs.num_beams == 4 and theirs.eos_token_id == written["eos_token_id"]
    assert load(tmp_path).search == load(bart).search


def copied(folder: Path, to: Path, **changes: object) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    path = to / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return to


def test_old_folders_have_the_settings_in_their_configuration(bart: Path, tmp_path: Path) -> None:
    shutil.copytree(bart, tmp_path, dirs_exist_ok=True)
    (tmp_path / "generation_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **LARGE_CNN, "eos_token_id": 2}))
    model = load(tmp_path)
    assert model.generation.ends == {2} and (model.generation.first, model.generation.last) == (0, 2)
    assert model.search == load(bart).search


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"eos_token_id": "2"}, "generation_config.json has eos_token_id = '2': it must be a token's number"),
        ({"eos_token_id": [1, None]}, "eos_token_id = .1, None.: it must be"),
        ({"forced_bos_token_id": True}, "forced_bos_token_id = True"),
    ],
)
def test_what_is_no_token_is_refused(bart: Path, tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load(copied(bart, tmp_path, **changes))


def test_settings_that_cannot_be_followed_are_refused_when_they_are_used(bart: Path, tmp_path: Path) -> None:
    for number, (key, value) in enumerate([("num_beams", "many"), ("length_penalty", 1e9), ("early_stopping", "x")]):
        model = load(copied(bart, tmp_path / str(number), **{key: value}))
        assert model.generate("the cat").text is not None
        with pytest.raises(DataError, match="generation_config.json cannot be followed: "):
            _ = model.search
    (tmp_path / "0" / "generation_config.json").write_text("[]")
    with pytest.raises(DataError, match="generation_config.json holds no JSON object"):
        load(tmp_path / "0")


def test_settings_of_another_way_to_write_are_refused(bart: Path) -> None:
    with pytest.raises(SettingsError, match="length_penalty is a setting of beam search: say how many beams"):
        generate(bart, "the", length_penalty=2.0)
    with pytest.raises(SettingsError, match="top_k is a setting of sampling"):
        generate(bart, "the", beams=4, top_k=5)
    with pytest.raises(SettingsError, match="5 texts cannot be had from 4 beams"):
        generate(bart, "the", beams=4, samples=5)
    with pytest.raises(SettingsError, match="samples is 0"):
        generate(bart, "the", beams=4, samples=0)
    assert generate(bart, [], beams=4) == []


def test_a_list_of_ends_also_ends_sampling(bart: Path) -> None:
    model = load(bart)
    written = generate(bart, "the cat", temperature=1.5, top_p=1.0, samples=40, max_tokens=60)
    ended = [c for c in written if c.finish == "end"]
    assert ended and not any(set(c.tokens) & model.generation.ends for c in written)
    tokenizer: Tokenizer = model.tokenizer
    assert tokenizer.end in model.generation.ends
