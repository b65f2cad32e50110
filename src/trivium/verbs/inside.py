"""``trivium inspect text``: one text in a model, seen in every way that the model has; as numbers, and as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from trivium.errors import SettingsError
from trivium.transformer.network import answers, writes
from trivium.verbs.inspect import as_read, inspect_lens, inspect_steps, inspect_surprise, inspect_text
from trivium.verbs.load import LanguageModel, load
from trivium.views.attention import AttentionView, StackName, Summary, attention, stacks
from trivium.views.lens import LensView, has_lens
from trivium.views.markup import Markup, html, number
from trivium.views.steps import StepsView
from trivium.views.surprise import SurpriseView

if TYPE_CHECKING:
    from trivium.generation.completion import Likely
    from trivium.lab.report import Cell, Section

ViewName = Literal["attention", "lens", "surprise", "steps"]
_LONG = 48  # tokens: of a longer text attention is shown as a mean over the heads, unless layers or heads are named
_MASKED = 64  # tokens that an encoder reads one by one, unless it is asked for
_COLUMNS = 64  # positions of the lens on a page


@dataclass(frozen=True)
class InsideView:
    """Each view where the model has it and it was asked for. ``rollout``: attention followed through all layers."""

    model: str
    text: str
    answer: str | None
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    attention: AttentionView | None
    rollout: AttentionView | None
    lens: LensView | None
    surprise: SurpriseView | None
    steps: StepsView | None

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for ``--json``."""
        views = {"attention": self.attention, "rollout": self.rollout, "lens": self.lens, "surprise": self.surprise,
                 "steps": self.steps}  # fmt: skip
        made = {name: None if view is None else view.to_json() for name, view in views.items()}
        return {"tokens": list(self.tokens), "ids": list(self.ids), **made}


def inspect_inside(
    model: str | Path | LanguageModel,
    text: str,
    answer: str | None = None,
    *,
    show: Sequence[ViewName] | None = None,
    stack: StackName | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    summary: Summary | None = None,
    top: int = 5,
    max_tokens: int = 16,
) -> InsideView:
    """``show``: which views; None for all that the model has, but of an encoder's surprise, which reads a text as often
    as it has tokens, only where there are few. ``summary``: None for all heads of a short text and their mean of a long
    one. ``max_tokens``: how many are written by the steps. The rest is as for the views alone."""
    loaded = load(model)
    named = str(loaded.directory if isinstance(model, LanguageModel) else model)
    for each in show or ():
        if each not in get_args(ViewName):
            raise SettingsError(f"show has {each!r}: choose some of {', '.join(get_args(ViewName))}")
    there = views_of(loaded)
    wanted = there if show is None else tuple(show)
    read = as_read(loaded, text, answer, writes=stack in ("decoder", "cross"))
    side = read.source or read.target
    assert side is not None
    long = len(side.ids) > _LONG
    looked = rollout = None
    if "attention" in wanted:
        plain: Summary = "mean" if long and layers is None and heads is None else "none"
        looked = inspect_text(
            loaded, text, answer, stack=stack, layers=layers, heads=heads, summary=summary or plain
        ).attention
        if looked.stack != "cross" and looked.summary != "rollout":
            depths = layers if long or layers is not None else range(1, stacks(loaded.model)[looked.stack][0] + 1)
            rollout = attention(loaded.model, read, stack=looked.stack, layers=depths, heads=heads, summary="rollout")
    elif show is None and not there:
        raise SettingsError(
            f"the model in {named} has no attention to show and predicts no words: look at a word in its contexts with "
            "--word, or at its weights with trivium inspect model"
        )
    second = answer if answers(loaded.config) else None  # an encoder's second text is no continuation
    weighs = "surprise" in wanted and (show is not None or _weighed(loaded, len(side.ids), second))
    return InsideView(
        named, text, answer, side.tokens, side.ids, looked, rollout,
        inspect_lens(loaded, text, answer, top=top, layers=layers) if "lens" in wanted else None,
        inspect_surprise(loaded, text, second, top=top) if weighs else None,
        inspect_steps(loaded, text, max_tokens=max_tokens, top=top) if "steps" in wanted else None,
    )  # fmt: skip


def views_of(loaded: LanguageModel) -> tuple[ViewName, ...]:
    """What a model has to show of a text."""
    predicts = loaded.model.vocabulary is not None and loaded.config.vocabulary_head != "two-way"
    has = {
        "attention": bool(stacks(loaded.model)),
        "lens": predicts and has_lens(loaded.model),
        "surprise": predicts and (writes(loaded.config) or loaded.tokenizer.mask is not None),
        "steps": predicts and writes(loaded.config),
    }
    return tuple(each for each in get_args(ViewName) if has[each])


def _weighed(loaded: LanguageModel, tokens: int, answer: str | None) -> bool:
    if answers(loaded.config):
        return answer is not None
    return writes(loaded.config) or tokens <= _MASKED


# ---- the page ----


