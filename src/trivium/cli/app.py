"""The table of commands. Each module below imports its verbs inside the commands, so that ``--help`` stays fast."""

from typing import Annotated

import typer

from trivium import __version__
from trivium.cli import look

app = typer.Typer(
    name="trivium",
    help="From raw text to a useful language model: pretrain, fine-tune and use Transformers on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trivium {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Options before the command."""


config = typer.Typer(help="Show what a recipe comes to, and what it may hold.", no_args_is_help=True)
config.command("show")(look.config_show)
config.command("schema")(look.config_schema)

app.add_typer(config, name="config")
app.command("runs")(look.runs)
app.command("doctor")(look.doctor)
