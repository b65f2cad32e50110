"""A report as ONE offline HTML file: it loads nothing, runs nothing and escapes everything.

Each function returns one piece of a page; ``page`` puts the pieces together with the style sheet beside this file and
a content security policy that forbids scripts and every request. Texts of models and users are hostile and reach the
page escaped (``views/markup.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from trivium.errors import TriviumError
from trivium.views.markup import Markup, html, joined, number, writable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Section:
    """A part of the page under one heading; ``kicker`` is a word above it, such as the station of the road."""

    title: str
    pieces: Sequence[Markup | str]  # plain strings become paragraphs
    kicker: str = ""


@dataclass(frozen=True)
class Shown:
    """A table cell with a value to compare by and the text to show for it."""

    value: float
    text: str


@dataclass(frozen=True)
class Token:
    """A token that a model wrote or read, with the probability that it gave to it; None: given, not predicted."""

    text: str
    probability: float | None = None
    others: Sequence[tuple[str, float]] = ()  # what else it held likely


@dataclass(frozen=True)
class Sample:
    """A text with the probabilities of its tokens."""

    title: str
    tokens: Sequence[Token]
    note: str = ""


Cell = str | int | float | Shown | Markup | None


def style_sheet() -> str:
    """What pages look like: ``base.css``, which the playground has too, and what is theirs."""
    return "".join(files("trivium.lab").joinpath(name).read_text("utf-8") for name in ("base.css", "report.css"))


def page(title: str, sections: Sequence[Section], *, subtitle: str = "", meta: Sequence[str] = ()) -> str:
    """The whole HTML document; write it as UTF-8."""
    contents = joined(html('<li><a href="#s{}">{}</a></li>', i, s.title) for i, s in enumerate(sections, 1))
    body = joined(
        html(
            '<section id="s{0}" aria-labelledby="h{0}"><header>{1}<h2 id="h{0}">{2}</h2></header>{3}</section>',
            *(i, html('<p class="kicker">{}</p>', s.kicker) if s.kicker else "", s.title),
            joined(piece if isinstance(piece, Markup) else prose(piece) for piece in s.pieces),
        )
        for i, s in enumerate(sections, 1)
    )
    document = html(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="{}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n'
        '<header class="top"><h1>{}</h1>{}{}</header>\n{}<main>\n{}\n</main>\n'
        "<footer><p>Written by Trivium. This file is complete: it loads nothing and runs no script.</p></footer>\n"
        "</body>\n</html>\n",
        *(Markup(_POLICY), title, Markup(style_sheet()), title),  # constants of the package
        html('<p class="subtitle">{}</p>', subtitle) if subtitle else "",
        html('<ul class="meta">{}</ul>', joined(html("<li>{}</li>", m) for m in meta)) if meta else "",
        html('<nav aria-label="Contents"><ol>{}</ol></nav>\n', contents) if len(sections) > 2 else "",
        body,
    )
    return writable(str(document))


def prose(text: str) -> Markup:
    """A paragraph; `words in backticks` are set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick is a character like any other
        return html("<p>{}</p>", text)
    return html("<p>{}</p>", joined(html("<code>{}</code>", p) if i % 2 else p for i, p in enumerate(parts)))


def note(text: str) -> Markup:
    """A remark in small print: what to expect, what a figure does not say."""
    return html('<p class="note">{}</p>', text)


def key_figures(figures: Mapping[str, Cell]) -> Markup:
    """A row of large numbers, each over the words that say what it counts."""
    items = joined(html("<div><dt>{}</dt><dd>{}</dd></div>", name, _text(cell)) for name, cell in figures.items())
    return html('<dl class="figures">{}</dl>', items)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    caption: str = "",
    best: Mapping[str, Literal["max", "min"]] | None = None,
) -> Markup:
    """Numbers right-aligned, the first cell of a row its heading, the best values of the columns in ``best`` bold."""
    for row in rows:
        if len(row) != len(columns):
            raise TriviumError(f"a table row has {len(row)} cells under {len(columns)} columns: {row[:1]!r}")
    winners = {
        columns.index(name): _winner([row[columns.index(name)] for row in rows], which)
        for name, which in (best or {}).items()
    }
    numeric = [all(_numeric(row[i]) for row in rows) and bool(rows) for i in range(len(columns))]
    right = [Markup(' class="num"') if n and i else Markup("") for i, n in enumerate(numeric)]
    head = joined(html('<th scope="col"{}>{}</th>', right[i], name) for i, name in enumerate(columns))
    body = joined(
        html(
            '<tr><th scope="row">{}</th>{}</tr>\n',
            _text(row[0]),
            joined(
                _cell(cell, right[i], i in winners and _value(cell) == winners[i]) for i, cell in enumerate(row) if i
            ),
        )
        for row in rows
    )
    return html(
        '<div class="scroll" tabindex="0"><table>{}<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>',
        *(html("<caption>{}</caption>", caption) if caption else "", head, body),
    )


