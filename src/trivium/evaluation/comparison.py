"""Who is better, column by column: the best of each, wins and ties, and one row against another.

Perplexities and losses a token are only ranked where the tokenizer is the same: with another one the same text has
another number of tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trivium.errors import SettingsError
from trivium.evaluation.suite import Result
from trivium.metrics import LOWER_IS_BETTER


@dataclass(frozen=True)
class Duel:
    """One row against another over the columns that both have; ``ties`` are equal as printed."""

    first: str
    second: str
    wins: tuple[str, ...]
    ties: tuple[str, ...]
    losses: tuple[str, ...]

    def sentence(self) -> str:
        """For people."""
        total = len(self.wins) + len(self.ties) + len(self.losses)
        return (
            f"{self.first} against {self.second}: {len(self.wins)} of {total} columns won, {len(self.ties)} tied, "
            f"{len(self.losses)} lost"
        )


def duel(
    first: str,
    second: str,
    rows: Mapping[str, Mapping[str, float | None]],
    lower: frozenset[str] = frozenset(),
    digits: int = 2,
) -> Duel:
    """``rows``: by name, the figures by column; they are compared after rounding to ``digits``."""
    wins: list[str] = []
    ties: list[str] = []
    losses: list[str] = []
    for column, value in rows[first].items():
        other = rows[second].get(column)
        if value is None or other is None:
            continue
        ours, theirs = round(value, digits), round(other, digits)
        ahead = ours < theirs if column in lower else ours > theirs
        (ties if ours == theirs else wins if ahead else losses).append(column)
    return Duel(first, second, tuple(wins), tuple(ties), tuple(losses))


def best(results: Sequence[Result]) -> dict[str, tuple[str, ...]]:
    """For each score that all results have, the models with the best value; scores a token are left out where the
    tokenizers differ."""
    shared = [name for name in results[0].scores if all(name in result.scores for result in results)]
    found = {}
    for name in shared:
        if per_token(name) and not same_tokenizer(results):
            continue
        ordered = ranked(results, name)
        top = ordered[0].scores[name].value
        found[name] = tuple(result.model for result in ordered if result.scores[name].value == top)
    return found


def ranked(results: Sequence[Result], score: str) -> list[Result]:
    """By falling quality."""
    if per_token(score) and not same_tokenizer(results):
        raise SettingsError(
            f"{score} counts tokens, and these models cut text differently: rank them by word_perplexity, "
            "bits_per_byte or bits_per_character"
        )
    sign = 1 if lower_is_better(score) else -1
    return sorted(results, key=lambda result: sign * result.scores[score].value)


def per_token(score: str) -> bool:
    """Whether it means something for one tokenizer only."""
    return score in ("loss", "perplexity") or score.startswith("masked_perplexity")


def lower_is_better(score: str) -> bool:
    """Also of names with more to them: a task, a rate, "pseudo", spaces for underscores."""
    name = score.replace(" ", "_")
    measured = ("perplexity", "bits_per_byte", "bits_per_character")
    return name in LOWER_IS_BETTER or name.endswith("_loss") or any(each in name for each in measured)


def same_tokenizer(results: Sequence[Result]) -> bool:
    """Whether all were computed with one tokenizer."""
    return len({result.signature.get("tokenizer") for result in results}) == 1
