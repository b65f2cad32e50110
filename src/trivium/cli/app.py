"""The table of commands. Each module below imports its verbs inside the commands, so that ``--help`` stays fast."""

from typing import Annotated

import typer

from trivium import __version__
from trivium.cli import (
    align,
    chat,
    clean,
    compare,
    convert,
    evaluate,
    inspect,
    learn,
    look,
    plan,
    quickstart,
    quiz,
    serve,
    tokenizer,
    translations,
    use,
    vector_training,
    vectors,
)

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


tokenizers = typer.Typer(
    help="Train, inspect, compare, convert and count with tokenizers.", no_args_is_help=True
)
tokenizers.command("train")(tokenizer.train)
tokenizers.command("show")(tokenizer.show)
tokenizers.command("count")(tokenizer.count)
tokenizers.command("compare")(tokenizer.compare)
tokenizers.command("convert")(tokenizer.convert)

words = typer.Typer(help="Learn vectors of words, ask them, score them, draw them.", no_args_is_help=True)
words.command("train")(vector_training.train)
words.command("similar")(vectors.similar)
words.command("analogy")(vectors.analogy)
words.command("table")(vectors.cosines)
words.command("evaluate")(vectors.evaluate)
words.command("convert")(vectors.convert)
words.command("map")(vectors.draw)
words.command("classify")(vectors.classify)

inspector = typer.Typer(
    help="Look inside a model, or at what a step of training sees.", no_args_is_help=True
)
inspector.command("text")(inspect.text)
inspector.command("batch")(inspect.batch)
inspector.command("model")(inspect.model)

config = typer.Typer(help="Show what a recipe comes to, and what it may hold.", no_args_is_help=True)
config.command("show")(look.config_show)
config.command("schema")(look.config_schema)

app.command("quickstart")(quickstart.quickstart)
app.command("pretrain")(learn.pretrain)
app.command("finetune")(learn.finetune)
app.command("align")(align.align)
app.command("predict")(use.predict)
app.command("embed")(use.embed)
app.command("generate")(use.generate)
app.command("fill")(use.fill)
app.command("chat")(chat.chat)
app.command("serve")(serve.serve)
app.add_typer(inspector, name="inspect")
app.add_typer(tokenizers, name="tokenizer")
app.add_typer(words, name="vectors")
app.add_typer(config, name="config")
app.command("plan")(plan.plan)
app.command("convert")(convert.convert)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("clean")(clean.clean)
app.command("quiz")(quiz.quiz)
app.command("translations")(translations.translations)
app.command("runs")(look.runs)
app.command("doctor")(look.doctor)
