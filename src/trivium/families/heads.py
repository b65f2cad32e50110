"""Heads in a model's folder: which class of ``transformers`` has them, and how they are found again.

A family's table says what its classes have on top and what the tensors are called; ``architectures`` in
``config.json`` says which class a folder holds. A model whose heads no one class has is saved as model_type "trivium",
and ``config.json`` describes every head. Left out of the table: classes that turn an encoder into a decoder
(``BertLMHeadModel``, ``RobertaForCausalLM``) or take BART's decoder alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from trivium.errors import DataError, SettingsError
from trivium.families.family import Family
from trivium.families.trivium import TRIVIUM
from trivium.settings import build, dump
from trivium.transformer import Config, Network, SequenceHead, TokenHead, make_head
from trivium.transformer.head_config import KINDS, LABELLED, SEQUENCE, HeadConfig

Labels = Sequence[str] | Mapping[str, Sequence[str]] | None
"""Of the one head that has some, or by head."""

PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")
MOST = 1 << 20  # labels that a folder may ask for without naming them
OURS = SequenceHead | TokenHead


def expresses_heads(family: Family, model: Network) -> bool:
    """Whether a class of ``transformers`` has just the heads of this model. A dropout need not be expressed."""
    if len(model.heads) > 1:
        return False
    alone = "encoder" in family.architectures and model.config.decoder_layers == 0
    for name, head in model.heads.items():
        published = family.heads.get(name)
        if published is None or not isinstance(head, OURS) or published.encoder_alone != alone:
            return False
        if published.alone is None and model.vocabulary is None:
            return False
        if unnumbered(published.made) != unnumbered(head.config, labels=published.made.labels == 0):
            return False
    return True


def class_of(family: Family, model: Network) -> str:
    """The class of ``transformers`` that opens a model whose heads the family expresses."""
    for name in model.heads:
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
        for name, head in model.heads.items():
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


def heads_in(written: Mapping[str, object], family: Family) -> dict[str, HeadConfig]:
    """The heads that ``config.json`` speaks of; with 0 labels where only their names or tensors say how many."""
    if family is TRIVIUM:
        tables = written.get("heads", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise DataError("config.json's heads are no tables: it is damaged, or of a later version")
        return {name: _described(name, table) for name, table in tables.items()}
    classes = written.get("architectures")
    asked = classes[0] if isinstance(classes, list) and classes else None
    for name, head in family.heads.items():
        if asked in head.classes:
            for key, value in head.fixed.items():
                if written.get(key, value) != value:
                    raise DataError(f"config.json has {key} = {written[key]!r}: a {asked} is known only with {value!r}")
            return {name: _with_dropout(head.made, written.get(head.dropout or ""))}
    return {}


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


def _described(name: str, table: Mapping[str, object]) -> HeadConfig:
    """From a folder's table. The first ones had texts' labels and their pooling alone."""
    values = {key: value for key, value in table.items() if key not in ("kind", "names")}
    kind = table.get("kind")
    if kind is None and name == SEQUENCE:
        kind, values = "pooled", {"bias": values.get("pooling") != "last", **values}
    if not isinstance(kind, str) or kind not in KINDS:
        raise DataError(f"config.json has a head {name!r} of kind {kind!r}: this version knows {', '.join(KINDS)}")
    try:
        made = build(KINDS[kind], values)
    except SettingsError as problem:
        raise DataError(f"config.json does not describe the head {name!r}: {problem}") from None
    if not 1 <= made.labels <= MOST:
        raise DataError(f"config.json has a head {name!r} of {made.labels} labels: it has between 1 and {MOST:,}")
    return made


def _with_dropout(head: HeadConfig, value: object) -> HeadConfig:
    """None: as made."""
    if value is None:
        return head
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise DataError(f"config.json has {value!r} as a head's dropout: it must be at least 0 and below 1")
    return replace(head, dropout=float(value))


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
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST:
        raise DataError(f"config.json has a classifier of {count!r} labels: it must have between 1 and {MOST:,}")
    return tuple(f"LABEL_{i}" for i in range(count))


def _id2label(names: object) -> tuple[str, ...] | None:
    if not isinstance(names, dict):
        return None
    if not names or sorted(names, key=_number) != [str(i) for i in range(len(names))]:
        raise DataError("config.json's id2label does not number its labels from 0")
    return tuple(str(names[str(i)]) for i in range(len(names)))


def _number(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text)
