"""What a model was shown in one training step: the text, what an objective made of it, and what it asks for where.

Everything is read from the rows of text and from the ``Batch`` that the model gets; nothing here knows an objective.
How the input differs from the text is found by laying one beside the other (``differences.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trivium.objectives import Batch, Mixed, Objective
from trivium.objectives.cross_entropy import each_cost
from trivium.objectives.wanted import Wanted, last_side
from trivium.text.origins import Piece
from trivium.text.rows import Rows
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.specials import ROLES
from trivium.transformer import Network, Tokens
from trivium.views.differences import State, compare

How = Literal["masked", "random", "kept", "query"]


@dataclass(frozen=True)
class Token:
    """A token of the text, and whether the first stack that reads still has it. ``control``: its role, if it is no
    text: mask, separator, sentinel 0 ..."""

    id: int
    text: str
    control: str | None
    document: int
    seen: bool


@dataclass(frozen=True)
class Target:
    """What is to be predicted at a place. ``how``: what the input has there instead, where it stands at its own place;
    ``query``: it is predicted without being read. ``cost``: -log of its probability, in nats, by a model."""

    loss: str
    id: int
    text: str
    control: str | None
    how: How | None
    cost: float | None


@dataclass(frozen=True)
class Place:
    """A position of a stack's input. ``document``: positions attend to each other only where it is equal."""

    place: int
    id: int
    text: str
    control: str | None
    state: State
    document: int
    position: int
    segment: int | None
    prefix: bool
    order: int | None
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Side:
    """What one stack reads, without padding, of which there are so many places."""

    stack: Literal["encoder", "decoder"]
    places: tuple[Place, ...]
    padding: int


@dataclass(frozen=True)
class Answer:
    """A target about the whole row, such as whether the second text follows the first."""

    loss: str
    value: int
    cost: float | None


