"""Attention weights of one text: numbers first, then a heat map with a layer and a head to choose, without a script.

Rows are the positions that look (queries), columns those looked at (keys); each row sums to 1 (Vaswani et al. 2017,
section 3.2.1). The summaries of a head follow Clark et al. 2019, "What Does BERT Look At?", section 3: entropy and the
share given to the previous, the next and the same token. Weights say where a head reads, not why the model decided.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trivium.errors import TriviumError
from trivium.views.markup import Markup, html, joined

if TYPE_CHECKING:
    from trivium.transformer import Record

_CELL = 26  # pixels of a cell at full size
_LABEL = 7.2  # pixels of a character in a label
_SHADES = 16


@dataclass(frozen=True)
class AttentionView:
    """Attention of every layer and head for one row of a batch."""

    stack: str  # "encoder" | "decoder" | "cross"
    queries: tuple[str, ...]  # T tokens that look
    keys: tuple[str, ...]  # S tokens looked at
    weights: np.ndarray  # (L, H, T, S) float32, rows sum to 1

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for ``--json`` and for other programs."""
        return {
            "stack": self.stack,
            "queries": list(self.queries),
            "keys": list(self.keys),
            "weights": np.round(self.weights.astype(np.float64), 6).tolist(),
            "heads": [asdict(summary) for summary in head_summaries(self)],
        }


@dataclass(frozen=True)
class HeadSummary:
    """One head in five numbers, means over the positions that look; layers and heads count from 1."""

    layer: int
    head: int
    entropy: float  # bits; 0: one token gets all, log2(S): spread evenly
    previous: float  # share given to the token before
    same: float
    next: float
    first: float  # share given to the first token: where heads with nothing to say often look


def attention(
    record: "Record",
    queries: Sequence[str],
    keys: Sequence[str] | None = None,
    *,
    stack: Literal["encoder", "decoder", "cross"] = "encoder",
    row: int = 0,
) -> AttentionView:
    """The weights that a forward pass left in ``record``, for row ``row`` of the batch, padding cut off.

    ``queries``: the T tokens as text, without padding; ``keys``: the S source tokens, needed for ``"cross"`` only.
    """
    layers = {
        "encoder": record.encoder_attention,
        "decoder": record.decoder_attention,
        "cross": record.cross_attention,
    }[stack]
    if not layers:
        raise TriviumError(f"the record holds no {stack} attention: run the model with record=Record.empty() first")
    seen = tuple(queries if keys is None else keys)
    if stack == "cross" and keys is None:
        raise TriviumError("cross attention looks from target to source tokens: give the source tokens as keys")
    weights = np.stack([layer[row].detach().float().cpu().numpy() for layer in layers])  # (L, H, T, S)
    if weights.shape[2] < len(queries) or weights.shape[3] < len(seen):
        raise TriviumError(
            f"{len(queries)} x {len(seen)} tokens were given for attention of {weights.shape[2]} x {weights.shape[3]}"
        )
    weights = weights[:, :, : len(queries), : len(seen)]
    sums = weights.sum(-1)
    if weights.size and not np.allclose(sums, 1.0, atol=0.02):
        worst = float(sums.flat[np.abs(sums - 1).argmax()])
        raise TriviumError(f"attention rows sum to {worst:.4f}, not 1: were all tokens of the row given, in order?")
    return AttentionView(stack, tuple(queries), seen, weights)


def head_summaries(view: AttentionView) -> list[HeadSummary]:
    """What each head does on this text, layer by layer."""
    summaries = []
    for layer, heads in enumerate(view.weights, 1):
        for head, weights in enumerate(heads, 1):
            p = weights.astype(np.float64)  # (T, S)
            positive = np.where(p > 0, p, 1.0)
            entropy = float(-(p * np.log2(positive)).sum(-1).mean())
            previous, same, following = (_diagonal_mean(p, offset) for offset in (-1, 0, 1))
            first = float(p[:, 0].mean())
            summaries.append(HeadSummary(layer, head, entropy, previous, same, following, first))
    return summaries


