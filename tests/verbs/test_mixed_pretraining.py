"""A run by several objectives over several texts: resumed exactly, evaluated by part, each source's epochs told."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from tests.verbs.test_pretrain import end, recipe, texts

from trivium.errors import SettingsError
from trivium.families.huggingface import load
from trivium.settings import spell
from trivium.verbs.pretrain import pretrain
from trivium.verbs.pretraining_batches import Feed, batch_flops
from trivium.verbs.pretraining_data import get_tokenizer, prepare
from trivium.verbs.pretraining_data import texts as sources_of
from trivium.verbs.recipe import read_recipe

PARTS = [{"kind": "masked"}, {"kind": "masked", "rate": 0.4, "isolate_documents": False}]


@pytest.fixture
def mixture(tmp_path):
    """Two texts, three rows of the first to one of the second; two objectives that cut them differently."""
    for seed, name in enumerate("ab"):
        lines = [json.dumps({"text": text}) for text in texts(40, seed)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    sources = [{"files": [str(tmp_path / "a.jsonl")], "weight": 3.0}, {"files": [str(tmp_path / "b.jsonl")]}]
    objective = {"objective__kind": "mixed", "objective__parts": PARTS, "objective__weights": [1.0, 3.0]}
    return recipe("bert", data__sources=sources, **objective, training__batch_tokens=96)


def test_a_run_of_a_mixture_is_resumed_exactly_and_reported_by_part(mixture, tmp_path, capsys):
    whole = pretrain(mixture, tmp_path / "whole")
    said = capsys.readouterr().err

    def kill(step):
        if step.number == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        pretrain(mixture, tmp_path / "run", on_step=kill, quiet=True)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    resumed = pretrain(None, tmp_path / "run", resume=True, quiet=True)
    assert end(resumed.directory) == end(whole.directory)
    proved = pretrain(None, tmp_path / "run", resume=True, prove=True, quiet=True)
    assert proved.proof is not None and proved.proof.startswith("proved: steps 11 to 12")

    lines = [line for line in whole.history if line["kind"] == "train"]  # of two steps each, three rows a step
    assert {name for line in lines for name in line["losses"]} == {"masked_1", "masked_2"}
    figures = whole.evaluation
    assert figures["masked_1.masked_share"] < 0.2 < 0.3 < figures["masked_2.masked_share"]
    assert figures["loss"] == pytest.approx(0.25 * figures["masked_1.loss"] + 0.75 * figures["masked_2.loss"])
    assert read_recipe(whole.directory / "trivium.toml").objective == mixture.objective
    assert load(whole.directory).model.config.encoder_layers == 2
    assert said.count("tokens in") == 2 and said.count("seen") == 2
    card = (whole.directory / "README.md").read_text()
    assert "Objective: mixed (parts [{kind = \"masked\"" in card and "75.0% of the rows" in card
    assert all(str(files) in card for source in mixture.data.sources for files in source.files)
    changed = (tmp_path / "run" / "trivium.toml").read_text().replace("weights = [1.0, 3.0]", "weights = [1.0, 2.0]")
    (tmp_path / "run" / "trivium.toml").write_text(changed)
    with pytest.raises(SettingsError, match=r"objective.weights = \[1.0, 3.0\], and now it is \[1.0, 2.0\]"):
        pretrain(None, tmp_path / "run", resume=True, quiet=True)


@pytest.fixture
def prepared(mixture, tmp_path):
    sources = sources_of(mixture.data, None)
    folder = tmp_path / "prepared"
    folder.mkdir()
    tokenizer = get_tokenizer(mixture.tokenizer, sources, _config(), folder)
    return prepare(mixture, sources, None, tokenizer, 32, 8, folder)


def _config():
    from trivium.families import FAMILIES

    return FAMILIES["bert"].size("tiny", 320)


def test_the_text_is_cut_once_for_each_layout_and_each_part_reads_on_in_its_own(prepared):
    assert [cut.training.sources[0].layout.mode for cut in prepared.cuts] == ["packed", "stream"]
    assert prepared.layouts == [0, 1]
    rows = [(turn.part, turn.rows()) for turn in prepared.turns(0, 400)]
    assert [(part, len(found.draws)) for part, found in rows] == [(0, 100), (1, 300)]  # exactly the weights
    assert sorted(np.concatenate([found.draws for _, found in rows])) == list(range(400))
    for part, found in rows:  # each part sees every row of the text in its turn: as many as a run of it alone would
        alone = prepared.cuts[part].training.rows(0, len(found.draws))
        assert sorted(map(tuple, found.tokens.tolist())) == sorted(map(tuple, alone.tokens.tolist()))
    assert prepared.epochs(400) == pytest.approx(
        np.array(prepared.cuts[0].training.epochs(100)) + prepared.cuts[1].training.epochs(300)
    )


def test_batches_do_not_depend_on_how_a_step_is_split(prepared, mixture):
    whole = Feed(mixture.objective, prepared, 8, 8, 0)(5)
    split = Feed(mixture.objective, prepared, 8, 1, 0)(5)
    assert len(whole) <= 2 and len(split) == 8
    for batch in whole:
        few = [each for each in split if each.part == batch.part]
        for row, each in enumerate(few):
            assert each.draws == batch.draws[row : row + 1] and each.weights == batch.weights
            assert (each.inputs.source.ids == batch.inputs.source.ids[row]).all()
    flops = sum(batch_flops(_config(), batch) for batch in whole)
    assert sum(batch_flops(_config(), each) for each in split) == pytest.approx(flops, rel=1e-9)


def test_inspect_batch_shows_the_rows_of_each_part(mixture):
    from trivium.verbs.inspect_batch import inspect_batch

    mixture = replace(mixture, training=replace(mixture.training, batch_tokens=256))
    view = inspect_batch(mixture, step=3, rows=8)
    assert len(view.rows) == view.row_count == 8 and set(view.targets) == {"masked_1", "masked_2"}
    assert sorted(row.draw for row in view.rows) == list(range(16, 24))
    for row in view.rows:
        losses = {target.loss for side in row.sides for place in side.places for target in place.targets}
        assert len(losses) == 1 and all(piece.file is not None for piece in row.pieces)


def test_carried_state_cannot_take_turns(tmp_path):
    parts = [{"kind": "causal", "carry_state": True}, {"kind": "causal"}]
    made = recipe("gpt2", model__family="lstm", model__dropout=0.0, objective__kind="mixed", objective__parts=parts)
    with pytest.raises(SettingsError, match="objective.carry_state .* leave it out of objective.parts"):
        pretrain(made, tmp_path / "run", documents=texts(), quiet=True)


def test_a_mixture_is_set_on_the_command_line(tmp_path):
    from typer.testing import CliRunner

    from trivium.cli.app import app

    (tmp_path / "a.txt").write_text("\n\n".join(texts()))
    sets = ["objective.kind=mixed", f"objective.parts={spell(PARTS)}", "objective.weights=1,2", "training.steps=2",
            "tokenizer.vocab_size=320", "model.size=tiny", "model.context=32", "training.batch_tokens=256"]  # fmt: skip
    words = ["pretrain", "bert-mini", "--data", str(tmp_path / "a.txt"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*words, *(f"--set={each}" for each in sets)])
    assert result.exit_code == 0, result.output
    assert read_recipe(tmp_path / "run" / "trivium.toml").objective.weights == (1.0, 2.0)
    again = CliRunner().invoke(app, [*words, "--set=objective.kind=mixed"])
    assert isinstance(again.exception, SettingsError) and "needs at least two" in str(again.exception)
