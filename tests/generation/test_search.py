"""Beam search: equal to ``transformers.generate`` token for token and score for score, to a slow search by hand, and to
the enumeration of all texts. Greedy and sampled texts of every family that writes, against the same reference."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
import torch
from scipy import stats

from trivium.errors import SettingsError, TriviumError
from trivium.families import FAMILIES, huggingface
from trivium.generation.engine import run
from trivium.generation.prompts import Prompt, start_token
from trivium.generation.rules import Forced
from trivium.generation.sampling import Sampling
from trivium.generation.search import Search, search
from trivium.generation.wording import Wording, going_on, still_to_come
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.transformer import Inputs, Model, Network, Tokens

transformers = pytest.importorskip("transformers")

V, END = 40, 1
Tiny = Callable[..., Model]


def reference(kind: str, seed: int) -> torch.nn.Module:
    """A model of theirs with random weights, large enough to end texts and to prefer some."""
    shared: dict[str, object] = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": END}
    shared["attn_implementation"] = "eager"
    gpt = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    llama = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "intermediate_size": 48, "max_position_embeddings": 64}  # fmt: skip
    t5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0,
          "feed_forward_proj": "gated-gelu" if kind == "t5-gated" else "relu"}  # fmt: skip
    bart = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 64,
            "decoder_start_token_id": END, "forced_eos_token_id": None}  # fmt: skip
    torch.manual_seed(seed)
    model = {
        "gpt1": lambda: transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**gpt, **shared)),
        "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(**gpt, **shared)),
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**llama, **shared)),
        "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**llama, **shared)),
        "t5": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**t5, **shared)),
        "t5-gated": lambda: transformers.T5ForConditionalGeneration(transformers.T5Config(**t5, **shared)),
        "bart": lambda: transformers.BartForConditionalGeneration(transformers.BartConfig(**bart, **shared)),
    }[kind]()
    for name, parameter in model.named_parameters():
        a_norm = ("norm" in name.lower() or ".ln_" in name) and "weight" in name
        parameter.data.normal_(1.0 if a_norm else 0.0, 0.25)
    return model.eval()


def opened(model: torch.nn.Module, folder: Path) -> Network:
    model.save_pretrained(folder)
    return huggingface.load(folder).model.eval()


def rows_of(seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, V, (length,), generator=generator).tolist() for length in (5, 3, 9, 4)]


def theirs(model: torch.nn.Module, rows: Sequence[Sequence[int]], ends: Sequence[int], **settings: object) -> object:
    """Padded with what never stands inside a text, for there padding is a part of n-grams."""
    widest, left, pad = max(map(len, rows)), not model.config.is_encoder_decoder, END
    fill = [[pad] * (widest - len(row)) for row in rows]
    ids = [[*f, *row] if left else [*row, *f] for f, row in zip(fill, rows, strict=True)]
    marks = [([0] * len(f), [1] * len(row)) for f, row in zip(fill, rows, strict=True)]
    seen = [[*f, *row] if left else [*row, *f] for f, row in marks]
    with torch.no_grad():
        return model.generate(
            torch.tensor(ids), attention_mask=torch.tensor(seen), do_sample=False, eos_token_id=list(ends),
            pad_token_id=pad, return_dict_in_generate=True, output_scores=True, **settings,
        )  # fmt: skip


def prompts_for(model: Network, rows: Sequence[Sequence[int]]) -> list[Prompt]:
    if model.config.encoder_layers:
        return [Prompt((start_token(model),), tuple(row)) for row in rows]
    return [Prompt(tuple(row)) for row in rows]


def words(settings: Search) -> dict[str, object]:
    """Our settings in their words."""
    return {
        "num_beams": settings.beams, "max_new_tokens": settings.max_tokens, "min_new_tokens": settings.min_tokens,
        "length_penalty": settings.length_penalty, "early_stopping": settings.early_stopping,
        "no_repeat_ngram_size": settings.no_repeat_ngram, "repetition_penalty": settings.repetition_penalty,
    }  # fmt: skip


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


@torch.no_grad()
def after(model: Network, prompt: Prompt, tokens: tuple[int, ...]) -> list[float]:
    """Log-probabilities of the next token: the whole text, without cache, padding or batch."""
    source = Tokens(torch.tensor([prompt.source])) if prompt.source else None
    target = Tokens(torch.tensor([[*prompt.ids, *tokens]]))
    logits = model(Inputs(source, target), at="all").logits
    assert logits is not None
    return [float(value) for value in logits[0, -1].double().log_softmax(0)]


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
