"""The page of a run that learns from preferences: how well it tells pairs apart, and what it writes by then."""

from collections.abc import Sequence

from trivium.lab import Section, key_figures, note, page
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

REPEATED = 0.1  # more of a reply's runs of three than of the reference's: worth a look


def preference_page(method: str, lines: Sequence[Line], base: str) -> str:
    """One offline HTML document, of the lines of ``metrics.jsonl``."""
    steps, judged, samples = (of_kind(lines, kind) for kind in ("train", "evaluation", "sample"))
    sections = [Section("How well pairs are told apart", _pairs(steps, judged))]
    if method == "dpo":
        sections.append(Section("What became of both replies", _both_sides(steps, judged)))
    if any("kl" in line for line in judged):
        sections.append(Section("What it writes", _replies(judged)))
    if judged:
        sections.append(Section("What to look at", _looked_at(method, judged[0], judged[-1])))
        sections.append(Section("All figures on dev", [before_and_after(judged[0], judged[-1])]))
    if samples:
        sections.append(Section("Replies", first_and_last(samples)))
    updates = max((line["step"] for line in steps), default=0)
    return page(f"Aligned: {method}", sections, meta=[f"method {method}", f"from {base}", f"{updates:,} updates"])


def _pairs(steps: Sequence[Line], judged: Sequence[Line]) -> list[Markup | str]:
    pieces: list[Markup | str] = []
    if judged:
        first, last = judged[0], judged[-1]
        figures: dict[str, Cell] = {"accuracy on dev": digits(last["accuracy"])}
        figures |= {"95% interval": ends(last, "accuracy"), "before the first update": digits(first["accuracy"])}
        pieces.append(key_figures(figures))
    else:
        pieces.append(note("There was no dev file, so all figures are of the pairs it learnt from: give one by --dev."))
    for name, unit, caption in (
        ("loss", "nats a pair", ""),
        ("accuracy", "share of pairs", "How often the chosen reply's reward is the larger; equal ones count as wrong. "
         "The faint lines are the 95% interval on dev (Wilson's)."),
        ("margin", "reward", "By how much the chosen reply's reward is the larger."),
    ):  # fmt: skip
        both = [curve(steps, name, "in training"), *banded(judged, name, "on dev")]
        pieces.append(chart(both, unit, f"{name.capitalize()} by update", caption))
    return pieces


def _both_sides(steps: Sequence[Line], judged: Sequence[Line]) -> list[Markup | str]:
    shown, where = (judged, "on dev") if judged else (steps, "in training")
    charts: list[Markup | str] = []
    for name, unit, title in (
        ("reward", "reward", "The model's own reward, beta (log pi - log ref), of both replies"),
        ("log_probability", "nats a reply", "Log-probability of both replies"),
    ):
        sides = [curve(shown, f"{name}_{side}", f"{side}, {where}") for side in ("chosen", "rejected")]
        charts.append(chart(sides, unit, f"{title} by update"))
    return charts


def _replies(judged: Sequence[Line]) -> list[Markup | str]:
    beside = (("", "the model's"), ("reference_", "the reference's"))
    pieces: list[Markup | str] = [
        chart(banded(judged, "kl", "distance"), "nats a reply", "Distance from the reference by update",
               "The mean of log pi - log ref over the model's own replies, with its 95% interval."),
        chart([curve(judged, f"{whose}reply_tokens", title) for whose, title in beside], "tokens",
               "Length of the replies by update"),
        chart([curve(judged, f"{whose}repetition", title) for whose, title in beside], "share of runs of three",
               "Repetition in the replies by update"),
    ]  # fmt: skip
    if not any("win_rate" in line for line in judged):
        return [*pieces, note("There was no judge, so there is no win rate: give a reward model by method.judge.")]
    wins = [*banded(judged, "win_rate", "over the reference"),
            *banded(judged, "win_rate_over_chosen", "over the chosen replies")]  # fmt: skip
    worth = [*(curve(judged, f"{whose}reward", title) for whose, title in beside),
             curve(judged, "chosen_reward", "the chosen replies'")]  # fmt: skip
    return [
        chart(wins, "share of prompts", "Win rate by update",
               "How often the judge gives the model's reply the larger reward; equal ones count half. Faint: 95% "
               "intervals."),
        chart(worth, "the judge's reward", "Reward of the replies by update"),
        *pieces,
    ]  # fmt: skip


def _looked_at(method: str, first: Line, last: Line) -> list[Markup | str]:
    found = []
    if last["accuracy_low"] <= 0.5 <= last["accuracy_high"]:
        found.append("The accuracy on dev cannot be told from that of guessing: more updates or pairs, or a higher "
                     "learning rate, may help.")  # fmt: skip
    if method == "dpo" and last["log_probability_chosen"] < first["log_probability_chosen"]:
        found.append("The chosen replies of dev became less probable. That is usual where both sides begin alike; "
                     "where it went far, raise `method.imitation`.")  # fmt: skip
    if last.get("reply_tokens_difference_low", -1) > 0:
        found.append("The model's replies are longer than the reference's: a judge that likes length is won by that "
                     "alone.")  # fmt: skip
    if last.get("reply_tokens_difference_high", 1) < 0:
        found.append("The model's replies are shorter than the reference's: look whether they still say what is asked.")
    if last.get("repetition", 0) > last.get("reference_repetition", 0) + REPEATED:
        found.append("The model's replies repeat themselves more than the reference's.")
    return [*found] or ["Nothing here gives reason to suspect that pairs are told apart by other means than meant."]
