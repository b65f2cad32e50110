"""Commands that open a model: its parts, a text inside it, a word in its contexts, and a step of training."""

from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from trivium.cli.options import Data, Json, ModelDirectory, Sets
from trivium.cli.output import emit, note, table, write_page

if TYPE_CHECKING:
    from trivium.verbs.inside import InsideView, ViewName
    from trivium.views.occurrences import WordView

_TABLE = 12  # occurrences whose cosines fit on a terminal
_SHOWN = 8  # places whose predictions do


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
        list[str] | None, typer.Argument(metavar="TEXT", help="What is read; with --word any number of texts.")
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
    most: Annotated[int, typer.Option("--most", metavar="N", help="With --word: at most this many occurrences.")] = 100,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", help="With --word: find other cases too.")] = False,
    field: Annotated[str, typer.Option("--field", help="Column or key of the text in jsonl, csv, parquet.")] = "text",
    errors: Annotated[
        Literal["strict", "replace"], typer.Option("--errors", help="What to do with bytes that are not UTF-8.")
    ] = "strict",
    show: Annotated[
        str | None,
        typer.Option("--show", metavar="A,B", help="Of attention, lens, surprise and steps; all if not given."),
    ] = None,
    answer: Annotated[
        str | None, typer.Option("--answer", help="What an encoder-decoder writes; of an encoder, a second text.")
    ] = None,
    stack: Annotated[
        Literal["encoder", "decoder", "cross"] | None, typer.Option("--stack", help="Whose attention.")
    ] = None,
    layers: Annotated[
        str | None, typer.Option("--layers", metavar="N,M", help="Attention and lens of these; all if not given.")
    ] = None,
    heads: Annotated[
        str | None, typer.Option("--heads", metavar="N,M", help="Attention of these heads; all if not given.")
    ] = None,
    summary: Annotated[
        Literal["none", "mean", "rollout"] | None, typer.Option("--summary", help="Of the heads' attention.")
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="K", help="Tokens that are told at each place.")] = 5,
    max_tokens: Annotated[int, typer.Option("--max-tokens", metavar="N", help="Steps that are written.")] = 16,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a page to this file.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="One head's attention as an .svg or .png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what goes on inside a model while it reads a text. With --word, show one word in all its contexts."""
    from trivium.durable import check_file
    from trivium.errors import SettingsError

    for file in (html, picture):
        if file is not None:
            check_file(file)
    inside = (show, answer, stack, layers, heads, summary, picture)
    if word is not None:
        if any(each is not None for each in inside):
            raise SettingsError(
                "--show, --answer, --stack, --layers, --heads, --summary and --picture are for a text: leave out --word"
            )
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
    from trivium.verbs.inside import inspect_inside

    view = inspect_inside(
        model, texts[0], answer, show=_names(show), stack=stack, layers=_numbers("--layers", layers),
        heads=_numbers("--heads", heads), summary=summary, top=top, max_tokens=max_tokens,
    )  # fmt: skip
    _show_inside(view, html, picture, as_json)


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
    """Show what a step of training sees. The text, what the objective makes of it, and what is predicted where."""
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


def _names(given: str | None) -> "list[ViewName] | None":
    return None if given is None else cast("list[ViewName]", [each.strip() for each in given.split(",")])


def _numbers(option: str, given: str | None) -> list[int] | None:
    from trivium.errors import SettingsError

    if given is None:
        return None
    try:
        return [int(each) for each in given.split(",")]
    except ValueError:
        raise SettingsError(f"{option} is {given!r}: give numbers with commas between them, such as 1,5") from None


def _show_inside(view: "InsideView", html: Path | None, picture: Path | None, as_json: bool) -> None:
    from trivium.durable import replace_file
    from trivium.errors import SettingsError

    if html is not None:
        from trivium.verbs.inside import inside_page

        write_page(html, inside_page(view))
    if picture is not None:
        from trivium.views.attention_picture import picture_file

        if view.attention is None:
            raise SettingsError("there is no attention to draw: leave out --picture, or add attention to --show")
        replace_file(picture, picture_file(view.attention, picture))
        note(f"wrote {picture}")
    cut = " ".join(repr(token) for token in view.tokens)
    blocks = [f"{len(view.tokens)} tokens: {cut}"]
    if view.attention is not None:
        head = ("layer", "head", "entropy", "previous", "itself", "next", "first")
        rows = [(s.layer, s.head, s.entropy, s.previous, s.same, s.next, s.first) for s in view.attention.summaries]
        blocks += [
            f"{view.attention.stack} attention",
            table(rows, head),
            "entropy in bits; then the share of attention that goes to the token before, itself, the next, the first",
        ]
    if view.lens is not None:
        layers = zip(view.lens.layers, view.lens.top, strict=True)
        said = [(str(layer), " ".join(repr(place[0].text) for place in top[-_SHOWN:])) for layer, top in layers]
        blocks += ["what each layer would say", table(said, ("layer", "most probable tokens, at the last places"))]
    if view.surprise is not None:
        costs = " ".join(f"{each.text!r} {each.bits:.1f}" for each in view.surprise.tokens)
        blocks += [
            f"bits of each token: {costs}",
            f"{view.surprise.bits:.1f} bits, perplexity {view.surprise.perplexity:.2f}, "
            f"{view.surprise.bits_per_character:.3f} bits per character",
        ]
    if view.steps is not None:
        told = [
            (repr(step.text), exp(step.log_probability), " ".join(repr(one.text) for one in step.top[1:4]))
            for step in view.steps.steps
        ]
        blocks += ["what it writes", table(told, ("token", "probability", "or"))]
    emit(view.to_json() if as_json else None, as_json, "\n".join(blocks))