def _diagonal_mean(weights: np.ndarray, offset: int) -> float:
    diagonal = np.diagonal(weights, offset)
    return float(diagonal.mean()) if diagonal.size else 0.0


def attention_picture(view: AttentionView, identifier: str = "attention", start: tuple[int, int] = (1, 1)) -> Markup:
    """A heat map with two rows of buttons, layer and head, ``start`` chosen at first. HTML and CSS only.

    ``identifier`` must differ between pictures on one page: letters, digits and hyphens.
    """
    if not identifier.replace("-", "").isalnum() or not identifier.isascii():
        raise TriviumError(f"{identifier!r} is no identifier for a picture: use letters, digits and hyphens")
    layers, heads = view.weights.shape[:2]
    rules = [
        f"#{identifier}-l{layer}:checked~#{identifier}-h{head}:checked~.heat>.l{layer}h{head}{{display:block}}"
        for layer in range(1, layers + 1)
        for head in range(1, heads + 1)
    ]
    for kind, count in (("l", layers), ("h", heads)):
        rules += [
            f'#{identifier}-{kind}{i}:checked~.pick label[for="{identifier}-{kind}{i}"]{{'
            "background:var(--accent);color:var(--on-accent);border-color:var(--accent)}"
            f'#{identifier}-{kind}{i}:focus-visible~.pick label[for="{identifier}-{kind}{i}"]{{'
            "outline:2px solid var(--accent);outline-offset:2px}"
            for i in range(1, count + 1)
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
        for kind, word, count, chosen in (("l", "layer", layers, start[0]), ("h", "head", heads, start[1]))
        for i in range(1, count + 1)
    ]
    pick = joined(
        html(
            '<div class="pick"><span>{}</span>{}</div>',
            word,
            joined(html('<label for="{}-{}{}">{}</label>', identifier, kind, i, i) for i in range(1, count + 1)),
        )
        for kind, word, count in (("l", "Layer", layers), ("h", "Head", heads))
    )
    maps = joined(
        html('<div class="l{0}h{1}">{2}{3}</div>', s.layer, s.head, _heat_map(view, s), _sentence(s))
        for s in head_summaries(view)
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


def _heat_map(view: AttentionView, summary: HeadSummary) -> Markup:
    """One head as SVG: a path for each shade keeps 20 x 20 tokens at a few kilobytes; weights from 10 % are printed."""
    weights = view.weights[summary.layer - 1, summary.head - 1]  # (T, S)
    rows, columns = weights.shape
    queries, keys = [_shown(t) for t in view.queries], [_shown(t) for t in view.keys]
    left = 10 + _LABEL * max(map(len, queries), default=0)
    top = 10 + _LABEL * max(map(len, keys), default=0)
    width, height = left + columns * _CELL + 4, top + rows * _CELL + 4
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
    return html(
        '<div class="scroll" tabindex="0"><svg class="map" width="{0:.0f}" height="{1:.0f}"'
        ' viewBox="0 0 {0:.0f} {1:.0f}" role="img"'
        ' aria-label="{2} attention, layer {3}, head {4}: rows look at columns, in percent">'
        '<g class="cells" transform="translate({5:.0f} {6:.0f}) scale({7})"><rect width="{8}" height="{9}"/>{10}</g>'
        "{11}{12}{13}</svg></div>",
        *(width, height, view.stack, summary.layer, summary.head, left, top, _CELL, columns, rows, joined(paths)),
        *(row_labels, column_labels, printed),
    )


def _shown(token: str) -> str:
    """A token as a label: spaces and line ends visible, at most 14 characters."""
    visible = token.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}").replace("\t", "\N{RIGHTWARDS ARROW}")
    visible = visible.replace(" ", "\N{OPEN BOX}") if visible.isspace() or len(visible) == 1 else visible.strip()
    return visible if len(visible) <= 14 else visible[:13] + "\N{HORIZONTAL ELLIPSIS}"
