"""Against `transformers` with the same folders: its documented sliding window, and one masked token at a time."""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

import trivium
from trivium.evaluation import Result
from trivium.generation.prompts import beginning, frame
from trivium.verbs.load import load

TEXT = "Every model reads tokens and writes tokens.\nRaise an error when the file is missing.\n"


def measured(model: Path, suite: str, data: Path, **options: object) -> Result:
    return trivium.evaluate(model, suite, data, options=options).results[0]


@pytest.mark.parametrize(("context", "stride"), [(8, 3), (16, 16), (12, 1)])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_sliding_window_of_its_documentation(
    name: str, context: int, stride: int, tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    """Labels of what was scored before are -100; a window has one more token than it predicts."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    theirs = AutoModelForCausalLM.from_pretrained(tiny_models[name]).eval()
    tokenizer = load(tiny_models[name]).tokenizer
    (start,) = beginning(tokenizer)
    ids = torch.tensor([[start, *tokenizer.encode(TEXT).ids]])
    total, count, previous = 0.0, 0, 0
    for begin in range(0, ids.shape[1], stride):
        end = min(begin + context + 1, ids.shape[1])
        targets = ids[:, begin:end].clone()
        targets[:, : previous - begin] = -100
        with torch.no_grad():
            logits = theirs(ids[:, begin:end]).logits[0, :-1]
        total += float(torch.nn.functional.cross_entropy(logits, targets[0, 1:], ignore_index=-100, reduction="sum"))
        count, previous = count + int((targets[0, 1:] != -100).sum()), end
        if end == ids.shape[1]:
            break
    found = measured(tiny_models[name], "text", path, context=context, stride=stride)
    assert found.signature["tokens"] == str(count) == str(ids.shape[1] - 1)
    wanted = {
        "perplexity": math.exp(total / count),
        "word_perplexity": math.exp(total / len(TEXT.split())),
        "bits_per_byte": total / math.log(2) / len(TEXT.encode()),
        "bits_per_character": total / math.log(2) / len(TEXT),
    }
    assert {each: found.scores[each].value for each in wanted} == pytest.approx(wanted, rel=1e-4)


def test_pairs_by_masking_each_token(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    pairs = [("The model reads the file.", "The model read the file."), ("A list of items", "A list of item"),
             ("the same text", "the same text")]  # fmt: skip
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in pairs))
    theirs, ours = AutoModelForMaskedLM.from_pretrained(tiny_models["bert"]).eval(), load(tiny_models["bert"])

    def pseudo(text: str) -> float:
        (before, after), ids, total = frame(ours.tokenizer), ours.tokenizer.encode(text).ids, 0.0
        for place, token in enumerate(ids, len(before)):
            row = torch.tensor([[*before, *ids, *after]])
            row[0, place] = ours.tokenizer.mask
            with torch.no_grad():
                total += float(theirs(row).logits[0, place].log_softmax(-1)[token])
        return total

    hits = [pseudo(good) > pseudo(bad) for good, bad in pairs]
    found = measured(tiny_models["bert"], "blimp", path)
    assert found.scores["accuracy"].value == pytest.approx(sum(hits) / 3) and not hits[2]
    assert found.signature["score"] == "pseudo-log-likelihood"


def test_the_last_word_by_an_encoder_decoder(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "passages.txt"
    path.write_text("the model reads the file\nraise an error\n")
    theirs, ours = AutoModelForSeq2SeqLM.from_pretrained(tiny_models["t5"]).eval(), load(tiny_models["t5"])
    total = 0.0
    for line in path.read_text().splitlines():
        before, _, word = line.rpartition(" ")
        source = torch.tensor([[*ours.tokenizer.encode(before).ids, ours.tokenizer.end]])
        labels = torch.tensor([ours.tokenizer.encode(f" {word}").ids])
        with torch.no_grad():
            total += float(theirs(input_ids=source, labels=labels).loss) * labels.shape[1]
    found = measured(tiny_models["t5"], "lambada", path)
    assert found.scores["word_perplexity"].value == pytest.approx(math.exp(total / 2), rel=1e-4)
    with pytest.raises(trivium.SettingsError, match="an encoder-decoder gives no probability to a text alone"):
        measured(tiny_models["t5"], "text", path)


def test_pairs_by_the_decoder_of_an_encoder_decoder(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    """Each sentence after an empty source, which is its end token alone."""
    pairs = [("The model reads the file.", "The model read the file."), ("A list of items", "A list of item")]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in pairs))
    theirs, ours = AutoModelForSeq2SeqLM.from_pretrained(tiny_models["t5"]).eval(), load(tiny_models["t5"])

    def total(text: str) -> float:
        labels = torch.tensor([ours.tokenizer.encode(text).ids])
        with torch.no_grad():
            loss = theirs(input_ids=torch.tensor([[ours.tokenizer.end]]), labels=labels).loss
        return -float(loss) * labels.shape[1]

    assert ours.score("", pairs[0][0]).log_probability == pytest.approx(total(pairs[0][0]), rel=1e-4)
    found = measured(tiny_models["t5"], "blimp", path)
    assert found.scores["accuracy"].value == sum(total(good) > total(bad) for good, bad in pairs) / 2
    assert found.signature["stack"] == "decoder"


def test_the_last_word_by_masking_each_of_its_tokens(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "passages.txt"
    path.write_text("the model reads the container\nraise an error\n")
    theirs, ours = AutoModelForMaskedLM.from_pretrained(tiny_models["bert"]).eval(), load(tiny_models["bert"])
    before, after = frame(ours.tokenizer)
    total, hits = 0.0, []
    for line in path.read_text().splitlines():
        ids, known = ours.tokenizer.encode(line).ids, len(ours.tokenizer.encode(line.rpartition(" ")[0]).ids)
        best = []
        for place in range(known, len(ids)):
            row = torch.tensor([[*before, *ids, *after]])
            row[0, place + len(before)] = ours.tokenizer.mask
            with torch.no_grad():
                logp = theirs(row).logits[0, place + len(before)].log_softmax(-1)
            total += float(logp[ids[place]])
            best.append(int(logp.argmax()) == ids[place])
        hits.append(all(best))
    found = measured(tiny_models["bert"], "lambada", path)
    assert found.scores["word_perplexity"].value == pytest.approx(math.exp(-total / 2), rel=1e-4)
    assert found.scores["accuracy"].value == sum(hits) / 2 and found.signature["likelihood"] == "pseudo"
