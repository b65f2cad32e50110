"""The quickstart's report: what was done and why at each station, what came out, and what to type next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from trivium.lab.charts import Series, line_chart
from trivium.lab.report import (
    Cell,
    Sample,
    Section,
    Shown,
    Token,
    code,
    key_figures,
    note,
    page,
    prose,
    samples,
    table,
)
from trivium.tokenizers import Tokenizer
from trivium.verbs.load import load
from trivium.verbs.quickstart.page_models import (
    attention_section,
    decoder_section,
    encoder_decoder_section,
    encoder_section,
    pieces,
)
from trivium.verbs.quickstart.page_transfer import transfer_section, verdict
from trivium.verbs.quickstart.stations import Trained
from trivium.verbs.quickstart.story import Story
from trivium.verbs.quickstart.transfer import PRETRAINED, SCRATCH, Transfer
from trivium.views.markup import Markup


def report(story: Story, trained: Sequence[Trained], transfer: Transfer | None, folder: Path, seconds: float) -> str:
    """The whole page as HTML. The models are loaded from their folders, as a user would."""
    encoder, decoder, both = (load(each.result.directory) for each in trained)
    sections = [
        _summary(story, trained, transfer, seconds),
        _text(story, encoder.tokenizer),
        _training(trained),
        encoder_section(story, trained[0], encoder),
        decoder_section(story, trained[1], decoder),
        encoder_decoder_section(story, trained[2], both),
        transfer_section(story, transfer),
        attention_section(story, encoder),
        _next(story, folder),
    ]
    first = trained[0].result
    return page(
        "From raw text to a useful language model",
        sections,
        subtitle=f"Trivium quickstart: one text, one tokenizer, three Transformers, in {seconds / 60:.1f} minutes",
        meta=(f"text: {story.origin}", f"precision: {first.precision}", f"seed: {_seed(trained)}"),
    )


def _summary(story: Story, trained: Sequence[Trained], transfer: Transfer | None, seconds: float) -> Section:
    figures: dict[str, str | Shown] = {
        "minutes in all": f"{seconds / 60:.1f}",
        "characters of text": f"{story.characters / 1e6:.2f} M",
        "parameters, three models": f"{sum(t.result.parameters for t in trained) / 1e6:.1f} M",
        "training tokens read": f"{sum(t.result.tokens for t in trained) / 1e6:.2f} M",
    }
    pieces: list[Markup | str] = []
    if transfer:
        most = transfer.per_class[-1]
        before, after = transfer.outcome(SCRATCH, most).accuracy, transfer.outcome(PRETRAINED, most).accuracy
        figures[f"accuracy from scratch → pretrained, {most} labels a class"] = f"{before:.0%} → {after:.0%}"
        pieces.append(verdict(transfer))
    stuck = [t.station.title.lower() for t in trained if t.stuck]
    if stuck:
        pieces.append(
            note(
                f"Stuck: the {' and the '.join(stuck)} did not get past the plain frequencies of tokens. What such a "
                "model learned does not transfer: give it more minutes, or more text."
            )
        )
    return Section("What happened", [key_figures(figures), *pieces], kicker="In short")


def _text(story: Story, tokenizer: Tokenizer) -> Section:
    tokens = len(tokenizer.encode(story.excerpt).ids)
    per_token = len(story.excerpt.encode()) / max(1, tokens)
    words = ["the", "return", "dictionary", "athazagoraphobia"]
    split = {word: pieces(tokenizer, " " + word) for word in words}
    rows: list[list[Cell]] = [[word, " · ".join(parts), len(parts)] for word, parts in split.items()]
    return Section(
        "Text becomes tokens",
        [
            prose(
                f"{story.documents:,} documents were read ({story.origin}). A byte-level BPE tokenizer of "
                f"{tokenizer.vocab_size:,} entries was trained on them: it merges the most frequent pairs of bytes, so "
                "that common words become one token, rare ones several, and no text is ever unknown."
            ),
            samples([Sample("A piece of the text, as tokens", [Token(p) for p in pieces(tokenizer, story.excerpt)])]),
            table(["word", "pieces", "tokens"], rows, caption="Frequent words stay whole, rare ones fall apart"),
            note(f"{per_token:.2f} bytes a token on this excerpt."),
        ],
        kicker="Text → tokens",
    )


def _training(trained: Sequence[Trained]) -> Section:
    charts = []
    for t in trained:
        steps, losses = zip(*t.result.losses, strict=True)
        last = steps[-1]
        charts.append(
            line_chart(
                [
                    Series("training loss", steps, losses, faint=True),
                    Series("running mean", steps, _smooth(losses)),
                    Series("frequencies alone", (0, last), (t.plateau, t.plateau), dashed=True),
                ],
                x_label="step",
                y_label="nats a target",
                label=f"Training loss of the {t.station.title.lower()}: from {losses[0]:.1f} to {t.final_loss:.1f}",
                caption=f"{t.station.title}: {t.station.does}",
            )
        )
    total = sum(t.result.flops for t in trained)
    rows: list[list[Cell]] = [
        [
            t.station.title,
            Shown(t.result.parameters, f"{t.result.parameters / 1e6:.2f} M"),
            Shown(t.result.tokens, f"{t.result.tokens / 1e6:.2f} M"),
            Shown(t.result.flops, f"{t.result.flops / 1e12:.1f} T ({t.result.flops / total:.0%})"),
            Shown(t.result.seconds, f"{t.result.seconds:.0f}"),
            Shown(t.result.tokens / t.result.seconds, f"{t.result.tokens / t.result.seconds:,.0f}"),
            Shown(t.final_loss, f"{t.final_loss:.2f}"),
            _held_out(t),
        ]
        for t in trained
    ]
    columns = [
        "model",
        "parameters",
        "tokens read",
        "FLOPs",
        "seconds",
        "tokens/s",
        "loss",
        "held out",
    ]
    return Section(
        "Three models learn from the same text",
        [
            prose(
                "All three are the same Transformer, told apart by their numbers of encoder and decoder layers and by "
                "what they are asked to predict. They get different shares of the time, as they need it: this is no "
                "comparison of objectives."
            ),
            *charts,
            table(columns, rows, caption="Sizes, compute and speed"),
            note(
                "The dashed line is the loss of knowing only how frequent each token is; a model that stays near it "
                "has learned nothing that transfers. The three losses are on different targets: they do not compare. "
                "“Held out” is measured on documents "
                "that were never trained on: bits per byte of text, or the perplexity of hidden tokens."
            ),
        ],
        kicker="Batches → model → loss",
    )


def _held_out(t: Trained) -> str:
    found = t.result.evaluation
    if "bits_per_byte" in found:
        return f"{found['bits_per_byte']:.2f} bits/byte"
    perplexities = [value for name, value in found.items() if "perplexity" in name]
    return f"{perplexities[0]:.0f} (hidden)" if perplexities else "–"


def _next(story: Story, folder: Path) -> Section:
    where = shlex.quote(str(folder))
    commands = f"""
