"""A prompt template with a model: what to write and how, or which of its choices fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trivium.errors import SettingsError
from trivium.evaluation.in_context import option_scores
from trivium.evaluation.scorer import Scorer
from trivium.generation.completion import Completion
from trivium.generation.sampling import Sampling
from trivium.metrics import lead
from trivium.text.few_shot import Case, Layout
from trivium.text.prompt_templates import PromptTemplate, prompt_template
from trivium.verbs.load import LanguageModel


@dataclass(frozen=True)
class Choice:
    """One of a template's choices. ``probability``: among them; ``log_probability``: of its tokens after the prompt."""

    text: str
    probability: float
    log_probability: float


def filled_template(
    template: str | Path | PromptTemplate, fill: Mapping[str, str] | None = None, prompt: object = None
) -> PromptTemplate:
    """The template with its blanks filled. A ``prompt`` beside it is refused."""
    if prompt is not None:
        raise SettingsError("a template is a prompt: give one of the two, and what goes into the template with fill")
    made = template if isinstance(template, PromptTemplate) else prompt_template(template)
    return made.filled(fill or {})


def sampled_as(template: PromptTemplate, sampling: Sampling, searching: bool = False) -> Sampling:
    """``sampling`` with the template's settings where it has the defaults, and its stops beside the user's; where a
    text is searched for, its stops alone."""
    plain = Sampling()
    names = () if searching else ("temperature", "top_k")
    changes = {name: getattr(template, name) for name in names if getattr(sampling, name) == getattr(plain, name)}
    return replace(sampling, **changes, stop=(*sampling.stop, *template.stop))


def kept(template: PromptTemplate, made: Sequence[Completion]) -> list[Completion]:
    """Of each text the sentences that the template keeps."""
    if not template.sentences:
        return list(made)
    return [replace(each, text=lead(each.text.strip(), template.sentences)) for each in made]


def choices_of(model: LanguageModel, template: PromptTemplate) -> list[Choice]:
    """The template's choices, the most probable first: decoding that is restricted to them."""
    case = Case("the template", {}, template.choices, template.choices[:1])
    prompt = template.text.rstrip(" ")
    scorer, layout = Scorer(model.model, model.tokenizer), Layout("", "{text} {answer}")
    (scores,), _ = option_scores(scorer, [case], [prompt], layout, "sum")
    shares = np.exp(scores - scores.max())
    found = [
        Choice(text, float(share), float(score))
        for text, share, score in zip(template.choices, shares / shares.sum(), scores, strict=True)
    ]
    return sorted(found, key=lambda choice: -choice.probability)


def expected(template: PromptTemplate, text: str) -> list[str]:
    """A sentence on each of the words that the template expects in an answer."""
    found = []
    for word in template.expects:
        there = word.casefold() in text.casefold()
        found.append(f"the text {'uses' if there else 'does not use'} {word!r}")
    return found
