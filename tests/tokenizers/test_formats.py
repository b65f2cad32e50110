"""Files of every format: the ids of the programs that they come from, round trips, and one sentence for damage."""

import gzip
import json
import os
from itertools import islice
from pathlib import Path

import pytest
from algorithms import NAMES, trained
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer, GPT2Tokenizer, RobertaTokenizer

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.text import python_docs
from trivium.tokenizers import Tokenizer, formats, train_bpe
from trivium.tokenizers.specials import BERT, GPT2, SpecialTokens
from trivium.tokenizers.wordpiece import train_wordpiece_bpe

ODD = [
    "", " ", "Héllo\tWORLD 你好 ﬁ\u200b!", "hello, world's $5!", "unaffable  x" * 3, "y" * 150, "İstanbul ΣΑΣ ſ",
    "e\u0301\u0323 \u0301", "a\x00b\x07c \ufffd", "👩\u200d👩\u200d👧 한국어 カナ", "\n\n  x\r\ny\u3000z\u2028w ",
]  # fmt: skip


def corpus_lines(count: int) -> list[str]:
    lines = (line for document in python_docs.documents("train") for line in document.text.split("\n") if line.strip())
    return list(islice(lines, count))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return corpus_lines(10_000)


@pytest.fixture(scope="module")
def bert_folder(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocab.txt alone, as Google published BERT's."""
    folder = tmp_path_factory.mktemp("bert")
    made = train_wordpiece_bpe([*lines[:3000], *ODD], 1500, BERT)
    pieces = sorted(made.whole.get_vocab().items(), key=lambda entry: entry[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def gpt2_folder(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vocab.json and merges.txt alone, as OpenAI's model is published."""
    folder = tmp_path_factory.mktemp("gpt2")
    document = json.loads(train_bpe([*lines[:3000], *ODD], 1500, GPT2).whole.to_str())
    (folder / "vocab.json").write_text(json.dumps(document["model"]["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in document["model"]["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    return folder


def check_parity(ours: Tokenizer, theirs, lines: list[str]) -> None:
    expected = theirs([*lines, *ODD], add_special_tokens=False).input_ids
    assert ours.encode_batch([*lines, *ODD]) == expected
    for text in [*lines[:50], *ODD]:
        assert ours.encode(text, specials=True).ids == theirs(text).input_ids
        assert ours.encode(text, "b c", specials=True).ids == theirs(text, "b c").input_ids


def test_vocab_txt_gives_berts_ids(bert_folder: Path, lines: list[str]) -> None:
    ours = Tokenizer.load(bert_folder)
    assert ours.specials == BERT and ours.algorithm == "WordPiece"
    theirs = BertTokenizer.from_pretrained(bert_folder)
    check_parity(ours, theirs, lines)
    pair, expected = ours.encode("a b", "c", specials=True), theirs("a b", "c")
    assert pair.segments == expected.token_type_ids
    assert Tokenizer.load(bert_folder / "vocab.txt").fingerprint == ours.fingerprint


@pytest.mark.parametrize("lower", [True, False])
def test_vocab_txt_with_its_config(bert_folder: Path, tmp_path: Path, lower: bool) -> None:
    pieces = (bert_folder / "vocab.txt").read_text(encoding="utf-8")
    (tmp_path / "vocab.txt").write_text(pieces + "Hello\nÉ\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    check_parity(Tokenizer.load(tmp_path), BertTokenizer.from_pretrained(tmp_path), ["Hello É", "HELLO"])
    (tmp_path / "tokenizer_config.json").unlink()  # a vocabulary with upper case is that of a cased model
    assert Tokenizer.load(tmp_path).encode("Hello").ids == [1500]


def test_merges_give_gpt2s_ids(gpt2_folder: Path, lines: list[str]) -> None:
    ours = Tokenizer.load(gpt2_folder)
    assert ours.specials == GPT2 and ours.algorithm == "BPE"
    check_parity(ours, GPT2Tokenizer.from_pretrained(gpt2_folder), lines)
    for name in ("vocab.json", "merges.txt"):
        assert Tokenizer.load(gpt2_folder / name).fingerprint == ours.fingerprint


def test_merges_give_robertas_ids(tmp_path: Path, lines: list[str]) -> None:
    roles = SpecialTokens("<pad>", "<s>", "</s>", "<unk>", "<mask>", "</s>", "<s>", ())
    document = json.loads(train_bpe(lines[:2000], 900, roles).whole.to_str())
    (tmp_path / "vocab.json").write_text(json.dumps(document["model"]["vocab"]))
    (tmp_path / "merges.txt").write_text("\n".join(" ".join(pair) for pair in document["model"]["merges"]))
    ours, theirs = Tokenizer.load(tmp_path), RobertaTokenizer.from_pretrained(tmp_path)
    check_parity(ours, theirs, lines[:500])
    assert ours.encode("a", "b", specials=True).segments == [0] * len(theirs("a", "b").input_ids)
    assert ours.encode_marked("a <mask>") == [*ours.encode("a").ids, ours.mask]  # no space left


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_parity_on_a_hundred_thousand_lines(kind: str, bert_folder: Path, gpt2_folder: Path) -> None:
    novels = Path(os.environ.get("TRIVIUM_DATA", "../shared/data")) / "novels" / "train.txt.gz"
    if not novels.exists():
        pytest.skip(f"{novels} is not there: set TRIVIUM_DATA")
    with gzip.open(novels, "rt", encoding="utf-8") as file:
        lines = list(islice(file, 100_000))
    folder, theirs = {"bert": (bert_folder, BertTokenizer), "gpt2": (gpt2_folder, GPT2Tokenizer)}[kind]
    check_parity(Tokenizer.load(folder), theirs.from_pretrained(folder), lines)


FITS = {
    "vocab.txt": {"wordpiece", "wordpiece-bpe"},
    "merges.txt": {"bpe"},
    "model": {"unigram", "sentencepiece-bpe"},
    "tokenizer.json": set(NAMES),
}


@pytest.mark.parametrize("to", FITS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_converted_gives_the_same_ids_and_what_cannot_be_is_refused(name: str, to: str, tmp_path: Path) -> None:
    assert set(FITS) == set(formats.FORMATS)
    trained(name).save(tmp_path / "source")
    if name not in FITS[to]:
        with pytest.raises(TriviumError) as caught:
            formats.convert(tmp_path / "source", tmp_path / "target", to)
        assert "\n" not in str(caught.value) and not list((tmp_path / "target").glob("*"))
        return
    written = formats.convert(tmp_path / "source", tmp_path / "target", to)
    assert all(path.exists() for path in written)
    again = Tokenizer.load(tmp_path / "target")
    assert again.specials == trained(name).specials or to == "model"
    back = formats.convert(tmp_path / "target", tmp_path / "back" / "tokenizer.json")
    for text in (*formats.PROBES, "the text reads Größe"):
        assert Tokenizer.load(back[0]).encode(text).ids == trained(name).encode(text).ids
    with pytest.raises(SettingsError, match="exists already"):
        formats.convert(tmp_path / "source", tmp_path / "target", to)


def test_converted_files_open_in_transformers(tmp_path: Path) -> None:
    for name, to, theirs in (("wordpiece", "vocab.txt", BertTokenizer), ("bpe", "merges.txt", GPT2Tokenizer)):
        trained(name).save(tmp_path / name)
        formats.convert(tmp_path / name, tmp_path / f"{name}-files", to)
        opened = theirs.from_pretrained(tmp_path / f"{name}-files")
        for text in ("The newest text, reads it", "Größe 好", " don't"):
            assert opened(text, add_special_tokens=False).input_ids == trained(name).encode(text).ids
        assert opened.pad_token_id == trained(name).pad


def test_a_conversion_that_changes_ids_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained("wordpiece").save(tmp_path / "source")
    wrong = formats.Format("vocab.txt", lambda path: trained("wordpiece-bpe"), formats.FORMATS["vocab.txt"].write)
    monkeypatch.setitem(formats.FORMATS, "vocab.txt", wrong)
    with pytest.raises(DataError, match="in place of"):
        formats.convert(tmp_path / "source", tmp_path / "out" / "vocab.txt")
    assert not (tmp_path / "out" / "vocab.txt").exists()


def test_names_that_tell_no_format(tmp_path: Path) -> None:
    trained("bpe").save(tmp_path / "a")
    with pytest.raises(SettingsError, match="no tokenizer format 'vocabtxt'"):
        formats.convert(tmp_path / "a", tmp_path / "b", "vocabtxt")
    with pytest.raises(SettingsError, match="does not say which format"):
        formats.convert(tmp_path / "a", tmp_path / "b.bin")
    with pytest.raises(DataError, match="does not exist"):
        formats.convert(tmp_path / "nothing", tmp_path / "b")
    assert formats.has_tokenizer(tmp_path / "a") and not formats.has_tokenizer(tmp_path)


DAMAGE = {
    "vocab.txt": {
        b"": "no line",
        b"[UNK]\na\na\n": "line 3: 'a' stands in line 2",
        b"[PAD]\na\n": "has no line",
        b"[UNK]\n\xff\n": "line 2 is not UTF-8",
        b"[UNK]\n" + b"x" * 5000 + b"\n": "line 2 has 5000 bytes",
    },
    "merges.txt": {
        b"#version: 0.2\na b c\n": "line 2: 'a b c' is not two pieces",
        b"ab\n": "line 1: 'ab' is not two pieces",
        b"\xc4\xa0 \xf0\x9f\x98\x80\n": "merge 0 needs the piece",
        b"\xff a\n": "line 1 is not UTF-8",
    },
    "vocab.json": {
        b"": "not valid JSON",
        b"[]": "no JSON object",
        b'{"a": 1}': "lacks 255 of the 256 bytes",
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in DAMAGE for content in DAMAGE[name]])
def test_damage_is_named(name: str, content: bytes, gpt2_folder: Path, tmp_path: Path) -> None:
    if name != "vocab.txt":
        for each in ("vocab.json", "merges.txt"):
            (tmp_path / each).write_bytes((gpt2_folder / each).read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=DAMAGE[name][content]) as caught:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_one_of_two_files_is_missing(gpt2_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "merges.txt").write_bytes((gpt2_folder / "merges.txt").read_bytes())
    with pytest.raises(DataError, match=r"vocab\.json does not exist"):
        Tokenizer.load(tmp_path)


@given(content=st.binary(max_size=60))
def test_random_bytes_are_one_sentence(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("vocab.txt", "merges.txt", "vocab.json", "tokenizer.json", "tokenizer.model"):
        (folder / name).write_bytes(content)
        try:
            Tokenizer.load(folder / name).encode("a b")
        except DataError as error:
            assert "\n" not in str(error)
