"""Low-rank adaptation (Hu et al. 2021): h = W x + (alpha / r) B A x, where W stays as it is and only A and B learn.

B starts at zero, so the first step computes what the base computes. A is Gaussian as in the paper, with the deviation
of the authors' code, whose A is uniform: (3 in)^-1/2. In an embedding A is zero and B is N(0, 1), as in their code.
A layer is wrapped in its place and keeps its own parameters under their own names, so a wrapped model has the base's
tensors and some more. Left out: a bias that learns, DoRA, and starts that change W.
"""

import difflib
import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.randomness import key
from trivium.transformer.dropout import drop

UNWRAPPED = re.compile(r"(heads|pooler)\..*|(.*\.)?(positions|segments)(\.bias)?|vocabulary\.projection")
"""Never wrapped: heads and the pooler learn whole, and of the others the matrix is read without a call."""


@dataclass(frozen=True)
class Lora:
    """``targets``: patterns of layers by the end of their names ("query", "encoder.*.feed_forward.up", "tokens"); a
    pattern may bring a rank of its own ("query:4"), and the first that fits a layer counts.

    ``rank_stabilised``: alpha / sqrt(r) in place of alpha / r (Kalajdzievski 2023), for large ranks.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0  # of what A sees; the base's path has none
    targets: tuple[str, ...] = ("query", "value")
    rank_stabilised: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise SettingsError(f"lora.rank = {self.rank}: it must be at least 1")
        if self.alpha <= 0:
            raise SettingsError(f"lora.alpha = {self.alpha}: it must be above 0")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"lora.dropout = {self.dropout}: it must be at least 0 and below 1")
        if not self.targets:
            raise SettingsError("lora.targets names no layers: leave it out for query,value")
        for target in self.targets:
            pattern, rank = self.parsed(target)
            if rank < 1:
                raise SettingsError(f"lora.targets has {target!r}: a rank must be at least 1")
            try:
                re.compile(pattern)
            except re.error as problem:
                raise SettingsError(f"lora.targets has {target!r}, which is no pattern: {problem}") from None

    def parsed(self, target: str) -> tuple[str, int]:
        """A target's pattern and rank."""
        pattern, colon, rank = target.rpartition(":")
        return (pattern, int(rank)) if colon and rank.isdecimal() else (target, self.rank)

    def scale(self, rank: int) -> float:
        """What B A x counts."""
        return self.alpha / (rank**0.5 if self.rank_stabilised else rank)

    def ranks(self, model: nn.Module) -> dict[str, int]:
        """The layers of a model that the targets name, and the rank of each."""
        layers = wrappable(model)
        parsed = [self.parsed(target) for target in self.targets]
        fits = {pattern: [n for n in layers if re.fullmatch(rf"(.*\.)?({pattern})", n)] for pattern, _ in parsed}
        for pattern, found in fits.items():
            if not found:
                ends = sorted({name.rpartition(".")[2] for name in layers})
                near = difflib.get_close_matches(pattern.rpartition(".")[2], ends, 1)
                advice = f"did you mean {near[0]!r}?" if near else f"its layers end in {', '.join(ends)}"
                raise SettingsError(f"lora.targets has {pattern!r}, but the model has no such layer: {advice}")
        chosen: dict[str, int] = {}
        for pattern, rank in parsed:
            for name in fits[pattern]:
                chosen.setdefault(name, rank)
        return chosen


def wrappable(model: nn.Module) -> dict[str, nn.Linear | nn.Embedding]:
    """Layers that can have adapters, by their names."""
    kinds = (nn.Linear, nn.Embedding, LoraLinear, LoraEmbedding)
    return {n: m for n, m in model.named_modules() if type(m) in kinds and not UNWRAPPED.fullmatch(n)}


def added_parameters(model: nn.Module, lora: Lora) -> int:
    """How many numbers the adapters of these settings have: r (in + out) a layer. The model may be without memory."""
    layers = wrappable(model)
    return sum(rank * sum(layers[name].weight.shape) for name, rank in lora.ranks(model).items())


class LowRank(nn.Module):
    """One adapter at one layer: A (r, in) and B (out, r); of an embedding A (r, V) and B (W, r)."""

    def __init__(self, a: Tensor, b: Tensor, scale: float, dropout: float = 0.0):
        super().__init__()
        self.A, self.B = nn.Parameter(a), nn.Parameter(b)
        self.scale, self.dropout = scale, dropout

    @property
    def rank(self) -> int:
        return len(self.A)

    def product(self) -> Tensor:
        """scale B A, (out, in): what merging adds."""
        return self.scale * (self.B @ self.A)


