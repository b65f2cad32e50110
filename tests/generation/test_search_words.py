"""Banned and forced words in beam search: against `transformers`, and against the enumeration of all texts."""

from functools import cache
from itertools import product
from pathlib import Path

import pytest
from tests.generation.search_oracles import (
    END,
    Tiny,
    V,
    after,
    opened,
    prompts_for,
    reference,
    rows_of,
    theirs,
    words,
)

from trivium.errors import SettingsError
from trivium.generation.prompts import Prompt
from trivium.generation.search import Search, search
from trivium.generation.wording import Wording, going_on, still_to_come


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "bart"])
def test_banned_words_are_left_out_as_by_the_reference(kind: str, tmp_path: Path) -> None:
    model, rows = reference(kind, 3), rows_of(3)
    ours, settings = opened(model, tmp_path), Search(3, 10, 0.6)
    prompts = prompts_for(ours, rows)
    free = [best[0].tokens for best in search(ours, prompts, settings, frozenset({END}), V)]
    one, (first, second) = next(t for t in free[0] if t != END), next(t for t in free[1:] if len(t) > 4)[2:4]
    banned = ((one,), (first, second), (5, 6, 7))
    out = theirs(model, rows, (END,), bad_words_ids=[list(each) for each in banned], **words(settings))
    start = 1 if model.config.is_encoder_decoder else max(map(len, rows))
    found = search(ours, prompts, settings, frozenset({END}), V, words=Wording(banned=banned))
    for row, best, before in zip(out.sequences[:, start:].tolist(), found, free, strict=True):
        assert tuple(row[: len(best[0].tokens)]) == best[0].tokens and set(row[len(best[0].tokens) :]) <= {END}
        assert one not in best[0].tokens and (best[0].tokens != before or one not in before)
    assert [best[0].tokens for best in found] != free


FORCED = (((3, 2),), ((0,), (2, 0)))  # the second word may be spelt in two ways


def holds(tokens: tuple[int, ...], word: tuple[tuple[int, ...], ...]) -> bool:
    return any(tokens[at : at + len(one)] == one for one in word for at in range(len(tokens)))


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_of_all_texts_with_the_forced_words(penalty: float, tiny: Tiny) -> None:
    model, prompt, length = tiny(decoder=2, vocab=4, context=8), Prompt((2, 3)), 5
    chances = cache(lambda tokens: after(model, prompt, tokens))
    scores: dict[tuple[int, ...], float] = {}
    for text in product(range(4), repeat=length):
        tokens = text[: text.index(END) + 1] if END in text else text
        if tokens not in scores and all(holds(tokens, word) for word in FORCED):
            total = sum(chances(tokens[:at])[tokens[at]] for at in range(len(tokens)))
            scores[tokens] = total / len(tokens) ** penalty
    ranked = sorted(scores, key=lambda tokens: -scores[tokens])
    settings = Search(400, length, penalty, "never")
    found = search(model, [prompt], settings, frozenset({END}), 4, words=Wording(forced=FORCED))[0]
    assert [each.tokens for each in found] == ranked and len(ranked) > 40
    assert [each.score for each in found] == pytest.approx([scores[tokens] for tokens in ranked], rel=1e-4)
    narrow = search(model, [prompt], Search(2, length, penalty), frozenset({END}), 4, words=Wording(forced=FORCED))[0]
    assert narrow[0].tokens in ranked and narrow[0].score <= found[0].score + 1e-6


@pytest.mark.parametrize("beams", [2, 3, 6])
def test_forced_words_come_in_time_however_few_the_beams(beams: int, tiny: Tiny) -> None:
    model, ends = tiny(decoder=2), frozenset(range(20, 40))
    forced = (((4, 5), (6,)), ((4, 8, 9),), ((50,),))
    prompts = [Prompt((5, 9, 2)), Prompt((7,)), Prompt((3, 3, 60, 11, 4, 8, 1))]
    lengths = set()
    for most in (6, 7, 12):
        settings = Search(beams, most, no_repeat_ngram=0)
        found = search(model, prompts, settings, ends, 64, words=Wording(forced=forced))
        alone = search(model, prompts[1:2], settings, ends, 64, words=Wording(forced=forced))
        assert [each.tokens for each in alone[0]] == [each.tokens for each in found[1]]
        for prompt, best in zip(prompts, found, strict=True):
            for each in best:
                assert all(holds(each.tokens, word) for word in forced), each.tokens
                chances = [after(model, prompt, each.tokens[:at])[token] for at, token in enumerate(each.tokens)]
                assert each.total == pytest.approx(sum(chances), rel=1e-4)
                lengths.add(len(each.tokens))
    assert len(lengths) > 2
    with pytest.raises(SettingsError, match="forced words take 6 tokens, and there is room for 5"):
        search(model, prompts, Search(beams, 5), ends, 64, words=Wording(forced=forced))


def test_of_missing_words_what_comes_next() -> None:
    missing = (((4, 5), (6, 1)), ((4, 8, 9),))
    assert (still_to_come(missing, (2,)), going_on(missing, (2,))) == (5, {4})
    assert (still_to_come(missing, (2, 4)), going_on(missing, (2, 4))) == (4, {5, 8})
    assert (still_to_come(missing, (4, 8)), going_on(missing, (4, 8))) == (3, {4, 9})
    assert (still_to_come(missing, (6,)), going_on(missing, (6,))) == (4, {4, 1})
    assert (still_to_come((), (6,)), going_on((), (6,))) == (0, set())
