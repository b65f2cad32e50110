"""The command that makes and scores a quiz of who wrote an article: quiz."""

from pathlib import Path
from typing import Annotated

import typer

from trivium.cli.options import ColumnNames, Json, Seed, columns_of
from trivium.cli.output import emit


def quiz(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the quiz.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="F", help="Articles of people: title, text, perhaps subtitle.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="M", help="Who writes the other half.")] = None,
    guesses: Annotated[
        Path | None, typer.Option("--guesses", metavar="F", help="A JSON list of guesses, person or model, to score.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many articles.")] = 10,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Of an article.")] = 250,
    seed: Seed = 0,
    column: ColumnNames = None,
    as_json: Json = False,
) -> None:
    """Tell articles by people from those by a model. The command writes a page that asks, and scores the guesses."""
    from trivium.errors import SettingsError
    from trivium.verbs.quiz import PAGE, make_quiz, score_quiz

    if guesses is not None:
        if data or model:
            raise SettingsError("guesses are of a quiz that is there: leave out --data and --model")
        found = score_quiz(directory, guesses)
        share = f"{found.accuracy.value:.1%} [{found.accuracy.low:.1%}, {found.accuracy.high:.1%}]"
        taken = f"; taken for a person's: {', '.join(map(str, found.hardest))}" if found.hardest else ""
        emit(found, as_json, f"{share} of {found.guesses} guesses are right, where a half is chance{taken}")
        return
    if data is None or model is None:
        raise SettingsError("a new quiz needs --data and --model; one that is there, --guesses")
    made = make_quiz(
        model, data, directory, columns=columns_of(column), limit=limit, max_tokens=max_tokens, seed=seed
    )
    told = f"{len(made.sources)} articles, {made.sources.count('model')} by {model}"
    emit(made, as_json, f"{made.directory / PAGE}: {told}")
