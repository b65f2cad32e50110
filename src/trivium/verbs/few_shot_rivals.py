"""What stands beside examples in a prompt: the same task told in words to a model that follows instructions, and a copy
of the model fine-tuned on the same examples, whole or by adapters."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import Any

from trivium.errors import SettingsError
from trivium.evaluation import Scorer
from trivium.evaluation.in_context import (
    Asked,
    InContext,
    Said,
    option_said,
    option_scores,
    sampling_of,
    text_hits,
    written,
)
from trivium.families.chat_template import find_template
from trivium.generation.conversation import Conversation
from trivium.tasks import TASKS, Classified, Rewriting, SequenceClassification
from trivium.text.chat_templates import ChatTemplate
from trivium.text.chats import Message
from trivium.verbs.few_shot_data import FewShotData
from trivium.verbs.load import LanguageModel
from trivium.verbs.tuning import FineTuning, fit

BESIDE = {"instruction": "instruction", "finetune": "fine-tuning", "lora": "LoRA"}
STEPS, BATCH = 40, 8  # of a fine-tuning on a handful of examples, where nothing else is said


def instructed(model: LanguageModel, scorer: Scorer, read: FewShotData, settings: InContext) -> Asked:
    """Every question as a message of the user, in the model's own chat template; no examples."""
    template = find_template(model.directory)
    if template is None:
        raise SettingsError(
            f"{model.directory} has no chat template, so it follows no instructions: leave instruction out of beside"
        )
    talk = Conversation(model.model, model.tokenizer, ChatTemplate(template), files=model.generation)
    prompts = []
    for case in read.rows:
        talk.messages = [Message("user", read.layout.prompt((), case.fields))]
        prompts.append(tuple(talk.ids()))
    if written(read.rows, settings):
        made, cut = replace(scorer, files=talk.files).write(prompts, sampling_of(read.layout, settings, read.rows))
        said = [
            Said(case.place, one.text.strip(), exp(sum(one.log_probabilities)), 0, text_hits(case, one.text.strip()))
            for case, one in zip(read.rows, made, strict=True)
        ]
        return Asked(tuple(said), cut)
    values, cut = option_scores(scorer, read.rows, prompts, read.layout, settings.score)
    return Asked(tuple(option_said(case, row, 0) for case, row in zip(read.rows, values, strict=True)), cut)


def tuned_on(
    model: LanguageModel, read: FewShotData, numbers: Sequence[int], method: str, tuning: FineTuning, draw: int,
    longest: int,
) -> Asked:  # fmt: skip
    """A copy learns from these examples of the pool, and answers the rows; ``longest``: tokens of what is written."""
    if read.kind == "answers":
        raise SettingsError("free answers to questions are not what fine-tuning learns here: leave beside out")
    task: Any = Rewriting(target_length=longest) if read.kind == "rewriting" else TASKS[read.kind]()
    if isinstance(task, SequenceClassification):
        task = replace(task, labels=read.labels)  # a draw may lack one
    settings = replace(
        tuning, method="full" if method == "finetune" else "lora", seed=tuning.seed + draw,
        batch=min(tuning.batch, BATCH, len(numbers)),
        steps=STEPS if tuning.steps is None and tuning.epochs is None else tuning.steps,
    )  # fmt: skip
    examples = [read.pool_examples[i] for i in numbers]
    fitted = fit(model.model, model.tokenizer, task, examples, None, settings, published=model.family.heads)
    answers = fitted.tuned.predict(list(read.row_examples))
    return Asked(tuple(_answered(read, i, each, len(numbers)) for i, each in enumerate(answers)))


def _answered(read: FewShotData, row: int, answer: Any, shown: int) -> Said:
    case = read.rows[row]
    if isinstance(answer, Classified):
        hit = {"accuracy": float(answer.label == case.label)}
        return Said(case.place, read.words[answer.label], answer.probabilities[answer.label], shown, hit)
    if read.kind == "choices":
        hit = {"accuracy": float(answer.index == case.gold)}
        return Said(case.place, answer.choice, answer.probabilities[answer.index], shown, hit)
    return Said(case.place, answer.output or "", answer.probability, shown, text_hits(case, answer.output or ""))
