"""The benchmarks run, count the work by the rule they state, and give every engine the same problem."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trivium.objectives import Corruption
from trivium.training.flops import Passes, training_flops

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.exists(), reason="the benchmarks are not part of an installed package")


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import each other as neighbours."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("shape", ["causal", "masked", "span"])
def test_flops_agree_with_the_trainers_rule(shape: str) -> None:
    import ours
    import shapes

    sizes = shapes.Sizes()
    length, rows = sizes.context, sizes.batch
    tokens = rows * length
    target = shapes.span_lengths(shapes.raw_length(length))[1]
    passes = {
        "causal": Passes(target=tokens, target_length=length, logits=tokens),
        "masked": Passes(source=tokens, source_length=length, logits=round(shapes.MASK_RATE * tokens)),
        "span": Passes(
            source=tokens, source_length=length, target=rows * target, target_length=target, logits=rows * target
        ),
    }[shape]
    rule = training_flops(ours.configuration(shape, sizes), passes)
    assert tokens * shapes.flops_per_token(shape, sizes) == pytest.approx(rule, rel=1e-3)


@pytest.mark.parametrize("context", [32, 256, 512])
def test_spans_are_those_of_the_objective(context: int) -> None:
    import shapes

    goal = Corruption(t5_code_compat=True)
    raw = shapes.raw_length(context)
    assert raw == goal.raw_length(context)
    assert shapes.span_lengths(raw) == goal.lengths(raw)


def test_corruption_loses_nothing() -> None:
    import noise
    import shapes

    random, sentinels = np.random.default_rng(0), np.arange(1000, 1032)
    for length in (20, 141, 283):
        ids = np.arange(length)
        source, target = noise.corrupt(ids, sentinels, 7777, random)
        assert (len(source), len(target)) == shapes.span_lengths(length)
        assert source[-1] == target[-1] == 7777
        pieces: dict[int, list[int]] = {}
        for token in target[:-1]:
            if token >= 1000:
                pieces[int(token)] = []
                last = int(token)
            else:
                pieces[last].append(int(token))
        whole = [t for token in source[:-1] for t in (pieces[int(token)] if token >= 1000 else [int(token)])]
        assert whole == ids.tolist()


def test_rates_are_of_windows_after_the_warm_up() -> None:
    from clock import Clock

    marks = [(0.0, 10), (5.0, 20), (6.0, 30), (7.0, 50), (9.0, 70), (10.0, 90), (11.0, 95)]
    assert Clock(marks=marks).rates(warm_up=1, window=2) == pytest.approx([15.0, 40 / 3])


def quick(script: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_quick_table_holds_ours_and_the_bare_loop(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    arguments = ["--quick", "--engines", "bare", "trivium", "--shapes", "span", "--out", str(out)]
    table = quick("pretraining.py", *arguments)
    cells = json.loads(out.read_text())["cells"]["span"]
    assert set(cells) == {"bare", "trivium"}
    for cell in cells.values():
        assert cell["tokens_per_second"] > 0
        assert 0 < cell["mfu"] < 1.5
        assert 50 < cell["megabytes"] < 5000
        assert 4 < cell["last_loss"] < 9
    assert f"| **Trivium** | {cells['trivium']['tokens_per_second']:,.0f} |" in table


@pytest.mark.slow
def test_the_quick_table_with_every_peer(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    table = quick("pretraining.py", "--quick")
    assert table.count("transformers Trainer, bf16 |") == 3


@pytest.mark.slow
def test_the_other_benchmarks_run() -> None:
    assert "| masked |" in quick("quality.py", "--quick", "--steps", "3", "--seeds", "1", "--shapes", "masked")
    assert json.loads(quick("tokenising.py", "--megabytes", "0.5", "--vocabulary", "1000"))["tokens"] > 50_000


def test_the_table_of_objectives_has_every_one() -> None:
    import objectives
    from trivium.objectives import OBJECTIVES

    assert {name.split()[0] for name in objectives.CASES} == set(OBJECTIVES) - {"distillation"}  # as of what is taught


@pytest.mark.slow
def test_a_batch_is_made_in_no_time_and_faster_than_by_a_collator() -> None:
    pytest.importorskip("transformers")
    found = json.loads(quick("objectives.py", "masked", "corruption", "--quick", "--json"))
    assert all(each["share"] < 0.05 for each in found)
    assert found[0]["times_as_fast"] > 5 and found[1]["times_as_fast"] is None


@pytest.mark.slow
def test_tokenizers_against_their_rivals(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    out = tmp_path / "result.json"
    table = quick(
        "tokenizer_speed.py", "--megabytes", "0.3", "--vocab-size", "1000", "--repeats", "1", "--out", str(out)
    )
    found = json.loads(out.read_text())["algorithms"]
    assert "sentencepiece" in found["unigram"]["training_seconds"] and "| `wordpiece` |" in table
    assert all(each["encoding"]["bytes_per_token"] > 0.9 for each in found.values())


def need_minilm_and_data() -> None:
    from trivium.errors import DataError
    from trivium.families.demo_models import find_model

    pytest.importorskip("transformers")
    if "TRIVIUM_DATA" not in os.environ:
        pytest.skip("TRIVIUM_DATA names no folder with sst2/train.tsv")
    try:
        find_model("all-minilm-l6-v2")
    except DataError as problem:
        pytest.skip(str(problem))


@pytest.mark.slow
def test_fine_tuning_begins_at_the_same_loss_with_every_engine() -> None:
    need_minilm_and_data()
    pytest.importorskip("peft")
    rows = [line.strip("| ").split(" | ") for line in quick("finetuning.py", "--quick").splitlines() if "| " in line]
    losses = [float(row[5]) for row in rows if len(row) == 6 and row[0] != "engine"]
    assert len(losses) == 9 and all(0.6 < loss < 0.8 for loss in losses)  # two classes, two steps


@pytest.mark.slow
def test_results_on_real_tasks_are_made_by_the_command_line(tmp_path: Path) -> None:
    need_minilm_and_data()
    sys.path.insert(0, str(BENCHMARKS))
    transfer = pytest.importorskip("transfer")
    for name, cell in transfer.CELLS.items():
        train, dev = transfer.prepared(replace(cell, examples=20, dev_examples=10), name, tmp_path)
        assert train.stat().st_size > 0 < dev.stat().st_size
    made = transfer.run("sst2", "frozen", 2, tmp_path)
    assert len(made["made"]["trials"][0]["runs"]) == 2
    (tmp_path / "cells.jsonl").write_text(json.dumps(made) + "\n", encoding="utf-8")
    assert "| sst2 | frozen | accuracy |" in transfer.table(tmp_path / "cells.jsonl")


@pytest.mark.slow
def test_inference_runs_and_its_engines_agree() -> None:
    need_minilm_and_data()
    command = [sys.executable, str(BENCHMARKS / "inference.py"), "--quick", "--parts", "minilm", "loading"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    vectors = {row[0]: float(row[4]) for row in rows if len(row) == 5 and row[1] != "sentences/s"}
    assert len(vectors) == 4 and vectors["**Trivium**, float32"] < 1e-5
    logits = [float(row[6]) for row in rows if row[1] == "trivium"]
    assert len(logits) == 3 and max(logits) < 0.02
