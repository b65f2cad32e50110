"""What making a batch costs: tokens a second, the share of a training step, and transformers' collators beside it.

    python benchmarks/objectives.py                        # the table of docs/benchmarks.md; on an idle machine
    python benchmarks/objectives.py masked causal --json   # some of them
    python benchmarks/objectives.py --quick                # does it run at all

``rows`` cuts rows from the shards, ``batch`` makes what the model reads of them; both together are what a step of
training waits for. A step is one of the family's mini size, in the precision that training would choose here. Collators
get the same rows, as the lists that ``datasets`` gives, with the mask of special tokens already in them where they
would look for one. Medians of all repeats.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import corpus as corpora

from trivium.families.bodies import initialise, network
from trivium.objectives import OBJECTIVES, Objective
from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.tokenizers import Tokenizer
from trivium.training.precision import resolve
from trivium.training.trainer import Trainer
from trivium.verbs.pretraining_batches import Feed
from trivium.verbs.pretraining_data import PretrainingData, prepare, rows_per_step, texts
from trivium.verbs.pretraining_model import read_as
from trivium.verbs.recipe import Recipe, load_recipe

Collate = Callable[[list[dict[str, list[int]]]], object]


def masking(tokenizer: object, **settings: object) -> Collate:
    from transformers import DataCollatorForLanguageModeling

    return DataCollatorForLanguageModeling(tokenizer, **settings)


def permuting(tokenizer: object) -> Collate:
    from transformers import DataCollatorForPermutationLanguageModeling

    return DataCollatorForPermutationLanguageModeling(tokenizer)


@dataclass(frozen=True)
class Case:
    """An objective on a recipe's model; ``collator``: its peer, made of a tokenizer of transformers."""

    recipe: str
    objective: dict[str, object] = field(default_factory=dict)
    collator: Callable[[object], Collate] | None = None

    def made(self, kind: str) -> Objective:
        return OBJECTIVES[kind](**self.objective)


CASES = {
    "causal": Case("gpt2-mini", collator=partial(masking, mlm=False)),
    "causal isolated": Case("gpt2-mini", {"isolate_documents": True}, partial(masking, mlm=False)),
    "masked": Case("bert-mini", collator=masking),
    "masked 40%": Case("bert-mini", {"rate": 0.4, "mask": 1.0, "random": 0.0}, partial(masking, mlm_probability=0.4)),
    "masked coins": Case("bert-mini", {"count": "bernoulli"}, masking),
    "masked words": Case("bert-mini", {"whole_word": True}, partial(masking, whole_word_mask=True)),
    "corruption": Case("t5-mini"),
    "corruption replace_spans": Case("t5-mini", {"scheme": "replace_spans", "rate": 0.1}),
    "corruption drop": Case("t5-mini", {"scheme": "drop"}),
    "corruption deshuffling": Case("t5-mini", {"scheme": "deshuffling"}),
    "denoising": Case("bart-mini"),
    "cloze": Case("bert-mini"),
    "prefix": Case("gpt2-mini"),
    "bidirectional": Case("elmo-mini"),
    "next_sentence": Case("bert-nsp-mini"),
    "span_boundary": Case("spanbert-mini"),
    "permutation": Case("xlnet-mini", collator=permuting),
    "permutation last": Case("xlnet-mini", {"targets": "last"}, permuting),
}
"""The first word is the objective's kind."""


