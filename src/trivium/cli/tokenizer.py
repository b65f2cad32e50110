"""Commands on tokenizers: train, show, count, compare, convert."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trivium.cli.options import Json
from trivium.cli.output import coloured, emit, note, table, write_page

if TYPE_CHECKING:
    from trivium.views.tokenisation import Piece

Files = Annotated[list[Path], typer.Argument(metavar="FILES", help="Text: txt, jsonl, csv, parquet, .gz, folders.")]
Field = Annotated[str, typer.Option("--field", help="Column or key of the text in jsonl, csv, parquet.")]
Errors = Annotated[
    Literal["strict", "replace"], typer.Option("--errors", help="What to do with bytes that are not UTF-8.")
]
Memory = Annotated[str, typer.Option("--memory", metavar="BYTES", help="What learning may take, such as 512MB.")]
Sample = Annotated[
    str | None,
    typer.Option("--sample", metavar="BYTES", help="Learn from an even part of the text; all of it if not given."),
]
Seed = Annotated[int, typer.Option("--seed", help="Which part.")]
ALGORITHMS = (  # the table's names, for --help without loading it; a test holds them together
    "characters, words, bpe, bpe-words, wordpiece, wordpiece-bpe, unigram, sentencepiece-bpe"
)


def train(
    files: Files,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder for tokenizer.json.")],
    vocab_size: Annotated[int, typer.Option("--vocab-size", metavar="N", help="How many tokens it shall have.")] = 4096,
    algorithm: Annotated[str, typer.Option("--algorithm", metavar="A", help=f"One of {ALGORITHMS}.")] = "bpe",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A=B", help="A setting of the algorithm, such as min_frequency=3. Repeatable."),
    ] = None,
    memory: Memory = "2GiB",
    sample: Sample = None,
    seed: Seed = 0,
    field: Field = "text",
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Learn a vocabulary from text and save it as tokenizer.json."""
    from trivium.settings.sizes import parse_bytes
    from trivium.verbs.tokenizer import train_tokenizer

    made = train_tokenizer(
        files, out, vocab_size, algorithm, field, errors,
        sets=sets or (),
        memory=parse_bytes(memory, "--memory"),
        sample=None if sample is None else parse_bytes(sample, "--sample"),
        seed=seed,
        tell=note,
    )  # fmt: skip
    documents = f"{made.documents:,} document{'s' * (made.documents != 1)}"
    emit(
        made,
        as_json,
        f"{made.directory}: {made.algorithm}, {made.vocab_size:,} tokens from {documents} of "
        f"{made.bytes:,} bytes; look inside with `trivium tokenizer show {made.directory}`",
    )


