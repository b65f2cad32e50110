"""``tokenizer train`` and ``show``: what is saved is what ``transformers`` opens, and what is shown adds up."""

import json
from pathlib import Path

import pytest
import transformers

import trivium
from trivium.errors import DataError, SettingsError
from trivium.tokenizers import Tokenizer
from trivium.verbs.tokenizer import show_tokenizer, train_tokenizer


def test_a_trained_tokenizer_opens_in_transformers(tmp_path: Path, text_file: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    texts = text_file.read_text().replace("Every", "Évery").split("\n\n")
    rows.write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    made = train_tokenizer([rows], tmp_path / "tokenizer", vocab_size=360, field="body")
    assert made.documents == len(texts) == 200
    assert made.bytes == sum(len(text.encode()) for text in texts)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    view = show_tokenizer(tmp_path / "tokenizer", "Number 7 of the list é")
    assert theirs.vocab_size == view.vocab_size == 360
    assert [piece.id for piece in view.pieces or ()] == theirs(
        "Number 7 of the list é", add_special_tokens=False
    ).input_ids
    assert view.fingerprint == made.fingerprint


def test_figures_add_up(tmp_path: Path, text_file: Path) -> None:
    train_tokenizer([text_file], tmp_path / "tokenizer", vocab_size=360)
    view = show_tokenizer(tmp_path / "tokenizer", "two words")
    assert view.pieces is not None
    assert view.bytes_per_token == 9 / len(view.pieces)
    assert view.tokens_per_word == len(view.pieces) / 2
    assert len(view.longest) == 10 and len(view.longest[0]) >= len(view.longest[-1])
    empty = show_tokenizer(tmp_path / "tokenizer", "")
    assert empty.pieces == [] and empty.bytes_per_token is None


@pytest.mark.parametrize(
    ("algorithm", "recipe", "size"),
    [("wordpiece", "bert-mini", 320), ("unigram", "t5-mini", 360), ("words", "gpt2-mini", 70)],
)
def test_a_run_with_a_tokenizer_of_any_algorithm(
    algorithm: str, recipe: str, size: int, tmp_path: Path, text_file: Path
) -> None:
    tokenizer = [f"tokenizer.algorithm={algorithm}", f"tokenizer.vocab_size={size}"]
    small = ["model.size=tiny", "model.context=32", "training.steps=1", "training.batch_tokens=256"]
    trivium.pretrain(trivium.load_recipe(recipe, data=[text_file], sets=[*tokenizer, *small]).recipe, tmp_path / "run")
    theirs, ours = transformers.AutoTokenizer.from_pretrained(tmp_path / "run"), Tokenizer.load(tmp_path / "run")
    for text in ("A list is a sequence; don't raise 42!", "Größe"):
        assert theirs(text).input_ids == ours.encode(text, specials=True).ids
    assert ours.vocab_size == size and theirs.eos_token_id == ours.end


def test_what_cannot_be_is_refused(tmp_path: Path, text_file: Path) -> None:
    with pytest.raises(SettingsError, match="no tokenizer algorithm 'bep': did you mean bpe"):
        train_tokenizer([text_file], tmp_path / "a", algorithm="bep")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").touch()
    with pytest.raises(SettingsError, match="is in use"):
        train_tokenizer([text_file], tmp_path / "b")
    with pytest.raises(SettingsError, match="is too small"):
        train_tokenizer([text_file], tmp_path / "c", vocab_size=100)
    with pytest.raises(DataError, match="does not exist"):
        show_tokenizer(tmp_path / "d")
