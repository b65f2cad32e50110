"""The real models of ``make demo-models``: found without importing their packages, and what they are."""

import math
import sys
from importlib import metadata
from pathlib import Path

import pytest

from trivium.errors import DataError
from trivium.families import demo_models
from trivium.families.demo_models import COMMAND, DEMO_MODELS, find_model
from trivium.families.gguf import GgufFile
from trivium.families.gguf_tensors import GgufTensors


def installed(name: str) -> Path:
    """A model's place; a test is left out where it is not installed."""
    try:
        return find_model(name)
    except DataError as problem:
        pytest.skip(str(problem))


def test_smollm2_is_what_its_facts_say() -> None:
    with GgufFile(installed("smollm2-135m")) as file:
        kinds: dict[str, int] = {}
        for stored in file.header.tensors.values():
            kinds[stored.kind.name] = kinds.get(stored.kind.name, 0) + 1
        assert (file.header.version, len(file.header.tensors), file.numbers) == (3, 272, 134_515_008)
        assert kinds == {"Q4_1": 210, "Q8_0": 1, "F32": 61}
        assert file.header.tensors["token_embd.weight"].kind.name == "Q8_0"


def test_smollm2s_settings_are_those_of_its_card() -> None:
    with GgufTensors(installed("smollm2-135m")) as tensors:
        config = tensors.config
        shapes = [math.prod(tensors.shape(name)) for name in tensors.names]
    assert sum(shapes) == 134_515_008
    wanted = {
        "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "rope_theta": 100000.0,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "max_position_embeddings": 8192, "bos_token_id": 1,
    }  # fmt: skip
    assert {key: config[key] for key in wanted} == wanted


def test_minilm_is_a_folder_with_weights_and_a_tokenizer() -> None:
    folder = installed("all-minilm-l6-v2")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}


def test_a_model_is_found_without_importing_its_package() -> None:
    for name, model in DEMO_MODELS.items():
        installed(name)
        assert model.package.replace("-", "_") not in sys.modules


@pytest.mark.parametrize("name", DEMO_MODELS)
def test_a_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def absent(package: str) -> None:
        raise metadata.PackageNotFoundError(package)

    for answer in (absent, lambda package: []):
        monkeypatch.setattr(demo_models.metadata, "files", answer)
        with pytest.raises(DataError, match="make demo-models") as error:
            find_model(name)
        assert COMMAND in str(error.value) and name in str(error.value)


def test_the_makefile_runs_the_command_that_errors_name() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    assert COMMAND.removeprefix("pip ").split(" ", 1)[1] in makefile
    assert "demo-models:" in makefile
