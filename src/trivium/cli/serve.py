"""``trivium serve``: models behind an HTTP API, and the playground."""

import os
from pathlib import Path
from typing import Annotated

import typer

from trivium.cli.options import Device, Precision

KEY, KEYS = "TRIVIUM_KEY", "TRIVIUM_KEYS"


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="M", help="A model's folder, file or id, or NAME=M. Repeatable."),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option("--adapter", metavar="NAME=DIR", help="A fine-tuned adapter, with its base. Repeatable."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where it listens; others than this machine need a key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8000,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="Keys that clients must show, one a line; or TRIVIUM_KEY."),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Open to other machines without a key.")] = False,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", metavar="URL", help="Pages from there may ask, too. Repeatable."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", metavar="NAME", help="A further name of this server. Repeatable."),
    ] = None,
    running: Annotated[int, typer.Option("--running", min=1, help="Texts that a model writes at once.")] = 16,
    waiting: Annotated[int, typer.Option("--waiting", min=0, help="Requests that may wait, over all keys.")] = 256,
    per_key: Annotated[int, typer.Option("--per-key", min=1, help="Requests of one key at once.")] = 128,
    deadline: Annotated[float, typer.Option("--deadline", min=0.1, help="Seconds that a request may take.")] = 600.0,
    drain: Annotated[
        float, typer.Option("--drain", min=0, help="Seconds that requests have to end when it is stopped.")
    ] = 10.0,
    context: Annotated[
        int | None,
        typer.Option("--context", min=2, help="Tokens of a text, at most; if not given, the model's, or what fits."),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", metavar="DIR", help="A folder of runs to show in the playground.")
    ] = None,
    precision: Precision = "float32",
    device: Device = "auto",
) -> None:
    """Serve models over HTTP. OpenAI's clients can use them, and a page lets you try them and look inside."""
    from trivium.cli.options import inspected
    from trivium.serving.names import named_model
    from trivium.serving.server import serve as serve_models
    from trivium.serving.settings import ServeSettings

    for each in (*(model or []), *(adapter or [])):
        inspected(Path(named_model(each)[1]))

    settings = ServeSettings(
        host=host, port=port, keys=keys(key_file), insecure=insecure, origins=tuple(origin or ()),
        hosts=tuple(allowed_host or ()), running=running, waiting=waiting, per_key=per_key, deadline=deadline,
        drain=drain, context=context, runs=None if runs is None else str(runs),
    )  # fmt: skip
    serve_models(model or [], adapters=adapter or [], settings=settings, precision=precision, device=device)


def keys(file: Path | None) -> tuple[str, ...]:
    """Those of a file, a line each, and of the environment; never of the command line, which others can see."""
    from trivium.errors import DataError, SettingsError

    found = [os.environ.get(KEY, ""), *os.environ.get(KEYS, "").split(",")]
    if file is not None:
        try:
            found += file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as problem:
            raise DataError(f"{file} cannot be read as a list of keys: {problem}") from None
    told = tuple(dict.fromkeys(key.strip() for key in found if key.strip()))
    if file is not None and not told:
        raise DataError(f"{file} holds no key: write one a line")
    if any(not key.isascii() or not key.isprintable() or " " in key for key in told):
        raise SettingsError("a key has letters that no header carries: use printable ASCII without blanks")
    return told
