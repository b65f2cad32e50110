"""Commands that train: pretrain, finetune."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trivium.cli.options import ColumnNames, Data, Format, Json, ModelDirectory, Sets, columns_of
from trivium.cli.output import emit, note

if TYPE_CHECKING:
    from trivium.training.trainer import Step
    from trivium.transformer import Config


def pretrain(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="gpt2-mini, bert-mini, t5-mini ... (see the docs), or the path of one."),
    ] = None,
    data: Data = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="M", help="Go on from a pretrained model, not from nothing.")
    ] = None,
    old: Annotated[
        list[str] | None,
        typer.Option("--old", metavar="FILES", help="With --from: the text it knew, to measure what it forgets."),
    ] = None,
    sets: Sets = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="A new folder for the run.")] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the run in this folder.")
    ] = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="With --resume: replay the last steps first and compare, bit by bit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Pretrain a model on text, by a recipe."""
    from trivium.errors import SettingsError
    from trivium.verbs.pretrain import pretrain as train
    from trivium.verbs.recipe import load_recipe

    if (out is None) == (resume is None):
        raise SettingsError("give one of --out DIR (a new run) and --resume DIR (an old one)")
    if recipe is None and out is not None:
        raise SettingsError("pretrain needs a recipe: `trivium pretrain gpt2-mini --data FILES --out DIR`, for example")
    flags: dict[str, object] = {} if from_ is None else {"from.model": from_}
    if old:
        flags["from.old"] = old
    given = None
    if recipe is not None or data or sets or flags:
        named = recipe or str(resume / "trivium.toml" if resume else "")
        given = load_recipe(named, data or (), sets or (), flags).recipe
    made = train(given, out or resume or "", resume=resume is not None, prove=prove)
    summary = {
        "directory": made.directory,
        "parameters": made.parameters,
        "steps": made.steps,
        "tokens": made.tokens,
        "flops": made.flops,
        "seconds": made.seconds,
        "precision": made.precision,
        "evaluation": made.evaluation,
        "continued": made.continued,
        "taught": made.taught,
        "proof": made.proof,
    }
    figures = "".join(f"  {name} {value:.4g}" for name, value in made.evaluation.items() if value is not None)
    going_on = "".join(f"\n{each.sentence()}" for each in made.taught)
    going_on += f"\n{made.continued.sentence()}" if made.continued is not None else ""
    emit(
        summary,
        as_json,
        f"{made.directory}: {made.parameters:,} parameters, {made.steps:,} steps, {made.tokens:,} tokens in "
        f"{made.seconds:,.0f} s{'; on held-out text' + figures if figures else ''}{going_on}\n"
        f"use it: {_next(made.config, made.directory)}",
    )


def _next(config: "Config", directory: Path) -> str:
    """The command to type after a run, by the kind of its model."""
    if config.vocabulary_head == "two-way":
        return f"trivium inspect text --word WORD --model {directory} --data FILES"
    if config.encoder_layers and not config.two_stream:
        return f"trivium fill 'some text with a ___ in it' --model {directory}"
    return f"trivium generate --model {directory} --prompt 'a beginning'"


