"""Attention as a heat map with a layer and a head to choose, without a script; and as a picture in a file.

Up to ``LABELLED`` tokens each cell is drawn, with its token beside the row and above the column. Longer texts are an
image of a pixel for each cell, of more than ``_PIXELS`` tokens for the largest of several; its shades follow the square
root of the weights, since most of them are small where there are many.
"""

import base64
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from trivium.errors import SettingsError, TriviumError
from trivium.extras import extra_module
from trivium.views.attention import AttentionView, HeadSummary
from trivium.views.markup import Markup, html, joined, writable

LABELLED = 48  # tokens
_PIXELS = 1024
_CELL = 26  # pixels of a cell at full size
_LABEL = 7.2  # pixels of a character in a label
_SHADES = 16
_COLOUR = (31, 95, 174)  # the accent of our pages


def attention_picture(view: AttentionView, identifier: str = "attention", start: tuple[int, int] = (1, 1)) -> Markup:
    """A heat map with two rows of buttons, layer and head, ``start`` chosen at first. HTML and CSS only.

    ``identifier`` must differ between pictures on one page: letters, digits and hyphens.
    """
    if not identifier.replace("-", "").isalnum() or not identifier.isascii():
        raise TriviumError(f"{identifier!r} is no identifier for a picture: use letters, digits and hyphens")
    kinds = (("l", "layer", view.layers, start[0]), ("h", "head", view.heads or (1,), start[1]))
    rules = [
        f"#{identifier}-l{layer}:checked~#{identifier}-h{head}:checked~.heat>.l{layer}h{head}{{display:block}}"
        for layer in view.layers
        for head in view.heads or (1,)
    ]
    for kind, _, numbers, _ in kinds:
        rules += [
            f'#{identifier}-{kind}{i}:checked~.pick label[for="{identifier}-{kind}{i}"]{{'
            "background:var(--accent);color:var(--on-accent);border-color:var(--accent)}"
            f'#{identifier}-{kind}{i}:focus-visible~.pick label[for="{identifier}-{kind}{i}"]{{'
            "outline:2px solid var(--accent);outline-offset:2px}"
            for i in numbers
        ]
    inputs = [
        html(
            '<input type="radio" class="hidden" name="{0}-{1}" id="{0}-{1}{2}" aria-label="{3} {2}"{4}>',
            identifier,
            kind,
            i,
            word,
            Markup(" checked") if i == chosen else "",
        )
        for kind, word, numbers, wanted in kinds
        for i, chosen in ((each, wanted if wanted in numbers else numbers[0]) for each in numbers)
    ]
    pick = joined(
        html(
            '<div class="pick"><span>{}</span>{}</div>',
            word.capitalize(),
            joined(html('<label for="{}-{}{}">{}</label>', identifier, kind, i, i) for i in numbers),
        )
        for kind, word, numbers, _ in kinds
        if kind == "l" or view.heads
    )
    said = {(each.layer, each.head): _sentence(each) for each in view.summaries} if view.heads else {}
    maps = joined(
        html(
            '<div class="l{0}h{1}">{2}{3}</div>',
            *(layer, head, _heat_map(view, row, column), said.get((layer, head), "")),
        )
        for row, layer in enumerate(view.layers)
        for column, head in enumerate(view.heads or (1,))
    )
    return html(
        '<div class="attention"><style>{}</style>{}{}<div class="heat">{}</div></div>',
        Markup("".join(rules)),  # only numbers and the checked identifier
        joined(inputs),
        pick,
        maps,
    )


def _sentence(summary: HeadSummary) -> Markup:
    return html(
        '<p class="note">Layer {}, head {}: entropy {:.1f} bits; {:.0%} to the previous token, {:.0%} to itself, '
        "{:.0%} to the next, {:.0%} to the first.</p>",
        *(summary.layer, summary.head, summary.entropy, summary.previous, summary.same, summary.next, summary.first),
    )


def _heat_map(view: AttentionView, layer: int, head: int) -> Markup:
    """One head, by its place."""
    width, height, drawn = _labelled(view, layer, head) if _fits(view) else _pixels(view, layer, head)
    return html(
        '<div class="scroll" tabindex="0"><svg class="map" width="{0:.0f}" height="{1:.0f}"'
        ' viewBox="0 0 {0:.0f} {1:.0f}" role="img" aria-label="{2}">{3}</svg></div>',
        *(width, height, f"{_name(view, layer, head)}: rows look at columns", drawn),
    )


def _fits(view: AttentionView) -> bool:
    return max(view.weights.shape[2:]) <= LABELLED


def _name(view: AttentionView, layer: int, head: int) -> str:
    """What a map shows, by its place."""
    of = f"head {view.heads[head]}" if view.heads else {"mean": "mean of heads", "rollout": "rollout"}[view.summary]
    return f"{view.stack} attention, layer {view.layers[layer]}, {of}"


