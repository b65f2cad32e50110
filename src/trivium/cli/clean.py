"""``trivium clean``: text by rules."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from trivium.cli.options import Json
from trivium.cli.output import emit, table


def clean(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="txt, jsonl, csv, parquet, .gz, folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="F", help="A .jsonl file; if not given, only count.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A=B", help="Change a rule: words=3, terminal=false, bad_words=F. Repeatable."),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", metavar="DIR", help="Count the tokens of what is left.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="N", help="How many epochs this many tokens are: 1e9, 2^35.")
    ] = None,
    field: Annotated[str, typer.Option("--field", help="Column or key of the text in jsonl, csv, parquet.")] = "text",
    errors: Annotated[
        Literal["strict", "replace"], typer.Option("--errors", help="What to do with bytes that are not UTF-8.")
    ] = "strict",
    as_json: Json = False,
) -> None:
    """Clean the text of web pages by the rules of C4. What each rule removes is counted."""
    from trivium.durable import check_file
    from trivium.settings import build, override
    from trivium.text.cleaning import Cleaning
    from trivium.verbs.clean import clean_text

    if out is not None:
        check_file(out)
    changes: dict[str, object] = {}
    for each in sets or []:
        changes |= override(Cleaning, each)
    made = clean_text(
        files, out, build(Cleaning, changes), tokenizer=tokenizer, budget=_tokens(budget), field=field, errors=errors
    )
    report = made.report
    share = report.characters_kept / max(1, report.characters)
    rows = [("page", rule, count, f"{count / report.pages:.1%}") for rule, count in report.pages_by.items()]
    rows += [("line", rule, count, f"{count / max(1, report.lines):.1%}") for rule, count in report.lines_by.items()]
    if report.repeated_sentences:
        rows.append(("sentence", "repeats", report.repeated_sentences, ""))
    if report.citations:
        rows.append(("citation", "citations", report.citations, ""))
    lines = [table(rows, ("what", "rule", "taken out", "of all"))] if rows else []
    lines.append(
        f"{report.pages_kept:,} of {report.pages:,} pages are left, {report.characters_kept:,} of "
        f"{report.characters:,} characters ({share:.1%})" + (f", in {out}" if out is not None else "")
    )
    if report.chance > 1e-4:
        lines.append(f"a new span is taken for a repeated one with a chance of up to {report.chance:.2%}: raise memory")
    if made.tokens is not None:
        lines.append(f"{made.tokens:,} tokens" + _epochs(made.budget, made.epochs))
    emit(made, as_json, "\n".join(lines))


def _epochs(budget: int | None, epochs: float | None) -> str:
    if budget is None or epochs is None:
        return ""
    return f"; a budget of {budget:,} tokens sees each {epochs:,.2f} times"


def _tokens(text: str | None) -> int | None:
    """1000, 1e9 or 2^35 as a number."""
    from trivium.errors import SettingsError

    if text is None:
        return None
    base, power, exponent = text.replace("_", "").replace(",", "").partition("^")
    try:
        if power and not 0 <= int(exponent) <= 100:
            raise ValueError
        value = float(int(base) ** int(exponent)) if power else float(base)
        return int(value)
    except (ValueError, OverflowError):
        raise SettingsError(f"--budget {text!r} is no number of tokens: write it like 1000000, 1e9 or 2^35") from None
