"""A page with every piece on it, made of made-up numbers and hostile texts, for the tests of the report."""

import math

import numpy as np

from trivium.lab import (
    Intervals,
    Sample,
    Section,
    Series,
    Shown,
    Token,
    blanks,
    code,
    fills,
    interval_chart,
    key_figures,
    line_chart,
    note,
    page,
    samples,
    table,
)
from trivium.views.attention import AttentionView
from trivium.views.attention_picture import attention_picture

HOSTILE = "</p><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&amp;{0}\x00\u202e\ud800"


def curve(steps: int, start: float, end: float, noise: float = 0.0, seed: int = 0) -> tuple[list[float], list[float]]:
    """x and y of a loss curve that falls like a power law."""
    generator = np.random.default_rng(seed)
    x = list(range(1, steps + 1))
    y = [end + (start - end) * math.exp(-3.2 * i / steps) + noise * generator.normal() for i in x]
    return [float(v) for v in x], [float(v) for v in y]


def view(tokens: list[str], layers: int = 2, heads: int = 4, seed: int = 3) -> AttentionView:
    """Random attention in which every head leans to some offset."""
    generator = np.random.default_rng(seed)
    t = len(tokens)
    distance = np.arange(t)[None, :] - np.arange(t)[:, None]
    offset = generator.integers(-2, 3, size=(layers, heads, 1, 1))
    scores = generator.normal(size=(layers, heads, t, t)) - 1.3 * np.abs(distance - offset)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    numbers = tuple(range(1, layers + 1)), tuple(range(1, heads + 1))
    return AttentionView("encoder", tuple(tokens), tuple(tokens), weights.astype(np.float32), *numbers, "none", ())


