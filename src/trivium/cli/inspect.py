"""Commands that open a model: its parts, its attention on a text, a word in its contexts, and a step of training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trivium.cli.options import Data, Json, ModelDirectory, Sets
from trivium.cli.output import emit, note, table, write_page

if TYPE_CHECKING:
    from trivium.views.occurrences import WordView

_TABLE = 12  # occurrences whose cosines fit on a terminal


def model(model: ModelDirectory, as_json: Json = False) -> None:
    """Parameters and shapes, weight by weight."""
    from trivium.verbs.inspect import inspect_model

    view = inspect_model(model)
    rows = [(part.name, " x ".join(map(str, part.shape)), part.parameters) for part in view.parts]
    summary = (
        f"{view.family}, {view.kind}: {view.parameters:,} parameters, {view.embedding_parameters:,} of them embeddings"
    )
    emit(view, as_json, f"{table(rows, ('weight', 'shape', 'parameters'))}\n{summary}")


def text(
    model: Annotated[
        Path, typer.Option("--model", metavar="M", help="Any model; with --word also a file of static vectors.")
    ],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="What is read; with --word any number of texts.")
    ] = None,
    word: Annotated[
        str | None, typer.Option("--word", metavar="W", help="List this word's occurrences instead of attention.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="FILES", help="With --word: the text, in place of TEXT.")
    ] = None,
    corpus: Annotated[
        Literal["python-docs"] | None,
        typer.Option("--corpus", help="With --word: the embedded corpus, in place of TEXT."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option("--layer", help="With --word: 0 the embeddings, the last layer if not given.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option("--neighbours", metavar="K", help="With --word: how many neighbours of each occurrence.")
    ] = 5,
    most: Annotated[int, typer.Option("--most", metavar="N", help="With --word: so many occurrences at most.")] = 100,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", help="With --word: find other cases too.")] = False,
    field: Annotated[str, typer.Option("--field", help="Column or key of the text in jsonl, csv, parquet.")] = "text",
    errors: Annotated[
        Literal["strict", "replace"], typer.Option("--errors", help="What to do with bytes that are not UTF-8.")
    ] = "strict",
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a page to this file.")] = None,
    as_json: Json = False,
) -> None:
    """How a text is cut and what each attention head does with it; or one word in all its contexts."""
    from trivium.durable import check_file
    from trivium.errors import SettingsError

    if html is not None:
        check_file(html)
    if word is not None:
        from trivium.verbs.occurrences import inspect_word

        found = inspect_word(
            model, word, texts or (), data=data, corpus=corpus, layer=layer, neighbours=neighbours, most=most,
            ignore_case=ignore_case, field=field, errors=errors,
        )  # fmt: skip
        _show_word(found, html, as_json)
        return
    if data is not None or corpus is not None or layer is not None or ignore_case:
        raise SettingsError("--data, --corpus, --layer and --ignore-case belong to --word: say which word to look for")
    if texts is None or len(texts) != 1:
        raise SettingsError("give one text to read (in quotes), or a --word to look for in several")
    _show_attention(model, texts[0], html, as_json)


def batch(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe's name or path, or the folder of a run.")
    ],
    step: Annotated[int, typer.Option("--step", metavar="N", help="Which step; the first is 1.")] = 1,
    rows: Annotated[int, typer.Option("--rows", metavar="K", help="How many of its rows.")] = 2,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="M", help="What each target costs a model: a run, or one of its checkpoints."),
    ] = None,
    data: Data = None,
    sets: Sets = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a page to this file.")] = None,
    as_json: Json = False,
) -> None:
    """What a step of training sees: the text, what the objective makes of it, what is to be predicted where."""
    from dataclasses import replace

    from trivium.cli.batch_text import batch_text
    from trivium.durable import check_file
    from trivium.errors import SettingsError
    from trivium.verbs.inspect_batch import inspect_batch
    from trivium.verbs.recipe import load_recipe

    if html is not None:
        check_file(html)
    if Path(recipe).is_dir() and (data or sets):
        raise SettingsError(f"{recipe} is a run, whose steps are what they were: leave out --data and --set")
    asked = recipe if Path(recipe).is_dir() else load_recipe(recipe, data or (), sets or ()).recipe
    view = replace(inspect_batch(asked, step=step, rows=rows, model=model, tell=note), source=recipe)
    if html is not None:
        from trivium.verbs.batch_page import batch_page

        write_page(html, batch_page(view))
    emit(view, as_json, batch_text(view))


def _show_word(view: "WordView", html: Path | None, as_json: bool) -> None:
    from trivium.verbs.occurrences import summary, word_page
    from trivium.views.occurrences import shown_cosines

    if html is not None:
        write_page(html, word_page(view))
    blocks = []
    for one in view.occurrences:
        blocks.append(f"{one.number:>4}  {one.before}[{one.word}]{one.after}")
        if one.nearest:
            blocks.append("      near: " + "  ".join(f"{number} {cosine:.3f}" for number, cosine in one.nearest))
        if one.words:
            blocks.append("      words: " + "  ".join(f"{each.word} {each.cosine:.3f}" for each in one.words))
    if 1 < len(view.occurrences) <= _TABLE:
        rows = [[str(n), *(f"{value:.3f}" for value in row)] for n, row in enumerate(shown_cosines(view).tolist(), 1)]
        head = ["", *(str(n) for n in range(1, len(rows) + 1))]
        blocks += ["cosines between occurrences", table(rows, head)]
    emit(view, as_json, "\n".join([*blocks, summary(view)]))


def _show_attention(model: Path, text: str, html: Path | None, as_json: bool) -> None:
    from trivium.verbs.inspect import attention_page, inspect_text

    view = inspect_text(model, text)
    if html is not None:
        write_page(html, attention_page(view, f"Attention in {model}"))
    head = ("layer", "head", "entropy", "previous", "itself", "next", "first")
    rows = [(s.layer, s.head, s.entropy, s.previous, s.same, s.next, s.first) for s in view.attention.summaries]
    cut = " ".join(repr(token) for token in view.tokens)
    explained = (
        "entropy in bits; then the share of attention that goes to the token before, itself, the next, the first"
    )
    emit(view.to_json(), as_json, f"{len(view.ids)} tokens: {cut}\n{table(rows, head)}\n{explained}")
