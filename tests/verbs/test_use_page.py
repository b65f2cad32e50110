"""The page on using models runs, top to bottom, on tiny models in the folders that it names."""

import re
from pathlib import Path

import pytest
import torch

from trivium.families import BERT, GPT2, T5
from trivium.families.huggingface import save
from trivium.tokenizers import train_bpe
from trivium.transformer import Model, initialise

PAGE = Path(__file__).parents[2] / "docs" / "use.md"


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = train_bpe(["Return the file of the list. The block is closed when the file is left."] * 30, 310)
    for family in (BERT, GPT2, T5):
        model = initialise(Model(family.size("tiny", tokenizer.vocab_size)), 0)
        layout = "classify" if family is BERT else "plain"
        save(model, family, tokenizer.with_layout(layout), tmp_path / "runs" / family.name)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert "Candidate" in capsys.readouterr().out
