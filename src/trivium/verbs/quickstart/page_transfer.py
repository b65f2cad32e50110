"""The report's answer to: does pretraining pay off?"""

from trivium.lab.charts import Intervals, interval_chart
from trivium.lab.report import (
    Cell,
    Section,
    Shown,
    code,
    prose,
    table,
)
from trivium.verbs.quickstart.story import Story
from trivium.verbs.quickstart.transfer import PRETRAINED, SCRATCH, Transfer


def verdict(transfer: Transfer) -> str:
    """One honest sentence or two on what the table shows."""
    gains = ", ".join(
        f"{100 * d.examples.value:+.1f} points with {d.per_class} labels a class "
        f"(95 % interval {100 * d.examples.low:+.1f} to {100 * d.examples.high:+.1f})"
        for d in transfer.differences
    )
    start = (
        "Pretraining paid off: the pretrained encoder beats the same encoder trained from scratch by "
        if transfer.holds
        else "The benefit of pretraining is not certain here: pretrained minus from scratch is "
    )
    return f"{start}{gains}. {_rival_sentence(transfer)}"


def _rival_sentence(transfer: Transfer) -> str:
    rivals = [m for m in transfer.methods if m not in (PRETRAINED, SCRATCH)]
    lines = []
    for count in transfer.per_class:
        best = max(rivals, key=lambda m: transfer.outcome(m, count).accuracy)
        ours, theirs = transfer.outcome(PRETRAINED, count).accuracy, transfer.outcome(best, count).accuracy
        lines.append((count, best, ours, theirs))
    won = [line for line in lines if line[2] > line[3]]
    shown = "; ".join(
        f"{count} labels: {best} {theirs:.1%}, pretrained {ours:.1%}" for count, best, ours, theirs in lines
    )
    if len(won) == len(lines):
        return f"It is also ahead of the best classical rival at every number of labels ({shown})."
    if not won:
        return (
            f"The best classical rival, which trains in a second, is still ahead at every number of labels ({shown})."
        )
    return f"Against the best classical rival it is ahead at some numbers of labels and behind at others ({shown})."


def transfer_section(story: Story, transfer: Transfer | None) -> Section:
    if transfer is None:
        return Section(
            "Does pretraining pay off?",
            [
                prose(f"{story.no_task} With labelled examples of your own, `trivium finetune` makes a classifier:"),
                code("trivium finetune --model quickstart/encoder --train labelled.jsonl --out my-classifier"),
            ],
            kicker="Transfer",
        )
    groups = [f"{n} labels" for n in transfer.per_class]
    lines: list[Intervals] = []
    rows: list[list[Cell]] = []
    for method in transfer.methods:
        outcomes = [transfer.outcome(method, n) for n in transfer.per_class]
        bounds = [o.interval() for o in outcomes]
        neural = method in (PRETRAINED, SCRATCH)
        lines.append(
            Intervals(
                method,
                [100 * b.value for b in bounds],
                [100 * b.low for b in bounds],
                [100 * b.high for b in bounds],
                hollow=not neural,
            )
        )
        spread = [f"{100 * min(o.by_seed):.1f} to {100 * max(o.by_seed):.1f}" for o in outcomes]
        cells = [Shown(o.accuracy, f"{100 * o.accuracy:.1f} ({s})") for o, s in zip(outcomes, spread, strict=True)]
        rows.append([method, *cells])
    differences: list[list[Cell]] = [
        [
            f"{d.per_class} labels a class",
            f"{100 * d.examples.value:+.1f}",
            f"{100 * d.examples.low:+.1f} to {100 * d.examples.high:+.1f}",
            f"{100 * d.seeds.low:+.1f} to {100 * d.seeds.high:+.1f}",
        ]
        for d in transfer.differences
    ]
    task = transfer.task
    chosen = "; ".join(
        f"{name} {transfer.outcome(name, transfer.per_class[0]).chosen}" for name in (PRETRAINED, SCRATCH)
    )
    return Section(
        "Does pretraining pay off?",
        [
            prose(
                f"{task.question} {len(task.labels)} classes, {len(task.test):,} test examples; 8, 16 or 32 labelled "
                "examples a class are all that the classifiers see. Both encoders get the same examples and steps and "
                f"their own best learning rate, chosen on dev ({chosen}); three seeds draw examples and new weights."
            ),
            interval_chart(
                groups,
                lines,
                y_label="accuracy, %",
                x_label="labelled examples a class",
                label="Test accuracy of each method by number of labels",
                caption="Test accuracy with 95 % intervals over the test examples",
            ),
            table(
                ["accuracy, % (lowest to highest seed)", *groups],
                rows,
                caption="Test accuracy, mean of three seeds",
                best=dict.fromkeys(groups, "max"),
            ),
            table(
                ["pretrained − from scratch", "points", "95 % over test examples", "95 % over seeds"],
                differences,
                caption="The benefit of pretraining",
            ),
            prose(verdict(transfer)),
        ],
        kicker="Transfer",
    )
