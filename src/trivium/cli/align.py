"""The command that aligns: conversations, preferences or rewards to an assistant."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trivium.cli.options import ColumnNames, Format, Json, Sets, columns_of
from trivium.cli.output import emit

if TYPE_CHECKING:
    from trivium.verbs.align import Aligned


def align(
    method: Annotated[
        str,
        typer.Option("--method", metavar="M", help="sft (conversations), reward, dpo (preferences), ppo, grpo."),
    ] = "sft",
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="The folder of a decoder, a .gguf file, or a hub id.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option("--train", metavar="F", help="Examples: Alpaca, ShareGPT or messages, .jsonl ...")
    ] = None,
    dev: Annotated[
        Path | None, typer.Option("--dev", metavar="F", help="Examples to measure on, which are not learnt.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="A new folder for the run.")] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the run in this folder.")
    ] = None,
    reward: Annotated[
        list[str] | None,
        typer.Option(
            "--reward", metavar="R", help="Of ppo, grpo: gsm8k, regex=P, length=N, file.py:name, a folder. Repeatable."
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template", metavar="T", help="Of a model without one: chatml, llama-2, llama-3, alpaca, plain, a file."
        ),
    ] = None,
    weights: Annotated[str, typer.Option("--weights", help="What learns: full, last:N or lora.")] = "full",
    lora: Annotated[
        list[str] | None,
        typer.Option("--lora", metavar="A=B", help="A setting of lora, such as rank=4. Repeatable."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="With lora: write the whole model, not the adapter alone.")
    ] = False,
    sets: Sets = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of first weights, the order and dropout.")] = None,
    column: ColumnNames = None,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Teach a pretrained decoder to answer. It learns from conversations, preferences or rewards."""
    from trivium.errors import SettingsError
    from trivium.settings import override
    from trivium.transformer.lora import Lora
    from trivium.verbs.align import METHODS, alignment
    from trivium.verbs.align import align as run

    if (out is None) == (resume is None):
        raise SettingsError("give one of --out DIR (a new run) and --resume DIR (an old one)")
    settings = None
    if out is not None:
        if model is None or train is None:
            raise SettingsError("align needs a model and examples: trivium align --model M --train F --out DIR")
        if lora and weights != "lora":
            raise SettingsError(f"--lora is for the weights lora, and they are {weights}: add --weights lora")
        flags: dict[str, Any] = {"model": model, "train": str(train), "weights": weights, "merge": merge}
        given = {"dev": str(dev) if dev else None, "template": template, "format": format}
        flags |= {name: value for name, value in given.items() if value is not None}
        if column:
            flags["columns"] = [f"{ours}={theirs}" for ours, theirs in columns_of(column).items()]
        for each in lora or []:
            flags["lora"] = {**flags.get("lora", {}), **override(Lora, each)}
        if reward and not hasattr(METHODS.get(method), "rewards"):
            raise SettingsError(f"--reward is for the methods ppo and grpo, and the method is {method}: leave it out")
        if reward:
            flags["method"] = {"rewards": reward}
        if seed is not None:
            flags["training"] = {"seed": seed}
        settings = alignment(method, flags, sets or [])
    elif model or train or sets:
        raise SettingsError("a run that is resumed goes on as it was begun: give --resume DIR alone")
    made = run(settings, out or resume or "", resume=resume is not None, rewards=reward or [])
    emit(made.summary(), as_json, report(made))


def report(made: "Aligned") -> str:
    """What a finished run says."""
    moved = "; ".join(f"{name} {value:.4g} -> {made.after[name]:.4g}" for name, value in made.before.items()
                      if isinstance(value, float) and isinstance(made.after.get(name), float)
                      and not name.endswith(("_low", "_high")))  # fmt: skip
    share = made.trained_parameters / made.parameters
    use = "predict" if made.model.vocabulary is None else "chat"
    return (
        f"{made.directory}: {made.method} on {made.examples:,} examples, {made.steps:,} steps, "
        f"{made.trained_parameters:,} parameters learnt ({share:.2%}), {made.seconds:,.0f} s"
        f"{'; on dev ' + moved if moved else ''}\nuse it: trivium {use} --model {made.directory}"
    )
