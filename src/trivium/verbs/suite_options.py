"""A suite with a user's settings, and names as they are spelt on a command line: refused where it has none such."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, cast

from trivium.errors import SettingsError
from trivium.evaluation import LABELLED, LANGUAGE, SUITES, LabelledSuite, LanguageSuite
from trivium.settings import build, override
from trivium.text.fields import Columns

Suite = LabelledSuite | LanguageSuite


def with_options(suite: str, options: Mapping[str, object]) -> Suite:
    """The suite with the user's settings."""
    chosen = SUITES[suite]
    for name in options:
        if name not in chosen.settings:
            near = get_close_matches(name, chosen.settings, 1)
            known = ", ".join(chosen.settings) or "none"
            advice = f"did you mean {near[0]!r}?" if near else f"its settings are: {known}"
            raise SettingsError(f"{suite} has no setting {name!r}: {advice}")
    if not options:
        return chosen
    checked = build(type(chosen), dict(options))
    return cast(Suite, replace(cast(Any, chosen), **{name: getattr(checked, name) for name in options}))


def check_columns(suite: str, columns: Columns, format: str | None) -> None:
    """Names and formats that the suite's file cannot have are refused, not passed over."""
    if suite in LANGUAGE and (columns or format):
        raise SettingsError(f"{suite}'s file has one layout: leave out --column and --format")
    known = () if suite in LANGUAGE else LABELLED[suite].fields
    for name in columns:
        if name not in known:
            near = get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]!r}?" if near else f"those that it has: {', '.join(known) or 'none'}"
            raise SettingsError(f"{suite} has no field {name!r} that a file may call otherwise: {advice}")


def suite_options(suite: str, assignments: Sequence[str]) -> dict[str, object]:
    """Settings of a suite as they are spelt on a command line, ``stride=256``, read by the types of its fields."""
    found: dict[str, object] = {}
    for assignment in assignments:
        name = assignment.partition("=")[0].strip()
        if suite in SUITES and name in SUITES[suite].settings:
            found |= override(type(SUITES[suite]), assignment)
        else:
            found[name] = None  # refused by name when the suite is made
    return found


def named_models(given: Sequence[str]) -> list[str] | dict[str, str]:
    """``--model sst2=DIR`` by suite, where the word before the sign is a suite's; else a list of models."""
    named = {}
    for each in given:
        name, equals, path = each.partition("=")
        if equals and name in SUITES:
            named[name] = path
    if named and len(named) < len(given):
        raise SettingsError("give every model with the name of its suite, as in sst2=DIR, each suite once, or none")
    return named or list(given)
