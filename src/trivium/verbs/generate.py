"""``trivium generate``: texts from prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from trivium.errors import SettingsError
from trivium.generation.completion import Completion
from trivium.generation.constraints import schema_text
from trivium.generation.contrastive import Contrastive
from trivium.generation.sampling import Sampling
from trivium.generation.search import EarlyStopping, Search
from trivium.verbs.load import LanguageModel, Precision, load
from trivium.verbs.templates import choices_of, filled_template, kept, sampled_as


def generate(
    model: str | Path | LanguageModel,
    prompt: str | Sequence[str] | None = None,
    *,
    template: str | Path | None = None,
    fill: Mapping[str, str] | None = None,
    max_tokens: int | None = None,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 0.95,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    seed: int = 0,
    stop: str | Sequence[str] = (),
    samples: int = 1,
    min_tokens: int | None = None,
    no_repeat_ngram: int | None = None,
    beams: int | None = None,
    length_penalty: float | None = None,
    early_stopping: EarlyStopping | None = None,
    json_schema: str | Mapping[str, object] | None = None,
    regex: str | None = None,
    choices: Sequence[str] = (),
    contrastive: float | None = None,
    draft: str | Path | LanguageModel | None = None,
    draft_tokens: int = 4,
    typical_p: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    logit_bias: Mapping[str, float] | Mapping[int, float] | None = None,
    banned_words: str | Sequence[str] = (),
    forced_words: str | Sequence[str] = (),
    top_log_probabilities: int = 0,
    best_of: int | None = None,
    precision: Precision = "float32",
    device: str = "auto",
) -> list[Completion]:
    """``samples`` texts for each prompt, by prompt and then by sample. ``temperature=0`` is greedy.

    The settings are those of ``Sampling``, or with ``beams`` those of ``Search``; what is left out is then as the
    model's makers published it (``generation_config.json``). The same model, prompt, settings and seed give the same
    text, whatever else is asked for beside it. ``json_schema``, ``regex`` or ``choices`` prescribe the text's form.
    ``contrastive`` is the penalty of contrastive search, with ``top_k`` candidates. ``draft``: a smaller model of the
    same tokenizer, for speculative decoding. ``best_of``: so many are written, and the ``samples`` with the highest
    mean log-probability are given, the best first.

    ``template``: the name or file of a prompt with blanks (``text/prompt_templates.py``), which ``fill`` fills;
    settings that are left at their defaults are then the template's. One with choices gives the most probable one.
    """
    sampled = Sampling(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repetition_penalty=repetition_penalty,
        seed=seed, stop=(stop,) if isinstance(stop, str) else tuple(stop), json_schema=schema_text(json_schema),
        regex=regex, choices=tuple(choices), typical_p=typical_p, presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty,
        logit_bias=tuple(f"{token}={bias}" for token, bias in (logit_bias or {}).items()),
        banned_words=(banned_words,) if isinstance(banned_words, str) else tuple(banned_words),
        forced_words=(forced_words,) if isinstance(forced_words, str) else tuple(forced_words),
        top_log_probabilities=top_log_probabilities,
    )  # fmt: skip
    loaded = load(model, precision=precision, device=device)
    made = None if template is None else filled_template(template, fill, prompt)
    if made is not None:
        if made.choices:
            best = choices_of(loaded, made)[0]
            return [Completion(0, 0, best.text, "stop", (), (), best.log_probability)]
        prompt, sampled = made.text, sampled_as(made, sampled, beams is not None or contrastive is not None)
        max_tokens = made.max_tokens if max_tokens is None else max_tokens
    elif fill or prompt is None:
        raise SettingsError("there is nothing to go on from: give a prompt, or a template and what fills it")
    assert prompt is not None
    settings = settings_of(
        loaded, sampled, beams=beams, max_tokens=max_tokens, min_tokens=min_tokens, no_repeat_ngram=no_repeat_ngram,
        length_penalty=length_penalty, early_stopping=early_stopping, contrastive=contrastive,
    )  # fmt: skip
    drafting = None if draft is None else load(draft, precision=precision, device=device)
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    found = loaded.complete(prompts, settings, samples, drafting, draft_tokens, best_of)
    return found if made is None else kept(made, found)


def settings_of(
    model: LanguageModel, sampling: Sampling, *, beams: int | None, max_tokens: int | None, min_tokens: int | None,
    no_repeat_ngram: int | None, length_penalty: float | None, early_stopping: EarlyStopping | None,
    contrastive: float | None = None,
) -> Sampling | Search | Contrastive:  # fmt: skip
    """``sampling`` with the settings given, or the model's beam search with them where beams are asked for, or
    contrastive search where its penalty is given."""
    text = {"max_tokens": max_tokens, "min_tokens": min_tokens, "no_repeat_ngram": no_repeat_ngram}
    ranking = {"length_penalty": length_penalty, "early_stopping": early_stopping}
    given = {name: value for name, value in text.items() if value is not None}
    ranked = {name: value for name, value in ranking.items() if value is not None}
    shared = ("stop", "banned_words", "forced_words")
    words = {name: getattr(sampling, name) for name in shared}
    if beams is None:
        if ranked:
            raise SettingsError(f"{next(iter(ranked))} is a setting of beam search: say how many beams too")
        if contrastive is None:
            return replace(sampling, **given)  # type: ignore[arg-type]
        _refuse_drawing(sampling, "contrastive search", ("repetition_penalty", "top_k", *shared))
        candidates = sampling.top_k or Contrastive().candidates
        own = Contrastive(100, candidates, contrastive, sampling.repetition_penalty, **words)
        return replace(own, **given)  # type: ignore[arg-type]
    if contrastive is not None:
        raise SettingsError("beams and contrastive are two ways to search: leave out one")
    _refuse_drawing(sampling, "beam search", ("repetition_penalty", *shared))
    if sampling.repetition_penalty != 1:
        given["repetition_penalty"] = sampling.repetition_penalty  # type: ignore[assignment]
    published = model.search
    least = min(published.min_tokens, given.get("max_tokens", published.min_tokens))  # the caller's limit goes first
    changes = {"min_tokens": least, **given, **ranked}
    return replace(published, beams=beams, **words, **changes)  # type: ignore[arg-type]


def _refuse_drawing(sampling: Sampling, search: str, shared: Sequence[str]) -> None:
    """Of the settings of sampling only those that are ``shared`` may be given."""
    for each in fields(Sampling):
        if each.name not in shared and getattr(sampling, each.name) != getattr(Sampling(), each.name):
            raise SettingsError(f"{each.name} is a setting of sampling, and {search} draws nothing: leave out one")
