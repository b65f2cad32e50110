"""Commands that use a model: generate, fill, predict, embed."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trivium.cli.options import (
    ColumnNames,
    Device,
    Format,
    Json,
    MinP,
    ModelDirectory,
    Precision,
    RepetitionPenalty,
    Seed,
    Temperature,
    TopK,
    TopP,
    columns_of,
)
from trivium.cli.output import emit, note
from trivium.cli.templates import opened_template, show_choices, show_written

if TYPE_CHECKING:
    from trivium.generation.completion import Completion
    from trivium.generation.sampling import Sampling
    from trivium.verbs.load import LanguageModel

_EARLY: dict[str, bool | Literal["never"]] = {"false": False, "true": True, "never": "never"}


def generate(
    model: ModelDirectory,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="P", help="The text to go on from.")] = None,
    template: Annotated[
        str | None, typer.Option("--template", metavar="T", help="A prompt by its name, such as translate, or a file.")
    ] = None,
    fill: Annotated[
        list[str] | None, typer.Option("--fill", metavar="A=B", help="What goes into the template. Repeatable.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="At most this many tokens; 100.")] = None,
    temperature: Temperature = 0.8,
    top_k: TopK = 0,
    top_p: TopP = 0.95,
    min_p: MinP = 0.0,
    repetition_penalty: RepetitionPenalty = 1.0,
    seed: Seed = 0,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TEXT", help="End before this text. Repeatable.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", help="How many texts.")] = 1,
    min_tokens: Annotated[int | None, typer.Option("--min-tokens", help="No end before this many tokens.")] = None,
    no_repeat_ngram: Annotated[
        int | None, typer.Option("--no-repeat-ngram", help="No sequence of this many tokens comes twice; 0: any may.")
    ] = None,
    beams: Annotated[
        int | None, typer.Option("--beams", help="Search for the most probable text with this many beams.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option("--length-penalty", help="With beams; the higher, the longer the text.")
    ] = None,
    early_stopping: Annotated[
        Literal["false", "true", "never"] | None,
        typer.Option("--early-stopping", help="With beams; true: done with the first texts that end."),
    ] = None,
    json_schema: Annotated[
        Path | None, typer.Option("--json-schema", metavar="FILE", help="The text is JSON that fits this schema.")
    ] = None,
    regex: Annotated[str | None, typer.Option("--regex", help="The text matches this as a whole.")] = None,
    choices: Annotated[
        list[str] | None, typer.Option("--choices", metavar="TEXT", help="The text is this, or another. Repeatable.")
    ] = None,
    contrastive: Annotated[
        float | None,
        typer.Option(
            "--contrastive", metavar="PENALTY", help="Contrastive search over --top-k tokens (4); such as 0.6."
        ),
    ] = None,
    draft: Annotated[
        Path | None, typer.Option("--draft", metavar="M", help="A smaller model drafts; the text is as without it.")
    ] = None,
    draft_tokens: Annotated[int, typer.Option("--draft-tokens", help="How many tokens are drafted at a time.")] = 4,
    typical_p: Annotated[
        float, typer.Option("--typical-p", help="Only the tokens nearest to the mean surprise, of this probability.")
    ] = 1.0,
    presence_penalty: Annotated[
        float, typer.Option("--presence-penalty", help="Above 0: tokens written before become less likely.")
    ] = 0.0,
    frequency_penalty: Annotated[
        float, typer.Option("--frequency-penalty", help="The same, each time that they were written.")
    ] = 0.0,
    logit_bias: Annotated[
        list[str] | None,
        typer.Option("--logit-bias", metavar="TOKEN=BIAS", help="Added to a token's logit. Repeatable."),
    ] = None,
    banned_word: Annotated[
        list[str] | None, typer.Option("--banned-word", metavar="WORD", help="Not written. Repeatable.")
    ] = None,
    forced_word: Annotated[
        list[str] | None, typer.Option("--forced-word", metavar="WORD", help="No end before it came. Repeatable.")
    ] = None,
    top_log_probabilities: Annotated[
        int, typer.Option("--top-log-probabilities", help="Show this many of the most probable tokens beside each.")
    ] = 0,
    best_of: Annotated[
        int | None, typer.Option("--best-of", help="Write this many texts and keep the most probable by token.")
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option("--requests", metavar="FILE", help="Many prompts, JSON lines with their own settings."),
    ] = None,
    slots: Annotated[int, typer.Option("--slots", help="With --requests: texts written at once.")] = 16,
    precision: Precision = "float32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Continue a prompt; the text is shown as it is written."""
    from trivium.errors import SettingsError
    from trivium.generation.constraints import read_schema
    from trivium.generation.sampling import Sampling
    from trivium.generation.search import Search
    from trivium.generation.text_stream import never_written
    from trivium.verbs.generate import settings_of
    from trivium.verbs.load import load
    from trivium.verbs.templates import sampled_as

    sampled = Sampling(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=repetition_penalty,
        seed=seed, stop=tuple(stop or ()), json_schema=None if json_schema is None else read_schema(json_schema),
        regex=regex, choices=tuple(choices or ()), typical_p=typical_p, presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty, logit_bias=tuple(logit_bias or ()),
        banned_words=tuple(banned_word or ()), forced_words=tuple(forced_word or ()),
        top_log_probabilities=top_log_probabilities,
    )  # fmt: skip
    chosen = None
    if requests is None and (template is not None or fill or prompt is None):
        chosen = opened_template(template, fill or [], prompt)
        prompt, sampled = chosen.text, sampled_as(chosen, sampled, beams is not None or contrastive is not None)
        max_tokens = chosen.max_tokens if max_tokens is None else max_tokens
    loaded = load(model, precision=precision, device=device)
    if chosen is not None and chosen.choices:
        show_choices(loaded, chosen, as_json)
        return
    sampling = settings_of(
        loaded, sampled, beams=beams, max_tokens=max_tokens, min_tokens=min_tokens, no_repeat_ngram=no_repeat_ngram,
        length_penalty=length_penalty, early_stopping=None if early_stopping is None else _EARLY[early_stopping],
        contrastive=contrastive,
    )  # fmt: skip
    for each in never_written(loaded.tokenizer, sampling.stop):
        note(f"this model's tokenizer cannot write {each!r}, so that no text ends with it: set --max-tokens")
    if requests is not None:
        beside = prompt is not None or template is not None or fill or samples > 1 or best_of or draft
        if beside or not isinstance(sampling, Sampling):
            raise SettingsError("--requests goes with settings of sampling: prompts and samples stand in the file")
        _answer_requests(loaded, requests, sampling, slots, as_json)
        return
    assert prompt is not None  # or the template's is missing, which was refused
    drafting = None if draft is None else load(draft, precision=precision, device=device)
    if chosen is not None:
        written = loaded.complete([prompt], sampling, samples, drafting, draft_tokens, best_of)
        show_written(loaded, chosen, written, as_json)
        return
    whole = samples > 1 or best_of is not None or top_log_probabilities > 0
    if as_json or whole or isinstance(sampling, Search):  # of several the best, and a search's, is known at the end
        made = loaded.complete([prompt], sampling, samples, drafting, draft_tokens, best_of)
        shown = "" if loaded.kind == "encoder-decoder" else prompt
        emit(made, as_json, "\n---\n".join("\n".join([shown + each.text, *likely_lines(each)]) for each in made))
        return
    pieces = loaded.stream([prompt], sampling, 1, drafting, draft_tokens)  # before the prompt is shown: it may refuse
    if loaded.kind != "encoder-decoder":
        typer.echo(prompt, nl=False)
    finish = acceptance = None
    for piece in pieces:
        typer.echo(piece.text, nl=False)
        finish, acceptance = piece.finish, piece.acceptance
    typer.echo()
    if acceptance is not None:
        note(f"{acceptance:.0%} of the tokens that {draft} drafted were accepted")
    if finish == "context":
        note(f"the text ends here because the model's context of {loaded.config.context} tokens is full")


