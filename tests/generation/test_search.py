"""Beam search: equal to ``transformers.generate`` token for token and score for score, to a slow search by hand, and to
the enumeration of all texts. Greedy and sampled texts of every family that writes, against the same reference."""

import random
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from scipy import stats
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

from trivium.errors import SettingsError, TriviumError
from trivium.families import FAMILIES
from trivium.generation.engine import run
from trivium.generation.prompts import Prompt
from trivium.generation.rules import Forced
from trivium.generation.sampling import Sampling
from trivium.generation.search import Search, search
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.transformer import Network

KINDS = ["gpt1", "gpt2", "llama", "qwen2", "t5", "t5-gated", "bart"]


def test_every_family_that_writes_is_compared() -> None:
    """XLNet's texts are in a file of their own, families without a counterpart are searched by hand below."""
    encoders = {"bert", "roberta", "distilbert"}
    written = {family.hf_type for family in FAMILIES.values()} - encoders - {"trivium", "xlnet"}
    assert {reference(kind, 0).config.model_type for kind in KINDS} == written


def drawn(draw: random.Random, both: bool) -> tuple[Search, dict[str, int], tuple[int, ...]]:
    settings = Search(
        draw.choice([2, 3, 5]), draw.choice([1, 9, 14]), draw.choice([-1.0, 0.0, 0.6, 1.0, 2.0]),
        draw.choice([False, True, "never"]), draw.choice([0, 0, 1]), draw.choice([0, 0, 2, 3]),
        draw.choice([1.0, 1.0, 1.3]),
    )  # fmt: skip
    forced = draw.choice([{}, {"forced_eos_token_id": END}, {"forced_bos_token_id": 4, "forced_eos_token_id": END}])
    return settings, forced if both else {}, draw.choice([(END,), (END, 7, 9), (END, 7, 9, 11, 13, 15)])


