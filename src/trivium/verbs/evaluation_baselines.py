"""The simple methods that a suite's figures should be held against, on the same rows: the most frequent label, a bag of
words, each word's most frequent tag, the first sentences, an n-gram model.

They learn from the training examples of the suite's own format; a tenth of them, every tenth, chooses the bag of words'
settings. The lead of a text needs none.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation.classification import Classification
from trivium.evaluation.detokenising import DETOKENISERS
from trivium.evaluation.language_modelling import LanguageModelling, figures, read_text
from trivium.evaluation.suite import Baseline, Item, LabelledSuite
from trivium.evaluation.tagging import Tagging
from trivium.evaluation.texts import Summaries
from trivium.generation.score import Score as TokenScore
from trivium.lab.baselines import bag_of_words, majority
from trivium.lab.ngrams import train_ngrams
from trivium.text.examples import Labelled
from trivium.text.fields import Columns
from trivium.tokenizers import Tokenizer

LONGEST = 4  # n-grams
WINDOW = 512  # tokens, for the n-gram model's interval


def labelled_baselines(
    suite: LabelledSuite, items: Sequence[Item], train: Path | None, columns: Columns, format: str | None
) -> tuple[Baseline, ...]:
    """Those that the suite has; without training examples the first sentences alone."""
    lead = (suite.lead(items),) if isinstance(suite, Summaries) else ()
    if train is None:
        return lead
    known = suite.read(train, columns, format).items
    if not known:
        raise DataError(f"{train} has no row with what is true in it: the baselines learn from such rows")
    if isinstance(suite, Classification):
        return _of_labels(suite, known, items)
    if isinstance(suite, Tagging):
        return (_of_tags(suite, known, items),)
    if lead:
        return lead
    raise SettingsError("this suite has no baseline that learns from examples: leave out --baselines")


def language_baselines(
    suite: LanguageModelling, tokenizer: Tokenizer, data: Path, train: Path, limit: int | None
) -> tuple[Baseline, ...]:
    """A Kneser-Ney model of the same tokens, learnt from a training text."""
    detokenise = DETOKENISERS[suite.normalisation]
    text, _ = read_text(data, limit)
    known = np.asarray(tokenizer.encode(detokenise(read_text(train, None)[0])).ids, np.int64)
    tokens = np.asarray(tokenizer.encode(detokenise(text)).ids, np.int64)
    model = train_ngrams(known, tokenizer.vocab_size, LONGEST)
    costs = model.log_probabilities(tokens)
    parts = [
        TokenScore(tuple(costs[start : start + WINDOW].tolist()), False) for start in range(0, len(costs), WINDOW)
    ]
    return (Baseline(f"Kneser-Ney {LONGEST}-grams", figures(parts, suite.sizes(text))),)


def _of_labels(suite: Classification, train: Sequence[Item], items: Sequence[Item]) -> tuple[Baseline, ...]:
    known, asked = [_labelled(item) for item in train], [_labelled(item) for item in items]
    most = majority(known, asked)
    found = [Baseline(most.name, suite.score(items, most.predicted).scores, most.chosen)]
    dev = known[::10]
    rest = [each for place, each in enumerate(known) if place % 10]
    if len({each.label for each in rest}) > 1:
        words = bag_of_words(rest, dev, asked)
        found.append(Baseline(words.name, suite.score(items, words.predicted).scores, words.chosen))
    return tuple(found)


def _labelled(item: Item) -> Labelled:
    return Labelled(" ".join(str(item.row[name]) for name in ("text", "text2") if name in item.row), item.gold)


def _of_tags(suite: Tagging, train: Sequence[Item], items: Sequence[Item]) -> Baseline:
    """Each word's most frequent tag; an unknown word's is that of words seen once."""
    by_word: dict[str, Counter[str]] = {}
    for item in train:
        words = item.row["words"]
        assert isinstance(words, list)
        for word, tag in zip(words, item.gold, strict=True):
            by_word.setdefault(word, Counter())[tag] += 1
    chosen = {word: min(counts, key=lambda tag: (-counts[tag], tag)) for word, counts in by_word.items()}
    rare = Counter(chosen[word] for word, counts in by_word.items() if counts.total() == 1) or Counter(chosen.values())
    other = min(rare, key=lambda tag: (-rare[tag], tag))
    said = []
    for item in items:
        words = item.row["words"]
        assert isinstance(words, list)
        said.append(tuple(chosen.get(word, other) for word in words))
    return Baseline("most frequent tag of each word", suite.score(items, said).scores, f"unknown: {other}")

