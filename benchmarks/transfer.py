"""Fine-tuning a small real model on real tasks, by the command line, into a table: ``docs/results.md``.

    python benchmarks/transfer.py --out results            # everything that is not in results/cells.jsonl yet
    python benchmarks/transfer.py --out results --only sst2 conll2003-crf --methods full
    python benchmarks/transfer.py --out results --table    # the table of what is there

A cell is a task with a method: one ``trivium finetune --seeds N`` on at most 1,000 training examples, drawn once with a
fixed seed, scored on the published dev split (or 1,000 examples of it, drawn alike, where the table says so). The model
is all-MiniLM-L6-v2 (``make demo-models``); ``TRIVIUM_DATA`` has the data sets. ``transfer_reference.py`` does three of
the tasks with ``transformers``' Trainer.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

MODEL = "all-minilm-l6-v2"
METHODS = ("full", "frozen", "lora")
MOST = 1000


@dataclass(frozen=True)
class Cell:
    """One task: files below ``TRIVIUM_DATA``, and what the command is given beside them."""

    task: str
    train: str
    dev: str
    flags: tuple[str, ...] = ()
    epochs: int = 3
    examples: int = MOST
    dev_examples: int | None = None  # None: all
    scores: tuple[str, ...] = ("accuracy",)


MEAN = ("--set", "pooling=mean")  # what the model's own sentence vectors are made by
PAIR = ("--column", "text=sentence1", "--column", "text2=sentence2")
CELLS: dict[str, Cell] = {
    "sst2": Cell("sequence", "sst2/train.tsv", "sst2/dev.tsv", ("--column", "text=sentence")),
    "mrpc": Cell("sequence", "mrpc/train.tsv", "mrpc/dev.tsv", PAIR, scores=("accuracy", "macro_f1")),
    "stsb": Cell("regression", "stsb/train.tsv", "stsb/dev.tsv", (*PAIR, "--column", "label=score"),
                 scores=("pearson", "spearman")),
    "stsb-mean": Cell("regression", "stsb/train.tsv", "stsb/dev.tsv", (*PAIR, "--column", "label=score", *MEAN),
                      scores=("pearson", "spearman")),
    "mrpc-mean": Cell("sequence", "mrpc/train.tsv", "mrpc/dev.tsv", (*PAIR, *MEAN), scores=("accuracy", "macro_f1")),
    "rte": Cell("sequence", "rte/train.tsv", "rte/dev.tsv",
                ("--column", "text=premise", "--column", "text2=hypothesis")),
    "conll2003-greedy": Cell("tagging", "conll2003/train.conll.gz", "conll2003/dev.conll", dev_examples=1000,
                             scores=("f1",)),
    "conll2003-crf": Cell("tagging", "conll2003/train.conll.gz", "conll2003/dev.conll", ("--set", "crf=true"),
                          dev_examples=1000, scores=("f1",)),
    "ud-pos": Cell("tagging", "ud_english_ewt/train.conllu.gz", "ud_english_ewt/dev.conllu", dev_examples=1000),
    "genia-nested": Cell("spans", "genia_nested/train.tsv", "genia_nested/dev.tsv",
                         ("--format", "conll", "--set", "levels=1,2,3,4"), scores=("f1",)),
    "squad": Cell("answers", "squad/train_part.json.gz", "squad/dev_first_half.json", epochs=2, examples=500,
                  dev_examples=500, scores=("exact", "f1")),
    "squad-2000": Cell("answers", "squad/train_part.json.gz", "squad/dev_first_half.json", epochs=3, examples=2000,
                       dev_examples=500, scores=("exact", "f1")),
}  # fmt: skip


# ---- a fixed share of a file, in its own layout ----


def read(path: Path) -> str:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return file.read()


def share(source: Path, target: Path, count: int | None) -> Path:
    """``count`` examples drawn with a fixed seed, in the order of the file; all of them where there are no more."""
    kind = source.name.removesuffix(".gz").rpartition(".")[2]
    text = read(source)
    if kind == "json":
        articles = json.loads(text)["data"]
        ids = [(a, p, q) for a, article in enumerate(articles) for p, paragraph in enumerate(article["paragraphs"])
               for q in range(len(paragraph["qas"]))]  # fmt: skip
        kept = set(drawn(ids, count))
        data = [
            {"title": str(a), "paragraphs": [
                {"context": paragraph["context"],
                 "qas": [qa for q, qa in enumerate(paragraph["qas"]) if (a, p, q) in kept]}
                for p, paragraph in enumerate(article["paragraphs"])
            ]}
            for a, article in enumerate(articles)
        ]  # fmt: skip
        target.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")
        return target
    if kind in ("conll", "conllu") or "genia" in str(source):
        blocks = [block for block in text.strip().split("\n\n") if not block.startswith("-DOCSTART-")]
        target.write_text("\n\n".join(drawn(blocks, count)) + "\n\n", encoding="utf-8")
        return target
    lines = text.splitlines()
    head, rows = (lines[:1], lines[1:]) if kind == "tsv" else ([], lines)
    target.write_text("\n".join([*head, *drawn(rows, count)]) + "\n", encoding="utf-8")
    return target


def drawn(items: list, count: int | None) -> list:
    if count is None or count >= len(items):
        return items
    return [items[n] for n in sorted(random.Random(0).sample(range(len(items)), count))]


def prepared(cell: Cell, name: str, work: Path) -> tuple[Path, Path]:
    data = os.environ.get("TRIVIUM_DATA")
    if data is None:
        raise SystemExit("set TRIVIUM_DATA to the folder of data sets")
    work.mkdir(parents=True, exist_ok=True)
    files = []
    for part, source, count in (("train", cell.train, cell.examples), ("dev", cell.dev, cell.dev_examples)):
        target = work / f"{name}-{part}.{Path(source.removesuffix('.gz')).suffix.removeprefix('.')}"
        files.append(target if target.exists() else share(Path(data) / source, target, count))
    return files[0], files[1]


# ---- cells ----


def command(name: str, method: str, seeds: int, work: Path, out: Path, rate: float | None) -> list[str]:
    cell = CELLS[name]
    rates = {"full": rate, "lora": rate and 10 * rate, "frozen": None}
    asked = ("--learning-rate", str(rates[method])) if rates[method] else ()
    train, dev = prepared(cell, name, work)
    return [
        "finetune", "--task", cell.task, "--model", MODEL, "--train", str(train), "--dev", str(dev), "--method", method,
        "--epochs", str(cell.epochs), "--evaluations", "1", "--seeds", str(seeds), *cell.flags, *asked,
        "--out", str(out), "--json",
    ]  # fmt: skip


def run(name: str, method: str, seeds: int, work: Path, rate: float | None = None) -> dict:
    arguments = command(name, method, seeds, work / "data", work / f"{name}-{method}", rate)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "trivium", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"trivium {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return {"task": name, "method": method, "seeds": seeds, "seconds": time.perf_counter() - started,
            "made": json.loads(done.stdout)}  # fmt: skip


def table(path: Path) -> str:
    """A line a cell."""
    lines = ["| task | method | score | mean of the seeds | spread | rate | learnt | seconds a seed |"]
    lines += ["|---|---|---|---:|---:|---:|---:|---:|"]
    for cell in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        trial = cell["made"]["trials"][0]
        seconds = sum(run["seconds"] for run in trial["runs"]) / len(trial["runs"])
        for score in CELLS[cell["task"]].scores:
            found = trial["spread"][score]
            lines.append(
                f"| {cell['task']} | {cell['method']} | {score} | {100 * found['mean']:.1f} | "
                f"{100 * (found['deviation'] or 0):.1f} | {trial['learning_rate']:.2g} | "
                f"{trial['trained_parameters']:,} | {seconds:.0f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rate", type=float, help="of all weights, adapters ten times; not given: the defaults")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "cells.jsonl"
    written = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {(cell["task"], cell["method"]) for cell in map(json.loads, written)}
    for name in [] if options.table else options.only:
        for method in options.methods:
            if (name, method) in known:
                continue
            found = run(name, method, options.seeds, options.out, options.rate)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            print(f"{name} {method}: {found['seconds']:.0f} s {found['made']['scores']}", file=sys.stderr)
    if path.exists():
        print(table(path))


if __name__ == "__main__":
    main()