def compare(kind: str, seeds: range, folder: Path) -> tuple[int, int]:
    """How many texts were compared, and how many of them the model ended itself."""
    texts = ended = 0
    for seed in seeds:
        model, draw = reference(kind, seed), random.Random(seed)
        ours, rows = opened(model, folder / f"{kind}-{seed}"), rows_of(seed)
        settings, forced, ends = drawn(draw, model.config.is_encoder_decoder)
        count = draw.randint(1, settings.beams)
        out = theirs(model, rows, ends, num_return_sequences=count, **forced, **words(settings))
        found = search(
            ours, prompts_for(ours, rows), settings, frozenset(ends), V,
            Forced(forced.get("forced_bos_token_id"), forced.get("forced_eos_token_id")),
        )  # fmt: skip
        start = 1 if model.config.is_encoder_decoder else max(map(len, rows))
        for prompt, best in enumerate(found):
            for sample, each in enumerate(best[:count]):
                row = out.sequences[prompt * count + sample, start:].tolist()
                assert tuple(row[: len(each.tokens)]) == each.tokens, (kind, seed, settings, forced)
                assert set(row[len(each.tokens) :]) <= {END}
                expected = float(out.sequences_scores[prompt * count + sample])
                assert each.score == pytest.approx(expected, rel=1e-4, abs=1e-4)
                texts, ended = texts + 1, ended + (each.finish == "end")
    return texts, ended


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_reference_token_for_token_and_score_for_score(kind: str, tmp_path: Path) -> None:
    texts, ended = compare(kind, range(8), tmp_path)
    assert texts > 20 and texts * 0.1 < ended < texts


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_reference_on_many_seeds(kind: str, tmp_path: Path) -> None:
    compare(kind, range(100, 300), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_follows_the_same_rules_as_the_reference(kind: str, tmp_path: Path) -> None:
    both = kind == "bart"
    forced = {"forced_bos_token_id": 4, "forced_eos_token_id": END} if both else {}
    for seed in range(8):
        model = reference(kind, seed)
        ours, rows = opened(model, tmp_path / str(seed)), rows_of(seed)
        start = 1 if model.config.is_encoder_decoder else max(map(len, rows))
        settings = Search(1, 12, min_tokens=seed % 4, no_repeat_ngram=seed % 2 * 2)
        settings = replace(settings, repetition_penalty=1 + 0.2 * (seed % 2))
        sequences = theirs(model, rows, (END,), **forced, **words(settings)).sequences
        found = run(
            ours, prompts_for(ours, rows), settings.greedy, frozenset({END}), V, Forced(4, END) if both else Forced()
        )
        for row, each in zip(sequences[:, start:].tolist(), found, strict=True):
            tokens = (*each.tokens, END) if each.finish == "end" else each.tokens
            assert (tuple(row[: len(tokens)]), set(row[len(tokens) :]) - {END}) == (tokens, set())


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_texts_are_distributed_as_the_references(kind: str, tmp_path: Path) -> None:
    """Two tokens after one prompt, 2000 times by each: a chi-square test of whether both draw from one distribution."""
    model, (row, *_), count = reference(kind, 5), rows_of(5), 2000
    ours = opened(model, tmp_path)
    both = model.config.is_encoder_decoder
    with torch.no_grad():
        out = model.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), do_sample=True,
            temperature=0.9, top_k=12, top_p=0.9, max_new_tokens=2, num_return_sequences=count, pad_token_id=END,
            eos_token_id=[END],
        )  # fmt: skip
    expected = Counter(tuple(each[1 if both else len(row) :]) for each in out.tolist())
    prompts = [replace(prompt, sample=n) for n in range(count) for prompt in prompts_for(ours, [row])]
    found = Counter(
        (*each.tokens, *[END] * (2 - len(each.tokens)))
        for each in run(ours, prompts, Sampling(2, 0.9, 12, 0.9), frozenset({END}), V)
    )
    assert set(found) & set(expected) and len(expected) > 5
    common = [text for text in expected | found if expected[text] + found[text] >= 10]
    table = [[seen[text] for text in common] for seen in (expected, found)]
    rest = [count - sum(line) for line in table]
    if sum(rest) >= 10:
        table = [[*line, more] for line, more in zip(table, rest, strict=True)]
    assert stats.chi2_contingency(table).pvalue > 1e-3


Text = tuple[tuple[int, ...], float]  # tokens and the sum of their log-probabilities


def by_hand(model: Network, prompt: Prompt, settings: Search, end: int) -> list[Text]:
    """The definition, slowly: the finished texts with their scores, by falling score."""
    live: list[Text] = [((), 0.0)]
    finished: list[Text] = []
    for length in range(1, settings.max_tokens + 1):
        grown = sorted(
            (((*tokens, token), total + chance) for tokens, total in live
             for token, chance in enumerate(after(model, prompt, tokens))
             if token != end or length > settings.min_tokens),
            key=lambda each: -each[1],
        )  # fmt: skip
        over = length == settings.max_tokens
        finished += [
            (tokens, total / length**settings.length_penalty)
            for tokens, total in grown[: settings.beams] if tokens[-1] == end or over
        ]  # fmt: skip
        finished = sorted(finished, key=lambda each: -each[1])[: settings.beams]
        live = [each for each in grown if each[0][-1] != end][: settings.beams]
        best = live[0][1] / length**settings.length_penalty
        full = len(finished) == settings.beams
        if over or full and (settings.early_stopping is True or best <= finished[-1][1]):
            break
    return finished


def recurrent(cell: str, encoder: int, seed: int) -> Network:
    config = RecurrentConfig(
        vocab_size=24, width=12, state_width=12, cell=cell, encoder_layers=encoder, decoder_layers=2, context=8,
        start_token=0 if encoder else None,
    )  # fmt: skip
    model = RecurrentModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.7, generator=generator)
    return model.eval()


