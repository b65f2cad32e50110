"""``trivium align``: a pretrained decoder to an assistant, by conversations, preferences or rewards.

A run's folder is that of a pretraining: ``trivium.toml`` with every setting, ``metrics.jsonl``, checkpoints from which
it goes on bit for bit, and at the end a model that ``transformers`` opens, with the chat template that it was taught
in. With LoRA the folder holds the adapter, in PEFT's layout, or with ``merge`` the whole model.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from trivium.durable import file_digest
from trivium.errors import DataError, SettingsError
from trivium.families import adapter_folder, huggingface
from trivium.families.adapter_config import is_adapter
from trivium.families.adapters import check_expressible
from trivium.families.chat_template import find_template
from trivium.families.generation_config import GenerationConfig
from trivium.families.huggingface import expressed_by
from trivium.families.weights import adopted, untrained, weights_out
from trivium.objectives import Batch
from trivium.settings import Layer, build, defaults, dump, merge, override, read_toml, to_toml
from trivium.text.chat_templates import CHAT_TEMPLATES, ChatTemplate, chat_template
from trivium.text.templates import check_template
from trivium.training.precision import resolve
from trivium.training.run import Run
from trivium.training.run_directory import CHAT_TEMPLATE, RECIPE, RunDirectory, open_run
from trivium.training.signals import stop_on_signals
from trivium.training.trainer import Step, Trainer
from trivium.transformer import Network
from trivium.transformer.adapters import Adapters
from trivium.transformer.lora import Lora
from trivium.verbs.align_dpo import Dpo
from trivium.verbs.align_grpo import GrpoRun
from trivium.verbs.align_ppo import PpoRun
from trivium.verbs.align_reward import RewardMethod
from trivium.verbs.align_sft import Sft
from trivium.verbs.alignment_card import alignment_card
from trivium.verbs.alignment_parts import AlignTraining, Method, Prepared, Start, check_unchanged
from trivium.verbs.finetuning_folder import REPORT
from trivium.verbs.learning_parts import check_layers, layers_of
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.source_model import weights_digest

METHODS: dict[str, type[Method]] = {
    "sft": Sft,
    "reward": RewardMethod,
    "dpo": Dpo,
    "ppo": PpoRun,
    "grpo": GrpoRun,
}
"""By the name that ``--method`` and ``[method]`` have for them."""


@dataclass(frozen=True)
class Alignment:
    """One whole run, as its ``trivium.toml`` has it. ``weights``: what learns: "full", "last:N" or "lora".
    ``template``: for models that come without a chat template: a name or a ``.jinja`` file. The run writes down the
    SHA-256 of what it was made from."""

    model: str
    train: str
    method: Method = field(metadata={"kinds": METHODS})
    training: AlignTraining
    dev: str | None = None
    template: str | None = None
    weights: str = "full"
    lora: Lora = field(default_factory=Lora)
    merge: bool = False
    columns: tuple[str, ...] = ()  # "instruction=task": what it is called in the files
    format: str | None = None
    sha256: str | None = None  # of the model's weights
    train_sha256: str | None = None
    dev_sha256: str | None = None

    def __post_init__(self) -> None:
        if layers_of(self.weights) == 0 and self.weights != "lora":
            raise SettingsError(f"weights {self.weights!r}: choose full, last:N (such as last:2) or lora")
        if self.merge and self.weights != "lora":
            raise SettingsError(f"merge is for lora: {self.weights} writes a whole model anyway")


@dataclass(frozen=True, eq=False)
class Aligned:
    """A finished run; the model is in float32 and evaluation mode. ``before`` and ``after``: the figures on dev, before
    the first step and after the last."""

    directory: Path
    method: str
    model: Network
    steps: int
    examples: int
    tokens: int
    seconds: float
    parameters: int
    trained_parameters: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    figures: Mapping[str, Any]
    history: list[dict[str, Any]]
    opens_in_transformers: bool
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """As one document, without the model and the history."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("model", "history")}


def alignment(method: str, flags: Mapping[str, Any], sets: Sequence[str] = ()) -> Alignment:
    """A method's defaults with ``flags`` (values by name: ``{"model": ...}``) and ``sets`` ("training.steps=100") laid
    over them."""
    if method not in METHODS:
        raise SettingsError(f"there is no method {method!r}: choose one of {', '.join(METHODS)}")
    given, _ = merge([Layer(each, override(Alignment, each)) for each in sets])
    layers = [Layer(method, METHODS[method].defaults), Layer("method", {"method": {"kind": method}})]
    layers += [Layer("flag", flags), Layer("--set", given)]
    return build(Alignment, merge(layers, {"training": ("epochs", "steps")})[0])


