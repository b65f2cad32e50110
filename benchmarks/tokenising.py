"""Seconds to turn 10 MB of text into tokenised shards: read, encode, write, fsync, checksum.

    python benchmarks/tokenising.py [--megabytes 10] [--vocabulary 8192]

Writing the text file, training the tokenizer and importing are not part of the time.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import corpus as corpora
from clock import peak_megabytes

from trivium.text import Shards, read_documents, write_shards
from trivium.tokenizers import train_bpe


def measure(folder: Path, megabytes: float, vocabulary: int) -> dict[str, float | int | str]:
    """Times of training, of sharding, and of opening with all checksums."""
    name, texts = corpora.paragraphs(int(megabytes * 1e6))
    joined = "\n\n".join(texts)
    while len(joined.encode()) < megabytes * 1e6:
        joined += "\n\n" + joined  # a smaller corpus is repeated: the work is the same
    file = folder / "text.txt"
    file.write_bytes(joined.encode()[: int(megabytes * 1e6)].decode("utf-8", "ignore").encode())
    started = time.perf_counter()
    tokenizer = train_bpe(texts, vocabulary)
    trained = time.perf_counter()
    shards = write_shards(
        read_documents([file]), tokenizer.encode_batch, tokenizer.end, tokenizer.vocab_size, folder / "shards",
        tokenizer.fingerprint,
    )  # fmt: skip
    sharded = time.perf_counter()
    Shards.open(folder / "shards")
    opened = time.perf_counter()
    return {
        "text": name,
        "megabytes": file.stat().st_size / 1e6,
        "documents": shards.documents,
        "tokens": shards.token_count,
        "bytes_per_token_on_disk": sum(f.stat().st_size for f in (folder / "shards").iterdir()) / shards.token_count,
        "tokenizer_training_seconds": trained - started,
        "sharding_seconds": sharded - trained,
        "megabytes_per_second": file.stat().st_size / 1e6 / (sharded - trained),
        "opening_seconds": opened - sharded,
        "peak_megabytes": peak_megabytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=10.0)
    parser.add_argument("--vocabulary", type=int, default=8192)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options.megabytes, options.vocabulary), indent=1))


if __name__ == "__main__":
    main()
