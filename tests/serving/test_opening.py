"""From names to models: an adapter merged into its base, what is shared, and what each can be asked."""

from pathlib import Path

import torch

import trivium
from trivium.families.adapter_folder import save_adapter
from trivium.serving import opening
from trivium.serving.opening import check_memory, open_house
from trivium.serving.settings import ServeSettings
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.transformer.lora import Lora

GREEDY = trivium.Sampling(max_tokens=12, temperature=0)


def adapter(base: Path, folder: Path, seed: int) -> Path:
    """One that changes what the base writes."""
    loaded = trivium.load(base, device="cpu")
    adapters = Adapters(loaded.model)
    adapters.add(DEFAULT, Lora(rank=4, alpha=8), seed)
    generator = torch.Generator().manual_seed(seed)
    for part in adapters.parts().values():
        part.B.data.normal_(0, 0.5, generator=generator)
    save_adapter(loaded.model, loaded.family, loaded.tokenizer, folder, base=str(base), whole=())
    return folder


def test_adapters_share_what_they_do_not_change(talker: Path, tmp_path: Path) -> None:
    folders = [adapter(talker, tmp_path / f"adapter{seed}", seed) for seed in (1, 2)]
    for models in ([], [f"base={talker}"]):
        house = open_house(
            models, [f"a{n}={folder}" for n, folder in enumerate(folders)], ServeSettings(), device="cpu"
        )
        texts = {name: each.model.generate("The fox", GREEDY).text for name, each in house.models.items()}
        for n, folder in enumerate(folders):
            assert texts[f"a{n}"] == trivium.load(folder, device="cpu").generate("The fox", GREEDY).text
        assert len(set(texts.values())) == len(texts)
        if models:
            assert texts["base"] == trivium.load(talker, device="cpu").generate("The fox", GREEDY).text
        tables = {each.model.model.state_dict()["tokens.weight"].data_ptr() for each in house.models.values()}
        assert len(tables) == 1


def test_what_adapters_take_is_what_they_change(talker: Path, tmp_path: Path, monkeypatch) -> None:
    folder = adapter(talker, tmp_path / "adapter", 1)
    base, loaded = trivium.load(talker, device="cpu"), trivium.load(folder, device="cpu")
    theirs = base.model.state_dict()
    changed = sum(t.numel() for n, t in loaded.model.state_dict().items() if not torch.equal(t, theirs[n]))
    assert opening.changed_weights(folder) == changed
    room = (opening.weights(talker) + changed) * 4
    monkeypatch.setattr(opening, "available_memory", lambda device="cpu": room)
    check_memory({"base": talker, "a": folder}, "float32", "cpu")
    monkeypatch.setattr(opening, "available_memory", lambda device="cpu": room - 1)
    try:
        check_memory({"base": talker, "a": folder}, "float32", "cpu")
    except trivium.RefusedError as problem:
        assert "base takes" in str(problem) and "a takes" in str(problem)
    else:
        raise AssertionError("it was not refused")


def test_a_template_that_cannot_be_used_leaves_the_rest(talker: Path, tmp_path: Path, capsys) -> None:
    import shutil

    shutil.copytree(talker, tmp_path / "m")
    (tmp_path / "m" / "chat_template.jinja").write_text("{% for %}")
    served = open_house([f"m={tmp_path / 'm'}"], [], ServeSettings(), device="cpu").models["m"]
    assert "chat" not in served.abilities and "complete" in served.abilities
    assert "m is served without chat: the chat template cannot be used" in capsys.readouterr().err