def align(
    settings: Alignment | None, out: str | Path, *, resume: bool = False,
    rewards: Sequence[str] = (), on_step: Callable[[Step], None] | None = None, quiet: bool = False,
) -> Aligned:  # fmt: skip
    """Aligns a model as ``settings`` say into the new folder ``out``, or goes on with the run that is there
    (``resume``; settings None: its own, but ``rewards`` names its rewards' files of Python again)."""
    out = Path(out)
    named = tuple(rewards) if settings is None else getattr(settings.method, "rewards", ())
    say = partial(print, file=sys.stderr, flush=True)
    tell = (lambda text: None) if quiet else say
    with stop_on_signals() as stop:
        if settings is None:
            if not (resume and (out / RECIPE).is_file()):
                raise SettingsError(f"{out} holds no run to resume (there is no {RECIPE}): give the folder of --out")
            settings = build(Alignment, read_toml(out / RECIPE))
        with open_run(out, resume=resume, keep=settings.training.keep) as directory:
            base = _opened(settings)
            settings = _identified(settings, base)
            template = _template(settings, base, directory)
            if not resume:
                directory.write(RECIPE, to_toml(dump(settings)))  # first, for it makes the folder a run
            directory.write(CHAT_TEMPLATE, template.text)
            start = Start(
                base, template, Path(settings.train), None if settings.dev is None else Path(settings.dev),
                _columns(settings), settings.format, settings.weights, settings.lora, settings.training,
                directory.data, tell, named,
            )  # fmt: skip
            prepared = settings.method.prepare(start)
            settings = replace(settings, method=prepared.method or settings.method)
            for note in prepared.notes:
                tell(note)
            return _run(settings, start, prepared, directory, on_step, quiet, stop, say, tell)


def _opened(settings: Alignment) -> LanguageModel:
    """The model to begin with. What could not be trained or written is refused before the work."""
    base = load(settings.model, device="cpu")
    if base.kind != "decoder":
        raise SettingsError(
            f"{settings.model} is an {base.kind}, and conversations are learnt by decoders: teach it answers by "
            "trivium finetune --task rewriting" if base.kind == "encoder-decoder" else
            f"{settings.model} is an encoder, which writes no text: align a decoder"
        )  # fmt: skip
    if base.model.vocabulary is None:
        raise SettingsError(f"{settings.model} has no vocabulary projection, so it writes no text: align its base")
    if base.config.bidirectional_prompt:
        raise SettingsError(
            f"{settings.model} reads prompts in both directions, and conversations are learnt from left to right: set "
            "bidirectional_prompt to false in its config.json, and it reads from left to right from then on"
        )
    check_layers(base.model, settings.weights)
    if settings.weights == "lora" and not settings.merge:
        if is_adapter(base.directory):
            raise SettingsError(f"{settings.model} is an adapter itself: align its base, or give --merge")
        check_expressible(base.family, settings.lora.ranks(base.model))
    return base


def _identified(settings: Alignment, base: LanguageModel) -> Alignment:
    """With the hashes of what it is made from; refuses other weights or files than those of the run."""
    found: dict[str, str | None] = {"sha256": weights_digest(base.directory)}
    names = {"sha256": settings.model, "train_sha256": settings.train, "dev_sha256": settings.dev}
    for name in ("train_sha256", "dev_sha256"):
        file = names[name]
        if file is not None and not Path(file).is_file():
            raise DataError(f"{file} is not a file: check the name")
        found[name] = file_digest(Path(file)) if file is not None else None
    for name, digest in found.items():
        check_unchanged(str(names[name]), digest, getattr(settings, name))
    return replace(settings, **found)  # type: ignore[arg-type]


def _template(settings: Alignment, base: LanguageModel, directory: RunDirectory) -> ChatTemplate:
    """The run's own where it has one, else the one that is asked for, else the model's."""
    kept = directory.path / CHAT_TEMPLATE
    if kept.is_file():
        return ChatTemplate(kept.read_text(encoding="utf-8"))
    own = find_template(base.directory) if settings.template is None else None
    if settings.template is None and own is None:
        raise SettingsError(
            f"{settings.model} has no chat template, so nothing says how a conversation is written for it: choose one "
            f"with --template ({', '.join(CHAT_TEMPLATES)}, or a .jinja file); plain and alpaca need no control tokens"
        )
    template = ChatTemplate(own) if own is not None else chat_template(settings.template or "")
    check_template(template.text)
    return template


def _columns(settings: Alignment) -> dict[str, str]:
    """As they are read: our name to the file's."""
    pairs = (each.partition("=") for each in settings.columns)
    return {ours: theirs for ours, _, theirs in pairs}


