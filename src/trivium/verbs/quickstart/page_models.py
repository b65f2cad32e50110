"""What each of the three models does with a text, and where the encoder looks."""

import math
from collections.abc import Sequence

from trivium.generation.sampling import Sampling
from trivium.lab.report import (
    Sample,
    Section,
    Token,
    blanks,
    fills,
    note,
    prose,
    samples,
)
from trivium.tokenizers import Tokenizer
from trivium.verbs.inspect import inspect_text
from trivium.verbs.load import LanguageModel
from trivium.verbs.quickstart.stations import Trained
from trivium.verbs.quickstart.story import BLANK, Story
from trivium.views.attention_picture import attention_picture

_SAMPLING = Sampling(max_tokens=48, temperature=0.7, top_p=0.9, seed=1)


def encoder_section(story: Story, trained: Trained, model: LanguageModel) -> Section:
    boxes = []
    for sentence, answer in story.sentences:
        filling = model.fill(sentence, top=5)
        before, after = sentence.split(BLANK, 1)
        guesses = [(c.text, c.probability) for c in filling.blanks[0].candidates]
        boxes.append(fills(before, after, guesses, answer))
    return Section(
        "The encoder fills blanks",
        [prose(f"{trained.station.does} {trained.station.expect}"), blanks(boxes)],
        kicker="Use: fill",
    )


def decoder_section(story: Story, trained: Trained, model: LanguageModel) -> Section:
    boxes = []
    for prompt, completion in zip(story.prompts, model.complete(story.prompts, _SAMPLING), strict=True):
        written = zip(texts(model.tokenizer, completion.tokens), completion.log_probabilities, strict=False)
        tokens = [Token(prompt), *(Token(text, math.exp(logp)) for text, logp in written)]
        boxes.append(Sample(f"after “{prompt.strip()}”", tokens))
    return Section(
        "The decoder goes on writing",
        [prose(f"{trained.station.does} {trained.station.expect}"), samples(boxes)],
        kicker="Use: generate",
    )


def encoder_decoder_section(story: Story, trained: Trained, model: LanguageModel) -> Section:
    boxes = []
    for sentence, answer in story.sentences[:2]:
        filling = model.fill(sentence, top=3)
        before, after = sentence.split(BLANK, 1)
        guesses = [(c.text if c.text.strip() else repr(c.text), c.probability) for c in filling.blanks[0].candidates]
        boxes.append(fills(before, after, guesses, answer))
    return Section(
        "The encoder-decoder writes missing spans",
        [
            prose(f"{trained.station.does} {trained.station.expect}"),
            blanks(boxes),
            note(
                "A span may have any length; its probability is the product over its tokens, so the numbers are small."
            ),
        ],
        kicker="Use: fill, spans",
    )


def attention_section(story: Story, model: LanguageModel) -> Section:
    sentence = (
        story.sentences[0][0].replace(BLANK, story.sentences[0][1] or "True") if story.sentences else story.excerpt
    )
    sentence = " ".join(sentence.split()[:14])
    return Section(
        "Where the encoder looks",
        [
            prose(
                "Each row is a token that looks, each column one that it looks at; a row sums to 1. Choose a layer "
                "and a head. Weights say where a head reads from, not why the model decides."
            ),
            attention_picture(inspect_text(model, sentence).attention),
        ],
        kicker="Inside",
    )


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return texts(tokenizer, tokenizer.encode(text).ids)


def texts(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    return [tokenizer.decode([int(i)]) for i in ids]