def _labelled(view: AttentionView, layer: int, head: int) -> tuple[float, float, Markup]:
    """A path for each shade keeps 20 x 20 tokens at a few kilobytes; weights from 10 % are printed."""
    weights = view.weights[layer, head]  # (T, S)
    rows, columns = weights.shape
    queries, keys = [_shown(t) for t in view.queries], [_shown(t) for t in view.keys]
    left = 10 + _LABEL * max(map(len, queries), default=0)
    top = 10 + _LABEL * max(map(len, keys), default=0)
    shade = np.ceil(np.clip(weights, 0, 1) * _SHADES - 0.15).astype(int)
    paths = []
    for level in range(1, _SHADES + 1):
        cells = "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(shade == level))
        if cells:
            paths.append(html('<path d="{}" opacity="{:.2f}"/>', cells, level / _SHADES))
    row_labels = joined(
        html('<text x="{:.0f}" y="{:.0f}" text-anchor="end">{}</text>', left - 6, top + (i + 0.66) * _CELL, token)
        for i, token in enumerate(queries)
    )
    column_labels = joined(
        html(
            '<text transform="translate({:.0f} {:.0f}) rotate(-90)">{}</text>',
            *(left + (i + 0.66) * _CELL, top - 6, token),
        )
        for i, token in enumerate(keys)
    )
    printed = joined(
        html(
            '<text x="{:.0f}" y="{:.0f}" class="{}">{}</text>',
            *(left + (x + 0.5) * _CELL, top + (y + 0.64) * _CELL),
            "over" if weights[y, x] > 0.66 else "value",
            math.floor(100 * weights[y, x] + 0.5),
        )
        for y, x in np.argwhere(weights >= 0.095)
    )
    drawn = html(
        '<g class="cells" transform="translate({:.0f} {:.0f}) scale({})"><rect width="{}" height="{}"/>{}</g>{}{}{}',
        *(left, top, _CELL, columns, rows, joined(paths), row_labels, column_labels, printed),
    )
    return left + columns * _CELL + 4, top + rows * _CELL + 4, drawn


def _pixels(view: AttentionView, layer: int, head: int) -> tuple[float, float, Markup]:
    """An image whose opacity is the weight, so that it is right on light and on dark paper."""
    weights = view.weights[layer, head]
    step = -(-max(weights.shape) // _PIXELS)
    padded = np.pad(weights, [(0, -size % step) for size in weights.shape])
    rows, columns = (size // step for size in padded.shape)
    largest = padded.reshape(rows, step, columns, step).max((1, 3))
    image = base64.b64encode(_png(np.sqrt(largest.clip(0, 1)))).decode()
    scale = max(1, 640 // max(rows, columns))
    drawn = html(
        '<g class="cells"><rect width="{0}" height="{1}"/></g><image class="sharp" width="{0}" height="{1}"'
        ' href="data:image/png;base64,{2}"/>',
        *(columns * scale, rows * scale, image),
    )
    return columns * scale, rows * scale, drawn


def _png(opacity: np.ndarray) -> bytes:
    """Numbers from 0 to 1 as an image of one colour: 256 entries of a palette that differ in their opacity."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = opacity.shape
    levels = np.zeros((height, width + 1), np.uint8)  # each row begins with the number of its filter, none
    levels[:, 1:] = np.round(opacity * 255)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    palette, alpha = bytes(_COLOUR) * 256, bytes(range(256))
    parts = (b"IHDR", header), (b"PLTE", palette), (b"tRNS", alpha), (b"IDAT", zlib.compress(levels.tobytes(), 9))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in (*parts, (b"IEND", b"")))


def picture_file(view: AttentionView, path: Path) -> bytes:
    """One layer's one head, mean or rollout with its tokens, as an SVG or PNG, by the file's ending."""
    if path.suffix not in (".svg", ".png"):
        raise SettingsError(f"{path} must end in .svg or .png")
    if view.weights.shape[:2] != (1, 1):
        raise SettingsError("a picture in a file shows one head: name one of --layers and one of --heads, or a summary")
    return _plotted(view) if path.suffix == ".png" else _drawing(view)


def _drawing(view: AttentionView) -> bytes:
    width, height, drawn = _labelled(view, 0, 0) if _fits(view) else _pixels(view, 0, 0)
    style = (
        "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1d2126}.cells{fill:#1f5fae}"
        ".cells rect{fill:#f1f2f0}.value,.over{font:10.5px system-ui,sans-serif;text-anchor:middle}.over{fill:#fff}"
        ".sharp{image-rendering:pixelated}"
    )
    document = html(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}">'
        "<title>{2}</title><style>{3}</style>{4}</svg>\n",
        *(width, height, _name(view, 0, 0), style, drawn),
    )
    return writable(str(document)).encode()


def _plotted(view: AttentionView) -> bytes:
    figures = extra_module("matplotlib.figure", "plots", "a picture as PNG is drawn by matplotlib, or write an .svg")
    rows, columns = view.weights.shape[2:]
    labelled, side = _fits(view), 0.28
    size = (max(4.0, columns * side + 2), max(3.0, rows * side + 2)) if labelled else (8, 8)
    figure = figures.Figure(figsize=size, dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_name(view, 0, 0), fontsize=9)
    image = axes.imshow(view.weights[0, 0], cmap="Blues", vmin=0, vmax=None if not labelled else 1)
    figure.colorbar(image, shrink=0.6)
    if labelled:
        plain = {"fontsize": 8, "family": "monospace", "parse_math": False}  # a dollar sign is a dollar sign
        axes.set_xticks(range(columns), [_shown(token) for token in view.keys], rotation=90, **plain)
        axes.set_yticks(range(rows), [_shown(token) for token in view.queries], **plain)
    found = io.BytesIO()
    figure.savefig(found, format="png")
    return found.getvalue()


def _shown(token: str) -> str:
    """A token as a label: spaces and line ends visible, at most 14 characters."""
    visible = token.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}").replace("\t", "\N{RIGHTWARDS ARROW}")
    visible = visible.replace(" ", "\N{OPEN BOX}") if visible.isspace() or len(visible) == 1 else visible.strip()
    return visible if len(visible) <= 14 else visible[:13] + "\N{HORIZONTAL ELLIPSIS}"
