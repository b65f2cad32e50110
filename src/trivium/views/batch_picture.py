"""A row of a training step as a picture in HTML: a box for each token, what it stands for below it, and its targets.

HTML and CSS only. States differ by the line around a box, not by colour alone.
"""

from collections.abc import Iterator

from trivium.views.batches import Place, RowView, Side, Target, Token
from trivium.views.markup import Markup, html, joined
from trivium.views.tokenisation import visible

_SHADES = 10
_DEAREST = 8.0  # nats, from which on a target's shade is the darkest
_STYLE = Markup(  # a constant of the package
    ".seen{margin:1.2rem 0;min-width:0}.seen figcaption{font-weight:600;color:var(--ink)}"
    ".seen ol,.seen ul{display:flex;flex-wrap:wrap;gap:.35rem .2rem;margin:.5rem 0 0;padding:0;list-style:none}"
    ".seen li{display:grid;justify-items:center;align-content:start;gap:.1rem;max-width:100%;border-radius:5px;"
    "padding:.1rem .3rem .15rem;background:var(--faint);border:1.5px solid transparent}"
    ".seen b{font:600 .9rem/1.45 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}"
    ".seen small{font:.7rem/1.3 var(--mono);unicode-bidi:isolate;overflow-wrap:anywhere;white-space:pre-wrap}"
    ".seen .control b{font-weight:400;font-style:italic}"
    ".seen .hidden-token{border:1.5px dashed var(--c1)}.seen .hidden-token b{text-decoration:line-through}"
    ".seen .masked{border-color:var(--c3)}.seen .changed{border:1.5px solid var(--c5)}"
    ".seen .kept{border:1.5px double var(--c2);border-width:3px}"
    ".seen .moved{border:1.5px dotted var(--c0)}.seen .added{border:1.5px dashed var(--c2)}"
    ".seen .asked{border-radius:3px;padding:0 .25rem;color:var(--ink)}"
    ".seen .border{flex-basis:100%;height:0;margin:.2rem 0;padding:0;background:none;border:0;"
    "border-top:2px solid var(--rule)}"
)
_MEANINGS = (
    ("hidden-token", "word", "in the text, not read"),
    ("masked", "<mask>", "the mask token in its place"),
    ("changed", "word", "another token in its place"),
    ("kept", "word", "kept as it is, and asked for"),
    ("moved", "word", "moved"),
    ("added", "word", "put in: stands for no one token"),
    ("control", "</s>", "a control token"),
)


def text_picture(row: RowView) -> Markup:
    """The row's text, a line between its documents."""
    figure = '<figure class="seen"><style>{}</style><figcaption>Text</figcaption><ol>{}</ol></figure>'
    return html(figure, _STYLE, joined(_text(row.tokens)))


def side_picture(side: Side) -> Markup:
    """What one stack reads and, below each token, what is asked for there."""
    title = "The encoder reads" if side.stack == "encoder" else "The decoder reads"
    return html('<figure class="seen"><figcaption>{}</figcaption><ol>{}</ol></figure>', title, joined(_side(side)))


def legend(scored: bool) -> Markup:
    """The kinds of boxes; ``scored``: and what the shades of targets are."""
    boxes = joined(html('<li class="{}"><b>{}</b><small>{}</small></li>', *each) for each in _MEANINGS)
    costs = html(
        "<p>A target stands below the token at whose place it is asked for, after an arrow{}. A line parts documents "
        "that do not see each other. Point at a token for its number, position, segment and order.</p>",
        ", with what it costs in nats: the darker, the dearer" if scored else "",
    )
    return html('<figure class="seen"><ul>{}</ul></figure>{}', boxes, costs)


def _text(tokens: tuple[Token, ...]) -> Iterator[Markup]:
    before = None
    for place, token in enumerate(tokens):
        if before is not None and token.document != before:
            yield _border(token.document)
        before = token.document
        kind = " control" if token.control else ""
        yield html(
            '<li class="{}{}" title="{}"><b>{}</b></li>',
            *("same" if token.seen else "hidden-token", kind),
            *(_named(place, token.id, token.control), visible(token.text)),
        )


def _side(side: Side) -> Iterator[Markup]:
    before = None
    for place in side.places:
        if before is not None and place.document != before:
            yield _border(place.document)
        before = place.document
        kept = any(target.how == "kept" for target in place.targets)
        kind = " control" if place.control else ""
        yield html(
            '<li class="{}{}" title="{}"><b>{}</b>{}</li>',
            *("kept" if kept else place.state, kind, _facts(place), visible(place.text)),
            joined(map(_target, place.targets)),
        )


def _target(target: Target) -> Markup:
    title = f"{target.loss}: id {target.id}" + (f", {target.control}" if target.control else "")
    shade, cost = "", ""
    if target.cost is not None:
        shade = f" p{min(_SHADES - 1, int(target.cost / _DEAREST * _SHADES))}"
        cost = f" {target.cost:.2f}"
    text = f"\N{RIGHTWARDS ARROW}{visible(target.text)}{cost}"
    return html('<small class="asked{}" title="{}">{}</small>', shade, title, text)


def _border(document: int) -> Markup:
    return html('<li class="border" role="separator" aria-label="document {}"></li>', document + 1)


def _named(place: int, number: int, control: str | None) -> str:
    return f"place {place}, id {number}" + (f", {control}" if control else "")


def _facts(place: Place) -> str:
    facts = [_named(place.place, place.id, place.control), f"position {place.position}"]
    facts.append(f"document {place.document + 1}")
    if place.segment is not None:
        facts.append(f"segment {place.segment}")
    if place.prefix:
        facts.append("of the prefix, seen from everywhere")
    if place.order is not None:
        facts.append(f"order {place.order}")
    return ", ".join([*facts, place.state])
