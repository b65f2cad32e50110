"""A tokenizer of each family's kind, learnt by us and saved beside a model: transformers opens it with the same ids."""

import os
from functools import cache
from itertools import zip_longest
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import transformers

from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import load, save
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.bpe import train_bpe
from trivium.tokenizers.bpe_words import train_bpe_words
from trivium.tokenizers.sentencepiece_bpe import train_sentencepiece_bpe
from trivium.tokenizers.specials import SpecialTokens
from trivium.tokenizers.unigram import train_unigram
from trivium.tokenizers.wordpiece import train_wordpiece, train_wordpiece_bpe

LLAMA_3 = SpecialTokens(None, "<|begin_of_text|>", "<|end_of_text|>", None, None, None, None, ())
# What learns it, its layout, its settings, and control tokens other than the family's.
KINDS = {
    "bert": (train_wordpiece, "classify", {}, None),
    "distilbert": (train_wordpiece_bpe, "classify", {}, None),
    "spanbert": (train_wordpiece_bpe, "classify", {"lowercase": False}, None),  # cased
    "roberta": (train_bpe, "classify", {}, None),
    "bart": (train_bpe, "classify", {}, None),
    "gpt1": (train_bpe_words, "plain", {"lowercase": True}, None),
    "gpt2": (train_bpe, "plain", {}, None),
    "t5": (train_unigram, "end", {}, None),
    "llama": (train_sentencepiece_bpe, "plain", {"split_digits": True}, None),
    "llama 3": (train_bpe, "plain", {}, LLAMA_3),
}
ODD = ["", " ", "  two  spaces ", "naïve 好 \N{GRINNING FACE}\tx", "e\N{COMBINING ACUTE ACCENT}", "\N{NO-BREAK SPACE}a"]


DATA = Path(os.environ.get("TRIVIUM_DATA", Path(__file__).parents[3] / "shared" / "data"))


@cache
def reference_lines() -> list[str]:
    """Of the language reference that comes with every Python."""
    return [line for topic in topics.values() for line in topic.splitlines() if line.strip()]


@cache
def lines() -> list[str]:
    """10,000 lines of encyclopaedia articles, plays and news."""
    found = []
    for name in ("wikitext2/valid.txt", "ag_news/train.tsv", "tinyshakespeare/train.txt"):
        text = (DATA / name).read_text(encoding="utf-8").replace("<unk>", "unknown")  # theirs takes it for the token
        taken = [line for line in text.splitlines() if line.strip()]
        found.append(taken[:4000])
    return [line for some in zip_longest(*found) for line in some if line is not None][:10_000]


@cache
def learnt(kind: str) -> Tokenizer:
    train, layout, settings, specials = KINDS[kind]
    specials = specials or FAMILIES[kind.split()[0]].specials
    return train(reference_lines()[:600], 900, specials, layout, **settings)


def check_same_ids(kind: str, folder: Path, texts: list[str]) -> None:
    family = FAMILIES[kind.split()[0]]
    ours = learnt(kind)
    save(initialise(network(family.size("tiny", ours.vocab_size)), 0), family, ours, folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert len(theirs) == ours.vocab_size
    plain = theirs(texts, add_special_tokens=False).input_ids
    assert plain == ours.encode_batch(texts)
    assert theirs(texts).input_ids == [ours.encode(text, specials=True).ids for text in texts]
    seconds = texts[1:] + texts[:1]
    both = theirs(texts, seconds)
    mine = [ours.encode(text, second, specials=True) for text, second in zip(texts, seconds, strict=True)]
    assert both.input_ids == [encoding.ids for encoding in mine]
    if "token_type_ids" in both:
        assert both.token_type_ids == [encoding.segments for encoding in mine]
    for role, name in (("begin", "bos"), ("end", "eos"), ("pad", "pad"), ("unknown", "unk"), ("mask", "mask")):
        assert getattr(theirs, f"{name}_token_id") == getattr(ours, role), role
    again = load(folder).tokenizer
    assert again is not None and again.fingerprint == ours.fingerprint and again.encode_batch(texts) == plain
    assert theirs.batch_decode(plain[:200]) == [ours.decode(ids, skip_special=False) for ids in plain[:200]]


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gives_the_same_ids(kind, tmp_path):
    check_same_ids(kind, tmp_path, reference_lines()[-300:] + ODD)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "wikitext2").is_dir(), reason="needs wikitext2 in TRIVIUM_DATA")
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_gives_the_same_ids_of_10_000_lines(kind, tmp_path):
    assert len(lines()) == 10_000
    check_same_ids(kind, tmp_path, lines() + ODD)