@dataclass(frozen=True)
class RowView:
    """One row of a step; ``number`` from 1."""

    number: int
    draw: int
    micro_batch: int
    lane: int | None
    text: str
    tokens: tuple[Token, ...]
    pieces: tuple[Piece, ...]
    sides: tuple[Side, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class BatchView:
    """One step, and some of its rows. ``targets``: how many by the name of a loss, ``losses``: what each costs on the
    mean by ``model``."""

    source: str
    step: int
    steps: int | None
    length: int
    row_count: int
    micro_batches: int
    tokens: int
    targets: Mapping[str, int]
    model: str | None
    losses: Mapping[str, float]
    rows: tuple[RowView, ...]


@torch.no_grad()
def costs(
    objective: Objective | Mixed, model: Network, batch: Batch, wants: Mapping[str, Wanted]
) -> tuple[dict[str, Tensor], dict[str, tuple[float, int]]]:
    """What each target costs (N,) and each loss (sum, count), by the objective's own loss. A loss that is no cross
    entropy of its targets has a sum alone."""
    device = next(model.parameters()).device
    with each_cost() as kept:
        losses = objective.loss(model, batch.to(device))
    scored = [(ids.cpu(), each.float().cpu()) for ids, each in kept]
    found = {}
    for name, asked in wants.items():
        for at, (ids, each) in enumerate(scored):
            if torch.equal(ids, asked.ids):
                found[name] = each
                del scored[at]
                break
    return found, {name: (loss.total.item(), loss.count) for name, loss in losses.items()}


def row_view(
    tokenizer: Tokenizer, rows: Rows, row: int, batch: Batch, pieces: Sequence[Piece], wants: Mapping[str, Wanted],
    scored: Mapping[str, Tensor], number: int, micro_batch: int,
) -> RowView:  # fmt: skip
    """Row ``row`` of ``rows``, of which ``batch`` was made."""
    real = rows.documents[row] >= 0
    ids, documents = rows.tokens[row][real], rows.documents[row][real]
    last = last_side(batch.inputs)
    sides: list[Side] = []
    seen = np.ones(len(ids), bool)
    for stack, side in (("encoder", batch.inputs.source), ("decoder", batch.inputs.target)):
        if side is None:
            continue
        there = _places_without_padding(side, row)
        read = side.ids[row].numpy()[there]
        states, origin = compare(ids, read, tokenizer.mask)
        if not sides:
            kept = np.array([state in ("same", "moved") for state in states], bool)
            seen = np.isin(np.arange(len(ids)), origin[kept])
        asked: dict[int, list[Target]] = {}
        if side is last:
            beside = zip(states, origin.tolist(), strict=True)
            asked = _explained(
                _targets(tokenizer, side, row, wants, scored), side, dict(zip(there.tolist(), beside, strict=True)), ids
            )
        sides.append(_side("encoder" if stack == "encoder" else "decoder", side, row, there, states, asked, tokenizer))
    return RowView(
        number=number,
        draw=int(rows.draws[row]),
        micro_batch=micro_batch,
        lane=None if rows.lanes is None else int(rows.lanes[row]),
        text=tokenizer.decode(ids.tolist(), skip_special=False),
        tokens=tuple(
            Token(token, *spelt(tokenizer, token), document, bool(kept))
            for token, document, kept in zip(ids.tolist(), documents.tolist(), seen, strict=True)
        ),
        pieces=tuple(pieces),
        sides=tuple(sides),
        answers=tuple(
            Answer(name, int(asked.ids[row]), scored[name][row].item() if name in scored else None)
            for name, asked in wants.items()
            if asked.places is None
        ),
    )


def _places_without_padding(side: Tokens, row: int) -> np.ndarray:
    if side.documents is None:
        return np.arange(side.ids.shape[1])
    return np.flatnonzero(side.documents[row].numpy() >= 0)


def _targets(
    tokenizer: Tokenizer, side: Tokens, row: int, wants: Mapping[str, Wanted], scored: Mapping[str, Tensor]
) -> dict[int, list[Target]]:
    """By place in the row."""
    length = side.ids.shape[1]
    found: dict[int, list[Target]] = {}
    for name, asked in wants.items():
        if asked.places is None:
            continue
        for which in torch.nonzero(asked.places // length == row)[:, 0].tolist():
            token = int(asked.ids[which])
            cost = scored[name][which].item() if name in scored else None
            target = Target(name, token, *spelt(tokenizer, token), None, cost)
            found.setdefault(int(asked.places[which]) % length, []).append(target)
    return found


def _explained(
    asked: dict[int, list[Target]], side: Tokens, read: Mapping[int, tuple[State, int]], text: np.ndarray
) -> dict[int, list[Target]]:
    """With what the input has in a target's place, where every target stands at the place of its own token."""
    if side.queries is not None:
        return {place: [replace(target, how="query") for target in each] for place, each in asked.items()}
    placed = [(place, target) for place, each in asked.items() for target in each]
    if not all(place in read and read[place][1] >= 0 and text[read[place][1]] == t.id for place, t in placed):
        return asked
    names: dict[State, How] = {"masked": "masked", "same": "kept", "changed": "random"}
    return {
        place: [replace(target, how=names.get(read[place][0])) for target in each] for place, each in asked.items()
    }


def _side(
    stack: Literal["encoder", "decoder"], side: Tokens, row: int, there: np.ndarray, states: Sequence[State],
    asked: Mapping[int, list[Target]], tokenizer: Tokenizer,
) -> Side:  # fmt: skip
    def given(values: Tensor | None, place: int) -> int | None:
        return None if values is None else int(values[row, place])

    places = tuple(
        Place(
            place=place,
            id=int(side.ids[row, place]),
            text=spelt(tokenizer, int(side.ids[row, place]))[0],
            control=spelt(tokenizer, int(side.ids[row, place]))[1],
            state=state,
            document=given(side.documents, place) or 0,
            position=place if side.positions is None else int(side.positions[row, place]),
            segment=given(side.segments, place),
            prefix=bool(given(side.prefix, place)),
            order=given(side.order, place),
            targets=tuple(asked.get(place, ())),
        )
        for place, state in zip(there.tolist(), states, strict=True)
    )
    return Side(stack, places, side.ids.shape[1] - len(places))


@lru_cache(maxsize=65_536)
def spelt(tokenizer: Tokenizer, token: int) -> tuple[str, str | None]:
    """(text, role of a control token) of an id. Part of a character is spelt as the vocabulary does."""
    piece = tokenizer.piece(token)
    if token in tokenizer.controls:
        roles = [role for role in ROLES if getattr(tokenizer, role) == token]
        if token in tokenizer.sentinels:
            roles.append(f"sentinel {tokenizer.sentinels.index(token)}")
        return piece, " and ".join(roles) or "control"
    once = tokenizer.decode([token])
    text = tokenizer.decode([token, token])[len(once) :]  # a text's first token may lose the space before it
    return (piece if not text or "\N{REPLACEMENT CHARACTER}" in text else text), None
