"""What may be written, against the reference's logits processors and against the definitions by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.generation.rules import Forced, Rules, counted

processors = pytest.importorskip("transformers.generation.logits_process")

NO_ENDS: frozenset[int] = frozenset()


def apply(rules: Rules, scores: torch.Tensor, text: torch.Tensor, written: list[int]) -> torch.Tensor:
    no = torch.zeros(len(scores), dtype=torch.bool)
    return rules.apply(scores, text if rules.look_back else None, written, no, no)


@given(
    seed=st.integers(0, 2**31),
    banned=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3).map(tuple), max_size=4, unique=True),
    bias=st.dictionaries(st.integers(0, 9), st.sampled_from([-2.5, 1.0, 4.0]), max_size=3),
    penalty=st.sampled_from([1.0, 1.6]),
    ngram=st.sampled_from([0, 2, 3]),
    min_tokens=st.sampled_from([0, 4]),
)
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_reference_processors(
    seed: int, banned: list[tuple[int, ...]], bias: dict[int, float], penalty: float, ngram: int, min_tokens: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 10, generator=generator) * 3
    ids = torch.randint(0, 10, (3, 7), generator=generator)  # 4 tokens of a prompt, 3 new ones
    rules = Rules(
        frozenset({2, 5}), min_tokens, ngram, penalty, bias=tuple(bias.items()),
        banned=tuple(each for each in banned if each not in ((2,), (5,))),  # the reference lets ends through
    )  # fmt: skip
    ours = apply(rules, logits, ids, [3, 3, 3])

    theirs = logits.clone()
    if bias:
        wanted = [[[token], value] for token, value in bias.items()]
        theirs = processors.SequenceBiasLogitsProcessor(wanted)(ids, theirs)
    theirs = processors.RepetitionPenaltyLogitsProcessor(penalty)(ids, theirs)
    if ngram:
        theirs = processors.NoRepeatNGramLogitsProcessor(ngram)(ids, theirs)
    if rules.banned:
        theirs = processors.NoBadWordsLogitsProcessor([list(each) for each in rules.banned], eos_token_id=[2, 5])(
            ids, theirs
        )
    if min_tokens:
        theirs = processors.MinNewTokensLengthLogitsProcessor(4, min_tokens, [2, 5])(ids, theirs)
    torch.testing.assert_close(ours, theirs)


def test_presence_and_frequency_by_hand() -> None:
    # the prompt is 7 7 3; written were 3 4 4 in the first row, and 9 alone in the second
    text = torch.tensor([[7, 7, 3, 3, 4, 4], [-1, -1, 7, 7, 3, 9]])
    assert counted(text, [3, 1], 10).tolist() == [[0, 0, 0, 1, 2, 0, 0, 0, 0, 0], [0] * 9 + [1]]
    rules = Rules(NO_ENDS, presence_penalty=0.5, frequency_penalty=0.25)
    found = apply(rules, torch.zeros(2, 10), text, [3, 1])
    assert found[0].tolist() == [0, 0, 0, -0.75, -1.0, 0, 0, 0, 0, 0]
    assert found[1].tolist() == [0] * 9 + [-0.75]
    assert apply(Rules(NO_ENDS, frequency_penalty=-1.0), torch.zeros(2, 10), text, [3, 1])[0, 4] == 2


def test_rows_of_different_ages_have_their_own_beginnings_and_ends() -> None:
    rules = Rules(frozenset({1}), min_tokens=2, forced=Forced(first=3, last=1))
    scores = torch.zeros(4, 5)
    firsts, lasts = torch.tensor([True, True, False, False]), torch.tensor([False, False, False, True])
    found = rules.apply(scores, None, [0, 1, 2, 7], firsts, lasts)
    inf = float("inf")
    assert found[0].tolist() == [-inf, -inf, -inf, 0, -inf]  # forced to be first
    assert found[1].tolist() == [0, -inf, 0, 0, 0]  # no end yet
    assert found[2].tolist() == [0] * 5
    assert found[3].tolist() == [-inf, 0, -inf, -inf, -inf]  # forced to be last
    assert Rules(NO_ENDS).none and not rules.none


def test_a_long_banned_sequence_needs_all_of_its_beginning() -> None:
    rules = Rules(NO_ENDS, banned=((4, 4, 9), (1, 2, 3, 4, 5, 6, 7)))
    text = torch.tensor([[4, 4], [3, 4], [-1, 4]])
    assert (apply(rules, torch.zeros(3, 10), text, [1, 1, 1]) == -torch.inf).nonzero().tolist() == [[0, 9]]
