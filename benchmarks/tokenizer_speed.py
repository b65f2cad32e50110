"""Learning and applying vocabularies, against the ``tokenizers`` and ``sentencepiece`` packages, in one run.

    python benchmarks/tokenizer_speed.py [--megabytes 10] [--vocab-size 16000] [--repeats 3] [--out result.json]

Training: seconds from a list of paragraphs to a tokenizer, after a warm-up on a small text that compiles the loops. The
rival of each algorithm follows it at once, with the same text, size and kind of pieces; no trainer samples. Encoding:
megabytes a second, the best of the repeats: the bare library, ours without looking words up, ours that has met no word
yet, ours again, and ours line by line.
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import corpus as corpora

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from trivium.tokenizers.batches import BatchEncoder
from trivium.tokenizers.learning import learn, specials_for
from trivium.tokenizers.options import OPTIONS
from trivium.tokenizers.tokenizer import Tokenizer

WARM_UP = 300_000  # characters


def library_bpe(texts: list[str], size: int) -> None:
    rust = tokenizers.Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=2,
        special_tokens=list(specials_for("bpe").strings()),
    )  # fmt: skip
    rust.train_from_iterator(texts, trainer)


def library_wordpiece(texts: list[str], size: int) -> None:
    specials = list(specials_for("wordpiece").strings())
    rust = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    rust.normalizer = normalizers.BertNormalizer()
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=specials, show_progress=False, min_frequency=2, limit_alphabet=100_000
    )
    rust.train_from_iterator(texts, trainer)


def library_bpe_words(texts: list[str], size: int) -> None:
    rust = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=size, end_of_word_suffix="</w>", show_progress=False, min_frequency=2,
        special_tokens=list(specials_for("bpe-words").strings()),
    )  # fmt: skip
    rust.train_from_iterator(texts, trainer)


def library_unigram(texts: list[str], size: int) -> None:
    rust = tokenizers.Tokenizer(models.Unigram())
    rust.normalizer = normalizers.NFKC()
    rust.pre_tokenizer = pre_tokenizers.Metaspace()
    rust.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=list(specials_for("unigram").strings()), unk_token="<unk>", show_progress=False
    )
    rust.train_from_iterator(texts, trainer)


def sentencepiece_trainer(kind: str) -> Callable[[list[str], int], None]:
    def train(texts: list[str], size: int) -> None:
        import sentencepiece

        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=io.BytesIO(), vocab_size=size, model_type=kind, num_threads=2,
            byte_fallback=True, max_sentence_length=1 << 24, minloglevel=2,
        )  # fmt: skip

    return train


RIVALS: dict[str, dict[str, Callable[[list[str], int], None]]] = {
    "bpe": {"tokenizers": library_bpe},
    "bpe-words": {"tokenizers": library_bpe_words},
    "wordpiece": {"tokenizers by frequency": library_wordpiece},
    "wordpiece-bpe": {"tokenizers": library_wordpiece},
    "unigram": {"tokenizers": library_unigram, "sentencepiece": sentencepiece_trainer("unigram")},
    "sentencepiece-bpe": {"sentencepiece": sentencepiece_trainer("bpe")},
}


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def largest(name: str, texts: list[str], size: int) -> int:
    """Characters have a vocabulary of their own size."""
    return min(size, len(set().union(*texts)) + len(specials_for(name).strings())) if name == "characters" else size


def training(name: str, texts: list[str], size: int, repeats: int) -> tuple[Tokenizer, dict[str, float]]:
    """Our tokenizer, and the best of the times of every trainer."""
    made: list[Tokenizer] = []
    size = largest(name, texts, size)
    found: dict[str, float] = {}
    for _ in range(repeats):
        for who, work in {
            "trivium": lambda: made.append(learn(texts, size, OPTIONS[name]()).tokenizer),
            **{rival: (lambda train=train: train(texts, size)) for rival, train in RIVALS.get(name, {}).items()},
        }.items():
            found[who] = min(found.get(who, float("inf")), seconds(work))
    return made[-1], found


def encoding(tokenizer: Tokenizer, texts: list[str], repeats: int) -> dict[str, float]:
    """Megabytes a second of each way."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    few = texts[: max(1, len(texts) // 10)]
    share = sum(len(text.encode()) for text in few) / 1e6
    plain = tokenizer.plain
    best: dict[str, float] = {}
    tokens = 0
    for _ in range(repeats):
        without = BatchEncoder(plain)
        without.rules = None
        fresh = BatchEncoder(plain)
        ways = {
            "bare": (
                megabytes,
                lambda: [each.ids for each in plain.encode_batch_fast(texts, add_special_tokens=False)],
            ),
            "ours, no look-up": (megabytes, lambda encoder=without: encoder.encode(texts)),
            "ours": (megabytes, lambda encoder=fresh: encoder.encode(texts)),
            "ours, again": (megabytes, lambda encoder=fresh: encoder.encode(texts)),
            "bare, line by line": (share, lambda: [plain.encode(each, add_special_tokens=False).ids for each in few]),
            "ours, line by line": (share, lambda: [tokenizer.encode_batch([each]) for each in few]),
        }
        for way, (amount, work) in ways.items():
            best[way] = max(best.get(way, 0.0), amount / seconds(work))
        tokens = sum(map(len, fresh.encode(texts)))
    return best | {"bytes_per_token": megabytes * 1e6 / tokens}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=10.0)
    parser.add_argument("--vocab-size", type=int, default=16_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--algorithms", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    name, texts = corpora.paragraphs(int(options.megabytes * 1e6))
    few = texts[: next((i for i in range(len(texts)) if sum(map(len, texts[:i])) > WARM_UP), len(texts))]
    result: dict[str, object] = {"text": name, "megabytes": sum(len(t.encode()) for t in texts) / 1e6}
    result |= {"paragraphs": len(texts), "vocab_size": options.vocab_size, "algorithms": {}}
    print("| algorithm | seconds to learn | rivals | bare MB/s | ours | ours again | bytes a token |")
    print("|---|---|---|---|---|---|---|")
    for algorithm in options.algorithms:
        size = min(1_000, options.vocab_size)
        learn(few, largest(algorithm, few, size), OPTIONS[algorithm]())
        tokenizer, learnt = training(algorithm, texts, options.vocab_size, options.repeats)
        speed = encoding(tokenizer, texts, options.repeats)
        result["algorithms"][algorithm] = {"training_seconds": learnt, "encoding": speed}  # type: ignore[index]
        rivals = ", ".join(f"{who} {value:.2f}" for who, value in learnt.items() if who != "trivium") or "-"
        print(
            f"| `{algorithm}` | {learnt['trivium']:.2f} | {rivals} | {speed['bare']:.2f} | {speed['ours']:.2f} | "
            f"{speed['ours, again']:.2f} | {speed['bytes_per_token']:.2f} |",
            flush=True,
        )
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
