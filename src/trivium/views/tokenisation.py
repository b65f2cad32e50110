"""How a text is cut into tokens, as a picture in HTML: the words in alternating colours, a line at each boundary.

Pieces are shown as the text that they cover; what the text does not show (the vocabulary's spelling, the id, a single
byte, an unknown word, a control token) is written below each one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trivium.views.markup import Markup, html, joined

COLOURS = 6
_STYLE = Markup(  # a constant of the package
    ".cut{display:flex;flex-wrap:wrap;gap:.45rem .2rem;margin:1.2rem 0;padding:0;list-style:none}"
    ".cut li{display:grid;justify-items:center;gap:.1rem;max-width:100%;border-radius:5px;padding:.15rem .35rem .2rem;"
    "background:var(--faint);border-bottom:3px solid var(--key,var(--rule))}"
    ".cut .gap{width:.5rem;background:none;border:0;padding:0}"
    ".cut b{font:600 1rem/1.5 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}"
    ".cut small{font:.7rem/1.3 var(--mono);unicode-bidi:isolate;overflow-wrap:anywhere}"
    ".cut .byte b{font-weight:400;font-style:italic}"
    ".cut .unknown{outline:2px solid var(--c5);outline-offset:-2px}"
    ".cut .control{background:none;outline:1px dashed var(--soft);outline-offset:-1px}"
    ".cut .c0,.cut .c1,.cut .c2,.cut .c3,.cut .c4,.cut .c5{stroke:none}"
)
_SIGNS = {code: 0x2400 + code for code in range(32)} | dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)
_SIGNS |= {0x20: 0x2423, 0x09: 0x2192, 0x0A: 0x21B5, 0x7F: 0x2421}  # open box, arrow, arrow with corner
_SIGNS |= dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)  # they turn the line
Kind = Literal["piece", "byte", "unknown", "control"]


@dataclass(frozen=True)
class Piece:
    """One token of a text: its id, the vocabulary's spelling, the text that it covers, its place there and its word.

    ``byte``: a part of a character that is no piece by itself. ``word``: -1 for control tokens and for spaces alone.
    ``of``: 0 for the first text, 1 for the second of a pair, -1 for control tokens.
    """

    id: int
    piece: str
    text: str
    start: int
    end: int
    word: int
    kind: Kind = "piece"
    of: int = 0


def tokenisation_picture(pieces: Sequence[Piece]) -> Markup:
    """The tokens in order, each with its id; tokens of one word have one colour."""
    drawn = joined(_token(piece) for piece in pieces)
    legend = [
        ("byte", "a byte of a character"),
        ("unknown", "unknown: the text cannot be told from it"),
        ("control", "a control token, not of the text"),
    ]
    shown = joined(
        html('<li class="{}"><b>{}</b></li>', kind, told)
        for kind, told in legend
        if any(p.kind == kind for p in pieces)
    )
    return html(
        '<style>{}</style><ol class="cut" dir="auto">{}</ol>{}',
        *(_STYLE, drawn, html('<ul class="cut" aria-label="Legend">{}</ul>', shown) if shown else ""),
    )


def _token(piece: Piece) -> Markup:
    colour = f" c{piece.word % COLOURS}" if piece.word >= 0 else ""
    title = f"{piece.piece!r}, id {piece.id}, characters {piece.start} to {piece.end}"
    text = piece.piece if piece.kind in ("byte", "control") or not piece.text else visible(piece.text)
    return html(
        '<li class="{}{}" title="{}"><b>{}</b><small>{}</small></li>', piece.kind, Markup(colour), title, text, piece.id
    )


def visible(text: str) -> str:
    """Spaces, tabs, line ends and control characters as signs: what a terminal would obey, it shows."""
    return text.translate(_SIGNS)


def legible(text: str) -> str:
    """The same, with spaces as they are."""
    return " ".join(map(visible, text.split(" ")))
