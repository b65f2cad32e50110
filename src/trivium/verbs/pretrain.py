"""``trivium pretrain``: a recipe to a run directory that ``trivium.load`` and ``transformers`` open.

Text, tokenizer, shards, rows, model, trainer, checkpoints, in this order; each station is another module's.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from trivium.errors import SettingsError
from trivium.families import FAMILIES, TRIVIUM, Family
from trivium.families.bodies import initialise, network
from trivium.families.chat_template import find_template
from trivium.families.huggingface import expressed_by, save
from trivium.families.weights import adopted, untrained, weights_out
from trivium.generation.completion import complete
from trivium.generation.sampling import Sampling
from trivium.objectives.objective import Batch
from trivium.settings import defaults, dump
from trivium.tokenizers import Tokenizer
from trivium.training.budget import budget_steps, count_steps, time_steps
from trivium.training.precision import choose_device, resolve
from trivium.training.run import Run
from trivium.training.run_directory import CHAT_TEMPLATE, RECIPE, RunDirectory, open_run
from trivium.training.signals import Stop, stop_on_signals
from trivium.training.trainer import Step, Trainer
from trivium.transformer import Config, Network
from trivium.transformer.network import answers, writes
from trivium.verbs.continuing import begun, placed
from trivium.verbs.judging import FOLDER, KIND, Continued, Measure, continued, new_text, old_text
from trivium.verbs.planned_training import check_memory
from trivium.verbs.pretraining_batches import Feed, batch_flops, evaluation
from trivium.verbs.pretraining_card import pretraining_card
from trivium.verbs.pretraining_data import (
    PretrainingData,
    advice,
    check_enough,
    prepare,
    rows_per_step,
    texts,
)
from trivium.verbs.pretraining_model import config_of, read_as
from trivium.verbs.pretraining_vectors import check_vectors, place_vectors
from trivium.verbs.recipe import Recipe, load_recipe, read_recipe
from trivium.verbs.source_model import Source, opened
from trivium.verbs.teaching import Comparison, check_students, compared, first_weights, teacher_flops, with_teachers

SAMPLE = Sampling(max_tokens=40, temperature=0.8, top_p=0.95)


@dataclass(frozen=True, eq=False)
class PretrainResult:
    """A finished run. The model is in float32 and evaluation mode; ``history`` holds the lines of metrics.jsonl."""

    directory: Path
    model: Network
    tokenizer: Tokenizer
    family: Family
    config: Config
    history: list[dict[str, Any]]
    steps: int
    tokens: int
    flops: float
    seconds: float  # of training; not of reading text, evaluating and saving
    parameters: int
    precision: str
    proof: str | None = None  # what --prove found
    continued: Continued | None = None  # of a run from a pretrained model
    taught: Sequence[Comparison] = ()  # beside each teacher, of a run that distils

    @property
    def losses(self) -> list[tuple[int, float]]:
        """(step, training loss) of each log line."""
        return [(line["step"], line["loss"]) for line in self.history if line["kind"] == "train"]

    @property
    def evaluation(self) -> Mapping[str, float]:
        """The last evaluation's figures; empty where no text was held out."""
        found = [line for line in self.history if line["kind"] == "evaluation"]
        return {name: value for name, value in found[-1].items() if name not in ("kind", "step")} if found else {}


def pretrain(
    recipe: Recipe | str | Path | None,
    out: str | Path,
    *,
    resume: bool = False,
    prove: bool = False,
    documents: Iterable[str] | None = None,
    heldout: Iterable[str] | None = None,
    tokenizer: Tokenizer | None = None,
    on_step: Callable[[Step], None] | None = None,
    quiet: bool = False,
) -> PretrainResult:
    """Trains what the recipe says into the new folder ``out``, or goes on with the run that is there (``resume``).

    ``recipe``: a name, a path or a ``Recipe``; None with ``resume``: the run's own. ``documents``, ``heldout`` and
    ``tokenizer`` take the place of the recipe's text, of its held-out share and of its tokenizer. ``prove`` first
    replays the steps between the last two checkpoints and compares. ``quiet``: only warnings are printed.
    """
    _refuse_several_processes()
    out = Path(out)
    if prove and not resume:
        raise SettingsError("--prove checks a run that is resumed: give --resume DIR --prove")
    with stop_on_signals() as stop:
        asked = _asked(recipe, out, resume)
        check_students(asked, tokenizer)
        if asked.from_ is None:
            _check(asked, resume)
        elif tokenizer is not None:
            raise SettingsError(f"a tokenizer was given, but {asked.from_.model} keeps its own: leave one of them out")
        with open_run(out, resume=resume, keep=asked.training.keep) as directory:
            source = None
            if asked.from_ is not None and not directory.checkpoints.steps():  # then it needs no source any more
                asked, source = opened(asked)
            if not resume:
                directory.write(RECIPE, asked.to_toml())
            say = partial(print, file=sys.stderr, flush=True)
            tell = (lambda text: None) if quiet else say
            if tokenizer is not None:
                _place_tokenizer(tokenizer, out)
            assembled = _assemble(asked, source, directory, documents, heldout, on_step, quiet, tell)
            del source  # a whole model's memory
            return _train(*assembled, prove, stop, say, tell)


