"""The kind of a network is in its file, and an unknown or damaged one is said."""

import json
from pathlib import Path

import pytest

from trivium.errors import DataError
from trivium.families import FAMILIES, TRIVIUM
from trivium.families.bodies import BODIES, initialise, kind_of, network
from trivium.families.huggingface import load, save


@pytest.mark.parametrize("name", ["gpt2", "lstm", "seq2seq"])
def test_every_kind_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    changes = {"norm": "rms"} if name == "gpt2" else {"init": "uniform"}
    model = initialise(network(FAMILIES[name].size("tiny", 40, **changes)), 0)
    assert save(model, FAMILIES[name], None, tmp_path) is TRIVIUM
    loaded = load(tmp_path)
    assert loaded.config == model.config and type(loaded.model) is type(model)
    assert kind_of(loaded.config) == ("transformer" if name == "gpt2" else "recurrent")
    assert set(BODIES) >= {"transformer", "recurrent"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "hopfield"}, "kind 'hopfield'"),
        ({"cell": "gated"}, "cell"),
        ({"width": "wide"}, "width"),
        ({"later": 1}, "later"),
        ({"decoder_layers": 0}, "nor both 0"),
    ],
)
def test_a_file_that_describes_no_network_is_refused(change: dict, said: str, tmp_path: Path) -> None:
    save(initialise(network(FAMILIES["lstm"].size("tiny", 40)), 0), FAMILIES["lstm"], None, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    written["trivium"] |= change
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(DataError, match=said):
        load(tmp_path)
