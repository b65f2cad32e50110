"""Trivium's own trainer, fed as ``trivium pretrain`` feeds it: paragraphs packed into rows, kept apart by masks."""

from pathlib import Path

import numpy as np
import torch
from clock import Clock
from corpus import Corpus
from shapes import MASK_RATE, Sizes

from trivium.objectives import Causal, Corruption, Masked
from trivium.randomness import Draws
from trivium.text import Mixture, cut
from trivium.training.allocator import keep_freed_memory
from trivium.training.settings import AdamW, TrainingSettings
from trivium.training.trainer import Trainer
from trivium.transformer import Model, RelativeBias, TransformerConfig, initialise

LEARNING_RATE = 5e-4


def configuration(shape: str, sizes: Sizes) -> TransformerConfig:
    """The families' choices at the benchmark's size."""
    same = {
        "vocab_size": sizes.vocabulary,
        "width": sizes.width,
        "heads": sizes.heads,
        "ffn_width": sizes.ffn,
        "context": sizes.context,
    }
    if shape == "causal":
        return TransformerConfig(**same, decoder_layers=sizes.layers, activation="gelu_tanh")
    if shape == "masked":
        return TransformerConfig(
            **same, encoder_layers=sizes.layers, norm_place="post", norm_eps=1e-12, embedding_norm=True, segments=2,
            vocabulary_head="transform",
        )  # fmt: skip
    half = sizes.layers // 2
    return TransformerConfig(
        **same, encoder_layers=half, decoder_layers=half, position=RelativeBias(), norm="rms", norm_eps=1e-6,
        activation="relu", bias=False, attention_scale=1.0, logit_scale=sizes.width**-0.5, init="factored",
    )  # fmt: skip


def objective(shape: str) -> Causal | Masked | Corruption:
    """T5's corruption closes its targets as T5's code does, like the other engines' here."""
    masked = Masked(rate=MASK_RATE, isolate_documents=False)  # rows that run on, as the peers' do
    return {"causal": Causal(), "masked": masked, "span": Corruption(t5_code_compat=True)}[shape]


def run(
    shape: str, sizes: Sizes, corpus: Corpus, steps: int, precision: str = "bfloat16", seed: int = 0,
    learning_rate: float = LEARNING_RATE,
) -> Clock:  # fmt: skip
    """The trainer, one micro-batch of ``sizes.batch`` rows a step."""
    keep_freed_memory()
    clock, goal = Clock(), objective(shape)
    model, feed = parts(shape, sizes, corpus, seed)
    settings = TrainingSettings(
        steps=steps, optimizer=AdamW(learning_rate=learning_rate), precision=precision, device="cpu", seed=seed
    )
    trainer = Trainer(model, goal.loss, counted(feed, clock), settings, steps=steps)
    for step in trainer:
        clock.mark(step.loss)
    return clock


def parts(shape: str, sizes: Sizes, corpus: Corpus, seed: int = 0):
    """(model, feed): what the trainer is handed."""
    goal, tokenizer = objective(shape), corpus.tokenizer
    mixture = Mixture.of(cut(corpus.shards, goal.layout(tokenizer, sizes.context)), seed)
    model = Model(configuration(shape, sizes))
    initialise(model, seed)

    def feed(number: int):
        first = number * sizes.batch
        draws = Draws(seed, np.arange(first, first + sizes.batch))
        return [goal.batch(mixture.rows(first, sizes.batch), draws, tokenizer)]

    return model, feed


def counted(feed, clock: Clock):
    """The same feed; real source tokens (without a source: target tokens) are counted as for every other engine."""

    def counting(number: int):
        batches = feed(number)
        for batch in batches:
            side = batch.inputs.source or batch.inputs.target
            clock.tokens += side.ids.numel() if side.documents is None else int((side.documents >= 0).sum())
        return batches

    return counting


def trainer_of(folder: Path, shape: str, sizes: Sizes, precision: str = "bfloat16") -> Trainer:
    """A ready trainer for profiling by hand."""
    from corpus import load

    keep_freed_memory()
    torch.manual_seed(0)
    model, feed = parts(shape, sizes, load(folder))
    settings = TrainingSettings(steps=1000, precision=precision, device="cpu")
    return Trainer(model, objective(shape).loss, feed, settings, steps=1000)
