"""The quickstart's report: what was done and why at each station, what came out, and what to type next."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from trivium.generation.sampling import Sampling
from trivium.lab.charts import Intervals, Series, interval_chart, line_chart
from trivium.lab.report import (
    Cell,
    Sample,
    Section,
    Shown,
    Token,
    blanks,
    code,
    fills,
    key_figures,
    note,
    page,
    prose,
    samples,
    table,
)
from trivium.tokenizers import Tokenizer
from trivium.transformer import Inputs, Record, Tokens
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.quickstart.stations import Trained
from trivium.verbs.quickstart.story import BLANK, Story
from trivium.verbs.quickstart.transfer import PRETRAINED, SCRATCH, Transfer
from trivium.views.attention import attention, attention_picture
from trivium.views.markup import Markup

_SAMPLING = Sampling(max_tokens=48, temperature=0.7, top_p=0.9, seed=1)


def report(story: Story, trained: Sequence[Trained], transfer: Transfer | None, folder: Path, seconds: float) -> str:
    """The whole page as HTML. The models are loaded from their folders, as a user would."""
    encoder, decoder, both = (load(each.result.directory) for each in trained)
    sections = [
        _summary(story, trained, transfer, seconds),
        _text(story, encoder.tokenizer),
        _training(trained),
        _encoder(story, trained[0], encoder),
        _decoder(story, trained[1], decoder),
        _encoder_decoder(story, trained[2], both),
        _transfer(story, transfer),
        _attention(story, encoder),
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
        pieces.append(_verdict(transfer))
    stuck = [t.station.title.lower() for t in trained if t.stuck]
    if stuck:
        pieces.append(
            note(
                f"Stuck: the {' and the '.join(stuck)} did not get past the plain frequencies of tokens. What such a "
                "model learned does not transfer: give it more minutes, or more text."
            )
        )
    return Section("What happened", [key_figures(figures), *pieces], kicker="In short")


def _verdict(transfer: Transfer) -> str:
    """One honest sentence or two on what the table shows."""
    gains = ", ".join(
        f"{100 * d.examples.value:+.1f} points with {d.per_class} labels a class "
        f"(95 % interval {100 * d.examples.low:+.1f} to {100 * d.examples.high:+.1f})"
        for d in transfer.differences
    )
    start = (
        "Pretraining paid off: the pretrained encoder beats the same encoder trained from scratch by "
        if transfer.holds
        else "The benefit of pretraining is not certain here: pretrained minus from scratch is "
    )
    return f"{start}{gains}. {_rival_sentence(transfer)}"


def _rival_sentence(transfer: Transfer) -> str:
    rivals = [m for m in transfer.methods if m not in (PRETRAINED, SCRATCH)]
    lines = []
    for count in transfer.per_class:
        best = max(rivals, key=lambda m: transfer.outcome(m, count).accuracy)
        ours, theirs = transfer.outcome(PRETRAINED, count).accuracy, transfer.outcome(best, count).accuracy
        lines.append((count, best, ours, theirs))
    won = [line for line in lines if line[2] > line[3]]
    shown = "; ".join(
        f"{count} labels: {best} {theirs:.1%}, pretrained {ours:.1%}" for count, best, ours, theirs in lines
    )
    if len(won) == len(lines):
        return f"It is also ahead of the best classical rival at every number of labels ({shown})."
    if not won:
        return (
            f"The best classical rival, which trains in a second, is still ahead at every number of labels ({shown})."
        )
    return f"Against the best classical rival it is ahead at some numbers of labels and behind at others ({shown})."


def _text(story: Story, tokenizer: Tokenizer) -> Section:
    tokens = len(tokenizer.encode(story.excerpt).ids)
    per_token = len(story.excerpt.encode()) / max(1, tokens)
    words = ["the", "return", "dictionary", "athazagoraphobia"]
    pieces = {word: _pieces(tokenizer, " " + word) for word in words}
    rows: list[list[Cell]] = [[word, " · ".join(parts), len(parts)] for word, parts in pieces.items()]
    return Section(
        "Text becomes tokens",
        [
            prose(
                f"{story.documents:,} documents were read ({story.origin}). A byte-level BPE tokenizer of "
                f"{tokenizer.vocab_size:,} entries was trained on them: it merges the most frequent pairs of bytes, so "
                "that common words become one token, rare ones several, and no text is ever unknown."
            ),
            samples([Sample("A piece of the text, as tokens", [Token(p) for p in _pieces(tokenizer, story.excerpt)])]),
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
            t.station.recipe,
            Shown(t.result.parameters, f"{t.result.parameters / 1e6:.2f} M"),
            t.result.steps,
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
        "recipe",
        "parameters",
        "steps",
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
                "“Held out” is measured on documents that were never trained on."
            ),
        ],
        kicker="Batches → model → loss",
    )


def _held_out(t: Trained) -> str:
    found = t.result.evaluation
    if "bits_per_byte" in found:
        return f"{found['bits_per_byte']:.2f} bits a byte"
    perplexities = [value for name, value in found.items() if "perplexity" in name]
    return f"perplexity {perplexities[0]:.0f} of hidden tokens" if perplexities else "–"


def _encoder(story: Story, trained: Trained, model: LanguageModel) -> Section:
    boxes = []
    for sentence, answer in story.sentences:
        filling = model.fill(sentence, top=5)
        before, after = sentence.split(BLANK, 1)
        guesses = [(c.text, c.probability) for c in filling.blanks[0].candidates]
        boxes.append(fills(before, after, guesses, answer))
    return Section(
        "The encoder fills blanks",
        [prose(f"{trained.station.does} {trained.station.expect}"), blanks(boxes)],
        kicker="Use: fill",
    )


def _decoder(story: Story, trained: Trained, model: LanguageModel) -> Section:
    boxes = []
    for prompt, completion in zip(story.prompts, model.complete(story.prompts, _SAMPLING), strict=True):
        written = zip(_texts(model.tokenizer, completion.tokens), completion.log_probabilities, strict=False)
        tokens = [Token(prompt), *(Token(text, math.exp(logp)) for text, logp in written)]
        boxes.append(Sample(f"after “{prompt.strip()}”", tokens))
    return Section(
        "The decoder goes on writing",
        [prose(f"{trained.station.does} {trained.station.expect}"), samples(boxes)],
        kicker="Use: generate",
    )


def _encoder_decoder(story: Story, trained: Trained, model: LanguageModel) -> Section:
    boxes = []
    for sentence, answer in story.sentences[:2]:
        filling = model.fill(sentence, top=3)
        before, after = sentence.split(BLANK, 1)
        guesses = [(c.text or "(nothing)", c.probability) for c in filling.blanks[0].candidates]
        boxes.append(fills(before, after, guesses, answer))
    return Section(
        "The encoder-decoder writes missing spans",
        [
            prose(f"{trained.station.does} {trained.station.expect}"),
            blanks(boxes),
            note(
                "A span may have any length; its probability is the product over its tokens, so the numbers are small."
            ),
        ],
        kicker="Use: fill, spans",
    )


def _transfer(story: Story, transfer: Transfer | None) -> Section:
    if transfer is None:
        return Section(
            "Does pretraining pay off?",
            [
                prose(f"{story.no_task} With labelled examples of your own, `trivium finetune` makes a classifier:"),
                code("trivium finetune --model quickstart/encoder --train labelled.jsonl --out my-classifier"),
            ],
            kicker="Transfer",
        )
    groups = [f"{n} labels" for n in transfer.per_class]
    lines: list[Intervals] = []
    rows: list[list[Cell]] = []
    for method in transfer.methods:
        outcomes = [transfer.outcome(method, n) for n in transfer.per_class]
        bounds = [o.interval() for o in outcomes]
        neural = method in (PRETRAINED, SCRATCH)
        lines.append(
            Intervals(
                method,
                [100 * b.value for b in bounds],
                [100 * b.low for b in bounds],
                [100 * b.high for b in bounds],
                hollow=not neural,
            )
        )
        spread = [f"{100 * min(o.by_seed):.1f} to {100 * max(o.by_seed):.1f}" for o in outcomes]
        cells = [Shown(o.accuracy, f"{100 * o.accuracy:.1f} ({s})") for o, s in zip(outcomes, spread, strict=True)]
        rows.append([method, *cells])
    differences: list[list[Cell]] = [
        [
            f"{d.per_class} labels a class",
            f"{100 * d.examples.value:+.1f}",
            f"{100 * d.examples.low:+.1f} to {100 * d.examples.high:+.1f}",
            f"{100 * d.seeds.low:+.1f} to {100 * d.seeds.high:+.1f}",
        ]
        for d in transfer.differences
    ]
    task = transfer.task
    chosen = "; ".join(
        f"{name} {transfer.outcome(name, transfer.per_class[0]).chosen}" for name in (PRETRAINED, SCRATCH)
    )
    return Section(
        "Does pretraining pay off?",
        [
            prose(
                f"{task.question} {len(task.labels)} classes, {len(task.test):,} test examples; 8, 16 or 32 labelled "
                "examples a class are all that the classifiers see. Both encoders get the same examples and steps and "
                f"their own best learning rate, chosen on dev ({chosen}); three seeds draw examples and new weights."
            ),
            interval_chart(
                groups,
                lines,
                y_label="accuracy, %",
                x_label="labelled examples a class",
                label="Test accuracy of each method by number of labels",
                caption="Test accuracy with 95 % intervals over the test examples",
            ),
            table(
                ["accuracy, % (lowest to highest seed)", *groups],
                rows,
                caption="Test accuracy, mean of three seeds",
                best=dict.fromkeys(groups, "max"),
            ),
            table(
                ["pretrained − from scratch", "points", "95 % over test examples", "95 % over seeds"],
                differences,
                caption="The benefit of pretraining",
            ),
            prose(_verdict(transfer)),
        ],
        kicker="Transfer",
    )


def _attention(story: Story, model: LanguageModel) -> Section:
    sentence = (
        story.sentences[0][0].replace(BLANK, story.sentences[0][1] or "True") if story.sentences else story.excerpt
    )
    sentence = " ".join(sentence.split()[:14])
    tokenizer = model.tokenizer
    ids = list(tokenizer.encode(sentence, specials=True).ids)[:24]
    record = Record.empty()
    import torch

    with torch.inference_mode():
        model.model(Inputs(source=Tokens(torch.tensor([ids]))), record=record)
    names = [tokenizer.piece(i) if i in _control(tokenizer) else tokenizer.decode([i]) for i in ids]
    return Section(
        "Where the encoder looks",
        [
            prose(
                "Each row is a token that looks, each column one that it looks at; a row sums to 1. Choose a layer "
                "and a head. Weights say where a head reads from, not why the model decides."
            ),
            attention_picture(attention(record, names)),
        ],
        kicker="Inside",
    )


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


def _control(tokenizer: Tokenizer) -> set[int]:
    return {i for i in (tokenizer.classify, tokenizer.separator, tokenizer.mask, tokenizer.begin, tokenizer.end) if i}


def _pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return _texts(tokenizer, tokenizer.encode(text).ids)


def _texts(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    return [tokenizer.decode([int(i)]) for i in ids]


def _smooth(values: Sequence[float], half_life: float = 10.0) -> list[float]:
    """Exponential running mean, corrected for its start."""
    keep, total, weight, smoothed = 0.5 ** (1 / half_life), 0.0, 0.0, []
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smoothed.append(total / weight)
    return smoothed


def _seed(trained: Sequence[Trained]) -> int:
    from trivium.training.run_directory import RECIPE
    from trivium.verbs.recipe import read_recipe

    return read_recipe(trained[0].result.directory / RECIPE).training.seed
