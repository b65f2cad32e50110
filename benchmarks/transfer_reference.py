"""Three tasks of ``transfer.py`` with ``transformers``' Trainer: the same weights, examples, epochs, batches, rates.

    python benchmarks/transfer_reference.py --out results --rate 3e-4

The Trainer is used as its documentation shows: batches padded to their longest, labels of words on their first pieces,
windows of 384 tokens for answers. Scores are computed by Trivium's metrics, which are held against the official ones.
Reads the files that ``transfer.py`` has prepared below ``--out``.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
import transformers
from transfer import CELLS, prepared

from trivium.families.demo_models import find_model
from trivium.metrics import entity_scores, squad
from trivium.text.readers import read_rows
from trivium.text.tag_schemes import from_iob1

LENGTH, STRIDE, BEST, LONGEST = 384, 128, 20, 30


def trainer(model, tokenizer, train: list[dict], collator, epochs: int, rate: float, seed: int, folder: Path):
    """At its defaults but for the recipe that both sides follow."""
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=32, per_device_eval_batch_size=32, num_train_epochs=epochs,
        learning_rate=rate, weight_decay=0.01, warmup_steps=0.1, seed=seed, use_cpu=True, report_to=[],
        save_strategy="no", disable_tqdm=True, logging_strategy="no", log_level="error",
    )  # fmt: skip
    return transformers.Trainer(
        model, arguments, train_dataset=train, processing_class=tokenizer, data_collator=collator
    )


def sentences(train: Path, dev: Path, seed: int, rate: float, folder: Path) -> dict:
    def rows(path: Path) -> list[dict]:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(find_model("all-minilm-l6-v2"))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tokenizer.name_or_path, num_labels=2)

    def made(path: Path) -> list[dict]:
        return [{**tokenizer(row["sentence"], truncation=True), "labels": int(row["label"])} for row in rows(path)]

    held_out = made(dev)
    started = time.perf_counter()
    run = trainer(model, tokenizer, made(train), None, CELLS["sst2"].epochs, rate, seed, folder)
    run.train()
    seconds = time.perf_counter() - started
    said = run.predict(held_out).predictions.argmax(-1)
    return {"accuracy": float((said == [row["labels"] for row in held_out]).mean()), "seconds": seconds}


def entities(train: Path, dev: Path, seed: int, rate: float, folder: Path) -> dict:
    def rows(path: Path) -> list[tuple[list[str], list[str]]]:
        return [(list(row["words"]), list(from_iob1(row["tags"]))) for _, row in read_rows(path)]

    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(find_model("all-minilm-l6-v2"))
    learnt, held_out = rows(train), rows(dev)
    labels = sorted({tag for _, tags in learnt for tag in tags})
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        tokenizer.name_or_path, num_labels=len(labels)
    )

    def made(sentences: list) -> list[dict]:
        found = []
        for words, tags in sentences:
            encoded = tokenizer(words, is_split_into_words=True, truncation=True)
            of, before, numbers = encoded.word_ids(), None, []
            for word in of:
                numbers.append(-100 if word is None or word == before else labels.index(tags[word]))
                before = word
            found.append({**encoded, "labels": numbers})
        return found

    asked = made(held_out)
    started = time.perf_counter()
    collator = transformers.DataCollatorForTokenClassification(tokenizer)
    run = trainer(model, tokenizer, made(learnt), collator, CELLS["conll2003-greedy"].epochs, rate, seed, folder)
    run.train()
    seconds = time.perf_counter() - started
    scores = run.predict(asked).predictions
    said = [
        [labels[int(row[place].argmax())] for place, number in enumerate(item["labels"]) if number != -100]
        for row, item in zip(scores, asked, strict=True)
    ]
    return {"f1": entity_scores([tags for _, tags in held_out], said)["f1"], "seconds": seconds}


def answers(train: Path, dev: Path, seed: int, rate: float, folder: Path) -> dict:
    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(find_model("all-minilm-l6-v2"))
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(tokenizer.name_or_path)
    learnt, held_out = ([row for _, row in read_rows(path)] for path in (train, dev))

    def windows(rows: list, with_answers: bool) -> tuple[list[dict], list[tuple[int, list]]]:
        found, places = [], []
        for number, row in enumerate(rows):
            encoded = tokenizer(
                row["question"].lstrip(), row["context"], truncation="only_second", max_length=LENGTH, stride=STRIDE,
                return_overflowing_tokens=True, return_offsets_mapping=True,
            )  # fmt: skip
            for window, ids in enumerate(encoded["input_ids"]):
                side, offsets = encoded.sequence_ids(window), encoded["offset_mapping"][window]
                inside = [offset if part == 1 else None for offset, part in zip(offsets, side, strict=True)]
                item = {name: encoded[name][window] for name in ("input_ids", "attention_mask", "token_type_ids")}
                if with_answers:
                    answer = row["answers"][0]
                    begin, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
                    held = [n for n, each in enumerate(inside) if each and each[0] < end and each[1] > begin]
                    whole = held and inside[held[0]][0] <= begin and inside[held[-1]][1] >= end
                    item["start_positions"], item["end_positions"] = (held[0], held[-1]) if whole else (0, 0)
                found.append(item)
                places.append((number, inside))
                assert len(ids) <= LENGTH
        return found, places

    asked, places = windows(held_out, False)
    started = time.perf_counter()
    items = windows(learnt, True)[0]
    collator = transformers.DataCollatorWithPadding(tokenizer)
    run = trainer(model, tokenizer, items, collator, CELLS["squad"].epochs, rate, seed, folder)
    run.train()
    seconds = time.perf_counter() - started
    starts, ends = run.predict(asked).predictions
    best: dict[int, tuple[float, str]] = {}
    for (number, inside), start, end in zip(places, starts, ends, strict=True):
        real = np.array([place for place, offset in enumerate(inside) if offset])
        firsts, lasts = (real[np.argsort(-each[real])[:BEST]] for each in (start, end))
        for a in firsts:
            for b in lasts:
                if a <= b < a + LONGEST and (number not in best or start[a] + end[b] > best[number][0]):
                    text = held_out[number]["context"][inside[a][0] : inside[b][1]]
                    best[number] = (float(start[a] + end[b]), text)
    said = [best.get(number, (0.0, ""))[1] for number in range(len(held_out))]
    gold = [[answer["text"] for answer in row["answers"]] for row in held_out]
    return {**squad(said, gold), "seconds": seconds}


RUNS = {"sst2": sentences, "conll2003-greedy": entities, "squad": answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--rate", type=float, required=True, help="the learning rate that transfer.py printed")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for name in options.only:
        train, dev = prepared(CELLS[name], name, options.out / "data")
        for seed in range(options.seeds):
            found = RUNS[name](train, dev, seed, options.rate, options.out / "trainer")
            print(json.dumps({"task": name, "seed": seed, **found}), flush=True)
            with (options.out / "reference.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"task": name, "seed": seed, **found}) + "\n")
    print("done", file=sys.stderr)


if __name__ == "__main__":
    main()
