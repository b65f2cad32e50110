"""The peers: ``transformers`` models through its ``Trainer`` and through a bare loop, as its own examples feed them.

``packed``: text joined and cut into full rows (run_clm.py, run_mlm.py, run_t5_mlm_flax.py by default). ``padded``: a
paragraph a row, padded to the longest of its batch by the library's collators (run_mlm.py --line_by_line).
"""

import os
import tempfile

import numpy as np
import torch
import transformers
from clock import Clock
from corpus import Corpus
from noise import corrupt
from shapes import MASK_RATE, Sizes, raw_length

CLIP = 1.0
LEARNING_RATE = 5e-4


def model(shape: str, sizes: Sizes, corpus: Corpus) -> torch.nn.Module:
    """The library's own class at the library's own defaults but size, context, vocabulary and no dropout."""
    ids = {"pad_token_id": corpus.tokenizer.pad, "eos_token_id": corpus.tokenizer.end}
    if shape == "causal":
        config = transformers.GPT2Config(
            vocab_size=sizes.vocabulary, n_positions=sizes.context, n_embd=sizes.width, n_layer=sizes.layers,
            n_head=sizes.heads, n_inner=sizes.ffn, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
            bos_token_id=corpus.tokenizer.begin, **ids,
        )  # fmt: skip
        return transformers.GPT2LMHeadModel(config)
    if shape == "masked":
        config = transformers.BertConfig(
            vocab_size=sizes.vocabulary, max_position_embeddings=sizes.context, hidden_size=sizes.width,
            num_hidden_layers=sizes.layers, num_attention_heads=sizes.heads, intermediate_size=sizes.ffn,
            hidden_dropout_prob=0, attention_probs_dropout_prob=0, **ids,
        )  # fmt: skip
        return transformers.BertForMaskedLM(config)
    config = transformers.T5Config(
        vocab_size=sizes.vocabulary, d_model=sizes.width, d_kv=sizes.width // sizes.heads, d_ff=sizes.ffn,
        num_layers=sizes.layers // 2, num_decoder_layers=sizes.layers // 2, num_heads=sizes.heads, dropout_rate=0,
        decoder_start_token_id=corpus.tokenizer.pad, **ids,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def data(shape: str, sizes: Sizes, corpus: Corpus, padded: bool):
    """(rows, collator) for a DataLoader."""
    names = transformers.AutoTokenizer.from_pretrained(corpus.folder / "tokenizer")
    tokenizer = corpus.tokenizer
    if shape == "span":
        return _span_rows(sizes, corpus, padded), SpanCollator(corpus, names)
    masked = shape == "masked"
    if padded:
        extra = 2 if masked else 1
        before, after = ([tokenizer.classify], [tokenizer.separator]) if masked else ([], [tokenizer.end])
        rows = [{"input_ids": [*before, *d.tolist(), *after]} for d in corpus.documents(sizes.context - extra)]
    else:
        rows = [{"input_ids": row.tolist()} for row in corpus.stream(sizes.context, classify=masked)]
        if not masked:
            return [row | {"labels": row["input_ids"]} for row in rows], transformers.default_data_collator
    return rows, transformers.DataCollatorForLanguageModeling(names, mlm=masked, mlm_probability=MASK_RATE)


def _span_rows(sizes: Sizes, corpus: Corpus, padded: bool):
    raw = raw_length(sizes.context)
    rows = [d for d in corpus.documents(raw) if len(d) > 1] if padded else corpus.stream(raw)
    return [{"input_ids": row} for row in rows]


class SpanCollator:
    """Corrupts rows, then pads both sides by the library's sequence-to-sequence collator."""

    def __init__(self, corpus: Corpus, names) -> None:
        self.sentinels, self.end = np.array(corpus.tokenizer.sentinels), corpus.tokenizer.end
        self.random = np.random.default_rng(0)
        self.pad = transformers.DataCollatorForSeq2Seq(names)

    def __call__(self, rows):
        pairs = [corrupt(row["input_ids"], self.sentinels, self.end, self.random) for row in rows]
        return self.pad([{"input_ids": s.tolist(), "labels": t.tolist()} for s, t in pairs])


def count_tokens(network: torch.nn.Module, clock: Clock) -> None:
    """Counts the real input tokens of every forward pass."""

    def hook(_, args, inputs):
        mask = inputs.get("attention_mask")
        clock.tokens += int(mask.sum()) if mask is not None else inputs["input_ids"].numel()

    network.register_forward_pre_hook(hook, with_kwargs=True)


def run_trainer(shape, sizes, corpus, steps, precision, padded=False) -> Clock:
    """``Trainer`` at its defaults: only the batch size, the number of steps, no files, and bf16 or not are given."""
    transformers.set_seed(0)
    network, clock = model(shape, sizes, corpus), Clock()
    rows, collate = data(shape, sizes, corpus, padded)
    count_tokens(network, clock)

    class Marks(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            clock.mark()

        def on_log(self, args, state, control, logs=None, **kwargs):
            clock.losses += [float(logs[name]) for name in ("loss", "train_loss") if name in logs]

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder, per_device_train_batch_size=sizes.batch, max_steps=steps, learning_rate=LEARNING_RATE,
            bf16=precision == "bfloat16", use_cpu=True, save_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = transformers.Trainer(
            network, arguments, data_collator=collate, train_dataset=rows, callbacks=[Marks()]
        )
        trainer.train()
    return clock


def run_loop(shape, sizes, corpus, steps, compiled=False, padded=False) -> Clock:
    """A loop by hand over the library's model: autocast to bf16, fused AdamW, clipping, nothing else."""
    transformers.set_seed(0)
    network, clock = model(shape, sizes, corpus), Clock()
    rows, collate = data(shape, sizes, corpus, padded)
    network.train()
    count_tokens(network, clock)
    forward = torch.compile(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.1, fused=True)
    loader = torch.utils.data.DataLoader(rows, sizes.batch, shuffle=True, collate_fn=collate, drop_last=True)
    while len(clock.marks) < steps:
        for batch in loader:
            if len(clock.marks) == steps:
                break
            with torch.autocast("cpu", torch.bfloat16):
                loss = forward(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            clock.mark(loss.item())
    return clock


os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers.logging.set_verbosity_error()
