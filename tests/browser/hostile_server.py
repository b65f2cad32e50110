"""A server whose models know no words but hostile ones, whose labels are hostile and whose runs are called so.

All of it is real: whatever such a model writes, fills in, tags or answers is a payload of ``hostile.py``.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.hostile import PAYLOADS, as_word
from tests.serving.live_server import live

from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import save
from trivium.serving.app import application
from trivium.serving.opening import open_house
from trivium.serving.settings import ServeSettings
from trivium.text.chat_templates import CHAT_TEMPLATES
from trivium.tokenizers import SpecialTokens, Tokenizer
from trivium.verbs.finetune import finetune
from trivium.verbs.pretraining_data import layout_for
from trivium.verbs.tuning import FineTuning

WORDS = tuple(dict.fromkeys(map(as_word, PAYLOADS)))
LABELS = WORDS[:30]
QUICK = FineTuning(steps=1, batch=8, precision="float32", device="cpu")


def tokenizer() -> Tokenizer:
    """A token for each payload; words are what stands between spaces."""
    specials = SpecialTokens()
    strings = specials.strings()
    added = [
        {"id": number, "content": string, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
        for number, string in enumerate(strings)
    ]  # fmt: skip
    vocabulary = {word: number for number, word in enumerate((*strings, *WORDS))}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    return Tokenizer({
        "version": "1.0", "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None,
        "decoder": None, "added_tokens": added, "model": model,
    }, specials)  # fmt: skip


def models(folder: Path) -> dict[str, Path]:
    """A folder for each name: a decoder that talks, an encoder, an encoder-decoder, and one of each task."""
    words, made = tokenizer(), {}
    for name, family in (("talker", "llama"), ("masked", "bert"), ("spanned", "t5")):
        sizes = {"pad_token": words.pad} | ({"start_token": words.pad} if family == "t5" else {})
        model = network(FAMILIES[family].size("tiny", words.vocab_size, **sizes))
        initialise(model, 0)
        save(model, FAMILIES[family], words.with_layout(layout_for(model.config)), folder / name)
        made[name] = folder / name
    (folder / "talker" / "chat_template.jinja").write_text(CHAT_TEMPLATES["plain"].text)
    for task, base in (("sequence", "masked"), ("tagging", "masked"), ("answers", "masked"), ("rewriting", "spanned")):
        data = _examples(task, folder / f"{task}.{'json' if task == 'answers' else 'jsonl'}")
        options = {"target_length": 8} if task == "rewriting" else {}
        finetune(task, made[base], data, out=folder / task, options=options, settings=QUICK)
        made[task] = folder / task
    return made


def _examples(task: str, path: Path) -> Path:
    rows = {
        "sequence": [{"text": f"{WORDS[i]} {WORDS[-i]}", "label": label} for i, label in enumerate(LABELS)],
        "tagging": [{"words": [WORDS[i], WORDS[i + 1]], "tags": ["O", f"B-{each}"]} for i, each in enumerate(LABELS)],
        "rewriting": [{"source": WORDS[i], "target": WORDS[-i]} for i in range(30)],
    }
    if task == "answers":
        texts = [f"{WORDS[i]} {WORDS[i + 1]}" for i in range(30)]
        paragraphs = [
            {"context": text, "qas": [{"id": str(i), "question": WORDS[-i], "is_impossible": False,
                                       "answers": [{"text": text.split()[0], "answer_start": 0}]}]}
            for i, text in enumerate(texts)
        ]  # fmt: skip
        path.write_text(json.dumps({"version": "2.0", "data": [{"title": "x", "paragraphs": paragraphs}]}))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[task]))
    return path


def write_runs(folder: Path) -> Path:
    """A run for each payload that a folder can be called (a slash makes a folder in a folder); what is logged in it,
    its samples and its recipe are payloads as well."""
    for number, payload in enumerate(PAYLOADS):
        parts = [part for part in payload.replace("\0", "").split("/") if part not in ("", ".", "..")]
        if len(parts) > 3 or any(len(part.encode()) > 200 for part in parts) or payload.startswith("."):
            parts = [f"run-{number}"]
        run = folder.joinpath(*parts)
        if run.exists() or any((above / "trivium.toml").exists() for above in run.parents):
            continue
        run.mkdir(parents=True)
        recipe = {"family": payload, payload: payload}
        (run / "trivium.toml").write_text(
            f"[objective]\nkind = {_toml(payload)}\n[training]\nsteps = 20\n[model]\n"
            + "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in recipe.items())
        )
        lines = [
            {"kind": "train", "step": step, "loss": 5.0 / step, "tokens_per_second": 9.0, "losses": {payload: 1.0},
             "tokens": step} for step in range(1, 20)
        ]  # fmt: skip
        lines += [
            {"kind": "evaluation", "step": 20, "loss": 2.0, payload: 3.0},
            {"kind": "judged", "step": 20, "figure": payload, "new": 1.0, "old": 2.0},
            {"kind": "sample", "step": 20, "text": payload},
            {"kind": "result", "step": 20, "dev": {payload: 0.5}, "intervals": {payload: [0.4, 0.6]}, "signature": ""},
        ]  # fmt: skip
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def _toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


@contextmanager
def hostile_server(folder: Path) -> Iterator[str]:
    """Its address."""
    runs = write_runs(folder / "runs")
    named = [f"{name}={path}" for name, path in models(folder / "models").items()]
    house = open_house(named, (), ServeSettings(runs=str(runs)), device="cpu")
    with live(application(house)) as port:
        yield f"http://127.0.0.1:{port}"