def _answer_requests(
    model: "LanguageModel", file: Path, sampling: "Sampling", slots: int, as_json: bool
) -> None:
    """An object for each text, a line as soon as it has ended."""
    from trivium.verbs.examples import file_rows
    from trivium.verbs.requests import write_requests

    made = []
    for row in write_requests(model, file_rows(file), sampling, slots=slots):
        if as_json:
            made.append(row)
        else:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if as_json:
        emit(made, True, "")


def likely_lines(completion: "Completion") -> list[str]:
    """What could have come in the place of each token, a line a token."""
    return [
        f"{number:4}  " + "  ".join(f"{each.text!r} {each.log_probability:.2f}" for each in top)
        for number, top in enumerate(completion.top, 1)
    ]


def fill(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A text with blanks: ___ or <mask>.")],
    model: ModelDirectory,
    top: Annotated[int, typer.Option("--top", help="How many candidates for each blank.")] = 5,
    size: Annotated[
        list[int] | None,
        typer.Option("--size", metavar="N", help="Spans of this many tokens. Repeatable: one for each blank."),
    ] = None,
    precision: Precision = "float32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Fill the blanks of a text, with probabilities."""
    from trivium.verbs.fill import fill as filled

    filling = filled(model, text, top=top, size=size or None, precision=precision, device=device)
    lines = [filling.text]
    for number, blank in enumerate(filling.blanks, 1):
        guesses = ", ".join(f"{each.text.strip() or each.text!r} {each.probability:.1%}" for each in blank.candidates)
        lines.append(f"blank {number}: {guesses}; all others {blank.other:.1%}")
    emit(filling, as_json, "\n".join(lines))


def predict(
    model: ModelDirectory,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="jsonl, csv, tsv, or one text a line; standard input when not given."),
    ] = None,
    column: ColumnNames = None,
    format: Format = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """What a fine-tuned model says of each row, as JSON lines."""
    from trivium.verbs.examples import file_rows, stream_rows
    from trivium.verbs.predict import load_predictor, predict_rows

    given = stream_rows(sys.stdin) if file is None else file_rows(file, format)
    rows = predict_rows(load_predictor(model, device), given, columns_of(column))
    if as_json:
        emit([each.row() for each in rows], True, "")
        return
    for each in rows:
        print(json.dumps(each.row(), ensure_ascii=False))


