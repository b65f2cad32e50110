"""The update: float32 masters, fused AdamW for everything or Muon for the hidden matrices, and one exact state.

The optimizer owns the float32 masters of all trained parameters, and they are what is optimised and saved. In float32
they are the weights themselves; in bfloat16 the model computes with bf16 copies, written by one foreach copy after each
update, and gradients go from bf16 to float32 once, so that sums over micro-batches are float32 sums (the layout
measured fastest on CPUs with bf16 matrix units, and what mixed-precision training has done since Micikevicius et al.
2018). A frozen parameter's master is the tensor that it came with, where that lies: no copy is made, and a device holds
its bf16 copy alone.

Weight decay is decoupled and touches matrices only (two dimensions or more): not biases, not norms.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from trivium.errors import DataError
from trivium.training.muon import Float32Muon
from trivium.training.settings import AdamW, Muon, Optimizer

_STATES = {"exp_avg": "first", "exp_avg_sq": "second", "step": "count", "momentum_buffer": "momentum"}


class MasterOptimizer:
    """Masters by name, their gradients, and torch's optimizers over them behind one step and one state."""

    def __init__(
        self, model: nn.Module, settings: Optimizer, precision: torch.dtype, frozen: Mapping[str, Tensor] | None = None,
        rates: Mapping[str, float] = {},  # noqa: B006 (read only)
    ) -> None:  # fmt: skip
        """``frozen``: the float32 values of parameters that are not trained; None: as they are in the model.
        ``rates``: what the learning rate counts at a parameter, where that is not 1."""
        self.settings, self.rates = settings, rates
        self.weights: dict[str, nn.Parameter] = dict(model.named_parameters())  # tied parameters appear once
        self.separate = precision != torch.float32
        self.masters: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            if not weight.requires_grad:
                self.masters[name] = frozen[name] if frozen else weight.detach().float()
                weight.data = weight.data.to(precision)
            elif self.separate:
                self.masters[name] = weight.detach().to(torch.float32, copy=True)
                weight.data = weight.data.to(precision)
            else:
                self.masters[name] = weight
        trained = [name for name, weight in self.weights.items() if weight.requires_grad]
        self.trained = {name: self.masters[name] for name in trained}
        self._trained_weights: list[Tensor] = [self.weights[name] for name in trained]
        self._trained_masters = list(self.trained.values())
        if self.separate:
            self._gradients = [torch.zeros_like(master) for master in self._trained_masters]
        self._hidden = hidden_matrices(model) & set(trained) if isinstance(settings, Muon) else set()
        self.reset()

    def reset(self) -> None:
        """Forget all moments, as before the first step."""
        self.parts = build(self.settings, self.trained, self._hidden, self.separate, self.rates)

    def collect(self, first: bool) -> None:
        """After a micro-batch's backward pass: bf16 gradients are added to the float32 ones, or replace them."""
        if not self.separate:
            return
        gradients = [weight.grad for weight in self._trained_weights if weight.grad is not None]
        if len(gradients) == len(self._gradients):
            (torch._foreach_copy_ if first else torch._foreach_add_)(self._gradients, gradients)
        else:  # a parameter that this batch did not use has no gradient
            for total, weight in zip(self._gradients, self._trained_weights, strict=True):
                if first:
                    total.zero_()
                if weight.grad is not None:
                    total.add_(weight.grad)
        for weight in self._trained_weights:
            weight.grad = None

    def gradients(self) -> list[Tensor]:
        """The float32 gradients of the whole step, in no order that matters."""
        if self.separate:
            return self._gradients
        return [weight.grad for weight in self._trained_weights if weight.grad is not None]

    def step(self, factor: float) -> None:
        """One update at ``factor`` times the peak learning rates, then no gradients and the weights up to date."""
        if self.separate:
            for master, gradient in zip(self._trained_masters, self._gradients, strict=True):
                master.grad = gradient
        for part, peaks in self.parts:
            for group, peak in zip(part.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            part.step()
        if self.separate:
            self.copy_to_weights()
        else:
            self.clear()

    def clear(self) -> None:
        """Drop the gradients without an update."""
        for weight in self._trained_weights:
            weight.grad = None

    @torch.no_grad()
    def copy_to_weights(self) -> None:
        """The low-precision weights again from the masters of what is trained."""
        if self.separate:
            torch._foreach_copy_(self._trained_weights, self._trained_masters)

    def restore_float32(self) -> None:
        """Ends training in low precision: the model's weights are the masters from here on."""
        for name, weight in self.weights.items():
            weight.data = self.masters[name].data.to(weight.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Moments and counts by ``<kind>.<parameter>``: everything but the masters. Not copies."""
        names = {id(tensor): name for name, tensor in self.trained.items()}
        return {
            f"{_STATES[kind]}.{names[id(parameter)]}": value
            for part, _ in self.parts
            for parameter, states in part.state.items()
            for kind, value in states.items()
        }

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The exact inverse of :meth:`state_dict`; empty means no step was taken yet."""
        self.reset()
        names = {id(tensor): name for name, tensor in self.trained.items()}
        used: set[str] = set()
        for part, _ in self.parts:
            kinds = ("momentum_buffer",) if isinstance(part, torch.optim.Muon) else ("exp_avg", "exp_avg_sq", "step")
            for group in part.param_groups:
                for parameter in group["params"]:
                    keys = {kind: f"{_STATES[kind]}.{names[id(parameter)]}" for kind in kinds}
                    if not any(key in state for key in keys.values()):
                        continue  # no gradient yet, or no step
                    if missing := [key for key in keys.values() if key not in state]:
                        raise DataError(f"the optimizer's state has no {missing[0]}: it is of another run")
                    part.state[parameter] = {
                        kind: state[key].to(parameter.device, copy=True) for kind, key in keys.items()
                    }
                    used.update(keys.values())
        if unknown := sorted(set(state) - used):
            raise DataError(f"the optimizer's state has {unknown[0]}, which the model has not: it is of another run")

    @torch.no_grad()
    def load_masters(self, masters: Mapping[str, Tensor]) -> None:
        """Every parameter from ``masters``, none missing, none unknown."""
        if masters.keys() != self.masters.keys():
            odd = sorted(masters.keys() ^ self.masters.keys())
            raise DataError(f"the checkpoint's weights differ from the model's in {len(odd)} names, first {odd[0]}")
        for name, master in self.masters.items():
            if master.shape != masters[name].shape:
                raise DataError(f"{name} is {tuple(masters[name].shape)} in the checkpoint, {tuple(master.shape)} here")
            master.copy_(masters[name])
            if name not in self.trained:
                self.weights[name].copy_(master)
        self.copy_to_weights()


def hidden_matrices(model: nn.Module) -> set[str]:
    """Names of the 2-D weights of linear layers that map hidden states to hidden states: what Muon is for.

    Those are the linear layers in the numbered layers of a stack, and the dense layer of BERT's vocabulary head: left
    to AdamW, it kept a small masked model on the unigram plateau twice as long (measured: 5.2 against 4.7 nats after
    400 steps). Embeddings, the vocabulary projection, poolers and heads stay with AdamW, as Muon's author found best.
    """
    shared = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    linear = {
        f"{path}.weight"
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and id(module.weight) not in shared
        and not path.startswith("heads.")
        and (any(part.isdecimal() for part in path.split(".")) or path == "vocabulary.dense")
    }
    return linear | {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, nn.RNNBase)
        for name, weight in module.named_parameters()
        if weight.ndim == 2
    }


def build(
    settings: Optimizer, trained: Mapping[str, Tensor], hidden: Iterable[str], low_precision: bool,
    rates: Mapping[str, float] = {},  # noqa: B006 (read only)
) -> list[tuple[torch.optim.Optimizer, list[float]]]:  # fmt: skip
    """torch's optimizers with the peak learning rate of each of their parameter groups."""
    hidden = set(hidden)
    peak = settings.learning_rate if isinstance(settings, AdamW) else settings.rest_learning_rate
    groups: list[tuple[list[Tensor], float, float]] = []  # with decay and rate
    rest = {name: tensor for name, tensor in trained.items() if name not in hidden}
    for rate in sorted({rates.get(name, 1.0) for name in rest}, reverse=True):
        for decayed in (True, False):
            tensors = [
                tensor for name, tensor in rest.items()
                if rates.get(name, 1.0) == rate and (tensor.ndim >= 2 and not name.endswith("bias")) is decayed
            ]  # fmt: skip
            if tensors:
                groups.append((tensors, settings.weight_decay if decayed else 0.0, rate))
    parts: list[tuple[torch.optim.Optimizer, list[float]]] = []
    if groups:
        adamw = torch.optim.AdamW(
            [{"params": tensors, "weight_decay": decay} for tensors, decay, _ in groups],
            lr=peak,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            fused=True,
        )
        parts.append((adamw, [peak * rate for _, _, rate in groups]))
    if hidden and isinstance(settings, Muon):
        by_rate: dict[float, list[Tensor]] = {}
        for name, tensor in trained.items():
            if name in hidden:
                by_rate.setdefault(rates.get(name, 1.0), []).append(tensor)
        muon = (torch.optim.Muon if low_precision else Float32Muon)(
            [{"params": tensors} for tensors in by_rate.values()],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            nesterov=True,
            adjust_lr_fn="match_rms_adamw",
        )
        parts.append((muon, [settings.learning_rate * rate for rate in by_rate]))
    return parts
