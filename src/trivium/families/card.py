"""The model card that goes with saved weights when the caller has no better one."""

from collections.abc import Mapping, Sequence

from trivium.families.family import Family
from trivium.transformer import CHOICE, SEQUENCE, SPAN, TOKEN, Config, Network, SequenceHead
from trivium.transformer.network import answers, writes

TASKS = {
    SEQUENCE: "text-classification",
    TOKEN: "token-classification",
    SPAN: "question-answering",
    CHOICE: "multiple-choice",
}
"""The names of model hubs for what a head does."""


def model_card(model: Network, family: Family, labels: Mapping[str, Sequence[str]] | None = None) -> str:
    """``README.md``: front matter that model hubs read, then what the model is, with its numbers."""
    config = model.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    by_head = [task for head, task in TASKS.items() if head in model.heads]
    task = by_head[0] if by_head else _task(config)
    lines = [
        "---",
        "library_name: transformers" if family.architectures else "library_name: trivium",
        f"pipeline_tag: {task}",
        "tags: [trivium]",
        "---",
        "",
        f"# A {family.name} model made with Trivium",
        "",
        f"{config.describe()}, a vocabulary of {config.vocab_size:,} tokens, {parameters:,} parameters.",
    ]
    if family.paper:
        lines += ["", f"Architecture: {family.paper}."]
    for names in (labels or {}).values():
        lines += ["", "Labels: " + ", ".join(names) + "."]
    head = model.heads[SEQUENCE] if SEQUENCE in model.heads else None
    if isinstance(head, SequenceHead) and head.mix is not None:
        shares = ", ".join(f"{share:.3f}" for share in head.mix.weights.tolist())
        lines += ["", f"It reads a mixture of all layers, of which each, embeddings first, counts {shares}, times "
                  f"{head.mix.scale.item():.3f}."]  # fmt: skip
    if family.architectures:
        lines += ["", "Open it with `trivium.load(folder)` or with `transformers`."]
    else:
        lines += ["", "No class of `transformers` computes this model: open it with `trivium.load(folder)`."]
    return "\n".join(lines) + "\n"


def adapter_card(model: Network, family: Family, base: str, labels: Mapping[str, Sequence[str]]) -> str:
    """The same for a folder that holds a LoRA adapter alone."""
    own = sum(p.numel() for name, p in model.named_parameters() if ".adapters." in name)
    by_head = [task for head, task in TASKS.items() if head in model.heads]
    tags = ["library_name: peft", f"base_model: {base}", *(f"pipeline_tag: {task}" for task in by_head[:1])]
    lines = [
        *("---", *tags, "tags: [trivium, lora]", "---", ""),
        "# A LoRA adapter made with Trivium",
        "",
        f"Low-rank matrices of {own:,} numbers for {base} ({model.config.describe()}), and the heads on it.",
    ]
    for names in labels.values():
        lines += ["", "Labels: " + ", ".join(names) + "."]
    theirs = " or with `peft`" if family.architectures else "; no class of `transformers` computes this model"
    return "\n".join([*lines, "", f"Open it with `trivium.load(folder)`, beside its base{theirs}."]) + "\n"


def _task(config: Config) -> str:
    if answers(config):
        return "translation"
    return "text-generation" if writes(config) else "fill-mask"
