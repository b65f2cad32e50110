"""``trivium convert``: a model in another format, with a table of how far another program's numbers differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trivium.cli.options import Json
from trivium.cli.output import emit, note, table

if TYPE_CHECKING:
    from trivium.verbs.convert import Conversion


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="A run, a Hugging Face folder, a .gguf file or a demo model's name.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A new folder, or a new file that ends in .gguf.")],
    to: Annotated[
        Literal["hf", "gguf", "onnx"] | None,
        typer.Option("--to", help="The format; by DST's name if not given: gguf for .gguf, else hf."),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16", "q8_0"] | None,
        typer.Option("--dtype", help="The kind of number; the source's own if not given, else float32."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a model in another format, and check the copy. Where another program reads the format, it has to agree."""
    from trivium.verbs.convert import convert as converted

    made = converted(source, target, to=to, dtype=dtype, tell=note)
    emit({**_plain(made), "passed": made.parity.passed}, as_json, _shown(made))
    if not made.parity.passed:
        note(f"error: {made.path} is not the same model: {'; '.join(made.parity.problems)}; it is kept to be looked at")
        raise typer.Exit(1)


def _plain(made: "Conversion") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(made)


def _shown(made: "Conversion") -> str:
    parity = made.parity
    top = "-" if parity.top1 is None else f"{100 * parity.top1:.1f}%"
    rows = [
        ("read by", parity.reader + (f", for {parity.remark}" if parity.remark else "")),
        ("compared", f"{parity.numbers:,} {parity.measure} at {parity.positions:,} positions"),
        ("largest difference", f"{parity.largest:.3g}, {parity.relative:.2g} of the largest number"),
        ("bound", f"{parity.bound:g} of the largest number"),
        ("mean difference", f"{parity.mean:.3g}"),
        ("same most probable", top),
        ("texts of equal tokens", f"{parity.tokens} of {parity.texts}"),
        ("end tokens", f"{_spelt(parity.stops_read)}, of the source {_spelt(parity.stops)}"),
    ]
    rows += [("left out", ", ".join(made.left_out))] if made.left_out else []
    rows += [("missing", ", ".join(parity.missing))] if parity.missing else []
    head = f"{made.path}: {made.to}, {made.dtype}, {made.parameters:,} parameters, {made.bytes / 1e6:,.1f} MB"
    return "\n".join([head, table(rows), f"report: {made.report}"])


def _spelt(stops: list[int]) -> str:
    return " and ".join(map(str, stops)) or "none"