def show(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A folder or file of a tokenizer, of any format.")],
    text: Annotated[str | None, typer.Option("--text", help="A text to cut into tokens.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the text's tokens as a page to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Look inside a tokenizer, and see how it cuts a text."""
    from trivium.durable import check_file
    from trivium.errors import SettingsError
    from trivium.verbs.tokenizer import show_tokenizer
    from trivium.views.tokenisation import visible

    if html is not None and text is None:
        raise SettingsError("--html draws the tokens of a text: give one with --text")
    if html is not None:
        check_file(html)
    view = show_tokenizer(path, text)
    if html is not None:
        from trivium.verbs.tokenizer_pages import tokenisation_page

        write_page(html, tokenisation_page(view, path.resolve().name))
    lines = [
        f"{view.algorithm} with {view.vocab_size:,} tokens, fingerprint {view.fingerprint[:16]}",
        f"special tokens: {_shortened([f'{visible(name)}={number}' for name, number in view.specials.items()])}",
        f"longest tokens: {' '.join(repr(each) for each in view.longest)}",
    ]
    if view.pieces is not None:
        lines.append(_cut(view.pieces))
        rows = [
            (each.id, visible(each.piece), repr(each.text), f"{each.start}-{each.end}",
             None if each.word < 0 else each.word, "" if each.kind == "piece" else each.kind)
            for each in view.pieces
        ]  # fmt: skip
        lines.append(table(rows, ("id", "piece", "text", "characters", "word", "")))
    if view.bytes_per_token is not None and view.tokens_per_word is not None:
        lines.append(f"{view.bytes_per_token:.2f} bytes a token, {view.tokens_per_word:.2f} tokens a word")
    emit(view, as_json, "\n".join(lines))


def count(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILES", help="Text: txt, jsonl, csv, parquet, .gz, folders.")
    ] = None,
    tokenizers: Annotated[
        list[str] | None,
        typer.Option("--tokenizer", metavar="T", help="A tokenizer's folder or file, or a model. Repeatable."),
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="One text in place of files.")] = None,
    answer: Annotated[int, typer.Option("--answer", metavar="N", help="Tokens that are written to each document.")] = 0,
    price_in: Annotated[float | None, typer.Option("--price-in", help="Price of the tokens that are read.")] = None,
    price_out: Annotated[float | None, typer.Option("--price-out", help="Price of those that are written.")] = None,
    per: Annotated[float, typer.Option("--per", help="How many tokens these prices are for.")] = 1e6,
    hour: Annotated[
        float | None, typer.Option("--hour", help="Price of an hour of a machine of your own, to hold beside.")
    ] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="Tokens a second that it writes.")] = None,
    field: Field = "text",
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Count the tokens of texts, and what they cost. Give one tokenizer or several, and your own prices."""
    from trivium.verbs.token_costs import Prices, count_tokens

    asked = any(each is not None for each in (price_in, price_out, hour, speed))
    prices = Prices(price_in or 0.0, price_out or 0.0, per, hour, speed) if asked else None
    found = count_tokens(
        files or [], tokenizers or [], text=text, answer=answer, prices=prices, field=field, errors=errors
    )
    head = ["tokenizer", "documents", "tokens", "longest", "bytes/token", "written"]
    rows: list[list[object]] = [
        [each.tokenizer, each.documents, each.tokens, each.longest, each.bytes_per_token, each.written]
        for each in found
    ]
    if prices is not None:
        head += ["cost in", "cost out", "cost", *(["hours", "own machine"] if hour is not None else [])]
        for row, each in zip(rows, found, strict=True):
            costs = dataclasses.astuple(each.cost) if each.cost is not None else ()
            row += [f"{cost:,.4g}" for cost in costs if cost is not None]
    emit(found, as_json, table(rows, head))


def compare(
    files: Files,
    algorithms: Annotated[
        str, typer.Option("--algorithms", metavar="A,B", help=f"Which to train, of {ALGORITHMS}.")
    ] = "words,characters,bpe,wordpiece,unigram",
    sizes: Annotated[str, typer.Option("--sizes", metavar="N,M", help="Vocabulary sizes.")] = "1000,4000",
    tokenizers: Annotated[
        list[Path] | None, typer.Option("--tokenizer", metavar="DIR", help="A saved one to hold beside. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write a page to this file.")] = None,
    memory: Memory = "2GiB",
    sample: Sample = None,
    seed: Seed = 0,
    field: Field = "text",
    errors: Errors = "strict",
    as_json: Json = False,
) -> None:
    """Train tokenizers on the same text and compare them. If documents suffice, some are kept to measure on."""
    from trivium.durable import check_file
    from trivium.settings.sizes import parse_bytes
    from trivium.verbs.tokenizer_comparison import compare_tokenizers
    from trivium.views.tokenisation import visible

    if out is not None:
        check_file(out)
    made = compare_tokenizers(
        files, _names(algorithms), _numbers(sizes), tokenizers or (), field, errors,
        memory=parse_bytes(memory, "--memory"),
        sample=None if sample is None else parse_bytes(sample, "--sample"),
        seed=seed,
        tell=note,
    )  # fmt: skip
    if out is not None:
        from trivium.verbs.tokenizer_pages import comparison_page

        write_page(out, comparison_page(made))
    head = ("tokenizer", "vocabulary", "bytes/token", "tokens/word", "unknown words", "MB/s", "training s")
    rows = [
        (each.name, each.vocab_size, each.report.bytes_per_token, each.report.fertility,
         f"{each.report.unknown_words:.2%}", each.report.megabytes_per_second, each.training_seconds)
        for each in made.rows
    ]  # fmt: skip
    lines = [table(rows, head), f"measured on {made.measured_on}"]
    for each in made.rows:
        worst = ", ".join(visible("|".join(word.pieces)) for word in each.report.most_split[:4])
        lines.append(f"{each.name} {each.vocab_size:,} splits most: {worst or 'no frequent word'}")
    for each in made.rows:
        hidden = [s for s in each.report.scripts if s.known < 1]
        if hidden:
            told = ", ".join(f"{s.script} {s.known:.1%}" for s in hidden)
            lines.append(f"{each.name} {each.vocab_size:,} knows of the characters: {told}")
    lines += [f"left out: {each}" for each in made.left_out]
    emit(made, as_json, "\n".join(lines))


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A folder or file of a tokenizer.")],
    target: Annotated[
        Path, typer.Argument(metavar="DST", help="A new file, whose name tells the format, or a folder.")
    ],
    to: Annotated[
        str | None, typer.Option("--to", metavar="F", help="tokenizer.json, vocab.txt, merges.txt or model.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a tokenizer in another format, and check its ids. What was written is read back and has to agree."""
    from trivium.verbs.tokenizer import convert_tokenizer

    made = convert_tokenizer(source, target, to)
    wrote = ", ".join(str(path) for path in made.files)
    emit(made, as_json, f"{wrote}: {made.vocab_size:,} tokens, which give the same ids as those of {source}")


def _cut(pieces: "list[Piece]") -> str:
    """The text with a bar at every boundary; on a terminal, each word in its own colour."""
    from trivium.views.tokenisation import visible

    shown = [(visible(each.text) or each.piece, each.word) for each in pieces]
    return "|".join(coloured(text, word) for text, word in shown)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(text: str) -> list[int]:
    from trivium.errors import SettingsError

    try:
        return [int(part.replace("_", "")) for part in _names(text)]
    except ValueError:
        raise SettingsError(f"--sizes {text!r} must be whole numbers with commas between them: 1000,8000") from None


def _shortened(names: list[str], most: int = 8) -> str:
    return " ".join(names[:most]) + (f" ... {len(names) - most} more" if len(names) > most else "")