def samples(boxes: Sequence[Sample]) -> Markup:
    """Texts with each token shaded by the probability the model gave it; the number is shown on pointing at it."""
    drawn = joined(
        html(
            '<figure class="sample"><figcaption>{}</figcaption><p dir="auto">{}</p>{}</figure>',
            *(box.title, joined(map(token, box.tokens)), note(box.note) if box.note else ""),
        )
        for box in boxes
    )
    scale = joined(
        html('<span class="token p{}">{}</span>', level, text)
        for level, text in ((1, "10 %"), (3, "30 %"), (5, "50 %"), (7, "70 %"), (9, "90 %"))
    )
    return html('<div class="samples">{}</div><p class="note shades">Probability of each token: {}</p>', drawn, scale)


def fills(before: str, after: str, guesses: Sequence[tuple[str, float]], answer: str | None = None) -> Markup:
    """A sentence with one blank and what the model would put there, as bars. ``answer``: what the text had."""
    bars = joined(
        html(
            '<tr{}><th scope="row">{}</th><td><span class="bar" style="width:{:.2f}%"></span></td>'
            '<td class="num">{:.1f} %</td></tr>',
            Markup(' class="right"') if answer is not None and guess.strip() == answer.strip() else "",
            *(guess.strip() or guess, 100 * probability, 100 * probability),
        )
        for guess, probability in guesses
    )
    told = html('<p class="note">The text had: <b>{}</b></p>', answer.strip()) if answer is not None else ""
    return html(
        '<figure class="fill"><figcaption dir="auto">{} <span class="blank" role="img" aria-label="blank"></span> {}'
        "</figcaption><table>{}</table>{}</figure>",
        *(before.rstrip(), after.lstrip(), bars, told),
    )


def blanks(boxes: Sequence[Markup]) -> Markup:
    """Several ``fills`` side by side where the page is wide enough."""
    return html('<div class="blanks">{}</div>', joined(boxes))


def code(text: str, *, label: str = "Commands") -> Markup:
    """Commands to type next, or any other text to be read exactly as it is."""
    return html('<pre tabindex="0" aria-label="{}"><code>{}</code></pre>', label, text.strip("\n"))


def token(token: Token) -> Markup:
    """A token shaded by its probability."""
    if token.probability is None:
        return html('<span class="given">{}</span>', token.text)
    level = min(9, max(0, int(10 * token.probability))) if token.probability == token.probability else 0
    others = "".join(f"\n{p:.1%} {text!r}" for text, p in token.others)
    return html(
        '<span class="token p{}" title="{}">{}</span>',
        *(level, f"{token.probability:.1%} {token.text!r}{others and chr(10) + 'or' + others}", token.text),
    )


def _cell(cell: Cell, right: Markup, winner: bool) -> Markup:
    return html("<td{}>{}</td>", right, html("<b>{}</b>", _text(cell)) if winner else _text(cell))


def _text(cell: Cell) -> str | Markup:
    if cell is None:
        return "\N{EN DASH}"
    if isinstance(cell, Shown):
        return cell.text
    return cell if isinstance(cell, str) else number(cell)


def _value(cell: Cell) -> float | None:
    if isinstance(cell, Shown):
        return cell.value
    return None if isinstance(cell, str) or cell is None else float(cell)


def _numeric(cell: Cell) -> bool:
    return cell is None or _value(cell) is not None


def _winner(cells: Sequence[Cell], which: Literal["max", "min"]) -> float | None:
    values = [v for cell in cells if (v := _value(cell)) is not None]
    return (max if which == "max" else min)(values) if values else None
