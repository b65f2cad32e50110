"""A run in its directory: the trainer's steps, logged, evaluated, saved, restored and proved.

Everything that a resumed run needs is in a checkpoint: weights, moments, how long ``metrics.jsonl`` was, and the sums
since its last line. Of a line, all fields but ``seconds``, ``tokens_per_second`` and ``mfu`` are the same in every
run of the same recipe and machine.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from trivium.errors import SettingsError, StoppedError, TriviumError
from trivium.training.allocator import keep_freed_memory
from trivium.training.checkpoint import Checkpoint, state_hash
from trivium.training.precision import peak_rate
from trivium.training.progress import TrainingProgress
from trivium.training.run_directory import RunDirectory
from trivium.training.signals import Interrupted, Stop
from trivium.training.tensorboard import tensorboard_writer
from trivium.training.trainer import Step, Trainer

Weights = Mapping[str, Tensor]
FREE_TO_CHANGE = ("training.checkpoint_every", "training.keep", "training.tensorboard")  # no number depends on these


@dataclass
class Meter:
    """Sums over the steps since the last log line, and over the whole run."""

    steps: int = 0
    loss: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)  # steps that had a loss of the name
    grad_norm: float = 0.0
    order: str = ""  # a running hash of the draws, which shows that two runs saw the same data in the same order
    interval_tokens: int = 0
    interval_flops: float = 0.0
    interval_seconds: float = 0.0
    tokens: int = 0
    flops: float = 0.0
    seconds: float = 0.0

    def add(self, step: Step) -> None:
        self.steps += 1
        self.loss += step.loss
        for name, value in step.losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value
            self.seen[name] = self.seen.get(name, 0) + 1
        self.grad_norm = max(self.grad_norm, step.grad_norm)
        text = f"{self.order}{','.join(map(str, step.draws))}"
        self.order = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self.interval_tokens += step.tokens
        self.interval_flops += step.flops
        self.interval_seconds += step.seconds
        self.tokens += step.tokens
        self.flops += step.flops
        self.seconds += step.seconds

    def start_interval(self) -> None:
        self.steps, self.loss, self.losses, self.seen, self.grad_norm = 0, 0.0, {}, {}, 0.0
        self.interval_tokens, self.interval_flops, self.interval_seconds = 0, 0.0, 0.0


@dataclass
class Run:
    """``identity`` is what a checkpoint belongs to: nested values that must be the same when it is resumed.
    ``defaults``: those of them that nobody set, which a run had that was made before there was such a setting.

    ``export`` and ``adopt`` turn masters by parameter name into the names of the saved file and back.
    ``evaluate`` and ``sample`` are called with the model in evaluation mode. ``published``: a checkpoint's weights are
    the folder's own. ``command``: by which the run is resumed.
    """

    trainer: Trainer[Any, Any]
    directory: RunDirectory
    identity: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    export: Callable[[Weights], Weights] = dict
    adopt: Callable[[Weights], Weights] = dict
    evaluate: Callable[[], Mapping[str, float]] | None = None
    sample: Callable[[], str] | None = None
    on_step: Callable[[Step], None] | None = None
    quiet: bool = False
    published: bool = True
    command: str = "pretrain"
    meter: Meter = field(default_factory=Meter)
    _saved: int = -1
    _digest: str = ""

    def __post_init__(self) -> None:
        self.identity, self.defaults = json.loads(json.dumps([self.identity, self.defaults]))  # as they are read back

    def restore(self, say: Callable[[str], None]) -> bool:
        """Goes back to the newest good checkpoint. False where there is none yet."""
        checkpoint = self.directory.checkpoints.newest(say)
        if checkpoint is None:
            self.directory.metrics.cut(0)
            return False
        self._check_identity(checkpoint, say)
        self._load(checkpoint)
        self.directory.metrics.cut(checkpoint.state["metrics_bytes"])
        self.meter = Meter(**checkpoint.state["meter"])
        self._saved, self._digest = checkpoint.step, checkpoint.state_hash
        if checkpoint.step == self.directory.checkpoints.steps()[-1]:  # the save before a kill may not have come to it
            self.directory.checkpoints.drop_old(checkpoint.step)
        self.publish()
        return True

    def prove(self, say: Callable[[str], None]) -> str:
        """Replays the steps between the last two checkpoints; says so when the hashes agree and raises if not."""
        steps = self.directory.checkpoints.steps()
        if len(steps) < 2:
            raise SettingsError(
                f"there is nothing to replay in {self.directory.path}: a proof needs two checkpoints, and it has "
                f"{len(steps)}"
            )
        before, after = (self.directory.checkpoints.load(step) for step in steps[-2:])
        self._check_identity(after, say)
        self._load(before)
        while self.trainer.number < after.step:
            self.trainer.step()
        masters, moments = self.trainer.state_dict()
        replayed = state_hash(self.export(masters), moments)
        if replayed != after.state_hash:
            raise TriviumError(
                f"not proved: steps {before.step + 1} to {after.step} gave state {replayed[:16]} when replayed, and "
                f"{after.state_hash[:16]} was recorded: the machine, its threads or the code have changed"
            )
        return f"proved: steps {before.step + 1} to {after.step}, replayed, gave the recorded state {replayed[:16]}"

    def train(self, stop: Stop) -> None:
        """To the last step, or to the next one after a signal."""
        settings, trainer = self.trainer.settings, self.trainer
        keep_freed_memory()
        board = None
        if settings.tensorboard:
            board = tensorboard_writer(self.directory.path / "tensorboard", trainer.number)
        with TrainingProgress(trainer.steps, trainer.number, quiet=self.quiet) as progress:
            if self._saved < 0:
                self._warn_if_full(progress)
                if self.evaluate and not trainer.steps:  # a model as it begins: the only figures it will have
                    self._evaluate(0, progress)
                self.save()
            stop.gentle = True
            try:
                for step in trainer:
                    done, last = step.number + 1, step.number + 1 == trainer.steps
                    self.meter.add(step)
                    progress.step(done, step.loss, step.tokens / step.seconds)
                    first_line = len(self.directory.metrics.lines)
                    if last or _due(done, settings.log_every):
                        self._log(done, step, progress)
                    if self.evaluate and (last or _due(done, settings.evaluate_every)):
                        self._evaluate(done, progress)
                    if self.sample and _due(done, settings.sample_every):
                        self._sample(done, progress)
                    if board:
                        for line in self.directory.metrics.lines[first_line:]:
                            board(line)
                    if self.on_step:
                        self.on_step(step)
                    if last or stop.number or _due(done, settings.checkpoint_every):
                        self.save()
                    if stop.number and not last:
                        raise Interrupted(
                            f"stopped by {stop.name} after step {done} of {trainer.steps}, which is saved: go on with "
                            f"trivium {self.command} --resume {self.directory.path}",
                            stop.number,
                        )
            except OSError as error:
                raise StoppedError(f"{error.strerror} in {self.directory.path}; {self._last_good()}") from error
            except StoppedError as error:
                raise StoppedError(f"{error}; {self._last_good()}") from error

    def save(self) -> None:
        """The state after the last step, whole and verified, and the model directory renewed."""
        masters, moments = self.trainer.state_dict()
        if not _finite(masters):
            raise StoppedError(f"the weights after step {self.trainer.number} are not finite and were not saved")
        state = {
            "step": self.trainer.number,
            "steps": self.trainer.steps,
            "identity": self.identity,
            "metrics_bytes": self.directory.metrics.sync(),
            "meter": asdict(self.meter),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }
        self._digest = self.directory.checkpoints.save(self.trainer.number, self.export(masters), moments, state)
        self._saved = self.trainer.number
        self.publish()

    def publish(self) -> None:
        """The newest checkpoint's weights at the root, and a manifest of what else is there now."""
        prints = {name: value for name, value in self.identity.items() if isinstance(value, str)}
        if self.published:
            self.directory.publish(self._saved, {"state": self._digest, **prints})
        else:
            self.directory.write_manifest(self._saved, {"state": self._digest, **prints})

    def _log(self, done: int, step: Step, progress: TrainingProgress) -> None:
        meter = self.meter
        losses = {name: total / meter.seen[name] for name, total in sorted(meter.losses.items())}
        rate = meter.interval_tokens / meter.interval_seconds
        line: dict[str, Any] = {"kind": "train", "step": done, "loss": meter.loss / meter.steps}
        if len(losses) > 1:
            line["losses"] = losses
        line |= {
            "learning_rate": step.learning_rate,
            "grad_norm": meter.grad_norm,
            "tokens": meter.tokens,
            "flops": meter.flops,
            "order": meter.order,
            "seconds": round(meter.seconds, 3),
            "tokens_per_second": round(rate, 1),
        }
        if meter.flops:
            peak = peak_rate(self.trainer.device.type, self.trainer.precision)
            line["mfu"] = round(meter.interval_flops / meter.interval_seconds / peak, 4)
        self.directory.metrics.append(line)
        progress.interval(done, line["loss"], rate)
        meter.start_interval()

    def _evaluate(self, done: int, progress: TrainingProgress) -> None:
        assert self.evaluate
        self.trainer.model.eval()
        with torch.no_grad():
            values = {name: value if math.isfinite(value) else None for name, value in self.evaluate().items()}
        self.directory.metrics.append({"kind": "evaluation", "step": done, **values})
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items() if value is not None)
        progress.tell(f"step {done} evaluated: {shown}")

    def _sample(self, done: int, progress: TrainingProgress) -> None:
        assert self.sample
        self.trainer.model.eval()
        with torch.no_grad():
            text = self.sample()
        self.directory.metrics.append({"kind": "sample", "step": done, "text": text})
        progress.tell(f"step {done} writes: {text}")

    def _load(self, checkpoint: Checkpoint) -> None:
        self.trainer.load_state_dict(checkpoint.step, self.adopt(checkpoint.weights), checkpoint.optimizer)

    def _check_identity(self, checkpoint: Checkpoint, say: Callable[[str], None]) -> None:
        saved, given = (_flat(identity) for identity in (checkpoint.state["identity"], self.identity))
        saved = {name: value for name, value in _flat(self.defaults).items() if name in given} | saved
        for name in sorted(saved.keys() | given.keys(), key=lambda name: (not name.startswith("recipe."), name)):
            dotted = name.removeprefix("recipe.")
            if saved.get(name) != given.get(name) and dotted not in FREE_TO_CHANGE:
                raise SettingsError(
                    f"{self.directory.path} was made with {dotted} = {saved.get(name)}, and now it is "
                    f"{given.get(name)}: resume with the same, or start a new run with another --out"
                )
        here = {"threads": torch.get_num_threads(), "torch": torch.__version__}
        for name, value in here.items():
            if checkpoint.state[name] != value:
                say(f"this run had {name} {checkpoint.state[name]}, now it is {value}: its last bits may differ")

    def _last_good(self) -> str:
        if self._saved < 0:
            return "no checkpoint was written yet"
        return f"the checkpoint of step {self._saved} in {self.directory.checkpoints.folder} is good"

    def _warn_if_full(self, progress: TrainingProgress) -> None:
        masters, _ = self.trainer.state_dict()
        once = 3 * sum(master.numel() * master.element_size() for master in masters.values())
        needed, free = once * (self.trainer.settings.keep + 1), shutil.disk_usage(self.directory.path).free
        if free < needed:
            progress.say(
                f"warning: checkpoints will need {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free: "
                "make room, or lower training.keep"
            )


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


def _finite(tensors: Weights) -> bool:
    norms = torch._foreach_norm([tensor.detach() for tensor in tensors.values()])
    return bool(torch.isfinite(torch.stack([norm.to(norms[0].device) for norm in norms])).all())


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings, and lists of them, as one, by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            flat[f"{prefix}{name}.length"] = len(value)
            flat |= _flat({f"{name}[{number}]": each for number, each in enumerate(value)}, prefix)
        else:
            flat[f"{prefix}{name}"] = value
    return flat