def finetune(
    model: ModelDirectory,
    train: Annotated[Path, typer.Option("--train", metavar="F", help="Examples: .jsonl, .csv or .tsv.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder for the fine-tuned model.")],
    dev: Annotated[
        Path | None, typer.Option("--dev", metavar="F", help="Examples to choose the best weights by.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            "--task",
            metavar="T",
            help="What is learnt: sequence, multilabel, regression, choices, tagging, answers, rewriting, spans or "
            "relations.",
        ),
    ] = "sequence",
    method: Annotated[
        str, typer.Option("--method", help="What may change: full, frozen (the head), last:N or lora.")
    ] = "full",
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="The peak; by the model's width when not given.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the examples; 3 by default.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Updates, instead of epochs.")] = None,
    batch: Annotated[int, typer.Option("--batch", help="Examples in an update.")] = 32,
    warmup: Annotated[
        float, typer.Option("--warmup", help="Until the peak: a share of the updates, or from 1 on a number of them.")
    ] = 0.1,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Of matrices, decoupled.")] = 0.01,
    layer_decay: Annotated[
        float, typer.Option("--layer-decay", help="How many times as fast a layer learns as the one above it.")
    ] = 1.0,
    evaluations: Annotated[
        int | None,
        typer.Option("--evaluations", help="On dev, evenly spaced; if not given at most ten, and one an epoch."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Stop after this many evaluations on dev without a gain.")
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", help="How many fine-tunings, from --seed on; the best one's model is kept.")
    ] = 1,
    curve: Annotated[
        str | None,
        typer.Option("--curve", metavar="N,N,all", help="Also with this many of the training examples: 50,500,all."),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep", metavar="A=B/C", help="Every combination of settings, such as lora.rank=1/2/8. Repeatable."
        ),
    ] = None,
    old: Annotated[
        list[str] | None,
        typer.Option("--old", metavar="FILES", help="Text that the model knew, to measure what it forgets."),
    ] = None,
    leaks: Annotated[
        Literal["warn", "error", "drop"],
        typer.Option("--leaks", help="Where train has examples of dev: warn, refuse, or drop them from train."),
    ] = "warn",
    on_truncate: Annotated[
        Literal["warn", "error", "split"],
        typer.Option("--on-truncate", help="Too long examples: cut and count, refuse, or split into windows."),
    ] = "warn",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A=B", help="A setting of the task, such as pooling=mean. Repeatable."),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option("--lora", metavar="A=B", help="A setting of the method lora, such as rank=4. Repeatable."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="With the method lora: write the whole model, not the adapter alone.")
    ] = False,
    length: Annotated[int | None, typer.Option("--length", help="Cut examples to this many tokens.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the head's first weights, the order and dropout.")] = 0,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option("--precision", help="auto: bfloat16 where it is faster.")
    ] = "auto",
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to train.")] = "auto",
    column: ColumnNames = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a pretrained model on labelled examples."""
    from trivium.cli.fine_tuned import report_of
    from trivium.errors import SettingsError
    from trivium.training.progress import TrainingProgress
    from trivium.verbs.finetune import finetune as tune
    from trivium.verbs.finetune import lora_options, task_options, truncation
    from trivium.verbs.trials import curve_sizes
    from trivium.verbs.tuning import FineTuning

    if lora and method != "lora" and not any(each.startswith("method=") for each in sweep or ()):
        raise SettingsError(f"--lora is for the method lora, and the method is {method}: add --method lora")
    long_texts, on_truncated = truncation(task, on_truncate)
    settings = FineTuning(
        method=method,
        learning_rate=learning_rate,
        epochs=epochs,
        steps=steps,
        batch=batch,
        weight_decay=weight_decay,
        warmup=warmup,
        layer_decay=layer_decay,
        evaluations=evaluations,
        patience=patience,
        on_truncate=on_truncated,
        seed=seed,
        precision=precision,
        device=device,
        lora=lora_options(lora or []),
    )
    options = task_options(task, [*(sets or []), *([f"length={length}"] if length is not None else [])]) | long_texts
    with ExitStack() as open_bars:
        bars: list[TrainingProgress] = []

        def watch(step: "Step", steps: int) -> None:
            if step.number == 0:
                open_bars.close()
                bars[:] = [open_bars.enter_context(TrainingProgress(steps, 0))]
            done = step.number + 1
            bars[0].step(done, step.loss, step.tokens / step.seconds)
            if done % 10 == 0 or done == steps:
                bars[0].interval(done, step.loss, step.tokens / step.seconds)

        made = tune(
            task,
            model,
            train,
            dev,
            out=out,
            options=options,
            columns=columns_of(column),
            format=format,
            settings=settings,
            seeds=seeds,
            curve=curve_sizes(curve) if curve is not None else (),
            sweep=sweep or (),
            old=old or (),
            leaks=leaks,
            merge=merge,
            watch=watch,
            tell=note,
        )
    if made.truncated:
        note(f"{made.truncated} of {made.train_examples} examples were cut to the model's length")
    for each in made.notes:
        note(each)
    emit(made, as_json, report_of(made))