def sections() -> list[Section]:
    """One section for each station, all pieces among them."""
    noisy = curve(900, 8.2, 3.4, 0.12)
    smooth = curve(900, 8.2, 3.4)
    written = [
        ("Return", 0.31),
        (" the", 0.93),
        (" number", 0.22),
        (" of", 0.97),
        (" items", 0.08),
        (" in", 0.74),
        (" the", 0.88),
        (" list", 0.35),
        (".\n", 0.66),
        ("\n", 0.5),
        ("If", 0.27),
        (" `key`", 0.11),
        (" is", 0.95),
        (" given", 0.41),
        (",", 0.9),
        (" it", 0.19),
        (" must", 0.07),
        (" be", 0.98),
        (" callable", 0.55),
    ]
    tokens = "<s> Return the number of items in the queue , or 0 when empty . </s>".split()
    return [
        Section(
            "Text",
            [
                "The corpus is the documentation of Python's standard library, as it stands here: `6,112` docstrings "
                "and 79 topics. It was read with `ast`, never imported, and duplicates were dropped.",
                key_figures(
                    {
                        "characters of text": 1_812_344,
                        "tokens": 431_000,
                        "characters per token": 4.21,
                        "seconds to prepare": 1.9,
                    }
                ),
            ],
            "Station 1",
        ),
        Section(
            "Pretraining",
            [
                "Three small Transformers learned from one text. The loss is the mean surprise per predicted token.",
                line_chart(
                    [
                        Series("Encoder (masked)", *noisy, faint=True),
                        Series("Encoder (masked)", *smooth),
                        Series("Decoder (causal)", *curve(1400, 8.3, 3.9)),
                        Series("Encoder-decoder (span)", *curve(500, 8.4, 4.8)),
                        Series("Unigram", [1, 1400], [6.1, 6.1], dashed=True),
                    ],
                    x_label="training step",
                    y_label="loss (nats per token)",
                    label="Training loss of three models over the steps; all three fall below the unigram line of 6.1",
                    caption="The faint line is each step's own loss; the strong lines are running means.",
                ),
                line_chart(
                    [Series("AdamW", *curve(2000, 8, 5.5)), Series("Muon", *curve(2000, 8, 3.3))],
                    log_x=True,
                    x_label="step (logarithmic)",
                    y_label="loss",
                    label="Muon falls below AdamW from step 20 on",
                ),
            ],
            "Station 3",
        ),
        Section(
            "Transfer",
            [
                "Each model was fine-tuned on 8, 16 or 32 labelled docstrings a chapter; every choice was made on dev.",
                interval_chart(
                    ["8 labels", "16 labels", "32 labels"],
                    [
                        Intervals("Pretrained", [26.1, 34.2, 40.3], [24.5, 32.8, 39.0], [27.7, 35.6, 41.6]),
                        Intervals("From scratch", [13.0, 16.4, 25.2], [11.2, 14.9, 23.5], [14.8, 17.9, 26.9]),
                        Intervals(
                            "TF-IDF + logistic regression",
                            [21.3, 27.0, 35.1],
                            [20.0, 26.1, 34.0],
                            [22.6, 27.9, 36.2],
                            True,
                        ),
                        Intervals("TF-IDF + SVD", [24.0, 29.1, 36.2], [22.4, 27.7, 35.0], [25.6, 30.5, 37.4], True),
                    ],
                    y_label="test accuracy (%)",
                    label="Accuracy by number of labels: pretrained above all others",
                    caption="Means and 95 % intervals over three seeds.",
                ),
                table(
                    ["Method", "8 labels", "16 labels", "32 labels", "Seconds"],
                    [
                        [
                            "Pretrained encoder",
                            Shown(26.1, "26.1 ± 1.6"),
                            Shown(34.2, "34.2 ± 1.4"),
                            Shown(40.3, "40.3 ± 1.3"),
                            12.4,
                        ],
                        [
                            "From scratch",
                            Shown(13.0, "13.0 ± 1.8"),
                            Shown(16.4, "16.4 ± 1.5"),
                            Shown(25.2, "25.2 ± 1.7"),
                            12.1,
                        ],
                        [
                            "TF-IDF + logistic regression",
                            Shown(21.3, "21.3 ± 1.3"),
                            Shown(27.0, "27.0 ± 0.9"),
                            Shown(35.1, "35.1 ± 1.1"),
                            0.8,
                        ],
                        ["Majority class", 8.1, 8.1, 8.1, None],
                    ],
                    caption="Test accuracy in percent, mean ± half the 95 % interval over 3 seeds; the best in bold.",
                    best={"8 labels": "max", "16 labels": "max", "32 labels": "max", "Seconds": "min"},
                ),
            ],
            "Station 5",
        ),
        Section(
            "Use",
            [
                "The masked encoder fills blanks; the decoder writes on.",
                blanks(
                    [
                        fills(
                            "Return the",
                            "of items in the list.",
                            [(" number", 0.62), (" list", 0.11), (" sum", 0.06), (" set", 0.02)],
                            " number",
                        ),
                        fills(
                            "Raise a ValueError",
                            "the argument is negative.",
                            [(" if", 0.88), (" when", 0.07), (" unless", 0.01)],
                            " if",
                        ),
                    ]
                ),
                samples(
                    [
                        Sample(
                            "Decoder, temperature 0.8",
                            [Token('def count(items):\n    """')]
                            + [Token(t, p, (("a", 0.1), ("list", 0.05))) for t, p in written],
                            "Syntax comes first: after a minute, expect sentences that look right and mean little.",
                        ),
                        Sample(
                            "What a hostile model might write: " + HOSTILE,
                            [Token(HOSTILE), Token(HOSTILE, 0.4, ((HOSTILE, 0.2),))],
                        ),
                    ]
                ),
            ],
            "Station 6",
        ),
        Section(
            "Inside",
            [
                "Where each position of the encoder reads, in percent; rows look at columns.",
                attention_picture(view(tokens)),
                note("Attention says where a head reads, not why the model decided."),
            ],
        ),
        Section(
            "Your own text",
            [
                code(
                    "trivium pretrain gpt2-mini --data my-text/*.txt --out runs/mine\n"
                    "trivium generate --model runs/mine --prompt 'Once upon a time'\n"
                    "trivium quickstart --data my-text/*.txt"
                ),
            ],
        ),
    ]


def demo() -> str:
    """The page."""
    return page(
        "From raw text to language models",
        sections(),
        subtitle="A tokenizer and three small Transformers, trained on this machine from the documentation that came "
        "with its Python, and what pretraining bought.",
        meta=["21 November 2026", "2 cores, bfloat16", "5 min 41 s", "seed 0"],
    )
