"""The page of a comparison: who predicts better, how sure that is, how fast each learns, and what length costs."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

from trivium.lab import Section, Series, Shown, line_chart, note, page, table
from trivium.lab.report import Cell
from trivium.views.markup import Markup

if TYPE_CHECKING:
    from trivium.verbs.compare import Comparison, Standing


def comparison_page(made: Comparison, longest: int) -> str:
    """One offline HTML document."""
    sections = [
        Section("Who predicts better", [_introduction(made), _table(made, longest), *_verdicts(made)]),
        Section("How they learn", [_curves(made)]),
    ]
    if made.standings[0].costs:
        sections.append(Section("What a longer text costs", _costs(made)))
    meta = [f"{made.tokens:,} training tokens each", f"{made.seeds} seed{'s' * (made.seeds != 1)}"]
    return page(made.title, sections, meta=[*meta, f"vocabulary {made.vocab_size:,}"])


def _introduction(made: Comparison) -> str:
    sizes = [s.parameters for s in made.standings]
    apart = 100 * (max(sizes) / min(sizes) - 1)
    return (
        f"All models read the same text through the same tokenizer, {made.tokens:,} tokens each, and are judged on "
        f"documents that none of them has seen. Their sizes differ by {apart:.1f} %. Lower loss, perplexity and bits "
        "per byte are better."
    )


def _table(made: Comparison, longest: int) -> Markup:
    rows: list[list[Cell]] = [
        [
            s.name,
            s.parameters,
            _digits(mean(s.loss)),
            _spread(s.perplexity),
            _digits(mean(s.bits_per_byte)),
            round(s.tokens_per_second),
        ]
        for s in made.standings
    ]
    if made.ngrams:
        found = made.ngrams
        name = f"{longest}-grams (Kneser-Ney)"
        likelihoods = [_digits(found["loss"]), _spread([found["perplexity"]]), _digits(found["bits_per_byte"])]
        rows.append([name, None, *likelihoods, None])
    columns = ("model", "parameters", "loss, nats", "perplexity", "bits per byte", "training tokens/s")
    return table(columns, rows, best={"perplexity": "min", "bits per byte": "min", "loss, nats": "min"})


def _digits(value: float) -> Shown:
    return Shown(value, f"{value:.3f}")


def _spread(values: list[float]) -> Shown:
    low, high = min(values), max(values)
    return Shown(mean(values), f"{mean(values):.2f}" + (f" ({low:.2f} to {high:.2f})" if high > low else ""))


def _verdicts(made: Comparison) -> list[Markup]:
    found = []
    for each in made.differences:
        nats = each.nats
        if made.seeds < 2:
            sure = "One seed says nothing about chance: run more of them."
        elif nats.excludes_zero():
            sure = f"95 % interval over seeds [{nats.low:+.3f}, {nats.high:+.3f}]: more than chance."
        else:
            sure = f"95 % interval over seeds [{nats.low:+.3f}, {nats.high:+.3f}]: chance cannot be ruled out."
        word = "lower" if nats.value < 0 else "higher"
        text = f"{each.first}'s loss is {abs(nats.value):.3f} nats {word} than {each.second}'s. {sure}"
        found.append(note(text))
    return found


def _curves(made: Comparison) -> Markup:
    series = [Series(s.name, [x for x, _ in s.curve], [y for _, y in s.curve]) for s in made.standings if s.curve]
    if made.ngrams and series:
        ends = [min(x for s in series for x in s.x), max(x for s in series for x in s.x)]
        series.append(Series("n-grams", ends, [made.ngrams["loss"]] * 2, dashed=True))
    return line_chart(
        series,
        x_label="training tokens",
        y_label="held-out loss, nats a token",
        label="Held-out loss of each model over training",
        caption="The first seed of each.",
    )


def _costs(made: Comparison) -> list[Markup | str]:
    def chart(y_label: str, label: str, of: str) -> Markup:
        series = [
            Series(s.name, [c.length for c in s.costs], [getattr(c, of) for c in s.costs]) for s in made.standings
        ]
        return line_chart(series, x_label="length of a row, tokens", y_label=y_label, label=label, log_x=True)

    columns = ("model", "length", "rows", "µs a token", "kB a token")
    rows: list[list[Cell]] = [
        [s.name, c.length, c.rows, c.microseconds, c.kilobytes] for s in made.standings for c in s.costs
    ]
    return [
        "The same number of tokens, cut into fewer and longer rows. Attention compares each position with every other, "
        "so its work a token grows with the length; a recurrent model does the same work at each place, but one after "
        "the other. Memory is what a forward pass keeps for the backward one; where it falls again, the explicit "
        "attention matrix was given up for a kernel that never writes it down.",
        chart("µs a token", "Time of a training step by length", "microseconds"),
        chart("kB a token", "Memory of a training step by length", "kilobytes"),
        table(columns, rows),
        note(_reach(made.standings)),
    ]


def _reach(standings: list[Standing]) -> str:
    fixed = ", ".join(s.name for s in standings)
    return (
        f"Measured on fresh models of the same sizes ({fixed}) in float32. A Transformer with learned positions reads "
        "no further than its context; a recurrent model has no longest text."
    )
