"""The command that finds translations in ordinary text: translations."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from trivium.cli.options import Json
from trivium.cli.output import emit, note


def translations(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="txt, jsonl, csv, parquet, or folders.")],
    language: Annotated[
        list[str] | None, typer.Option("--language", metavar="L", help="Only of this language. Repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most this many.")] = None,
    as_json: Json = False,
) -> None:
    """Find translations that occur by themselves in a text.

    They are sentences that say what something is called in another language.
    """
    from trivium.errors import SettingsError
    from trivium.text.documents import read_documents
    from trivium.text.translations import LANGUAGES, natural_translations

    if limit is not None and limit < 1:
        raise SettingsError(f"limit = {limit}: it must be at least 1")
    found = list(islice(natural_translations(read_documents(files), language or LANGUAGES), limit))
    if found or as_json:
        emit(found, as_json, "\n".join(f"{each.language}: {each.sentence}" for each in found))
    note(f"{len(found)} found")
