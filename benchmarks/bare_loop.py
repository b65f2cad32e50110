"""The fastest loop that plain torch allows here, with no design to pay for: what Trivium's trainer is held against.

It uses every lever that was measured to matter on a CPU with bf16 matrix units: malloc thresholds, bf16 weights with
float32 masters, attention as batched products with a fused scale and mask, one product for query, key and value, logits
at the masked positions only, full rows without any padding mask, and fused AdamW. It saves nothing, resumes nothing,
checks nothing.
"""

import numpy as np
import torch
from clock import Clock
from corpus import Corpus
from noise import corrupt
from shapes import MASK_RATE, Sizes, raw_length, span_lengths
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.training.allocator import keep_freed_memory

LEARNING_RATE, CLIP = 5e-4, 1.0


class Attention(nn.Module):
    """Self-attention, or over ``memory``."""

    def __init__(self, sizes: Sizes, bias: bool, scale: float, cross: bool = False) -> None:
        super().__init__()
        w = sizes.width
        self.heads, self.scale = sizes.heads, scale
        self.query = nn.Linear(w, w, bias) if cross else None
        self.into = nn.Linear(w, (2 if cross else 3) * w, bias)
        self.out = nn.Linear(w, w, bias)

    def forward(self, x: Tensor, bias: Tensor | None, memory: Tensor | None = None) -> Tensor:
        """(B, T, W); ``bias`` (1 or B * H, T, S) is added to the scores."""
        if memory is None:
            q, k, v = self._heads(self.into(x), 3)
        else:
            (q,), (k, v) = self._heads(self.query(x), 1), self._heads(self.into(memory), 2)
        if bias is None:
            scores = torch.bmm(q * self.scale if self.scale != 1 else q, k.transpose(1, 2))
        else:
            scores = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=self.scale)
        mixed = torch.bmm(scores.softmax(-1), v)  # (B * H, T, D)
        B, T = x.shape[:2]
        return self.out(mixed.view(B, self.heads, T, -1).transpose(1, 2).reshape(B, T, -1))

    def _heads(self, x: Tensor, parts: int) -> Tensor:
        """(B, T, parts * W) -> parts of (B * H, T, D), one copy."""
        B, T, width = x.shape
        split = x.view(B, T, parts, self.heads, width // parts // self.heads).permute(2, 0, 3, 1, 4)
        return split.reshape(parts, B * self.heads, T, -1).unbind(0)


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return x * torch.rsqrt(norm.square() / x.shape[-1] + 1e-6).to(x.dtype) * self.weight


class Block(nn.Module):
    """Pre-norm (GPT-2, T5) or post-norm (BERT)."""

    def __init__(self, sizes: Sizes, shape: str, cross: bool = False) -> None:
        super().__init__()
        w, bias = sizes.width, shape != "span"
        norm = RMSNorm if shape == "span" else nn.LayerNorm
        scale = 1.0 if shape == "span" else (w // sizes.heads) ** -0.5
        self.post = shape == "masked"
        self.activation = {"causal": _gelu_tanh, "masked": F.gelu, "span": F.relu}[shape]
        self.attention, self.first = Attention(sizes, bias, scale), norm(w)
        self.cross = Attention(sizes, bias, scale, cross=True) if cross else None
        self.between = norm(w) if cross else None
        self.up, self.down, self.second = nn.Linear(w, sizes.ffn, bias), nn.Linear(sizes.ffn, w, bias), norm(w)

    def forward(self, x: Tensor, bias: Tensor | None, memory: Tensor | None = None) -> Tensor:
        if self.post:
            x = self.first(x + self.attention(x, bias))
            return self.second(x + self.down(self.activation(self.up(x))))
        x = x + self.attention(self.first(x), bias)
        if memory is not None:
            x = x + self.cross(self.between(x), None, memory)
        return x + self.down(self.activation(self.up(self.second(x))))


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


class Network(nn.Module):
    """Stacks, tied projection, loss: ``forward`` returns the mean cross entropy."""

    def __init__(self, shape: str, sizes: Sizes) -> None:
        super().__init__()
        w, self.shape = sizes.width, shape
        depth = sizes.layers // 2 if shape == "span" else sizes.layers
        self.tokens = nn.Embedding(sizes.vocabulary, w)
        self.blocks = nn.ModuleList(Block(sizes, shape) for _ in range(depth))
        self.final = RMSNorm(w) if shape == "span" else nn.LayerNorm(w)
        if shape == "span":
            self.decoder = nn.ModuleList(Block(sizes, shape, cross=True) for _ in range(depth))
            self.last = RMSNorm(w)
            self.both, self.before = nn.Embedding(32, sizes.heads), nn.Embedding(32, sizes.heads)
        else:
            self.positions = nn.Parameter(torch.empty(sizes.context, w).normal_(std=0.02))
        if shape == "masked":
            self.segments = nn.Parameter(torch.empty(2, w).normal_(std=0.02))
            self.transform, self.bias = nn.Linear(w, w), nn.Parameter(torch.zeros(sizes.vocabulary))
            self.transform_norm = nn.LayerNorm(w)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        hidden = getattr(self, "_" + self.shape)(batch)
        return F.cross_entropy(F.linear(hidden, self.tokens.weight, getattr(self, "bias", None)).float(), batch["y"])

    def _causal(self, batch: dict[str, Tensor]) -> Tensor:
        x = self.tokens(batch["x"]) + self.positions
        for block in self.blocks:
            x = block(x, batch["mask"])
        return self.final(x).flatten(0, 1)

    def _masked(self, batch: dict[str, Tensor]) -> Tensor:
        x = self.final(self.tokens(batch["x"]) + self.positions + self.segments[0])
        for block in self.blocks:
            x = block(x, None)
        return self.transform_norm(F.gelu(self.transform(x.flatten(0, 1)[batch["at"]])))

    def _span(self, batch: dict[str, Tensor]) -> Tensor:
        rows = len(batch["x"])
        both = self._relative(self.both, batch["both"], rows)
        before = self._relative(self.before, batch["before"], rows) + batch["mask"]
        memory = self.tokens(batch["x"])
        for block in self.blocks:
            memory = block(memory, both)
        memory, x = self.final(memory), self.tokens(batch["shifted"])
        for block in self.decoder:
            x = block(x, before, memory)
        return self.last(x).flatten(0, 1) * x.shape[-1] ** -0.5

    def _relative(self, table: nn.Embedding, buckets: Tensor, rows: int) -> Tensor:
        """(B * H, T, S) from buckets (T, S)."""
        bias = table(buckets).permute(2, 0, 1)
        return bias.repeat(rows, 1, 1)


def buckets(length: int, both_ways: bool) -> Tensor:
    """T5's 32 buckets of key minus query position: (T, T)."""
    distance = torch.arange(length)[None] - torch.arange(length)[:, None]
    count, offset = (16, (distance > 0) * 16) if both_ways else (32, torch.zeros_like(distance))
    distance = distance.abs() if both_ways else (-distance).clamp(min=0)
    exact = count // 2
    far = exact + (torch.log(distance.clamp(min=1) / exact) / np.log(128 / exact) * (count - exact)).long()
    return offset + torch.where(distance < exact, distance, far.clamp(max=count - 1))


def batches(shape: str, sizes: Sizes, corpus: Corpus, dtype: torch.dtype):
    """Endless full batches; ``tokens`` counts the input (span: source) tokens."""
    random = np.random.default_rng(0)
    raw = raw_length(sizes.context)
    length = {"causal": sizes.context + 1, "masked": sizes.context, "span": raw}[shape]
    rows = corpus.stream(length, classify=shape == "masked")
    square = span_lengths(raw)[1] if shape == "span" else sizes.context
    mask = torch.full((square, square), torch.finfo(dtype).min, dtype=dtype).triu(1)[None]
    fixed = {"mask": mask, "both": buckets(span_lengths(raw)[0], True), "before": buckets(square, False)}
    sentinels, tokenizer = np.array(corpus.tokenizer.sentinels), corpus.tokenizer
    while True:
        for chosen in random.permutation(len(rows))[: len(rows) // sizes.batch * sizes.batch].reshape(-1, sizes.batch):
            x = rows[chosen]
            if shape == "causal":
                parts = {"x": x[:, :-1].copy(), "y": x[:, 1:].reshape(-1)}
            elif shape == "masked":
                parts = mask_tokens(x, tokenizer.mask, sizes.vocabulary, random)
            else:
                pairs = [corrupt(row, sentinels, tokenizer.end, random) for row in x]
                source, target = (np.stack(side) for side in zip(*pairs, strict=True))
                shifted = np.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=tokenizer.pad)
                parts = {"x": source, "shifted": shifted, "y": target.reshape(-1)}
            yield fixed | {name: torch.from_numpy(part) for name, part in parts.items()}, parts["x"].size


def mask_tokens(x: np.ndarray, mask: int, vocabulary: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """BERT's 80 / 10 / 10, the same number of targets in each batch."""
    at = np.sort(random.choice(x.size, round(MASK_RATE * x.size), replace=False))
    flat, how = x.reshape(-1).copy(), random.random(len(at))
    y = flat[at]
    flat[at[how < 0.8]] = mask
    swapped = at[how >= 0.9]
    flat[swapped] = random.integers(0, vocabulary, len(swapped))
    return {"x": flat.reshape(x.shape), "at": at, "y": y}


def run(shape: str, sizes: Sizes, corpus: Corpus, steps: int, precision: str = "bfloat16") -> Clock:
    """The loop."""
    keep_freed_memory()
    torch.manual_seed(0)
    clock, dtype = Clock(), getattr(torch, precision)
    network = Network(shape, sizes)
    masters = [p.detach().clone().requires_grad_() for p in network.parameters()]
    network.to(dtype)
    weights = list(network.parameters())
    decayed = [[m for m in masters if m.ndim > 1], [m for m in masters if m.ndim < 2]]
    groups = [{"params": part, "weight_decay": decay} for part, decay in zip(decayed, (0.1, 0.0), strict=True)]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)
    for master in masters:
        master.grad = torch.zeros_like(master)
    gradients = [master.grad for master in masters]
    for batch, tokens in batches(shape, sizes, corpus, dtype):
        loss = network(batch)
        loss.backward()
        with torch.no_grad():
            torch._foreach_copy_(gradients, [w.grad for w in weights])
            for weight in weights:
                weight.grad = None
            torch.nn.utils.clip_grad_norm_(masters, CLIP)
            optimizer.step()
            torch._foreach_copy_(weights, masters)
        clock.tokens += tokens
        clock.mark(loss.item())
        if len(clock.marks) == steps:
            return clock
    raise AssertionError("batches never end")