def embed(
    model: ModelDirectory,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="jsonl, csv, tsv, or one text a line; standard input when not given."),
    ] = None,
    pooling: Annotated[
        Literal["mean", "cls", "last"] | None,
        typer.Option("--pooling", help="What makes one vector of a text's tokens; if not given, the model's own way."),
    ] = None,
    normalise: Annotated[
        bool | None, typer.Option("--normalise/--as-is", help="Vectors of length 1, or as they come.")
    ] = None,
    length: Annotated[int | None, typer.Option("--length", help="Read at most this many tokens of a text.")] = None,
    column: ColumnNames = None,
    precision: Precision = "float32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """A vector for each text, as JSON lines."""
    from trivium.verbs.embed import embed as embedded

    rows = embedded(
        model,
        sys.stdin if file is None else file,
        pooling=pooling,
        normalise=normalise,
        length=length,
        columns=columns_of(column),
        precision=precision,
        device=device,
    )
    found, texts, truncated = [], 0, 0
    for each in rows:
        texts, truncated = texts + 1, truncated + each.truncated
        if as_json:
            found.append(each.row())
        else:
            print(json.dumps(each.row(), ensure_ascii=False))
    if as_json:
        emit(found, True, "")
    if truncated:
        note(f"{truncated} of {texts} texts were longer than what the model reads, and cut")
