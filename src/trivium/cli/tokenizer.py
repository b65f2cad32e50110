"""Commands on tokenizers: train, show."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from trivium.cli.options import Json
from trivium.cli.output import emit, table


def train(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Text: txt, jsonl, csv, parquet, .gz, folders.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder for tokenizer.json.")],
    vocab_size: Annotated[int, typer.Option("--vocab-size", metavar="N", help="How many tokens it shall have.")] = 4096,
    algorithm: Annotated[str, typer.Option("--algorithm", metavar="A", help="How it is learnt: bpe.")] = "bpe",
    field: Annotated[str, typer.Option("--field", help="Column or key of the text in jsonl, csv, parquet.")] = "text",
    errors: Annotated[
        Literal["strict", "replace"], typer.Option("--errors", help="What to do with bytes that are not UTF-8.")
    ] = "strict",
    as_json: Json = False,
) -> None:
    """Learn a vocabulary from text and save it as tokenizer.json."""
    from trivium.verbs.tokenizer import train_tokenizer

    made = train_tokenizer(files, out, vocab_size, algorithm, field, errors)
    documents = f"{made.documents:,} document{'s' * (made.documents != 1)}"
    emit(
        made,
        as_json,
        f"{made.directory}: {made.algorithm}, {made.vocab_size:,} tokens from {documents} of "
        f"{made.bytes:,} bytes; look inside with `trivium tokenizer show {made.directory}`",
    )


def show(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with tokenizer.json, or such a file.")],
    text: Annotated[str | None, typer.Option("--text", help="A text to cut into tokens.")] = None,
    as_json: Json = False,
) -> None:
    """Look inside a tokenizer, and see how it cuts a text."""
    from trivium.verbs.tokenizer import show_tokenizer

    view = show_tokenizer(path, text)
    lines = [
        f"{view.algorithm} with {view.vocab_size:,} tokens, fingerprint {view.fingerprint[:16]}",
        f"special tokens: {_shortened([f'{name}={number}' for name, number in view.specials.items()])}",
        f"longest tokens: {' '.join(repr(each) for each in view.longest)}",
    ]
    if view.pieces is not None:
        lines.append(table([(each.id, each.piece, repr(each.text)) for each in view.pieces], ("id", "piece", "text")))
    if view.bytes_per_token is not None and view.tokens_per_word is not None:
        lines.append(f"{view.bytes_per_token:.2f} bytes a token, {view.tokens_per_word:.2f} tokens a word")
    emit(view, as_json, "\n".join(lines))


def _shortened(names: list[str], most: int = 8) -> str:
    return " ".join(names[:most]) + (f" ... {len(names) - most} more" if len(names) > most else "")
