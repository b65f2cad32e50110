"""What ``trivium align --method ppo`` and ``--method grpo`` share: prompts, rewards, the reference and what is told.

The reference is the model that the run begins with, which nothing changes. A user's reward is run only where this
command names it: a run's own folder never brings code in (``alignment/own_rewards.py``).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trivium.alignment.hacking import looks, overoptimised, repeated, warnings
from trivium.alignment.learning import PolicyLearning, PolicyPrompt, Settings, expect_nothing, heads
from trivium.alignment.own_rewards import is_own, own
from trivium.alignment.policy import check_limits
from trivium.alignment.rewards import Asked, Reward, built_in, checked, total, weight_of
from trivium.alignment.rollouts import Texts, Writing, measured, written
from trivium.errors import DataError, SettingsError
from trivium.metrics.intervals import mean_t, paired_t
from trivium.objectives import Batch
from trivium.objectives.causal import Causal
from trivium.randomness import Draws, key
from trivium.text.blocks import cut
from trivium.text.chat_fields import read_prompts
from trivium.text.chats import Message
from trivium.text.documents import read_documents, source_fingerprint
from trivium.text.order import drawn
from trivium.text.shards import write_shards
from trivium.tokenizers.chats import ChatRenderer
from trivium.training.precision import choose_device
from trivium.training.trainer import Step
from trivium.transformer import VALUE
from trivium.verbs.align_policy_page import policy_page, recent
from trivium.verbs.alignment_parts import EMPTY, Prepared, Start, Unfit, check_unchanged, left_out
from trivium.verbs.load import find
from trivium.verbs.reply_comparison import spread, win_rate
from trivium.verbs.reward_models import open_reward_model
from trivium.verbs.source_model import weights_digest

SHOWN = 2  # responses of a sample


@dataclass(frozen=True)
class OnPolicy:
    """``rewards``: names of built-in ones, ``path/file.py:name`` or folders of reward models, each with a weight such
    as ``0.5*gsm8k``; their sum is what a response is worth. ``judged``: prompts of dev that are answered at each
    evaluation, beside the reference. ``remember``: files of text that is not to be forgotten, ``rows`` of ``length``
    tokens in each update, of which a nat counts ``mix``: InstructGPT's PPO-ptx. ``judge``: a reward model from which
    nothing is learnt, and which says at each evaluation whose response is the better one. ``sha256``,
    ``judge_sha256``: of each reward's file and of the judge's weights, as the run writes them down."""

    rewards: tuple[str, ...] = ()
    max_tokens: int = 128  # of a response
    temperature: float = 1.0
    judged: int = 64
    remember: tuple[str, ...] = ()
    mix: float = 27.8
    rows: int = 8
    length: int = 256
    sha256: tuple[str, ...] = ()
    empty: Unfit = "error"
    judge: str | None = None
    judge_sha256: str | None = None

    def __post_init__(self) -> None:
        check_limits(
            self,
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 1e-3 <= self.temperature < float("inf"), "at least 0.001: a policy learns from variety"),
            ("judged", self.judged >= 1, "at least 1"),
            ("mix", 0 < self.mix < float("inf"), "above 0"),
            ("rows", self.rows >= 1, "at least 1"),
            ("length", self.length >= 1, "at least 1"),
        )


def prepared(method: Settings, asked: OnPolicy, start: Start) -> Prepared:
    """``method`` and ``asked`` are the same object, seen as what learns and as what is asked for."""
    training = start.training
    rewards, judge = opened_rewards(asked, start), _opened_judge(asked, start)
    renderer = start.renderer()
    end = _end(start, renderer)
    vocabulary = start.tokenizer.vocab_size
    writing = Writing(asked.max_tokens, asked.temperature, end, vocabulary)
    prompts, notes = _prompts("train", start.train, renderer, start, asked)
    dev, more = _prompts("dev", start.dev, renderer, start, asked) if start.dev is not None else ([], [])
    model = start.learner(heads(method, start.model.config))
    expect_nothing(model)
    reference = start.model.model.to(choose_device(training.device)).eval()
    remember, remembered = _remembered(asked, start) if asked.remember else (None, "")
    learning = PolicyLearning(
        model, reference, prompts, rewards, start.tokenizer, writing, method, training.batch, training.seed,
        training.micro_tokens, remember, asked.mix,
    )  # fmt: skip
    names = [reward.name for reward in rewards]
    rounds = max(1, round((training.epochs or 1) * len(prompts) / training.batch))

    def watch(step: Step, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        if step.number % learning.updates or learning.rollouts is None:
            return None
        figures = looks(learning.rollouts, names, method.samples) | {"price": learning.price}
        before = [line for line in lines if line["kind"] == "rollouts"]
        line = {"kind": "rollouts", "step": step.number + 1, "round": learning.round, **figures}
        judged = [each for each in lines if each["kind"] == "evaluation"]
        earlier = [each for each in judged if before and each["step"] <= before[-1]["step"]]
        known = (warnings(before[0], recent(before)) if before else {}) | overoptimised(earlier)
        now = recent([*before, line])
        found = warnings(before[0] if before else now, now) | overoptimised(judged)
        for about, sentence in found.items():
            if about not in known:
                start.tell(f"look at the responses: {sentence}")
        return line

    def figures() -> dict[str, Any]:
        if start.weights != "full" and VALUE in model.heads:
            del model.heads[VALUE]  # no adapter's file has a place for it, and nothing but training reads it
        return {"rewards": names, "sha256": [reward.sha256 for reward in rewards]}

    return Prepared(
        model=model,
        loss=learning.loss,
        feed=learning,
        steps=training.steps or rounds * learning.updates,
        learning_rate=start.learning_rate() / 8,
        fingerprint=_fingerprint(prompts, dev, remembered),
        evaluate=_judging(learning, dev[: asked.judged], judge) if dev else None,
        sample=lambda: _shown(learning),
        watch=watch,
        figures=figures,
        page=lambda lines: policy_page(method.kind, lines, names, start.model.directory.name),
        method=replace(  # type: ignore[arg-type]
            asked, sha256=tuple(reward.sha256 for reward in rewards), judge_sha256=judge.sha256 if judge else None
        ),
        notes=(*notes, *more),
        examples=len(prompts),
    )


def opened_rewards(asked: OnPolicy, start: Start) -> list[Reward]:
    """All of them, each as it was when the run began. A user's file is run only if ``start.named`` has it."""
    if not asked.rewards:
        raise SettingsError(
            "there is no reward: give at least one with --reward, such as gsm8k, regex=PATTERN, length=40, "
            "path/file.py:name or the folder of a reward model"
        )
    named = {_spelt(each): each for each in start.named if is_own(each)}
    if foreign := [given for spelt, given in named.items() if spelt not in map(_spelt, asked.rewards)]:
        raise SettingsError(
            f"{foreign[0]} is no reward of this run, which has {', '.join(asked.rewards)}: leave it out, or begin a "
            "new run with it"
        )
    found = []
    for number, given in enumerate(asked.rewards):
        recorded = asked.sha256[number] if asked.sha256 else None
        if is_own(given):
            if _spelt(given) not in named:
                raise SettingsError(
                    f"the run's reward {given} is a file of Python, which a run's folder never brings in by itself: "
                    f"name it again, with --reward {given}"
                )
            made = replace(own(named[_spelt(given)]), name=given) if recorded is None else _same(named, given, recorded)
        elif Path(weight_of(given)[1]).is_dir():
            made = _reward_model(given, start)
            check_unchanged(f"the reward {given}", made.sha256, recorded)
        else:
            made = built_in(given)
        found.append(made)
    return found


