"""What the quickstart is about: the embedded corpus or the user's own files, with the examples to show for them."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from trivium.errors import RefusedError
from trivium.randomness import Draws
from trivium.text import python_docs
from trivium.text.documents import files, read_documents
from trivium.text.examples import Labelled
from trivium.verbs.quickstart.transfer import LabelTask

BLANK = "___"
_PASSAGE_WORDS = 60
_LABELS = 12  # files told apart, at most: those with the most passages
_FEWEST_PASSAGES = 60  # of a file that takes part
_PASSAGES = 600  # of a file, at most
_LOOKED_AT = 5_000  # documents of the user's text that examples are chosen from


@dataclass(frozen=True)
class Story:
    """Text to learn from, written to ``file``, and what to try the models on."""

    origin: str  # what the text is, in a sentence
    own: bool  # the user's text
    file: Path
    documents: int
    characters: int
    excerpt: str
    prompts: Sequence[str]  # for the decoder
    sentences: Sequence[tuple[str, str | None]]  # (a sentence with one blank, the word it had if known)
    task: LabelTask | None
    no_task: str = ""  # why there is none


def embedded(folder: Path) -> Story:
    """The standard library's documentation, without the modules that the task is tested on."""
    texts = [document.text for document in python_docs.documents("train")]
    documents, characters = _write(folder / "python-docs.jsonl", texts)
    train, dev, test = (python_docs.chapters(split) for split in ("train", "dev", "test"))
    task = LabelTask(
        "chapter of the standard library",
        "Which chapter of the Python library does this docstring come from? Module names and identifiers are masked, "
        "and train, dev and test share no module; the models were pretrained on the train modules alone.",
        train,
        dev,
        test,
        texts,
    )
    return Story(
        origin="python-docs: the docstrings of Python's standard library and the language reference, read from the "
        "Python that runs this",
        own=False,
        file=folder / "python-docs.jsonl",
        documents=documents,
        characters=characters,
        excerpt=next(text for text in texts if 200 < len(text) < 420),
        prompts=("def read(self, size=-1)\n", "class Queue", "Return the"),
        sentences=(
            (f"def exists(path)\nReturn {BLANK} if the path refers to an existing file.", None),
            (f"Raise {BLANK} if the key is not found.", None),
            (f"Return the {BLANK} of items in the list.", None),
            (f"def close(self)\nClose the {BLANK}.", None),
        ),
        task=task,
    )


def own_text(paths: Sequence[Path], folder: Path) -> Story:
    """The user's files. Several files give a task of their own: which file is a passage from?"""
    named = [path for path, _ in files(paths)]
    train, dev, test, kept_out = _which_file(named) if len(named) > 1 else ([], [], [], frozenset[str]())
    out = folder / "text.jsonl"
    texts = read_documents([str(path) for path in paths])
    documents, characters = _write(out, (text for text in texts if not kept_out or text not in kept_out))
    looked_at = [json.loads(line)["text"] for line in islice(out.open(encoding="utf-8"), _LOOKED_AT)]
    task = None
    if test:
        task = LabelTask(
            "which file",
            "Which of your files is this passage from? The last fifth of each file is the test split, the fifth before "
            "it dev; both were kept out of pretraining.",
            train,
            dev,
            test,
            looked_at,
        )
    why = "only one file was given" if len(named) == 1 else f"fewer than two files hold {_FEWEST_PASSAGES} passages"
    return Story(
        origin=f"your own text: {', '.join(path.name for path in named[:5])}{' …' if len(named) > 5 else ''}",
        own=True,
        file=out,
        documents=documents,
        characters=characters,
        excerpt=_excerpt(looked_at),
        prompts=_prompts(looked_at),
        sentences=_sentences(looked_at),
        task=task,
        no_task="" if task else f"No task with labels can be made of this text: {why}.",
    )


def _write(path: Path, texts: Iterable[str]) -> tuple[int, int]:
    """JSONL with one document a line; how many documents and characters."""
    path.parent.mkdir(parents=True, exist_ok=True)
    documents = characters = 0
    with path.open("w", encoding="utf-8") as file:
        for text in texts:
            if text.strip():
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                documents, characters = documents + 1, characters + len(text)
    if not documents:
        raise RefusedError("the text holds nothing to learn from: give files with more text")
    return documents, characters


def _which_file(paths: Sequence[Path]) -> tuple[list[Labelled], list[Labelled], list[Labelled], frozenset[str]]:
    """Train, dev and test passages by file, and the documents that dev and test passages came from."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_name[path.stem] += islice((t for t in read_documents([str(path)]) if len(t.split()) >= 6), _PASSAGES)
    ranked = sorted(by_name, key=lambda name: (-len(by_name[name]), name))[:_LABELS]
    chosen = [name for name in ranked if len(by_name[name]) >= _FEWEST_PASSAGES]
    parts: tuple[list[Labelled], ...] = ([], [], [])
    if len(chosen) < 2:
        return [], [], [], frozenset()
    for name in sorted(chosen):
        texts = by_name[name]
        bounds = (0, round(0.6 * len(texts)), round(0.8 * len(texts)), len(texts))
        for part, start, end in zip(parts, bounds, bounds[1:], strict=False):
            part += [Labelled(" ".join(text.split()[:_PASSAGE_WORDS]), name) for text in texts[start:end]]
    kept_out = {text for name in chosen for text in by_name[name][round(0.6 * len(by_name[name])) :]}
    return parts[0], parts[1], parts[2], frozenset(kept_out)


def _excerpt(texts: Sequence[str]) -> str:
    middle = texts[len(texts) // 2]
    return middle if len(middle) < 420 else middle[:400].rsplit(" ", 1)[0] + " …"


def _prompts(texts: Sequence[str]) -> tuple[str, ...]:
    """The beginnings of three documents, drawn by key."""
    long = [text for text in texts if len(text.split()) >= 12] or list(texts)
    drawn = np.argsort(Draws(0, np.arange(len(long))).bits("prompts", 1)[:, 0])[:3]
    return tuple(" ".join(long[int(i)].split()[:5]) for i in drawn)


def _sentences(texts: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """Four sentences of the text with one fairly common word of each taken out."""
    counts = Counter(word for text in texts for word in re.findall(r"[^\W\d_]+", text))
    found: list[tuple[str, str | None]] = []
    for sentence in _whole_sentences(texts):
        words = list(re.finditer(r"(?<= )[^\W\d_]{4,}\b", sentence))
        inner = [m for m in words[1:] if counts[m[0]] >= 5]
        if inner:
            word = min(inner, key=lambda m: counts[m[0]])
            found.append((f"{sentence[: word.start()]}{BLANK}{sentence[word.end() :]}", word[0]))
        if len(found) == 4:
            break
    return tuple(found)


def _whole_sentences(texts: Sequence[str]) -> Iterator[str]:
    """One sentence of 6 to 28 words from each of some documents, spread over the text."""
    for text in texts[:: max(1, len(texts) // 40)]:
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
            if 6 <= len(sentence.split()) <= 28 and sentence[0].isupper():
                yield sentence
                break
