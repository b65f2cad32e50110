"""Commands that open a model: its parts, and its attention on a text."""

from pathlib import Path
from typing import Annotated

import typer

from trivium.cli.options import Json, ModelDirectory
from trivium.cli.output import emit, note, table


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
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the model shall read.")],
    model: ModelDirectory,
    html: Annotated[Path | None, typer.Option("--html", help="Write the attention as a page to this file.")] = None,
    as_json: Json = False,
) -> None:
    """How a text is cut, and what each attention head does with it."""
    from trivium.verbs.inspect import attention_page, inspect_text
    from trivium.views import head_summaries

    view = inspect_text(model, text)
    if html is not None:
        html.write_text(attention_page(view, f"Attention in {model}"), encoding="utf-8")
        note(f"wrote {html}")
    head = ("layer", "head", "entropy", "previous", "itself", "next", "first")
    rows = [(s.layer, s.head, s.entropy, s.previous, s.same, s.next, s.first) for s in head_summaries(view.attention)]
    cut = " ".join(repr(token) for token in view.tokens)
    explained = (
        "entropy in bits; then the share of attention that goes to the token before, itself, the next, the first"
    )
    emit(view.to_json(), as_json, f"{len(view.ids)} tokens: {cut}\n{table(rows, head)}\n{explained}")