def _opened_judge(asked: OnPolicy, start: Start) -> Reward | None:
    """The one that the run was begun with."""
    if asked.judge is None:
        return None
    if start.dev is None:
        raise SettingsError("method.judge compares responses to prompts of dev: give --dev, or leave the judge out")
    made = _reward_model(asked.judge, start)
    check_unchanged(f"the judge {asked.judge}", made.sha256, asked.judge_sha256)
    return made


def _spelt(given: str) -> tuple[float, str]:
    """A user's reward without the folders that its file is in."""
    weight, rest = weight_of(given)
    return weight, rest.replace("\\", "/").rpartition("/")[2]


def _same(named: Mapping[tuple[float, str], str], given: str, recorded: str) -> Reward:
    """What a resumed run names again; a changed file is not run."""
    path = weight_of(named[_spelt(given)])[1].rpartition(":")[0]
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise SettingsError(f"the reward {given} cannot be read: {error.strerror}: give the path of its file") from None
    check_unchanged(f"the reward {given}", digest, recorded)
    return replace(own(named[_spelt(given)]), name=given)


def _reward_model(given: str, start: Start) -> Reward:
    """Each response judged as the reply to its prompt; less what the chosen replies that it learnt from were worth, as
    InstructGPT has it. Of an empty one it reads that the turn has ended."""
    weight, folder = weight_of(given)
    judge = open_reward_model(folder, str(choose_device(start.training.device)))
    end = min(judge.ends, default=None)
    if end is None:
        raise DataError(f"the reward model {folder} has no token that ends a reply: give its tokenizer an end token")

    def rows(asked: Sequence[Asked]) -> Iterator[list[int]]:
        for each in asked:
            if each.response.strip():
                yield judge.ids((*each.messages, Message("assistant", each.response)), each.place)
            else:
                yield [*judge.renderer.ids(each.messages), end]

    return Reward(
        given, weight, lambda asked: judge.token_rewards(list(rows(asked)), shifted=True), weights_digest(find(folder))
    )


def _end(start: Start, renderer: ChatRenderer) -> int | None:
    """The token that ends a response: of the template's turns, else the tokenizer's."""
    ends = renderer.turn_ends() or start.generation(renderer).ends
    return min(ends) if ends else None


