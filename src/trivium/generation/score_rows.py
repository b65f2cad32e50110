"""Which rows a set of questions takes, so that nothing is read twice: what is the beginning of another row is answered
there, and the beginning that several rows share is read once.

Few-shot prompts live of this: the examples are the same for all that is asked, and an option of one token asks about
the same row as all others. Beginnings are shared by networks that read from left to right alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

FEWEST = 16  # tokens that are worth to be read apart
SAVED = 64  # tokens that a group must save, since it takes passes of its own


@dataclass(frozen=True)
class Question:
    """One row for the model, and the ``targets`` whose log-probabilities are asked for at ``positions`` of ``ids``.

    ``ids`` feed the last stack; ``source`` feeds the encoder below a decoder. The first ``known`` of the ids are only
    read, and so see each other both ways in a network that can do that.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    targets: tuple[int, ...]
    source: tuple[int, ...] | None = None
    known: int = 0


@dataclass(frozen=True)
class Merged:
    """``rows`` that answer everything; question i is answered by ``counts[i]`` numbers of row ``places[i]``, from
    number ``starts[i]`` on."""

    rows: tuple[Question, ...]
    places: tuple[int, ...]
    starts: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Rows by their numbers, and how many tokens at their beginning are the same."""

    shared: int
    rows: tuple[int, ...]


def merged(questions: Sequence[Question], causal: bool) -> Merged:
    """Equal rows become one; where each place sees only what is before it, so do beginnings of others."""
    order = sorted(range(len(questions)), key=lambda i: (questions[i].source or (), questions[i].ids), reverse=True)
    hosts: list[Question] = []
    asked: list[list[int]] = []  # by host, the questions that it answers
    for index in order:
        question = questions[index]
        if hosts and _inside(question, hosts[-1], causal):
            asked[-1].append(index)
        else:
            hosts.append(question)
            asked.append([index])
    rows, places = [], [0] * len(questions)
    starts = [0] * len(questions)
    for place, (host, indices) in enumerate(zip(hosts, asked, strict=True)):
        positions: list[int] = []
        targets: list[int] = []
        for index in sorted(indices):
            places[index], starts[index] = place, len(positions)
            positions += questions[index].positions
            targets += questions[index].targets
        rows.append(replace(host, positions=tuple(positions), targets=tuple(targets)))
    return Merged(tuple(rows), tuple(places), tuple(starts), tuple(len(each.targets) for each in questions))


def groups(rows: Sequence[Question]) -> list[Group]:
    """Rows in groups whose shared beginning is worth reading once; all others in one group without."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].ids)
    found: list[Group] = []
    alone: list[int] = []
    group: list[int] = []
    shared = 0
    last: list[int | None] = [*order, None]
    for index in last:
        if index is not None and group:
            common = min(_common(rows[group[-1]].ids, rows[index].ids), shared, _unasked(rows[index]))
            if common >= FEWEST and common * len(group) >= shared * (len(group) - 1):
                group.append(index)
                shared = common
                continue
        if shared * (len(group) - 1) >= SAVED:
            found.append(Group(shared, tuple(group)))
        else:
            alone += group
        if index is not None:
            group, shared = [index], _unasked(rows[index])
    return [*found, *([Group(0, tuple(alone))] if alone else [])]


def _inside(question: Question, host: Question, causal: bool) -> bool:
    if question.source != host.source:
        return False
    if causal:
        return host.ids[: len(question.ids)] == question.ids
    return question.ids == host.ids and question.known == host.known


def _unasked(question: Question) -> int:
    """Tokens before the first place that is asked about."""
    return min(question.positions, default=len(question.ids) - 1)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)