def _asked(recipe: Recipe | str | Path | None, out: Path, resume: bool) -> Recipe:
    """The recipe as given; on resume, what it leaves to the machine or the clock is what the run found."""
    if recipe is None and not resume:
        raise SettingsError("pretrain needs a recipe: a name such as gpt2-mini, or a path ending in .toml")
    if not resume:
        return recipe if isinstance(recipe, Recipe) else load_recipe(recipe or "").recipe
    if not (out / RECIPE).is_file():
        raise SettingsError(f"{out} holds no run to resume (there is no {RECIPE}): give the folder that --out named")
    recorded = read_recipe(out / RECIPE)
    if recipe is None:
        return recorded
    given = recipe if isinstance(recipe, Recipe) else load_recipe(recipe).recipe
    found = recorded.training
    training = given.training
    if training.steps is None and found.steps is not None:
        training = replace(training, steps=found.steps, tokens=None, flops=None, minutes=None)
    if training.precision == "auto":
        training = replace(training, precision=found.precision)
    if training.device == "auto":
        training = replace(training, device=found.device)
    given = replace(given, training=training)
    if given.from_ is None or recorded.from_ is None:
        return given
    found_there = recorded.from_
    from_ = replace(given.from_, sha256=found_there.sha256, rows=found_there.rows, length=found_there.length)
    return replace(given, from_=from_, model=recorded.model, tokenizer=recorded.tokenizer)


def _place_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    """The caller's tokenizer becomes the run's; a resumed run has one already, which has to be the same."""
    if not (out / "tokenizer.json").exists():
        tokenizer.save(out)
    elif Tokenizer.load(out).fingerprint != tokenizer.fingerprint:
        raise SettingsError(f"{out} was made with another tokenizer than the one given: resume with that one")


def _check(recipe: Recipe, resume: bool) -> None:
    """An objective or vectors that do not fit the model are refused before any text is read."""
    config = config_of(recipe, vocab_size=recipe.tokenizer.vocab_size or 2, pad_token=0, end_token=1)
    recipe.objective.heads(config)
    check_memory(recipe, config)
    if not resume:
        check_vectors(recipe.model, config.width, config.characters)


def _assemble(
    asked: Recipe,
    source: Source | None,
    directory: RunDirectory,
    documents: Iterable[str] | None,
    heldout: Iterable[str] | None,
    on_step: Callable[[Step], None] | None,
    quiet: bool,
    tell: Callable[[str], None],
) -> tuple[Run, PretrainingData, Recipe, dict[str, Any], Measure]:
    """All parts of the run, at step 0; the recipe with its number of steps, its precision and its device; and figures
    of the model that it goes on from."""
    settings = resolve(asked.training)
    sources = texts(asked.data, documents)
    beginning = begun(asked, source, sources) if source is not None else None
    tokenizer, config, length = read_as(asked, sources, beginning, directory.path, tell)
    if source is not None or not (directory.path / "tokenizer.json").exists():
        tokenizer.save(directory.path, config.context)
    asked, objective = with_teachers(asked, tokenizer, config, settings)
    rows, micro_rows = rows_per_step(settings.batch_tokens, settings.micro_batch_tokens, length)
    if not (directory.data / "0" / "shards.json").exists():
        tell("turning the text into tokens, once")
    data = prepare(asked, sources, heldout, tokenizer, length, rows, directory.data)
    check_enough(data, rows, length)

    model = initialise(network(config, asked.objective.heads(config)), settings.seed)
    model.read_vocabulary(tokenizer)
    first_weights(objective, model, tell)
    settled = place_vectors(model, tokenizer, asked.model, directory.data, tell)
    measure = Measure(objective, data, length, rows, settings.seed)
    judged: dict[str, Any] = {}
    if source is not None and beginning is not None:
        base = placed(model, asked.objective.heads, source, beginning, settings.seed, tell)
        old, missing = old_text(asked, source)
        if missing:
            tell(f"forgetting is not measured: {missing}: name the old text with --old FILES")
        found = {"new": new_text(sources, heldout, data), "old": old}
        if template := find_template(source.model.directory):
            directory.write(CHAT_TEMPLATE, template)
        base.to(choose_device(settings.device))
        judged = measure.start(base, beginning.base, found, directory.data / FOLDER)
    family = expressed_by(FAMILIES[asked.model.family], model)
    if family is TRIVIUM:
        tell("no class of transformers computes this model: it is saved with model_type 'trivium'")
    trainer: Trainer[Network, Batch] = Trainer(
        model,
        objective.loss,
        Feed(objective, data, rows, micro_rows, settings.seed),
        settings,
        steps=1,
        flops=lambda batch: batch_flops(config, batch) + teacher_flops(objective, batch),
    )
    steps = budget_steps(settings, max(1, round(rows * length * data.density)))
    if steps is None and settings.flops is not None:
        steps = count_steps(trainer.feed, partial(batch_flops, config), settings.flops)
    if steps is None:
        assert settings.minutes is not None
        wanted = "1 minute" if settings.minutes == 1 else f"{settings.minutes:g} minutes"
        tell(f"timing the first steps to find how many fit in {wanted}")
        steps = time_steps(trainer, settings.minutes)
    trainer.steps = steps
    trainer.settings = settings = replace(settings, steps=steps, tokens=None, flops=None, minutes=None)
    resolved = replace(asked, model=settled, training=settings)
    if asked.from_ is not None:
        resolved = replace(resolved, tokenizer=replace(asked.tokenizer, vocab_size=config.vocab_size))
    for sentence in advice(data, rows, steps, asked.data.heldout):
        if sentence.startswith("warning"):
            print(sentence, file=sys.stderr)
        else:
            tell(sentence)
    run = Run(
        trainer,
        directory,
        identity={
            "recipe": dump(resolved),
            "tokenizer": tokenizer.fingerprint,
            "data": data.fingerprint,
            "config": asdict(config),
        },
        defaults={"recipe": defaults(resolved), "config": defaults(config)},
        export=lambda masters: weights_out({**untrained(model), **masters}, family, config),
        adopt=partial(adopted, model, family),
        evaluate=evaluation(model, objective, data, rows, length, settings.seed),
        sample=_sampler(model, tokenizer),
        on_step=on_step,
        quiet=quiet,
    )
    return run, data, resolved, judged, measure


