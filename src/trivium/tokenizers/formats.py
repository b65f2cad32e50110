"""The files that tokenizers are published in, found by their names: read, written, and proved equal after writing.

``tokenizer.json`` (the ``tokenizers`` library), ``vocab.txt`` (BERT), ``vocab.json`` with ``merges.txt`` (GPT-2 and
RoBERTa), ``.model`` (SentencePiece). A tokenizer.json says everything; the others leave the cutting of words to the
program that reads them, so only what that program does can be written to them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trivium.errors import DataError, SettingsError, TriviumError
from trivium.tokenizers.config_file import config_beside, roles
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import check, guarded, read_json


@dataclass(frozen=True)
class Format:
    """Reads a file to a tokenizer; writes a tokenizer to a file, and names all files that it wrote."""

    files: str  # what is typed after --to
    read: Callable[[Path], Tokenizer]
    write: Callable[[Tokenizer, Path], list[Path]]
    beside: tuple[str, ...] = ()  # the other files of the folder that it writes


def read(path: Path) -> Tokenizer:
    """From a file, or from a folder with one; where it has several, tokenizer.json says the most."""
    if path.is_dir() or not (path.exists() or path.suffix):
        return _in_folder(path)
    if path.name == "tokenizer_config.json":
        return _in_folder(path.parent)
    return format_of(path, "tokenizer.json").read(path)


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer in any of the formats."""
    return _candidate(folder) is not None


def format_of(path: Path, otherwise: str | None = None) -> Format:
    """The format by a file's name."""
    if path.suffix == ".model":
        return FORMATS["model"]
    if path.suffix == ".txt" and path.name != "merges.txt":
        return FORMATS["vocab.txt"]
    if path.name in ("vocab.json", "merges.txt"):
        return FORMATS["merges.txt"]
    if path.suffix == ".json" or otherwise:
        return FORMATS["tokenizer.json"]
    raise SettingsError(f"{path} does not say which format it shall have: give --to, one of {', '.join(FORMATS)}")


