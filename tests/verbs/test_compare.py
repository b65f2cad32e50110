"""Comparisons: equal cost, cells made once and never again, scores that are the runs' own, failures that stop none."""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from laboratory import refuse_training, write_experiments

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.lab.ngrams import train_ngrams
from trivium.text.shards import Shards
from trivium.training.flops import Passes, training_flops
from trivium.verbs import compare_cell
from trivium.verbs.compare import compare, make_cell, plain
from trivium.verbs.compare_cell import Cell, cell_file, read_cell


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_experiments(tmp_path_factory.mktemp("compare"))


@pytest.fixture
def never_trained(monkeypatch):
    refuse_training(monkeypatch)


@pytest.fixture(scope="module")
def decoders(folder):
    return compare(folder / "decoders.toml", folder / "out")


@pytest.fixture(scope="module")
def stacks(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABORATORY", str(folder))
        yield compare(folder / "stacks.toml", folder / "stacks")


def lines_of(directory, kind):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_every_contender_sees_the_same_tokens_of_the_same_vocabulary(decoders):
    assert [s.name for s in decoders.standings] == ["narrow", "wide"]
    tokenizers = set()
    for standing in decoders.standings:
        assert standing.seeds == [0, 1]
        for seed, directory in enumerate(standing.directories):
            last = lines_of(directory, "evaluation")[-1]
            assert standing.scores["bits per byte"][seed] == last["bits_per_byte"]
            assert last["step"] * 128 >= 2000 > (last["step"] - 1) * 100
            tokenizers.add((directory / "tokenizer.json").read_bytes())
    assert len(tokenizers) == 1
    narrow, wide = decoders.standings
    assert narrow.parameters < wide.parameters
    bits = [list(s.scores["bits per byte"].values()) for s in (wide, narrow)]
    apart = np.subtract(*bits)
    (only,) = decoders.differences
    assert (only.first, only.second, only.seeds) == ("wide", "narrow", 2)
    assert only.value.value == pytest.approx(apart.mean())
    assert only.value.high - only.value.value == pytest.approx(12.7062 * apart.std(ddof=1) / math.sqrt(2), rel=1e-4)
    assert only.p == only.adjusted


def test_the_rival_and_the_costs_are_there(decoders, folder):
    """The rival counts what the run was trained on, and is judged on what was held out from that."""
    training, heldout = Shards.open(folder / "out/narrow/seed-0/data/0").split(0.1, seed=0)
    stream, judged = (np.concatenate([p.document(i) for i in range(p.documents)]) for p in (training, heldout))
    cell = read_cell(folder / "out", "narrow", 0)
    model = train_ngrams(stream[: cell.tokens].astype(np.int64), 320, 3)
    expected = -model.log_probabilities(judged.astype(np.int64))[1:].mean()
    assert cell.rival["loss"] == pytest.approx(expected)
    assert 1 < decoders.ngrams["perplexity"] < 320
    for standing in decoders.standings:
        assert [(c.length, c.rows) for c in standing.costs] == [(8, 512), (16, 256)]
        assert standing.costs[1].kilobytes > standing.costs[0].kilobytes  # attention keeps T scores a token and head


def test_the_page_shows_the_figures_and_escapes_names(decoders, stacks):
    page = decoders.report.read_text()
    assert "Two &lt;b&gt;decoders&lt;/b&gt;" in page
    assert "<b>decoders" not in page
    assert f"{decoders.standings[0].parameters:,}" in page
    assert "µs a token" in page
    page = stacks.report.read_text()
    assert "Which stack?" in page
    assert "pseudo bits per byte" in page
    assert "against parameters" in page
    assert "What is missing" in page and "echo" in page
    assert "<script" not in page


def test_finished_cells_are_never_made_again_not_even_without_their_runs(decoders, folder, tmp_path, never_trained):
    shutil.copytree(folder / "out/cells", tmp_path / "out/cells")
    shutil.copy(folder / "out/experiment.toml", tmp_path / "out/experiment.toml")
    again = compare(None, tmp_path / "out")
    assert [s.scores for s in again.standings] == [s.scores for s in decoders.standings]
    assert [d.verdict for d in again.differences] == [d.verdict for d in decoders.differences]
    assert again.ngrams == decoders.ngrams
    json.dumps(plain(again), allow_nan=False, default=str)


def test_equal_flops_are_counted_on_the_batches_themselves(stacks, folder):
    """Within half a step of the budget, and by an independent sum over what the batches hold."""
    trained = [s for s in stacks.standings if s.tokens]
    assert len(trained) == 6
    for standing in trained:
        cell = read_cell(folder / "stacks", standing.name, 0)
        assert abs(cell.flops - 4e8) <= 0.5 * cell.flops / cell.steps * 1.05, standing.name
    small, wide = (read_cell(folder / "stacks", f"decoder, {size}", 0) for size in ("small", "wide"))
    assert wide.steps < small.steps
    from trivium.families import FAMILIES

    config = FAMILIES["gpt2"].size("tiny", small.vocab_size, context=16)
    places = small.tokens  # every row is full, and every place but the first of a text has a target
    assert training_flops(config, Passes(0, 0, places, 16, places)) == pytest.approx(small.flops, rel=0.05)


def test_scores_of_each_kind_of_model(stacks, folder):
    by_name = {s.name: s for s in stacks.standings}
    shown = {name: {key for key, values in s.scores.items() if values} for name, s in by_name.items()}
    assert shown["decoder, small"] == {
        "bits per byte", "passages bits_per_byte", "minimal pairs", "transfer kind", "transfer echo",
    }  # fmt: skip
    assert shown["encoder, small"] == {
        "hidden bits per byte", "passages pseudo_bits_per_byte", "minimal pairs", "transfer kind",
    }  # fmt: skip
    assert shown["both, wide"] == {"hidden bits per byte", "minimal pairs", "transfer kind", "transfer echo"}
    assert shown["vectors"] == shown["most frequent"] == {"transfer kind"}
    gold = [json.loads(line)["label"] for line in (folder / "dev.jsonl").read_text().splitlines()]
    majority = read_cell(folder / "stacks", "most frequent", 0).transfers["kind"]
    assert majority.values == [gold.count("True") / len(gold)]
    assert majority.items == [float(each == "True") for each in gold]
    cell = read_cell(folder / "stacks", "encoder, wide", 0)
    kind = cell.transfers["kind"]
    assert (len(kind.values), kind.examples, kind.scored, len(kind.items)) == (2, 24, 12, 12)
    assert np.mean(kind.items) == pytest.approx(np.mean(kind.values), abs=1e-4)
    missing = {(f.name, f.score) for f in stacks.failures}
    assert missing == {
        (name, "echo") for name in ("untrained", "vectors", "most frequent", "encoder, small", "encoder, wide")
    }


def test_a_model_that_was_not_trained_is_the_beginning_of_one_that_was(stacks, folder):
    untrained = read_cell(folder / "stacks", "untrained", 0)
    assert (untrained.steps, untrained.tokens) == (0, 0)
    assert untrained.evaluation["loss"] == pytest.approx(math.log(untrained.vocab_size), abs=0.3)
    assert [point.step for point in untrained.curve] == [0]


def test_losses_of_different_objectives_are_not_held_against_each_other(stacks):
    pairs = {(d.first, d.second) for d in stacks.differences if d.column == "hidden bits per byte"}
    assert pairs == {
        ("encoder, small", "untrained"), ("encoder, wide", "untrained"), ("encoder, wide", "encoder, small"),
        ("both, wide", "both, small"),
    }  # fmt: skip
    assert all(d.p is None and "one seed says nothing" in d.verdict for d in stacks.differences)


def test_columns_won_are_counted_where_they_compare(stacks):
    counted = [c for c in stacks.columns if c.mark != "of its own objective"]
    by_name = {each.system: each for each in stacks.wins}
    assert set(by_name) == {s.name for s in stacks.standings}
    for column in counted:
        values = {s.name: s.means[column.key].value for s in stacks.standings if column.key in s.means}
        best = (min if column.better == "lower" else max)(values.values())
        winners = {name for name, each in by_name.items() if column.title in each.alone + each.shared}
        assert len(values) < 2 or winners == {name for name, value in values.items() if value == best}
    assert all(c.title not in w.alone + w.shared for w in stacks.wins for c in stacks.columns if c not in counted)
    assert stacks.wins[0].sentence in stacks.report.read_text()


def test_a_score_that_is_added_later_is_all_that_is_made(stacks, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LABORATORY", str(folder))
    shutil.copytree(folder / "stacks", tmp_path / "out")
    text = (folder / "stacks.toml").read_text()
    more = text.replace('name = "absent"\noptional = true', 'name = "again"\nseeds = 1')
    more = more.replace("$NOT_SET_ANYWHERE", "$LABORATORY")
    (tmp_path / "more.toml").write_text(more + "epochs = 1\n")
    before = read_cell(tmp_path / "out", "encoder, small", 0)
    seen = []
    monkeypatch.setattr(compare_cell, "_figures", lambda *given: seen.append(given))
    made = compare(tmp_path / "more.toml", tmp_path / "out")
    after = read_cell(tmp_path / "out", "encoder, small", 0)
    assert not seen
    assert "transfer again" in {c.key for c in made.columns}
    assert (after.transfers["kind"], after.evaluation) == (before.transfers["kind"], before.evaluation)


def test_a_cell_that_was_killed_goes_on_and_gives_the_same_figures(decoders, folder, tmp_path, monkeypatch):
    """Killed once in training, and once between two scores."""
    kill = KeyboardInterrupt("killed")
    trained = compare_cell.pretrain

    def stopped(recipe, out, **named):
        def on_step(step):
            if step.number == 7:
                raise kill

        return trained(recipe, out, on_step=on_step, **named)

    monkeypatch.setattr(compare_cell, "pretrain", stopped)
    with pytest.raises(KeyboardInterrupt):
        compare(folder / "decoders.toml", tmp_path / "out", seeds=1)
    assert read_cell(tmp_path / "out", "narrow", 0) is None
    resumed = []

    def watched(*given, **named):
        resumed.append(named.get("resume"))
        return trained(*given, **named)

    monkeypatch.setattr(compare_cell, "pretrain", watched)
    rival = compare_cell._rival
    monkeypatch.setattr(compare_cell, "_rival", lambda *given: (_ for _ in ()).throw(kill))
    with pytest.raises(KeyboardInterrupt):
        compare(None, tmp_path / "out", seeds=1)
    assert resumed == [True]
    assert read_cell(tmp_path / "out", "narrow", 0).trained
    monkeypatch.setattr(compare_cell, "_rival", rival)
    compare(folder / "decoders.toml", tmp_path / "out", seeds=1)
    for name in ("narrow", "wide"):
        one, other = (read_cell(at, name, 0) for at in (folder / "out", tmp_path / "out"))
        assert (one.evaluation, one.losses, one.rival) == (other.evaluation, other.losses, other.rival)


def test_a_cell_that_fails_stops_no_other_and_is_tried_again(folder, tmp_path, monkeypatch):
    trained = compare_cell.pretrain

    def diverging(recipe, out, **named):
        if "narrow" in str(out):
            raise TriviumError("the loss is not finite: lower the learning rate")
        return trained(recipe, out, **named)

    monkeypatch.setattr(compare_cell, "pretrain", diverging)
    text = (folder / "decoders.toml").read_text().replace("lengths = [8, 16]", "").replace("ngrams = 3", "")
    (tmp_path / "e.toml").write_text(text)
    made = compare(tmp_path / "e.toml", tmp_path / "out", seeds=1, tokens=300)
    assert [s.name for s in made.standings] == ["wide"]
    (failure,) = made.failures
    assert (failure.name, failure.seed, failure.why) == ("narrow", 0, "the loss is not finite: lower the learning rate")
    assert "lower the learning rate" in made.report.read_text()
    monkeypatch.setattr(compare_cell, "pretrain", trained)
    again = compare(None, tmp_path / "out")
    assert [s.name for s in again.standings] == ["narrow", "wide"]
    assert not again.failures


def test_where_every_cell_fails_the_first_error_is_raised(folder, tmp_path, monkeypatch):
    def fail(*given, **named):
        raise TriviumError("no luck today")

    monkeypatch.setattr(compare_cell, "pretrain", fail)
    with pytest.raises(TriviumError, match="no luck today"):
        compare(folder / "decoders.toml", tmp_path / "out")


def test_one_cell_by_its_name(decoders, folder, never_trained):
    assert make_cell(folder / "out", "wide/seed-1").evaluation == read_cell(folder / "out", "wide", 1).evaluation
    for wrong in ("wide", "wide/seed-2", "tall/seed-0", "wide/seed-x"):
        with pytest.raises(SettingsError, match=f"no cell '{wrong}': name .* such as 'narrow/seed-0'"):
            make_cell(folder / "out", wrong)


def test_a_damaged_cell_is_named(folder, tmp_path):
    path = cell_file(tmp_path, "a", 0)
    path.parent.mkdir(parents=True)
    for content in ("{", "[]", '{"contender": "a"}', '{"curve": 3}'):
        path.write_text(content)
        with pytest.raises(DataError, match=r"seed-0.json is no cell of a comparison .* remove it"):
            read_cell(tmp_path, "a", 0)


def test_fields_of_a_later_version_are_passed_over(decoders, folder, tmp_path):
    values = json.loads(cell_file(folder / "out", "wide", 0).read_text())
    path = cell_file(tmp_path, "wide", 0)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({**values, "invented": 1}))
    assert isinstance(read_cell(tmp_path, "wide", 0), Cell)


def test_what_cannot_be_compared_is_refused(decoders, folder, tmp_path):
    with pytest.raises(SettingsError, match="no experiment 'lstm-and-transformr': did you mean lstm-and-transformer"):
        compare("lstm-and-transformr", tmp_path / "out")
    with pytest.raises(SettingsError, match="holds no experiment"):
        compare(None, tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="holds another experiment .narrow, seed 0, was made with another recipe"):
        compare(folder / "decoders.toml", folder / "out", tokens=999)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("x")
    with pytest.raises(SettingsError, match="is in use"):
        compare(folder / "decoders.toml", tmp_path / "used")
    with pytest.raises(SettingsError, match="workers = 2: in sequence it is one at a time"):
        compare(folder / "decoders.toml", tmp_path / "out", workers=2)
