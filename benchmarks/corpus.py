"""Real text for every engine: paragraphs, one tokenizer, the same ids.

The folder in TRIVIUM_DATA may hold ``novels/train.txt.gz`` (one paragraph a line); otherwise the embedded
``python-docs`` corpus is used, which every machine has.
"""

import gzip
import json
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from shapes import Sizes

from trivium.text import Shards, write_shards
from trivium.tokenizers import Tokenizer, train_bpe

CHARACTERS = 12_000_000


@dataclass(frozen=True)
class Corpus:
    """Tokenised paragraphs and the ids of the control tokens."""

    folder: Path
    tokenizer: Tokenizer
    shards: Shards

    def documents(self, longest: int) -> list[np.ndarray]:
        """The paragraphs' ids without end tokens, each cut to ``longest``: what a user pads."""
        return [self.shards.document(i)[:-1][:longest].astype(np.int64) for i in range(self.shards.documents)]

    def stream(self, length: int, classify: bool = False) -> np.ndarray:
        """(N, length): all paragraphs joined, an end token after each (and a begin token before, as BERT has it)."""
        if not classify:
            tokens = np.asarray(self.shards.tokens, dtype=np.int64)
        else:
            begin = np.array([self.tokenizer.classify])
            parts = [np.concatenate([begin, self.shards.document(i)]) for i in range(self.shards.documents)]
            tokens = np.concatenate(parts).astype(np.int64)
        return tokens[: len(tokens) // length * length].reshape(-1, length)


def paragraphs(characters: int = CHARACTERS) -> tuple[str, list[str]]:
    """The name of the text and its paragraphs, as many as hold ``characters`` characters."""
    data = os.environ.get("TRIVIUM_DATA")
    novels = Path(data) / "novels" / "train.txt.gz" if data else None
    if novels is not None and novels.exists():
        with gzip.open(novels, "rt", encoding="utf-8") as lines:
            return "novels", list(_up_to((line.strip() for line in lines if line.strip()), characters))
    from trivium.text.python_docs import documents

    return "python-docs", list(_up_to((document.text for document in documents("train")), characters))


def _up_to(texts, characters):
    for text in texts:
        if characters <= 0:
            return
        characters -= len(text)
        yield text


def prepare(folder: Path, sizes: Sizes, characters: int = CHARACTERS) -> dict[str, object]:
    """Tokenizer and shards in ``folder``, made once; what was found out about the text."""
    facts = folder / "corpus.json"
    wanted = {"vocabulary": sizes.vocabulary, "characters_wanted": characters}
    if facts.exists():
        known = json.loads(facts.read_text())
        if {name: known.get(name) for name in wanted} != wanted:
            raise SystemExit(f"{folder} was prepared for other sizes: delete it, or give another --work")
        return known
    name, texts = paragraphs(characters)
    tokenizer = train_bpe(islice(texts, 40_000), sizes.vocabulary)
    tokenizer.save(folder / "tokenizer")
    shards = write_shards(
        texts, tokenizer.encode_batch, tokenizer.end, tokenizer.vocab_size, folder / "shards", tokenizer.fingerprint
    )
    lengths = shards.ends - shards.starts
    found = wanted | {
        "text": name,
        "characters": sum(map(len, texts)),
        "tokens": shards.token_count,
        "paragraphs": shards.documents,
        "tokens_per_paragraph": [  # mean, median, 95th percentile
            round(float(lengths.mean()), 1),
            int(np.median(lengths)),
            int(np.percentile(lengths, 95)),
        ],
    }
    facts.write_text(json.dumps(found))
    return found


def load(folder: Path) -> Corpus:
    """What ``prepare`` wrote."""
    return Corpus(folder, Tokenizer.load(folder / "tokenizer"), Shards.open(folder / "shards", verify=False))
