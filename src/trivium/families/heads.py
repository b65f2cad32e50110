"""Heads in a model's folder: which class of ``transformers`` has them, and how they are found again.

A family's table says what its classes have on top and what the tensors are called; ``architectures`` in
``config.json`` says which class a folder holds. A model whose heads no one class has is saved as model_type "trivium",
and ``config.json`` describes every head. Heads of objectives are in no table: their tensors keep their own names beside
the model's, and classes of ``transformers`` pass them over. Left out of the table: classes that turn an encoder into a
decoder (``BertLMHeadModel``, ``RobertaForCausalLM``) or take BART's decoder alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from trivium.errors import DataError, SettingsError
from trivium.families.family import Family
from trivium.families.trivium import TRIVIUM
from trivium.settings import dump
from trivium.transformer import Config, Network, SequenceHead, SpanHead, TokenHead, make_head
from trivium.transformer.head_config import KINDS, LABELLED, MOST_LABELS, OF_OBJECTIVES, HeadConfig

Labels = Sequence[str] | Mapping[str, Sequence[str]] | None
"""Of the one head that has some, or by head."""

PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")
OURS = SequenceHead | TokenHead | SpanHead


def expresses_heads(family: Family, model: Network) -> bool:
    """Whether a class of ``transformers`` has just the heads of this model. A dropout need not be expressed."""
    heads = published_heads(model)
    if len(heads) > 1:
        return False
    alone = "encoder" in family.architectures and model.config.decoder_layers == 0
    for name, head in heads.items():
        published = family.heads.get(name)
        if published is None or not isinstance(head, OURS) or published.encoder_alone != alone:
            return False
        if published.alone is None and model.vocabulary is None:
            return False
        if unnumbered(published.made) != unnumbered(head.config, labels=published.made.labels == 0):
            return False
    return True


def published_heads(model: Network) -> dict[str, nn.Module]:
    """Those of a model without the ones that an objective alone uses."""
    return {name: head for name, head in model.heads.items() if name not in OF_OBJECTIVES}


def class_of(family: Family, model: Network) -> str:
    """The class of ``transformers`` that opens a model whose heads the family expresses."""
    for name in published_heads(model):
        head = family.heads[name]
        of_both = head.with_vocabulary if model.vocabulary is not None else None
        return str(of_both or head.alone)
    if model.vocabulary is not None:
        return family.architectures["vocabulary"]
    alone = "encoder" in family.architectures and model.config.decoder_layers == 0
    return family.architectures["encoder" if alone else "body"]


def heads_out(model: Network, family: Family, labels: Labels, problem: str | None) -> dict[str, object]:
    """The keys of ``config.json`` that describe the heads and name their labels."""
    names = labels_of(model, labels)
    out: dict[str, object] = {}
    if family is TRIVIUM:
        tables = {name: _table(head) for name, head in model.heads.items() if isinstance(head, OURS)}
        if len(names) > 1:
            tables = {name: {**t, "names": names[name]} if name in names else t for name, t in tables.items()}
        if tables:
            out["heads"] = tables
    else:
        for name, head in published_heads(model).items():
            published = family.heads[name]
            if published.dropout is not None and isinstance(head, OURS):
                out[published.dropout] = head.dropout
    if len(names) == 1:
        (given,) = names.values()
        out["id2label"] = {str(i): name for i, name in enumerate(given)}
        out["label2id"] = {name: i for i, name in enumerate(given)}
    if problem is not None:
        out["problem_type"] = known_problem(problem)
    return out


def labels_of(model: Network, labels: Labels) -> dict[str, list[str]]:
    """The names of the labels of each head that has some: those given, else LABEL_0, LABEL_1 ..."""
    heads = {name: model.heads[name] for name in LABELLED if name in model.heads}
    labelled = {name: head.labels for name, head in heads.items() if isinstance(head, OURS)}
    if labels is not None and not isinstance(labels, Mapping):
        if len(labelled) > 1:
            raise SettingsError(f"the model has heads {', '.join(labelled)}: give their labels by head")
        labels = dict.fromkeys(labelled, labels)
    found: dict[str, list[str]] = {}
    for name, count in labelled.items():
        found[name] = list((labels or {}).get(name) or (f"LABEL_{i}" for i in range(count)))
        if len(found[name]) != count:
            raise DataError(f"{len(found[name])} labels were given for a head of {count}: give one name for each")
    return found


def made_heads(
    written: Mapping[str, object], family: Family, config: Config, heads: Mapping[str, HeadConfig],
    shapes: Mapping[str, tuple[int, ...]],
) -> tuple[dict[str, nn.Module], dict[str, tuple[str, ...]], str | None]:  # fmt: skip
    """The heads without memory, the names of their labels, and what kind of labels a classifier's are."""
    made: dict[str, nn.Module] = {}
    labels: dict[str, tuple[str, ...]] = {}
    labelled = [name for name in heads if name in LABELLED]
    for name, head in heads.items():
        if name in LABELLED:
            table = written["heads"] if family is TRIVIUM else {}
            named = table[name].get("names") if isinstance(table, dict) and name in table else None
            if named is None and len(labelled) == 1:
                named = _id2label(written.get("id2label"))
            count = head.labels or _rows(family, name, shapes) or written.get("num_labels", 2)
            labels[name] = _names(named, count)
            head = replace(head, labels=len(labels[name]))
        with torch.device("meta"):
            made[name] = make_head(config, head)
    if not labels:
        return made, labels, None
    problem = written.get("problem_type")
    return made, labels, None if problem is None else known_problem(problem)


def known_problem(name: object) -> str:
    """One of ``PROBLEMS``."""
    if name not in PROBLEMS:
        raise DataError(f"problem_type is {name!r}: it must be one of {', '.join(PROBLEMS)}")
    return str(name)


def unnumbered(head: HeadConfig, labels: bool = False) -> HeadConfig:
    """What two heads must have in common to be of one class: not the dropout, nor with ``labels`` their number."""
    return replace(head, dropout=None, labels=0 if labels else head.labels)


def _table(head: OURS) -> dict[str, object]:
    made = head.config
    return {"kind": next(kind for kind, of in KINDS.items() if isinstance(made, of)), **dump(made)}


def _rows(family: Family, name: str, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """How many labels the tensors have, where nothing names them."""
    if name not in family.heads:
        return None
    for ours, theirs in family.heads[name].weights.items():
        shape = shapes.get(theirs.replace("*", "weight"))
        if ours.startswith("classifier.") and shape:
            return shape[0]
    return None


def _names(named: object, count: object) -> tuple[str, ...]:
    if named is not None:
        if not isinstance(named, list | tuple) or not named:
            raise DataError("config.json's names of labels are no list with at least one name: it is damaged")
        return tuple(str(name) for name in named)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_LABELS:
        raise DataError(f"config.json has a classifier of {count!r} labels: it must have between 1 and {MOST_LABELS:,}")
    return tuple(f"LABEL_{i}" for i in range(count))


def _id2label(names: object) -> tuple[str, ...] | None:
    if not isinstance(names, dict):
        return None
    if not names or set(names) != {str(i) for i in range(len(names))}:
        raise DataError("config.json's id2label does not number its labels from 0")
    return tuple(str(names[str(i)]) for i in range(len(names)))