def _prompts(
    name: str, path: Path, renderer: ChatRenderer, start: Start, wanted: OnPolicy
) -> tuple[list[PolicyPrompt], list[str]]:
    """All that leave room for a response, and what is to be said of the others."""
    limit, room = start.model.config.limit, wanted.max_tokens
    found: list[PolicyPrompt] = []
    empty: list[str] = []
    longest = 0
    chats = read_prompts(path, start.columns, start.format, empty if wanted.empty == "drop" else None)
    for located, row in chats:
        messages, place = located.example.prompt, located.place
        if not messages:
            raise DataError(f"{place}: the prompt is empty, so there is nothing to answer: remove this row")
        ids = tuple(renderer.ids(messages))
        longest = max(longest, len(ids))
        if limit is None or len(ids) + room <= limit:
            theirs = {ours: row[column] for ours, column in start.columns.items() if column in row}
            found.append(PolicyPrompt(ids, messages, {**row, **theirs}, place))
    told = left_out(name, "prompts", empty, len(chats) + len(empty), EMPTY)
    if not chats:
        raise DataError(f"no prompt of {name} can be answered: {''.join(told)}: give others")
    if not found:
        raise DataError(
            f"no prompt of {name} leaves room for {room} tokens in a context of {limit} (the longest has {longest}): "
            "lower method.max_tokens, or give shorter prompts"
        )
    dropped = len(chats) - len(found)
    said = f"{dropped} prompts of {name} leave no room for {room} tokens in a context of {limit}, and are left out"
    return found, told + ([said] if dropped else [])


def _remembered(asked: OnPolicy, start: Start) -> tuple[Callable[[int], Batch], str]:
    """Rows of text for each update, and the fingerprint of it all."""
    tokenizer, objective = start.tokenizer, Causal()
    if tokenizer.end is None:
        raise SettingsError("method.remember needs a tokenizer with an end token, which stands between documents")
    limit = start.model.config.limit
    length = asked.length if limit is None else min(asked.length, limit)
    mark = f"{source_fingerprint(asked.remember)} {tokenizer.fingerprint}"
    shards = write_shards(
        read_documents(asked.remember), tokenizer.encode_batch, tokenizer.end, tokenizer.vocab_size,
        start.folder / "remember", mark,
    )  # fmt: skip
    blocks = cut(shards, objective.layout(tokenizer, length))
    if len(blocks) < 1:
        raise DataError(f"method.remember has less than {length + 1} tokens of text: give more, or lower method.length")
    seed = start.training.seed

    def remember(number: int) -> Batch:
        draws = np.arange(number * asked.rows, (number + 1) * asked.rows)
        rows = blocks.rows(drawn(key(seed, "remember"), len(blocks), draws), draws)
        return objective.batch(rows, Draws(seed, draws), tokenizer)

    return remember, mark


def _judging(
    learning: PolicyLearning, prompts: Sequence[PolicyPrompt], judge: Reward | None
) -> Callable[[], dict[str, float]]:
    """Policy and reference answer the same prompts with the same random numbers; the reference does so once."""
    seed = key(learning.seed, "judging") >> 1
    beside: list[dict[str, list[float]]] = []

    def answers(model: Any) -> Texts:
        return written(model, [each.ids for each in prompts], range(len(prompts)), learning.writing, seed)

    def worth(texts: Texts) -> dict[str, list[float]]:
        """By the rewards together, and by the judge."""
        asked = learning.asked(texts, prompts)
        found = {"": total(learning.rewards, asked)[0]}
        return found if judge is None else found | {"judge_": checked(judge.name, judge.judge(asked), asked)}

    def evaluate() -> dict[str, float]:
        if not beside:
            beside.append(worth(answers(learning.reference)))
        texts = answers(learning.policy)
        here, _ = measured(learning.policy, texts, learning.writing)
        there, _ = measured(learning.reference, texts, learning.writing)
        found: dict[str, float] = {}
        for by, scores in worth(texts).items():
            found[f"{by}reward"] = float(np.mean(scores))
            found |= spread(f"{by}reward_difference", paired_t(scores, beside[0][by]))
            found |= spread(f"{by}win_rate", win_rate(scores, beside[0][by]))
        return found | spread("kl", mean_t((here - there).double().sum(dim=1).numpy())) | {
            "length": float(texts.lengths.double().mean()), "repeated": repeated(texts.responses()),
        }  # fmt: skip

    return evaluate


def _shown(learning: PolicyLearning) -> str:
    """The first responses of the round."""
    rollouts = learning.rollouts
    assert rollouts is not None
    said = [learning.tokenizer.decode(ids) for ids in rollouts.responses()[:: learning.settings.samples][:SHOWN]]
    rows = zip(said, rollouts.prompts[:: learning.settings.samples].tolist(), strict=False)
    worth = rollouts.scores[:: learning.settings.samples].tolist()
    return "\n".join(
        f"{learning.prompts[prompt].messages[-1].content} -> {text.strip()} (worth {value:.3g})"
        for (text, prompt), value in zip(rows, worth, strict=False)
    )


def _fingerprint(train: Sequence[PolicyPrompt], dev: Sequence[PolicyPrompt], remembered: str) -> str:
    digest = hashlib.sha256(remembered.encode())
    for part in (train, dev):
        digest.update(f"{len(part)}.".encode())
        for each in part:
            digest.update(repr((each.ids, sorted(each.example.items(), key=str))).encode())
    return digest.hexdigest()