def convert(source: Path, target: Path, to: str | None = None) -> list[Path]:
    """Writes a tokenizer in another format, reads it back and compares the ids of a probe. ``target``: a file whose
    name tells the format, or a folder with ``to``. The files written."""
    tokenizer = Tokenizer.load(source)
    if to is not None and to not in FORMATS:
        raise SettingsError(f"there is no tokenizer format {to!r}: choose one of {', '.join(FORMATS)}")
    if to is None and not target.suffix:
        to = "tokenizer.json"
    if to is not None and (target.is_dir() or not target.suffix):
        target = target / ("tokenizer.model" if to == "model" else to)
    chosen = FORMATS[to] if to is not None else format_of(target)
    for path in (target, *(target.with_name(name) for name in chosen.beside)):
        if path.exists():
            raise SettingsError(f"{path} exists already: choose another name or folder, or remove it first")
    written = chosen.write(tokenizer, target)
    try:
        prove_equal(tokenizer, chosen.read(target), target)
    except TriviumError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def prove_equal(tokenizer: Tokenizer, again: Tokenizer, path: Path) -> None:
    """Refuses a tokenizer that does not give the ids of another for texts of many scripts and for its own pieces."""
    number = tokenizer.vocab_size
    sample = range(0, number, max(1, number // 2000))
    texts = [*PROBES, *(tokenizer.decode([each], skip_special=False) for each in sample)]
    texts += [" ".join(texts[start : start + 50]) for start in range(0, len(texts), 50)]
    if again.vocab_size != number:
        raise DataError(
            f"{path} would have {again.vocab_size} tokens in place of {number}: write a tokenizer.json instead"
        )
    for text, ours, theirs in zip(texts, tokenizer.encode_batch(texts), again.encode_batch(texts), strict=True):
        if ours != theirs:
            raise DataError(
                f"{path} would give other ids, such as {theirs[:8]} in place of {ours[:8]} for {text[:40]!r}: "
                "this format cannot say how this tokenizer cuts text; write a tokenizer.json instead"
            )


def _in_folder(folder: Path) -> Tokenizer:
    found = _candidate(folder)
    if found is None and (folder / "vocab.json").exists():
        raise DataError(f"{folder} has a vocab.json and no merges.txt beside it: fetch both files, or a tokenizer.json")
    return _read_json(folder / "tokenizer.json") if found is None else format_of(found).read(found)


def _candidate(folder: Path) -> Path | None:
    for name in ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "merges.txt"):
        if (folder / name).exists():
            return folder / name
    models = sorted(folder.glob("*.model"))
    if models:
        return models[0]
    return folder / "vocab.txt" if (folder / "vocab.txt").exists() else None


def _read_json(path: Path) -> Tokenizer:
    document = read_json(path)
    with guarded(f"{path} cannot be used as a tokenizer"):
        check(document, path)
    contents = [token["content"] for token in document.get("added_tokens") or []]
    return Tokenizer(document, roles(config_beside(path), contents), path)


def _write_json(tokenizer: Tokenizer, path: Path) -> list[Path]:
    if path.name != "tokenizer.json":
        raise SettingsError(f"{path.name}: other programs look for a file named tokenizer.json")
    tokenizer.save(path.parent)
    return [path, path.with_name("tokenizer_config.json")]


def _read_vocab_txt(path: Path) -> Tokenizer:
    from trivium.tokenizers.vocab_txt import read_vocab_txt

    return read_vocab_txt(path)


def _write_vocab_txt(tokenizer: Tokenizer, path: Path) -> list[Path]:
    from trivium.tokenizers.vocab_txt import write_vocab_txt

    return write_vocab_txt(tokenizer, path)


def _read_merges(path: Path) -> Tokenizer:
    from trivium.tokenizers.vocab_merges import read_vocab_merges

    return read_vocab_merges(path)


def _write_merges(tokenizer: Tokenizer, path: Path) -> list[Path]:
    from trivium.tokenizers.vocab_merges import write_vocab_merges

    return write_vocab_merges(tokenizer, path)


def _read_model(path: Path) -> Tokenizer:
    from trivium.tokenizers.sentencepiece_file import read_model

    return read_model(path)


def _write_model(tokenizer: Tokenizer, path: Path) -> list[Path]:
    from trivium.tokenizers.sentencepiece_file import write_model

    path.parent.mkdir(parents=True, exist_ok=True)
    write_model(tokenizer, path)
    return [path]


_CONFIG = ("tokenizer_config.json",)
FORMATS = {
    "tokenizer.json": Format("tokenizer.json", _read_json, _write_json, _CONFIG),
    "vocab.txt": Format("vocab.txt", _read_vocab_txt, _write_vocab_txt, _CONFIG),
    "merges.txt": Format(
        "vocab.json and merges.txt", _read_merges, _write_merges, ("vocab.json", "merges.txt", *_CONFIG)
    ),
    "model": Format("a .model of SentencePiece", _read_model, _write_model),
}

PROBES = (
    "The quick brown fox jumps over the lazy dog; it's 3.14 times as quick, isn't it?",
    "  Two  spaces,\ttabs\nand\r\nline ends \n\n  stay or go.  ",
    "Größe, naïveté, Ærøskøbing, İstanbul, ΣΊΣΥΦΟΣ, e\N{COMBINING ACUTE ACCENT}toile.",
    "Съешь ещё этих мягких булок. שלום עולם. مرحبا بالعالم ١٢٣. नमस्ते दुनिया.",
    "私は猫が好きです。北京大学 한국어 ＦＵＬＬ－ＷＩＤＴＨ ｶﾞ ①②③ ﬁ ½",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪 \N{ZERO WIDTH SPACE}zero\N{ZERO WIDTH JOINER}width\N{SOFT HYPHEN} \x00\x07\x7f\ufffd",
    "def f(x): return {'a': [x**2, \"b\"]} # <s> </s> <pad> <unk> <mask> [CLS] [SEP] [UNK] <|endoftext|> ▁ ## Ġ",
    "x" * 300,
    "",
    " ",
)
