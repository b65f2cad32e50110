"""How a folder makes one vector of a text: what is read, and what is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from trivium.errors import DataError
from trivium.families.sentence_modules import SentenceModules, read_modules

OLD = "sentence_transformers.models."
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}


def folder(place: Path, modules: Any, pooling: Any = None, **files: Any) -> Path:
    place.mkdir(exist_ok=True)
    (place / "modules.json").write_text(json.dumps(modules))
    (place / "1_Pooling").mkdir(exist_ok=True)
    if pooling is not None:
        (place / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, content in files.items():
        (place / f"{name}.json").write_text(json.dumps(content))
    return place


def chain(*types: str, root: str = "") -> list[dict[str, Any]]:
    paths = [root, "1_Pooling", "2_Normalize", "3_More"]
    return [{"idx": n, "name": str(n), "path": paths[n], "type": kind} for n, kind in enumerate(types)]


PLAIN = chain(OLD + "Transformer", OLD + "Pooling")


def test_another_folder_or_file_has_the_default(tmp_path: Path) -> None:
    assert read_modules(tmp_path, 32) == read_modules(tmp_path / "model.gguf", 32) == SentenceModules()
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 64}')
    assert read_modules(tmp_path, 32) == SentenceModules(length=64)
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    assert read_modules(tmp_path, 32) == SentenceModules()


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        ({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"word_embedding_dimension": 32, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({}, "mean"),
        ({"embedding_dimension": 32, "pooling_mode": "lasttoken"}, "last"),
        ({"embedding_dimension": 32, "pooling_mode": ["cls"]}, "cls"),
    ],
)
def test_poolings_of_old_and_new_files(tmp_path: Path, pooling: dict, wanted: str) -> None:
    assert read_modules(folder(tmp_path, PLAIN, pooling), 32) == SentenceModules(wanted)  # type: ignore[arg-type]


def test_everything_at_once(tmp_path: Path) -> None:
    place = folder(
        tmp_path,
        chain(*NEW.values()),
        {"pooling_mode": "cls"},
        sentence_roberta_config={"max_seq_length": 128, "do_lower_case": True},
        tokenizer_config={"model_max_length": 512},
        config_sentence_transformers={"prompts": {"q": "query: ", "p": ""}, "default_prompt_name": "q"},
    )
    assert read_modules(place, 32) == SentenceModules("cls", True, 128, True, "query: ")


@pytest.mark.parametrize(
    ("modules", "pooling", "words"),
    [
        (chain(OLD + "Transformer", OLD + "Pooling", OLD + "Dense"), {}, "Transformer, Pooling, Dense.*sentence-tr"),
        (chain("my_code.Transformer", OLD + "Pooling"), {}, "my_code.Transformer"),
        (chain(OLD + "Transformer"), {}, "by Transformer, and only"),
        (chain(OLD + "Transformer", OLD + "Pooling", root="0_Transformer"), {}, "keeps its Transformer in '0_Trans"),
        (PLAIN, {"pooling_mode_max_tokens": True}, "pools by max, and one of mean, cls, lasttoken"),
        (PLAIN, {"pooling_mode": ["cls", "mean"]}, "pools by cls, mean"),
        (PLAIN, {"word_embedding_dimension": 64}, "vectors of 64 numbers, and the model's have 32"),
        (PLAIN, None, "1_Pooling/config.json is missing"),
        (PLAIN, [1], "holds no JSON object"),
        ({"a": 1}, {}, "not a list of modules"),
        ([{"type": 3, "path": ""}], {}, "not a list of modules"),
        ([{"type": OLD + "Transformer", "path": "../x"}], {}, "outside its folder"),
        ([{"type": OLD + "Transformer", "path": "/etc"}], {}, "outside its folder"),
    ],
)
def test_what_would_give_other_vectors_is_refused(tmp_path: Path, modules: Any, pooling: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        read_modules(folder(tmp_path, modules, pooling), 32)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_what_is_not_json_is_said(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[")
    with pytest.raises(DataError, match=r"modules\.json cannot be read"):
        read_modules(tmp_path, 32)


def test_a_prompt_outside_the_pooling_is_refused(tmp_path: Path) -> None:
    prompts = {"prompts": {"q": "query: "}, "default_prompt_name": "q"}
    place = folder(tmp_path, PLAIN, {"include_prompt": False}, config_sentence_transformers=prompts)
    with pytest.raises(DataError, match="leaves the prompt out"):
        read_modules(place, 32)


def test_another_use_of_the_transformer_is_refused(tmp_path: Path) -> None:
    place = folder(tmp_path, PLAIN, {}, sentence_bert_config={"transformer_task": "fill-mask"})
    with pytest.raises(DataError, match="transformer_task = 'fill-mask'"):
        read_modules(place, 32)
