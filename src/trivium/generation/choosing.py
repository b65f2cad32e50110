"""The next token of each of several texts, each by its own settings: what they have in common is computed at once, and
what goes wrong with one of them is its own. R rows, V vocabulary."""

from array import array
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trivium.errors import TriviumError
from trivium.generation.request import Row
from trivium.generation.rules import NOTHING, nothing_left
from trivium.generation.sampling import choose, not_finite


def next_of_each(rows: Sequence[Row], logits: Tensor) -> tuple[Tensor, dict[int, TriviumError]]:
    """(R,) tokens by (R, V) logits, and which rows cannot go on. Rows whose numbers are none are marked as broken, and
    their logits become 0."""
    problems: dict[int, TriviumError] = {}
    for place in (~torch.isfinite(logits.amax(dim=-1))).nonzero()[:, 0].tolist():
        problems[place], rows[place].broken = not_finite(), True
        logits[place] = 0
    groups: dict[object, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row.together, []).append(place)
    tokens = torch.zeros(len(rows), dtype=torch.long, device=logits.device)
    for places in groups.values():
        at = torch.tensor(places, device=logits.device)
        part = logits if len(groups) == 1 else logits[at]
        tokens[at] = _settled(part, [rows[place] for place in places], problems, places)
    return tokens, problems


def _settled(
    logits: Tensor, rows: Sequence[Row], problems: dict[int, TriviumError], places: Sequence[int]
) -> Tensor:
    """(R,) tokens of rows with the same rules and filters, by their (R, V) logits."""
    rules, device = rows[0].rules, logits.device
    scores = logits
    if not rules.none:
        written = [len(row.tokens) for row in rows]
        firsts = torch.tensor([len(row.request.prompt.ids) == 1 for row in rows], device=device)
        lasts = torch.tensor([row.room == len(row.tokens) + 1 for row in rows], device=device)
        text = _texts([row.text for row in rows], device) if rules.look_back else None
        scores = rules.apply(scores, text, written, firsts, lasts)
    alone = [n for n, row in enumerate(rows) if row.is_alone]
    if alone:
        scores = scores.clone()
    for n in alone:
        try:
            scores[n] = rows[n].steer(scores[n])
        except TriviumError as problem:
            problems.setdefault(places[n], problem)
    if alone or not rules.none:
        for n in (scores.amax(dim=-1) == -torch.inf).nonzero()[:, 0].tolist():
            problems.setdefault(places[n], nothing_left(rows[n].request.sampling))
            scores[n] = 0
    sampling = rows[0].request.sampling
    drawn = [0.0 if sampling.greedy else row.uniform() for row in rows]
    return choose(scores, sampling, torch.tensor(drawn, dtype=torch.float64))

def most_probable(rows: Sequence[Row], said: Tensor) -> dict[int, tuple[tuple[int, float], ...]]:
    """By place the most probable tokens, where they were asked for, of log-probabilities (R, V)."""
    asked = {n: row.request.sampling.top_log_probabilities for n, row in enumerate(rows)}
    places = [place for place, number in asked.items() if number]
    if not places:
        return {}
    best = said[places].topk(min(max(asked.values()), said.shape[1]), dim=-1)
    found = zip(places, best.indices.tolist(), best.values.tolist(), strict=True)
    return {
        place: tuple(zip(tokens, chances, strict=True))[: asked[place]] for place, tokens, chances in found
    }


def _texts(rows: "Sequence[array[int]]", device: torch.device) -> Tensor:
    """(R, T): each text at the end of its row."""
    longest = max(map(len, rows))
    filled = np.full((len(rows), longest), NOTHING, np.int64)
    for place, row in enumerate(rows):
        filled[place, longest - len(row) :] = row
    return torch.from_numpy(filled).to(device)
