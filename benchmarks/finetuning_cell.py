"""One fine-tuning in one fresh process: ``python benchmarks/finetuning_cell.py ENGINE FOLDER SENTENCES``.

An engine's name says who trains, how batches are made and in which precision; ``ENGINES`` has them. Prints one JSON
document on its last line: seconds from texts and labels to a trained model (tokenising counts, importing and loading do
not), the loss of the first and the last steps, and the peak of the resident size.
"""

import csv
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from clock import peak_megabytes

BATCH, RATE, RANK = 32, 1e-4, 8
ENGINES = {
    "trainer": "transformers Trainer, float32 (its defaults: batches padded to their longest)",
    "trainer-grouped": 'transformers Trainer, float32, `train_sampling_strategy="group_by_length"`',
    "trainer-grouped-bfloat16": "the same in bf16",
    "trivium": "**Trivium**, float32",
    "trivium-bfloat16": "**Trivium**, bf16",
    "peft": "peft in transformers' Trainer, float32 (its defaults)",
    "peft-same-batches": "peft in a bare loop over Trivium's batches, float32",
    "trivium-lora": "**Trivium**, LoRA, float32",
}


def examples(count: int) -> tuple[list[str], list[int]]:
    """The first of SST-2's training sentences, in the order of the file."""
    data = os.environ.get("TRIVIUM_DATA")
    if data is None:
        raise SystemExit("set TRIVIUM_DATA to a folder with sst2/train.tsv")
    with open(Path(data) / "sst2" / "train.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[:count]
    return [row["sentence"] for row in rows], [int(row["label"]) for row in rows]


def measured(run: Callable[[], list[float]], count: int) -> dict:
    """Seconds and memory of a training that gives the losses of its steps."""
    before = peak_megabytes()
    started = time.perf_counter()
    losses = run()
    seconds = time.perf_counter() - started
    first, last = losses[:5], losses[-10:]
    return {
        "seconds": seconds, "rate": count / seconds, "peak": peak_megabytes(), "before": before,
        "first": sum(first) / len(first), "last": sum(last) / len(last),
    }  # fmt: skip


# ---- transformers and peft ----


def reference(folder: Path):
    import torch
    import transformers

    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=torch.float32)
    return model, tokenizer


def adapted(model):
    from peft import LoraConfig, TaskType, get_peft_model

    settings = LoraConfig(task_type=TaskType.SEQ_CLS, r=RANK, lora_alpha=2 * RANK, target_modules=["query", "value"])
    return get_peft_model(model, settings)


def by_trainer(folder: Path, count: int, grouped: bool, bfloat16: bool, lora: bool = False) -> dict:
    import transformers

    model, tokenizer = reference(folder)
    model = adapted(model) if lora else model
    texts, labels = examples(count)
    options = {"train_sampling_strategy": "group_by_length"} if grouped else {}
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "trainer"), per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=RATE,
        bf16=bfloat16, use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True, logging_steps=1,
        log_level="error", **options,
    )  # fmt: skip

    def run() -> list[float]:
        found = tokenizer(texts, truncation=True)
        rows = [
            {"input_ids": ids, "attention_mask": mask, "labels": label}
            for ids, mask, label in zip(found["input_ids"], found["attention_mask"], labels, strict=True)
        ]
        trainer = transformers.Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer)
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    return measured(run, count)


def peft_on_our_batches(folder: Path, count: int) -> dict:
    """The batches of ``trivium.finetune``, as peft's user would loop over them."""
    import numpy as np
    import torch

    from trivium.randomness import key
    from trivium.tasks.batching import training_batches

    model, tokenizer = reference(folder)
    model = adapted(model).train()
    texts, labels = examples(count)

    def run() -> list[float]:
        found = tokenizer(texts, truncation=True)["input_ids"]
        lengths = np.array([len(ids) for ids in found])
        batches = training_batches(lengths, BATCH, key(0, "fine-tuning"), 0)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], RATE, fused=True)
        losses = []
        for numbers in batches:
            batch = tokenizer.pad({"input_ids": [found[n] for n in numbers]}, return_tensors="pt")
            loss = model(**batch, labels=torch.tensor([labels[n] for n in numbers])).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
        return losses

    return measured(run, count)


# ---- trivium ----


def ours(folder: Path, count: int, precision: str, method: str = "full") -> dict:
    from trivium.tasks import SequenceClassification
    from trivium.text.examples import Labelled
    from trivium.training.allocator import keep_freed_memory
    from trivium.transformer.lora import Lora
    from trivium.verbs.load import load
    from trivium.verbs.tuning import FineTuning, fit

    keep_freed_memory()
    base = load(folder)
    texts, labels = examples(count)
    train = [Labelled(text, str(label)) for text, label in zip(texts, labels, strict=True)]
    settings = FineTuning(
        method=method, learning_rate=RATE, epochs=1, batch=BATCH, precision=precision, lora=Lora(rank=RANK)
    )

    def run() -> list[float]:
        fitted = fit(
            base.model, base.tokenizer, SequenceClassification(), train, settings=settings, published=base.family.heads
        )
        return list(fitted.losses)

    return measured(run, count)


RUNS: dict[str, Callable[[Path, int], dict]] = {
    "trainer": lambda folder, count: by_trainer(folder, count, False, False),
    "trainer-grouped": lambda folder, count: by_trainer(folder, count, True, False),
    "trainer-grouped-bfloat16": lambda folder, count: by_trainer(folder, count, True, True),
    "trivium": lambda folder, count: ours(folder, count, "float32"),
    "trivium-bfloat16": lambda folder, count: ours(folder, count, "bfloat16"),
    "peft": lambda folder, count: by_trainer(folder, count, False, False, lora=True),
    "peft-same-batches": peft_on_our_batches,
    "trivium-lora": lambda folder, count: ours(folder, count, "float32", "lora"),
}
assert list(RUNS) == list(ENGINES)


if __name__ == "__main__":
    print(json.dumps(RUNS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))))