@dataclass
class Selection:
    """Which adapters are in use, one object for all layers: names, each with the rows of the batch that are its own,
    or None for all rows. ``rows``: how many a batch must then have."""

    parts: tuple[tuple[str, Tensor | None], ...] = ()
    rows: int | None = None

    def check(self, x: Tensor) -> None:
        if self.rows is not None and len(x) != self.rows:
            raise SettingsError(
                f"adapters were chosen for {self.rows} rows, but a layer sees {len(x)}: call the model with just those "
                "rows, and without flat indices into them where a wrapped layer comes after"
            )


class LoraLinear(nn.Linear):
    """A linear layer that has adapters; it holds the very parameters of the one whose place it takes."""

    def __init__(self, base: nn.Linear, selection: Selection):
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight = base.weight
        self.register_parameter("bias", base.bias)
        self.adapters, self.selection = nn.ModuleDict(), selection
        self.train(base.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., in) -> (B, ..., out)."""
        self.selection.check(x)
        out = F.linear(x, self.weight, self.bias)
        for name, rows in self.selection.parts:
            if name in self.adapters:
                part = self.adapters[name]
                assert isinstance(part, LowRank)
                seen = x if rows is None else x.index_select(0, rows)
                low = F.linear(drop(seen, part.dropout, self.training), part.A)  # (..., r)
                out = _with(out, low, part, rows)
        return out

    def fresh(self, rank: int, seed: int, name: str) -> tuple[Tensor, Tensor]:
        """The first A and B of a new adapter; of ``seed`` and the layer's name alone."""
        a = torch.empty(rank, self.in_features)
        a.normal_(0.0, (3 * self.in_features) ** -0.5, generator=_generator(seed, name))
        return a, torch.zeros(self.out_features, rank)

    def plain(self, weight: Tensor) -> nn.Linear:
        """The layer without adapters, and with this weight."""
        with torch.device("meta"):
            made = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        made.weight, made.bias = nn.Parameter(weight, requires_grad=self.weight.requires_grad), self.bias
        return made.train(self.training)

    def merged(self, part: LowRank) -> Tensor:
        """W + scale B A."""
        return self.weight + part.product().to(self.weight.dtype)


class LoraEmbedding(nn.Embedding):
    """A table of embeddings that has adapters."""

    def __init__(self, base: nn.Embedding, selection: Selection):
        nn.Module.__init__(self)
        for name in nn.Embedding.__constants__:
            setattr(self, name, getattr(base, name))
        self.weight = base.weight
        self.adapters, self.selection = nn.ModuleDict(), selection
        self.train(base.training)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, W)."""
        self.selection.check(ids)
        out = super().forward(ids)
        for name, rows in self.selection.parts:
            if name in self.adapters:
                part = self.adapters[name]
                assert isinstance(part, LowRank)
                seen = ids if rows is None else ids.index_select(0, rows)
                out = _with(out, F.embedding(seen, part.A.t()), part, rows)
        return out

    def fresh(self, rank: int, seed: int, name: str) -> tuple[Tensor, Tensor]:
        """The first A and B of a new adapter: the reverse of a linear layer's, so that B learns from the first step."""
        b = torch.empty(self.embedding_dim, rank).normal_(generator=_generator(seed, name))
        return torch.zeros(rank, self.num_embeddings), b

    def plain(self, weight: Tensor) -> nn.Embedding:
        """The table without adapters, and with this weight."""
        with torch.device("meta"):
            made = nn.Embedding(self.num_embeddings, self.embedding_dim, self.padding_idx)
        made.weight = nn.Parameter(weight, requires_grad=self.weight.requires_grad)
        return made.train(self.training)

    def merged(self, part: LowRank) -> Tensor:
        """W + scale (B A)^T."""
        return self.weight + part.product().t().to(self.weight.dtype)


def _with(out: Tensor, low: Tensor, part: LowRank, rows: Tensor | None) -> Tensor:
    """(B, ..., out) plus scale B times (B or N, ..., r), at the rows that have it; product and sum in one pass."""
    if rows is not None:
        return out.index_add(0, rows, F.linear(low, part.B), alpha=part.scale)
    flat = torch.addmm(out.view(-1, out.shape[-1]), low.reshape(-1, part.rank), part.B.t(), alpha=part.scale)
    return flat.view(out.shape)


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(key(seed, "lora", name) % 2**63)