# your own text instead (any txt, jsonl, csv, parquet, .gz or folder)
trivium quickstart --data my-text.txt --out my-quickstart
trivium pretrain gpt2-mini --data my-text.txt --out my-gpt2

# train longer: the same recipe, more minutes
trivium pretrain bert-mini --data my-text.txt --set training.minutes=60 --out my-bert

# a classifier from labelled examples (jsonl or tsv with text and label)
trivium finetune --model {where}/encoder --train train.jsonl --dev dev.jsonl --out my-classifier
trivium predict --model my-classifier new.jsonl

# use the models of this run
trivium fill --model {where}/encoder "Return the ___ of the list."
trivium generate --model {where}/decoder --prompt "Return the"
"""
    python = f"""
import trivium
model = trivium.load("{folder}/encoder")
print(model.fill("Return the ___ of the list.").blanks[0].candidates)

from transformers import AutoModelForMaskedLM          # the folders are Hugging Face models
AutoModelForMaskedLM.from_pretrained("{folder}/encoder")
"""
    return Section(
        "What to type next",
        [code(commands), prose("In Python, each command is one call:"), code(python, label="Python")],
        kicker="Your turn",
    )


def _smooth(values: Sequence[float]) -> list[float]:
    """Exponential running mean with a half-life of a thirtieth of the run, corrected for its start."""
    half_life = max(1.0, len(values) / 30)
    keep, total, weight, smoothed = 0.5 ** (1 / half_life), 0.0, 0.0, []
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smoothed.append(total / weight)
    return smoothed


def _seed(trained: Sequence[Trained]) -> int:
    from trivium.training.run_directory import RECIPE
    from trivium.verbs.recipe import read_recipe

    return read_recipe(trained[0].result.directory / RECIPE).training.seed