def check_by_hand(model: Network, vocabulary: int, seed: int) -> None:
    draw = random.Random(seed)
    rows = [(5, 9, 2), (7,), (3, 3, 20, 11, 4), (9, 2)]
    prompts = [Prompt((0,), row) if model.config.encoder_layers else Prompt(row) for row in rows]
    for early in (False, True):
        settings = Search(draw.choice([2, 4]), 9, draw.choice([0.0, 1.0, 2.0]), early, min_tokens=draw.choice([0, 2]))
        found = search(model, prompts, settings, frozenset({END}), vocabulary)
        for prompt, best in zip(prompts, found, strict=True):
            expected = by_hand(model, prompt, settings, END)
            assert [each.tokens for each in best] == [tokens for tokens, _ in expected]
            assert [each.score for each in best] == pytest.approx([score for _, score in expected], rel=1e-4)
            for each in best:  # the log-probabilities add up, and are those of the model
                assert sum(each.log_probabilities) == pytest.approx(each.total, rel=1e-5)


@pytest.mark.parametrize(("cell", "encoder"), [("rnn", 0), ("lstm", 0), ("gru", 0), ("lstm", 1)])
def test_recurrent_models_equal_the_search_by_hand(cell: str, encoder: int) -> None:
    for seed in range(2):
        check_by_hand(recurrent(cell, encoder, seed), 24, seed)


@pytest.mark.parametrize(("cell", "encoder"), [("rnn", 0), ("lstm", 0), ("gru", 0), ("lstm", 1), ("gru", 1)])
def test_recurrent_models_write_greedily_what_reading_it_all_again_gives(cell: str, encoder: int) -> None:
    model = recurrent(cell, encoder, 3)
    rows = [(5, 9, 2), (7,), (3, 3, 20, 11, 4), (9, 2)]
    prompts = [Prompt((0,), row) if encoder else Prompt(row) for row in rows]
    for prompt, each in zip(prompts, run(model, prompts, Sampling(9, 0.0), frozenset({END}), 24), strict=True):
        tokens: list[int] = []
        while len(tokens) < 9 and (not tokens or tokens[-1] != END):
            chances = after(model, prompt, tuple(tokens))
            tokens.append(max(range(24), key=chances.__getitem__))
        assert each.tokens == tuple(token for token in tokens if token != END)
        assert (each.finish == "end") == (tokens[-1] == END)


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rotary", "relative", "none"])
@pytest.mark.parametrize("encoder", [0, 2])
def test_cached_equals_recomputing_each_beam(encoder: int, position: str, tiny: Tiny) -> None:
    check_by_hand(tiny(encoder=encoder, decoder=2, position=position, vocab=24), 24, encoder)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_of_all_texts(penalty: float, tiny: Tiny) -> None:
    model, prompt, length = tiny(decoder=2, vocab=4, context=8), Prompt((2, 3)), 4
    scores: dict[tuple[int, ...], float] = {}
    for text in product(range(4), repeat=length):
        tokens = text[: text.index(END) + 1] if END in text else text
        if tokens not in scores:
            total = sum(after(model, prompt, tokens[:at])[tokens[at]] for at in range(len(tokens)))
            scores[tokens] = total / len(tokens) ** penalty
    ranked = sorted(scores, key=lambda tokens: -scores[tokens])
    settings = Search(130, length, penalty, "never")
    found = search(model, [prompt], settings, frozenset({END}), 4)[0]
    assert [each.tokens for each in found[:20]] == ranked[:20]
    assert len(found) == len(ranked) == 3**length + 1 + 3 + 9 + 27  # no more texts exist, though more were asked for
    assert found[0].score >= search(model, [prompt], Search(2, length, penalty), frozenset({END}), 4)[0][0].score


