"""Options that several commands share, so that each is spelt and explained once."""

from pathlib import Path
from typing import Annotated

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
ModelDirectory = Annotated[
    Path, typer.Option("--model", metavar="M", help="The folder of a model: a run's, or a Hugging Face one.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
TextColumn = Annotated[str, typer.Option("--text-column", help="Column or key of the text.")]
SecondColumn = Annotated[str, typer.Option("--second-column", help="Of the second text, where examples are pairs.")]
LabelColumn = Annotated[str, typer.Option("--label-column", help="Of the label.")]