def _run(
    settings: Alignment, start: Start, prepared: Prepared, directory: RunDirectory,
    on_step: Callable[[Step], None] | None, quiet: bool, stop: Any, say: Callable[[str], None],
    tell: Callable[[str], None],
) -> Aligned:  # fmt: skip
    model, base = prepared.model, start.model
    training = resolve(settings.training.settings(prepared.steps, prepared.learning_rate))
    settings = replace(
        settings,
        training=replace(
            settings.training, steps=prepared.steps, epochs=None, learning_rate=training.optimizer.learning_rate,
            precision=training.precision, device=training.device,
        ),
    )  # fmt: skip
    trainer: Trainer[Network, Batch] = Trainer(
        model, prepared.loss, prepared.feed, training, steps=prepared.steps, flops=prepared.flops
    )
    whole = settings.weights != "lora"
    family = expressed_by(base.family, model)
    frozen = {name: t for name, t in trainer.optimizer.masters.items() if name not in trainer.optimizer.trained}

    def watch(step: Step) -> None:
        if prepared.watch is not None and (line := prepared.watch(step, directory.metrics.lines)):
            directory.metrics.append(line)
        if on_step is not None:
            on_step(step)

    run = Run(
        trainer,
        directory,
        identity={
            "recipe": dump(settings), "tokenizer": start.tokenizer.fingerprint, "data": prepared.fingerprint,
            "template": start.template.text,
        },
        defaults={"recipe": defaults(settings)},
        export=(lambda masters: weights_out({**untrained(model), **masters}, family, model.config)) if whole
        else (lambda masters: {name: t for name, t in masters.items() if name not in frozen}),
        adopt=partial(adopted, model, family) if whole else (lambda tensors: {**frozen, **tensors}),
        evaluate=prepared.evaluate,
        sample=prepared.sample,
        on_step=watch,
        quiet=quiet,
        published=whole,
        command="align",
    )  # fmt: skip
    trained = sum(t.numel() for t in trainer.optimizer.trained.values())
    if not run.restore(say):
        directory.write(RECIPE, to_toml(dump(settings)))
        if whole:
            _save(settings, start, model, directory, trainer.state_dict()[0])
        if prepared.evaluate is not None:
            model.eval()
            directory.metrics.append({"kind": "evaluation", "step": 0, **prepared.evaluate()})
        _judge(prepared, directory, 0)
    parameters = sum(p.numel() for name, p in model.named_parameters() if ".adapters." not in name)
    tell(f"training {trained:,} of {parameters:,} parameters in {training.precision}, {prepared.steps:,} steps")
    run.train(stop)
    trainer.optimizer.restore_float32()
    model.eval()
    _judge(prepared, directory, trainer.steps)
    figures = dict(prepared.figures()) if prepared.figures is not None else {}
    if not whole and settings.merge:
        Adapters(model).merge()
    opens = _save(settings, start, model, directory, None if not whole else trainer.state_dict()[0])
    history = directory.metrics.lines
    if prepared.page is not None:
        directory.write(REPORT, prepared.page(history))
    run.publish()
    before, after = (_measured(history, step) for step in (0, trainer.steps))
    own = (directory.path / "README.md").read_text(encoding="utf-8")
    directory.write("README.md", alignment_card(own, dump(settings), (before, after), prepared.notes))
    run.publish()
    return Aligned(
        directory.path, settings.method.kind, model, trainer.steps, prepared.examples, run.meter.tokens,
        run.meter.seconds, parameters, trained, before, after, figures, history, opens, prepared.notes,
    )  # fmt: skip


def _judge(prepared: Prepared, directory: RunDirectory, step: int) -> None:
    if prepared.judge is not None:
        prepared.model.eval()
        directory.metrics.append({"kind": "judged", "step": step, **prepared.judge()})


def _measured(history: Sequence[Mapping[str, Any]], step: int) -> dict[str, float]:
    """All figures of a step."""
    lines = [line for line in history if line["kind"] in ("evaluation", "judged") and line["step"] == step]
    return {name: value for line in lines for name, value in line.items() if name not in ("kind", "step")}


def _save(
    settings: Alignment, start: Start, model: Network, directory: RunDirectory, state: Mapping[str, Tensor] | None
) -> bool:
    """The model's folder; whether ``transformers`` opens it."""
    generation = _generation(start)
    if settings.weights == "lora" and not settings.merge:
        made = adapter_folder.save_adapter(
            model, start.model.family, start.tokenizer, directory.path, base=str(start.model.directory.resolve()),
            whole=[name for name, _ in model.named_parameters() if name.startswith("heads.")], generation=generation,
        ).family  # fmt: skip
    else:
        made = huggingface.save(
            model, start.model.family, start.tokenizer, directory.path, state=state, generation=generation
        )
    return made.name != "trivium"


def _generation(start: Start) -> GenerationConfig:
    """The model's own, which stops also where a turn ends."""
    found = start.generation(start.renderer())
    ends = sorted(found.ends)
    return replace(found, written={**found.written, "eos_token_id": ends[0] if len(ends) == 1 else ends})
