"""The page of a run that learns from rewards: what it is worth, how far it went, and what its texts became."""

from collections.abc import Sequence

from trivium.alignment.hacking import average, overoptimised, warnings
from trivium.lab import Section, key_figures, note, page, table
from trivium.lab.report import Cell
from trivium.verbs.alignment_page import (
    Line,
    banded,
    before_and_after,
    chart,
    curve,
    digits,
    ends,
    first_and_last,
    of_kind,
)  # fmt: skip
from trivium.views.markup import Markup

RECENT = 5  # rounds whose mean is the present


def recent(rounds: Sequence[Line]) -> dict[str, float]:
    """The mean of the last rounds' figures."""
    kept = [{n: v for n, v in line.items() if n not in ("kind", "step", "round")} for line in rounds[-RECENT:]]
    return average(kept)


def policy_page(method: str, lines: Sequence[Line], rewards: Sequence[str], base: str) -> str:
    """One offline HTML document, of the lines of ``metrics.jsonl``."""
    rounds, judged, samples = (of_kind(lines, kind) for kind in ("rollouts", "evaluation", "sample"))
    if not rounds:
        return page(f"Aligned: {method}", [Section("Rounds", ["No round was begun."])], meta=[f"from {base}"])
    sections = [Section("What it is worth", _worth(rounds, judged, rewards))]
    sections.append(Section("What to look at", _looked_at(rounds, judged)))
    sections.append(Section("How far it went", _distance(rounds, judged)))
    sections.append(Section("What the texts became", _texts(rounds, judged)))
    if judged:
        sections.append(Section("All figures on dev", [before_and_after(judged[0], judged[-1])]))
    if samples:
        sections.append(Section("Responses", first_and_last(samples)))
    meta = [f"method {method}", f"from {base}", f"{len(rounds)} rounds", f"rewards: {', '.join(rewards)}",
            f"price of a nat {rounds[-1]['price']:.3g}"]  # fmt: skip
    return page(f"Aligned: {method}", sections, meta=meta)


def _worth(rounds: Sequence[Line], judged: Sequence[Line], rewards: Sequence[str]) -> list[Markup | str]:
    first, now = rounds[0], recent(rounds)
    figures: dict[str, Cell] = {
        "reward of the first round": digits(first["reward"]),
        f"of the last {min(RECENT, len(rounds))}": digits(now["reward"]),
        "nats a response from the reference": digits(now["kl"]),
    }
    lines = [curve(rounds, "reward", "reward in training")]
    pieces: list[Markup | str] = []
    if judged:
        last = judged[-1]
        for name, title in (("win_rate", "win rate on dev"), ("judge_win_rate", "win rate by the judge")):
            if name in last:
                figures[f"{title}, 95% interval {ends(last, name)}"] = digits(last[name])
        lines.append(curve(judged, "reward", "reward on dev"))
    pieces.append(key_figures(figures))
    if len(rewards) > 1:
        lines += [curve(rounds, f"reward.{name}", name) for name in rewards]
    pieces.append(chart(lines, "reward", "The reward by update"))
    if judged:
        wins = banded(judged, "win_rate", "by the reward")
        wins += banded(judged, "judge_win_rate", "by the judge") if "judge_win_rate" in judged[-1] else []
        pieces.append(
            chart(
                wins, "share of prompts", "Win rate against the reference by update",
                "How often the policy's response on dev is worth more than the reference's to the same prompt; equal "
                "ones count half. Faint: 95% intervals.",
            )  # fmt: skip
        )
    else:
        pieces.append(note("There was no dev file, so there is no win rate: give one with --dev."))
    return pieces


def _looked_at(rounds: Sequence[Line], judged: Sequence[Line]) -> list[Markup | str]:
    found = warnings(rounds[0], recent(rounds)) | overoptimised(judged)
    if not found:
        return [
            "Length, ends, repetition, variety and distance give no reason to suspect that the reward is earned by "
            "other means than meant. Read some responses all the same."
        ]
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in found.values()]


def _distance(rounds: Sequence[Line], judged: Sequence[Line]) -> list[Markup | str]:
    away = [curve(rounds, "kl", "in training")] + (banded(judged, "kl", "on dev") if judged else [])
    pieces: list[Markup | str] = [
        chart(away, "nats a response", "Distance from the reference by update"),
        chart([curve(rounds, "entropy", "entropy")], "nats a token", "Entropy of the policy by update"),
    ]
    if len({line["price"] for line in rounds}) > 1:
        pieces.append(chart([curve(rounds, "price", "price")], "price of a nat", "The price by update"))
    return pieces


def _texts(rounds: Sequence[Line], judged: Sequence[Line]) -> list[Markup | str]:
    lengths = [curve(rounds, "length", "in training")] + ([curve(judged, "length", "on dev")] if judged else [])
    shares = [
        curve(rounds, "ended", "end by themselves"),
        curve(rounds, "repeated", "repeated sequences of four"),
        *([curve(judged, "repeated", "repeated, on dev")] if judged else []),
        curve(rounds, "distinct_2", "different pairs of tokens"),
    ]
    names = ("reward", "kl", "entropy", "length", "ended", "repeated", "distinct_1", "distinct_2", "equal_groups")
    first, now = rounds[0], recent(rounds)
    rows: list[list[Cell]] = [[name, digits(first[name]), digits(now[name])] for name in names if name in first]
    return [
        chart(lengths, "tokens", "Length of the responses by update"),
        chart(shares, "share", "Ends, repetition and variety by update"),
        table(("figure", "first round", f"mean of the last {min(RECENT, len(rounds))}"), rows),
    ]
