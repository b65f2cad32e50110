"""What two readers of one model are given: fixed texts of several kinds, and tokens at random."""

import random
from dataclasses import dataclass

from trivium.tokenizers import Tokenizer
from trivium.transformer import Config

TEXTS = (
    "The bridge was closed in 1987, and nobody could say when it would be opened again.",
    "\"You can't be serious,\" she said; he wasn't, of course, but it cost him $3.50.",
    "def area(width: float, height: float) -> float:\n    return width * height  # in m^2\n",
    "for (int i = 0; i < n; ++i) { total += x[i] * y[i]; }",
    "Der Zug nach Köln fährt heute außerplanmäßig von Gleis 7, also beeilt euch.",
    "L'été, où l'on dîne dehors, finit déjà : quel dommage !",
    "Сегодня ночью выпал первый снег, и город стал тише.",
    "今日は雨が降っています。明日は晴れるでしょう。",
    "الكتاب على الطاولة، والقلم بجانبه.",
    "Emoji 🙂 and ½ of a naïve café — plus   three spaces.",
)
LONGEST = 32  # tokens of a row
RANDOM_ROWS = 2


@dataclass(frozen=True)
class Row:
    """What one pass reads: ``ids``, and the decoder's ``target`` where there is an encoder beside it."""

    ids: list[int]
    target: list[int] | None = None


def rows_for(tokenizer: Tokenizer, config: Config) -> list[Row]:
    """The texts as the tokenizer cuts them, control tokens included, and rows of random tokens; none is longer than the
    model's context."""
    most = min(LONGEST, config.context)
    found = [_encoded(tokenizer, text, most) for text in TEXTS]
    ordinary = [number for number in range(tokenizer.vocab_size) if number not in tokenizer.controls]
    draw = random.Random(0)
    found += [[draw.choice(ordinary) for _ in range(most)] for _ in range(RANDOM_ROWS)]
    found = [ids for ids in found if ids]
    if not (config.encoder_layers and config.decoder_layers):
        return [Row(ids) for ids in found]
    start = config.start_token if config.start_token is not None else config.pad_token
    return [Row(ids, [start, *reversed(ids)][: max(1, most // 2)]) for ids in found]


def spoken(tokenizer: Tokenizer) -> int:
    """A token that is text by itself, not part of a character, and ends nothing."""
    ordinary = (number for number in range(tokenizer.vocab_size) if number not in tokenizer.controls)
    return next((number for number in ordinary if tokenizer.decode([number]).strip().isalpha()), 0)


def _encoded(tokenizer: Tokenizer, text: str, most: int) -> list[int]:
    ids = tokenizer.encode(text, specials=True).ids
    after = list(tokenizer.layout().after)
    return ids if len(ids) <= most else [*ids[: most - len(after)], *after]
