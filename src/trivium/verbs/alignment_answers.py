"""What a model answers to conversations while it is aligned, and how near that is to the answers that are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivium.families.generation_config import GenerationConfig
from trivium.generation.completion import stream_rows
from trivium.generation.prompts import Prompt
from trivium.generation.sampling import Sampling
from trivium.metrics.rouge import rouge
from trivium.text.chats import Chat
from trivium.tokenizers.chats import ChatRenderer
from trivium.transformer import Network

ROOM = 16  # tokens of an answer that there has to be room for
AT_ONCE = 16  # conversations that are answered side by side
GREEDY = Sampling(max_tokens=96, temperature=0)


@dataclass(frozen=True)
class Answer:
    """``ended``: the model ended it, before it had written as much as it may."""

    text: str
    ended: bool
    tokens: int


def answered(
    model: Network, renderer: ChatRenderer, files: GenerationConfig, chats: Sequence[Chat],
    sampling: Sampling = GREEDY,
) -> list[Answer]:  # fmt: skip
    """To the prompt of each conversation. ``files``: where a reply ends."""
    prompts = [Prompt(tuple(renderer.ids(chat.prompt))) for chat in chats]
    found = []
    for at in range(0, len(prompts), AT_ONCE):
        part = prompts[at : at + AT_ONCE]
        texts, ends, counts = [""] * len(part), [False] * len(part), [0] * len(part)
        for piece in stream_rows(model, renderer.tokenizer, part, sampling, files=files):
            texts[piece.prompt] += piece.text
            ends[piece.prompt] |= piece.finish == "end"
            counts[piece.prompt] += piece.token is not None
        told = zip(texts, ends, counts, strict=True)
        found += [Answer(text.strip(), ended, tokens) for text, ended, tokens in told]
    return found


def answerable(model: Network, renderer: ChatRenderer, chats: Sequence[Chat]) -> list[Chat]:
    """Those whose prompts leave room for an answer in the model's context."""
    limit = model.config.limit
    return [chat for chat in chats if limit is None or len(renderer.ids(chat.prompt)) + ROOM <= limit]


def nearness(answers: Sequence[Answer], chats: Sequence[Chat]) -> dict[str, float]:
    """ROUGE-L of the answers against the known ones (F1, 0 to 1), the share that the model ended, and their tokens."""
    known = [(answer.text, chat.reply) for answer, chat in zip(answers, chats, strict=True)]
    scored = [(text, reply) for text, reply in known if reply is not None]
    found = {"rougeL": rouge([text for text, _ in scored], [reply for _, reply in scored])["rougeL"]} if scored else {}
    ended, tokens = ([float(getattr(answer, name)) for answer in answers] for name in ("ended", "tokens"))
    return {**found, "ended": float(np.mean(ended)), "tokens": float(np.mean(tokens))}
