"""Commands that look and change nothing: config, runs, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from trivium.cli.options import Data, Json, RecipeName, Sets
from trivium.cli.output import emit, table


def config_show(recipe: RecipeName, data: Data = None, sets: Sets = None, as_json: Json = False) -> None:
    """Every value of a recipe, and where it was said."""
    from trivium.settings import spell
    from trivium.verbs.config import show_config

    settings = show_config(recipe, data or (), sets or ())
    emit(settings, as_json, table([(each.name, spell(each.value), each.origin) for each in settings]))


def config_schema(as_json: Json = False) -> None:
    """The JSON schema of recipes, for editors. Always JSON."""
    from trivium.verbs.config import recipe_schema

    emit(recipe_schema(), True, "")


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to look, with the folders in it.")] = Path(),
    as_json: Json = False,
) -> None:
    """Past runs: model, step, loss, state and last change."""
    from trivium.verbs.runs import runs as find

    found = find(folder)
    rows = [(str(r.directory), r.model, r.objective, r.step, r.steps, r.loss, r.state, r.changed) for r in found]
    head = ("directory", "model", "objective", "step", "of", "loss", "state", "last written")
    emit(found, as_json, table(rows, head) if rows else f"no runs in {folder.resolve()}")


def doctor(as_json: Json = False) -> None:
    """What this machine has, and how fast it is, measured."""
    from trivium.verbs.doctor import doctor as examine

    findings = examine()
    marks = {True: "ok", False: "!!", None: ""}
    rows = [(marks[each.good], each.name, each.value) for each in findings]
    remedies = [f"!! {each.name}: {each.remedy}" for each in findings if each.good is False]
    emit(findings, as_json, "\n".join([table(rows), *remedies]))