def _train(
    run: Run,
    data: PretrainingData,
    resolved: Recipe,
    judged: Mapping[str, Any],
    measure: Measure,
    prove: bool,
    stop: Stop,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> PretrainResult:
    directory, trainer, model = run.directory, run.trainer, run.trainer.model
    family = FAMILIES[resolved.model.family]
    epochs = data.epochs(measure.rows * trainer.steps)
    proof = run.prove(say) if prove else None
    if proof:
        tell(proof)
    if not run.restore(say):
        directory.write(RECIPE, resolved.to_toml())
        card = pretraining_card(resolved, model, expressed_by(family, model), data, run.meter, {}, epochs)
        save(model, family, data.tokenizer, directory.path, state=trainer.state_dict()[0], card=card)
        if resolved.from_ is not None:
            directory.metrics.append({"kind": KIND, "step": 0, **judged})
    if trainer.number and trainer.number == trainer.steps:
        tell(f"all {trainer.steps:,} steps of this run are done: --from {directory.path} goes on in a new folder")
    else:
        tell(f"training {sum(p.numel() for p in model.parameters()):,} parameters in {resolved.training.precision}")
    run.train(stop)
    trainer.optimizer.restore_float32()
    model.eval()
    if resolved.from_ is not None:
        figures = measure.of(model, directory.data / FOLDER)
        directory.metrics.append({"kind": KIND, "step": trainer.steps, **figures})
    comparisons = compared(measure.objective, model, measure.batch)
    for each in comparisons:
        directory.metrics.append({"kind": "taught", "step": trainer.steps, **asdict(each)})
    result = PretrainResult(
        directory=directory.path,
        model=model,
        tokenizer=data.tokenizer,
        family=expressed_by(family, model),
        config=model.config,
        history=directory.metrics.lines,
        steps=trainer.steps,
        tokens=run.meter.tokens,
        flops=run.meter.flops,
        seconds=run.meter.seconds,
        parameters=sum(p.numel() for p in model.parameters()),
        precision=resolved.training.precision,
        proof=proof,
        continued=continued(resolved.from_.model, directory.metrics.lines) if resolved.from_ is not None else None,
        taught=comparisons,
    )
    card = pretraining_card(
        resolved, model, result.family, data, run.meter, result.evaluation, epochs, result.continued, comparisons
    )
    directory.write("README.md", card)
    run.publish()
    return result


def _sampler(model: Network, tokenizer: Tokenizer) -> Callable[[], str] | None:
    """What a decoder writes from nothing, always by the same numbers; other models write nothing by themselves."""
    if not writes(model.config) or answers(model.config):
        return None
    limit = model.config.limit
    sampling = SAMPLE if limit is None else replace(SAMPLE, max_tokens=min(SAMPLE.max_tokens, limit - 1))
    return lambda: complete(model, tokenizer, [""], sampling)[0].text


def _refuse_several_processes() -> None:
    world = os.environ.get("WORLD_SIZE", "1")
    if world not in ("", "1"):
        raise SettingsError(
            f"torchrun started {world} processes (WORLD_SIZE), and training on several comes in a later version: start "
            "one process"
        )