def inside_page(view: InsideView) -> str:
    """All views as one offline HTML page."""
    from trivium.lab import Section, page
    from trivium.views.attention_picture import attention_picture

    sections = []
    if view.surprise is not None:
        sections.append(_surprise_section(view.surprise))
    if view.attention is not None:
        seen = view.attention
        what = {"none": "each row is a token that looks, each column one that it looks at; a row sums to 1",
                "mean": "the mean over the heads of a layer", "rollout": "followed through the layers"}  # fmt: skip
        note = f"Attention of the {seen.stack}: {what[seen.summary]}."
        note += " Weights say where a head reads, not why the model decides."
        sections.append(Section("Attention", [note, attention_picture(seen)], kicker="Where it looks"))
    if view.rollout is not None:
        note = (
            "How much of each token has reached a position, if half of a layer's output is what came in and half is "
            "what its heads read on average (Abnar and Zuidema 2020). In a decoder the first token gathers most of it."
        )
        picture = attention_picture(view.rollout, "rollout", (view.rollout.layers[-1], 1))
        sections.append(Section("Attention rollout", [note, picture], kicker="Through all layers"))
    if view.lens is not None:
        sections.append(_lens_section(view.lens))
    if view.steps is not None:
        sections.append(_steps_section(view.steps))
    whole = view.text if len(view.text) <= 300 else view.text[:299] + "\N{HORIZONTAL ELLIPSIS}"
    return page(f"Inside {Path(view.model).name}", sections, subtitle=whole, meta=[f"{len(view.tokens):,} tokens"])


def _others(likely: "Sequence[Likely]") -> list[tuple[str, float]]:
    return [(each.text, exp(each.log_probability)) for each in likely]


def _surprise_section(view: SurpriseView) -> "Section":
    from trivium.lab.report import Sample, Section, Token, key_figures, samples

    tokens = [Token(each.text, exp(each.log_probability), _others(each.top)) for each in view.tokens]
    figures: dict[str, Cell] = {
        "bits in all": round(view.bits, 1), "perplexity of a token": round(view.perplexity, 2),
        "bits per character": round(view.bits_per_character, 3),
    }  # fmt: skip
    told = "The paler a token, the more it surprised the model. Point at one for what it held likely there."
    return Section(
        "Surprise", [told, samples([Sample("What each token costs", tokens)]), key_figures(figures)],
        kicker="What it expected",
    )  # fmt: skip


def _lens_section(view: LensView) -> "Section":
    from trivium.lab.report import Section, Token, table, token

    first = max(0, len(view.tokens) - _COLUMNS)
    rows: list[list[Cell]] = []
    for layer, places in reversed(list(zip(view.layers, view.top, strict=True))):
        cells: list[Cell] = []
        for place, best in enumerate(places[first:], first):
            shown = token(Token(_visible(best[0].text), exp(best[0].log_probability), _others(best)))
            agrees = best[0].token == view.final[place].token
            cells.append(html("<b>{}</b>", shown) if agrees else shown)
        rows.append(["embeddings" if layer == 0 else str(layer), *cells])
    heads = [_visible(each) for each in view.tokens[first:]]
    reads = "comes after it" if view.stack == "decoder" else "stands there"
    told = (
        f"What the model would say after each layer, were it the last: under each token what it would hold most likely "
        f"{reads}. Bold where it is what the whole model says; the stronger the shade, the surer."
    )
    pieces: list[Markup | str] = [told, table(["layer", *heads], rows)]
    if first:
        pieces.append(f"The last {_COLUMNS} of {len(view.tokens):,} positions.")
    return Section("Layer by layer", pieces, kicker="The logit lens")


def _steps_section(view: StepsView) -> "Section":
    from trivium.lab.report import Sample, Section, Token, samples, table

    given = view.prompt[-_COLUMNS:]
    written = [Token(step.text, exp(step.log_probability), _others(step.top)) for step in view.steps]
    sample = Sample("The prompt, and what the model writes", [*(Token(each) for each in given), *written])
    before = list(view.prompt)
    rows: list[list[Cell]] = []
    for count, step in enumerate(view.steps, 1):
        seen = [*before, *(each.text for each in view.steps[: count - 1])]
        most = sorted(range(len(step.attention)), key=lambda place: -step.attention[place])[:3]
        rows.append([
            str(count), _visible(step.text), number(exp(step.log_probability)),
            ", ".join(f"{_visible(text)} {chance:.0%}" for text, chance in _others(step.top)[1:4]),
            ", ".join(f"{_visible(seen[place])} {step.attention[place]:.0%}" for place in most),
        ])  # fmt: skip
    looked = "" if view.layer is None else f" Where it looked is the mean over the heads of layer {view.layer}."
    told = f"The most probable token at each step, and what else was likely.{looked}"
    made = table(["step", "token", "probability", "or", "looked at"], rows)
    return Section("As it is written", [told, samples([sample]), made], kicker="Step by step")


def _visible(token: str) -> str:
    """A token alone, its spaces and line ends to be seen."""
    shown = token.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}").replace("\t", "\N{RIGHTWARDS ARROW}")
    return shown if shown.strip() else shown.replace(" ", "\N{OPEN BOX}")