def test_a_prompt_does_not_depend_on_those_beside_it(tiny: Tiny) -> None:
    model = tiny(decoder=2)
    prompts = [Prompt((5, 9, 2)), Prompt((7,)), Prompt((3, 3, 60, 11, 4, 8, 1)), Prompt((5, 9, 2))]
    settings = Search(3, 15, no_repeat_ngram=2)
    together = search(model, prompts, settings, frozenset({END}), 64)
    alone = [search(model, [prompt], settings, frozenset({END}), 64)[0] for prompt in prompts]
    assert [[h.tokens for h in best] for best in together] == [[h.tokens for h in best] for best in alone]
    assert [h.tokens for h in together[0]] == [h.tokens for h in together[3]]


def test_each_prompt_fills_its_context(tiny: Tiny) -> None:
    model = tiny(decoder=1, context=12)
    prompts = [Prompt(tuple(range(11))), Prompt((1, 2))]
    found = search(model, prompts, Search(2, 50), frozenset(), 64, Forced(last=5))
    assert [[len(h.tokens) for h in best] for best in found] == [[1], [10, 10]]  # of one place and one token, one text
    assert {h.finish for best in found for h in best} == {"context"}
    assert all(h.tokens[-1] == 5 for best in found for h in best)


def test_no_sequence_comes_twice_also_with_the_prompt(tiny: Tiny) -> None:
    model = tiny(decoder=2)
    prompt = (3, 7, 3, 7, 3)
    for settings in (Search(3, 20, no_repeat_ngram=2), Search(1, 20, no_repeat_ngram=2)):
        if settings.beams > 1:
            texts = [h.tokens for h in search(model, [Prompt(prompt)], settings, frozenset(), 64)[0]]
        else:
            texts = [run(model, [Prompt(prompt)], settings.greedy, frozenset(), 64)[0].tokens]
        for text in texts:
            whole = (*prompt, *text)
            new = list(zip(whole[4:], whole[5:], strict=False))
            assert len(set(new)) == len(new) and not {(3, 7), (7, 3)} & set(new)


def test_no_token_left_is_refused(tiny: Tiny) -> None:
    model = tiny(decoder=1, vocab=6)
    settings = Search(2, 12, no_repeat_ngram=1)
    with pytest.raises(SettingsError, match="sequence of 1 tokens: make no_repeat_ngram larger"):
        search(model, [Prompt((1, 2))], settings, frozenset(), 6)
    with pytest.raises(SettingsError, match="make no_repeat_ngram larger"):
        run(model, [Prompt((1, 2))], settings.greedy, frozenset(), 6)


def test_damaged_weights_are_refused(tiny: Tiny) -> None:
    model = tiny(decoder=1)
    model.tokens.weight.data.fill_(torch.nan)
    with pytest.raises(TriviumError, match="not finite"):
        search(model, [Prompt((1,))], Search(2, 3), frozenset(), 64)


def test_what_cannot_be_done_is_refused_as_by_the_engine(tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="14 tokens.*context is 12.*at least 3"):
        search(tiny(decoder=1, context=12), [Prompt(tuple(range(14)))], Search(), frozenset(), 64)
    with pytest.raises(SettingsError, match="use fill"):
        search(tiny(encoder=1), [Prompt((1,))], Search(), frozenset(), 64)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("beams", 0, "beams is 0: it must be at least 1"),
        ("max_tokens", 0, "max_tokens is 0"),
        ("min_tokens", 101, "min_tokens is 101: it must be 0 to max_tokens = 100"),
        ("length_penalty", 1e9, "between -20 and 20"),
        ("length_penalty", float("nan"), "length_penalty is nan"),
        ("early_stopping", "always", "False, True or 'never'"),
        ("no_repeat_ngram", -1, "no_repeat_ngram is -1"),
        ("repetition_penalty", 0.0, "repetition_penalty is 0.0"),
        ("stop", ("",), "not empty"),
    ],
)
def test_settings_out_of_range(field: str, value: object, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        replace(Search(), **{field: value})  # type: ignore[arg-type]
    if field in ("min_tokens", "no_repeat_ngram"):
        with pytest.raises(SettingsError, match=says):
            replace(Sampling(), **{field: value})  # type: ignore[arg-type]
