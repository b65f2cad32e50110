"""Options that several commands share, so that each is spelt and explained once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FILES", help="Your own text: txt, jsonl, csv, parquet, .gz of them, or folders."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Change a value of the recipe, such as training.steps=100. Repeatable."
    ),
]
RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name, or the path of one.")]


def inspected(model: Path | None) -> Path | None:
    """Damaged files are refused before a command imports torch, which takes seconds."""
    if model is not None:
        from trivium.families.inspection import inspect_model

        inspect_model(model)
    return model


ModelDirectory = Annotated[
    Path,
    typer.Option(
        "--model",
        metavar="M",
        help="The folder of a model, a .gguf file, or a hub id.",
        callback=inspected,
    ),
]
Temperature = Annotated[float, typer.Option("--temperature", help="0: always the most probable token.")]
TopK = Annotated[int, typer.Option("--top-k", help="Only the K most probable tokens; 0: all.")]
TopP = Annotated[float, typer.Option("--top-p", help="Only the tokens that make up this probability.")]
MinP = Annotated[float, typer.Option("--min-p", help="Only tokens at least this probable, of the best.")]
RepetitionPenalty = Annotated[
    float, typer.Option("--repetition-penalty", help="Above 1: tokens already there become less likely.")
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same text.")]
Precision = Annotated[
    Literal["float32", "bfloat16", "int8"],
    typer.Option("--precision", help="bfloat16 takes half the memory, int8 (on a CPU) a quarter; both write faster."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
ColumnNames = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="A=B", help="Your file calls column A (text, label ...) B, as in text=review. Repeatable."
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", help="Of the examples, where a file's name does not tell: jsonl, conll ...")
]


def columns_of(given: list[str] | None) -> dict[str, str]:
    """The names in ``--column A=B``."""
    from trivium.errors import SettingsError

    names = {}
    for each in given or []:
        ours, equals, theirs = each.partition("=")
        if not (ours and equals and theirs):
            raise SettingsError(f"--column {each!r} must look like text=review: what the task reads, = your column")
        names[ours] = theirs
    return names
