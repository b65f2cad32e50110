"""The table in the documentation of which objective trains which stack is what objectives accept and refuse."""

from pathlib import Path

import pytest

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.objectives import OBJECTIVES, Causal, Distillation, Masked

STACKS = {
    "encoder": "bert", "decoder": "gpt2", "encoder-decoder": "t5", "XLNet": "xlnet", "recurrent encoder": "bilstm",
    "recurrent decoder": "lstm", "recurrent pair": "seq2seq", "ELMo": "elmo",
}  # fmt: skip
PAGE = Path(__file__).parents[2] / "docs" / "objectives.md"


def documented() -> dict[str, list[bool]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("| objective |"))
    assert [cell.strip() for cell in lines[head].strip("|").split("|")[1:]] == list(STACKS)
    found = {}
    for line in lines[head + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[name.strip("`")] = [cell == "yes" for cell in cells]
    return found


def trains(kind: str, family: str) -> bool:
    sizes = FAMILIES[family].sizes
    config = FAMILIES[family].size("tiny" if "tiny" in sizes else "mini", 100, pad_token=0)
    made = [Distillation(teacher="t", of=of) for of in (Masked(), Causal())] if kind == "distillation" else [
        OBJECTIVES[kind]()
    ]  # fmt: skip
    for objective in made:
        try:
            objective.heads(config)
        except SettingsError as refusal:
            assert str(refusal).count(".") < 9 and ("set " in str(refusal) or "model" in str(refusal))
        else:
            return True
    return False


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_stacks_are_those_of_the_table(kind):
    assert [trains(kind, family) for family in STACKS.values()] == documented()[kind]