def measure(name: str, case: Case, characters: int, repeats: int, steps: int, context: int) -> dict[str, object]:
    """One line of the table."""
    kind = name.split()[0]
    sets = [f"model.context={context}", "training.batch_tokens=4096", "training.steps=1"]
    asked = load_recipe(case.recipe, sets=sets).recipe
    asked = Recipe(asked.data, asked.tokenizer, asked.model, case.made(kind), asked.training)
    with tempfile.TemporaryDirectory() as folder:
        sources = texts(asked.data, corpora.paragraphs(characters)[1])
        tokenizer, config, length = read_as(asked, sources, None, Path(folder), lambda _: None)
        rows, micro_rows = rows_per_step(asked.training.batch_tokens, None, length)
        data = prepare(asked, sources, None, tokenizer, length, rows, Path(folder) / "data")
        reading, making, tokens = batches(asked.objective, data, rows, repeats)
        feed = Feed(asked.objective, data, rows, micro_rows, 0)
        model = initialise(network(config, asked.objective.heads(config)), 0)
        model.read_vocabulary(tokenizer)
        trainer = Trainer(model, asked.objective.loss, feed, resolve(asked.training), steps=steps)
        step = median(trainer.step().seconds for _ in range(steps))
        peer = None
        if case.collator is not None:
            peer = collating(case.collator, tokenizer, Path(folder) / "tokenizer", data.training.rows(0, rows), repeats)
    return {
        "objective": name,
        "tokens": tokens,
        "batch_tokens_per_second": tokens / making,
        "rows_tokens_per_second": tokens / reading,
        "step_ms": 1000 * step,
        "batch_share": making / step,
        "share": (reading + making) / step,
        "collator_tokens_per_second": None if peer is None else tokens / peer,
        "times_as_fast": None if peer is None else peer / making,
    }


def batches(objective: Objective, data: PretrainingData, rows: int, repeats: int) -> tuple[float, float, int]:
    """Median seconds of cutting rows and of making batches of them, and the text's tokens in one."""
    reading, making, tokens = [], [], []
    for number in range(repeats + 2):
        started = time.perf_counter()
        cut = data.training.rows(number * rows, rows)
        ready = time.perf_counter()
        objective.batch(cut, Draws(0, cut.draws), data.tokenizer)
        making.append(time.perf_counter() - ready)
        reading.append(ready - started)
        tokens.append(int((cut.documents >= 0).sum()))
    return median(reading[2:]), median(making[2:]), int(median(tokens))


def collating(
    make: Callable[[object], Collate], tokenizer: Tokenizer, folder: Path, rows: Rows, repeats: int
) -> float | None:
    """Median seconds of a collator on the same rows; None where transformers is not there."""
    try:
        import transformers
    except ImportError:
        return None
    tokenizer.save(folder)
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collate = make(transformers.AutoTokenizer.from_pretrained(folder))
        examples = [
            {
                "input_ids": ids[real].tolist(),
                "special_tokens_mask": [int(token in tokenizer.controls) for token in ids[real].tolist()],
                "offset_mapping": [[2 * place, 2 * place + 1] for place in range(int(real.sum()))],
            }
            for ids, real in zip(rows.tokens, rows.documents >= 0, strict=True)
        ]
        if not getattr(collate, "whole_word_mask", False):
            for example in examples:
                del example["offset_mapping"]
        seconds = []
        for _ in range(repeats + 2):
            started = time.perf_counter()
            collate(examples)
            seconds.append(time.perf_counter() - started)
    return median(seconds[2:])


def line(found: dict[str, object]) -> str:
    """A row of the table in docs/benchmarks.md."""
    times = "" if found["times_as_fast"] is None else f"{found['times_as_fast']:.0f}"
    peer = "" if found["collator_tokens_per_second"] is None else f"{found['collator_tokens_per_second'] / 1e6:.2f}"
    return (
        f"| {found['objective']} | {found['batch_tokens_per_second'] / 1e6:.1f} | "
        f"{found['rows_tokens_per_second'] / 1e6:.1f} | {found['step_ms']:.0f} | {found['share']:.2%} | {peer} | "
        f"{times} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="objectives of the table; all if none is given")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--context", type=int, default=256)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        raise SystemExit(f"no case {unknown}: choose from {', '.join(CASES)}")
    characters, repeats, steps = (200_000, 3, 2) if options.quick else (3_000_000, 40, 7)
    results = []
    told = sys.stderr if options.json else sys.stdout
    print("| objective | batch, M tokens/s | rows, M tokens/s | step, ms | share | collator, M/s | times |", file=told)
    print("|---|---|---|---|---|---|---|", file=told)
    for name in options.names or CASES:
        results.append(measure(name, CASES[name], characters, repeats, steps, options.context))
        print(line(results[-1]), file=told, flush=True)
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
