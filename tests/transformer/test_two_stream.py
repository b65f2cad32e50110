"""Two streams: who sees whom in an order, what nobody may see, and that every way to the same order is one."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.transformer import SEQUENCE, Inputs, Memory, Record, SequenceHead, Tokens, TwoStream, TwoStreamConfig
from trivium.transformer.relative_attention import distance_vectors, shifted
from trivium.transformer.two_stream import initialise_two_stream

CONFIG = TwoStreamConfig(61, width=32, heads=4, ffn_width=48, encoder_layers=2, init_std=0.3)


def made(config: TwoStreamConfig = CONFIG, **heads: torch.nn.Module) -> TwoStream:
    return initialise_two_stream(TwoStream(config, heads), 1).eval()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(2, 61, shape, generator=torch.Generator().manual_seed(seed))


def close(ours: Tensor, expected: Tensor) -> None:
    assert (ours - expected).abs().max() <= 1e-5 * expected.abs().max()


def predicted(model: TwoStream, tokens: Tokens, cache: Memory | None = None) -> Tensor:
    return model(Inputs(tokens), at="all", cache=cache).logits


@pytest.mark.parametrize("asked", [(0, 1, 2, 3), (3, 0)])
def test_the_masks_of_the_order_3_2_4_1(asked):
    """Places count from 1 in the paper; the third comes first, then the second, the fourth and the first."""
    order = torch.tensor([[3, 1, 0, 2]])
    record = Record.empty()
    made()(Inputs(Tokens(drawn(1, 4), order=order, queries=torch.tensor([asked]))), record=record)
    content = [[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 1]]
    query = [[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0]]
    for layer in range(CONFIG.encoder_layers):
        assert (record.encoder_attention[layer][0] > 0).int().tolist() == [content] * CONFIG.heads
        looks = [query[place] for place in asked]
        assert (record.decoder_attention[layer][0] > 0).int().tolist() == [looks] * CONFIG.heads


def test_the_order_of_the_places_is_a_causal_language_model():
    """And so is the other door, which needs no order."""
    model, ids = made(), drawn(2, 9)
    rows = torch.arange(9).expand(2, -1)
    record = Record.empty()
    ordered = predicted(model, Tokens(ids, order=rows, queries=rows[:, 1:]))
    through = model(Inputs(target=Tokens(ids)), at="all", record=record).logits
    close(through[:, :-1], ordered)
    for weights in (*record.encoder_attention, *record.decoder_attention):
        assert torch.equal(weights > 0, torch.ones(9, 9, dtype=torch.bool).tril().expand_as(weights))


def test_a_prediction_knows_nothing_of_its_own_token_nor_of_later_ones():
    model, ids = made(), drawn(1, 7)
    order = torch.tensor([[4, 0, 6, 2, 5, 1, 3]])
    queries = torch.arange(7)[None]
    before = predicted(model, Tokens(ids, order=order, queries=queries))
    for place in range(7):
        other = ids.clone()
        other[0, place] = (ids[0, place] + 1) % 61
        changed = (predicted(model, Tokens(other, order=order, queries=queries)) != before).any(-1)[0]
        assert torch.equal(changed, order[0] > order[0, place]), place


def test_context_sees_itself_both_ways_and_targets_see_what_is_before_them():
    """XLNet's partial prediction: equal numbers see each other."""
    record = Record.empty()
    tokens = Tokens(drawn(1, 5), order=torch.tensor([[0, 2, 0, 0, 1]]), queries=torch.tensor([[4, 1]]))
    made()(Inputs(tokens), record=record)
    context, last = [1, 0, 1, 1, 0], [1, 0, 1, 1, 1]
    seen = (record.encoder_attention[0][0, 0] > 0).int().tolist()
    assert seen == [context, [1] * 5, context, context, last]
    assert (record.decoder_attention[0][0, 0] > 0).int().tolist() == [context, last]


def test_the_first_of_an_order_reads_nothing_but_the_place_it_stands_at():
    """The reference lets it read the mean of the whole row, its own token included."""
    model = made()
    order, queries = torch.tensor([[0, 1, 2, 3]] * 2), torch.tensor([[0]] * 2)
    logits = predicted(model, Tokens(drawn(2, 4), order=order, queries=queries))
    assert torch.equal(logits[0], logits[1])


def test_any_rows_may_ask_and_each_is_as_if_all_had_asked():
    model, ids, order = made(), drawn(2, 8), torch.stack([torch.randperm(8), torch.randperm(8)])
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2]] * 2)
    every = predicted(model, Tokens(ids, segments=segments, order=order, queries=torch.arange(8).expand(2, -1)))
    queries = torch.tensor([[5, 2, 2], [0, 7, 3]])
    some = predicted(model, Tokens(ids, segments=segments, order=order, queries=queries))
    close(some, every.take_along_dim(queries[:, :, None], 1))


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, clamp=3), replace(CONFIG, causal=True)])
def test_padding_and_packing_change_nothing(config):
    model, texts = made(config), [drawn(1, length, seed=length) for length in (4, 6, 3)]
    segments = [torch.arange(text.shape[1])[None] % 2 for text in texts]
    alone = [model(Inputs(Tokens(t, segments=s)), at="all").logits for t, s in zip(texts, segments, strict=True)]
    documents = torch.cat([torch.full_like(text, i) for i, text in enumerate(texts)], 1)
    packed = Tokens(torch.cat(texts, 1), documents, segments=torch.cat(segments, 1))
    close(model(Inputs(packed), at="all").logits, torch.cat(alone, 1))
    for left, right in ((3, 0), (0, 2), (2, 1)):
        def widened(row: Tensor, value: int, left: int = left, right: int = right) -> Tensor:
            return torch.nn.functional.pad(row, (left, right), value=value)

        tokens = Tokens(widened(texts[1], 0), widened(torch.zeros_like(texts[1]), -1), segments=widened(segments[1], 0))
        close(model(Inputs(tokens), at="all").logits[:, left : left + 6], alone[1])


def test_a_cache_gives_what_one_pass_gives_with_padded_rows_too():
    model, ids = made(), drawn(2, 12)
    documents = torch.zeros_like(ids)
    documents[1, :4] = -1
    prefix = torch.arange(12).expand(2, -1) < 7
    whole = model(Inputs(target=Tokens(ids, documents, prefix=prefix)), at="all").logits
    cache = model.new_cache(2, 12, "cpu", torch.float32)
    parts = []
    with torch.no_grad():
        for first, last in ((0, 7), (7, 8), (8, 11), (11, 12)):
            step = Tokens(ids[:, first:last], documents[:, first:last], prefix=prefix[:, first:last])
            parts.append(model(Inputs(target=step), at="all", cache=cache).logits)
    real = documents >= 0
    close(torch.cat(parts, 1)[real], whole[real])
    cache.select(torch.tensor([1, 1, 0]))
    assert cache.rows == 3 and cache.length == 12


def test_a_text_read_at_once_sees_a_marked_prefix_both_ways():
    record = Record.empty()
    prefix = torch.tensor([[True, True, False, False]])
    made()(Inputs(target=Tokens(drawn(1, 4), prefix=prefix)), record=record)
    seen = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert (record.encoder_attention[1][0, 0] > 0).int().tolist() == seen
    assert (record.decoder_attention[1][0, 0] > 0).int().tolist() == seen


def test_a_memory_is_bounded_and_no_gradient_enters_it():
    model, segments = made(), drawn(2, 15).split(5, 1)
    memory = Memory(most=7, reuse=4)
    for number, segment in enumerate(segments):
        hidden = model(Inputs(Tokens(segment)), cache=memory).hidden
        assert memory.length == (4, 7, 7)[number]
    assert not memory.of(0).requires_grad and hidden.requires_grad
    close(memory.of(0)[:, -4:], model.tokens(segments[2][:, :4]))
    unbounded = Memory()
    with torch.no_grad():
        for segment in segments[:2]:
            model(Inputs(Tokens(segment)), cache=unbounded)
        cached = model.new_cache(2, 15, "cpu", torch.float32)
        for segment in segments[:2]:
            model(Inputs(Tokens(segment)), cache=cached)
        close(
            model(Inputs(Tokens(segments[2])), cache=unbounded).hidden,
            model(Inputs(Tokens(segments[2])), cache=cached).hidden,
        )


def test_shifting_is_picking_each_distance():
    """Row i of the products has distance 6, 5 ...; the result's row i and key j the distance past + i - j."""
    rows, keys = 2, 4
    products = torch.tensor([6 - n for n in range(rows + keys)]).expand(1, 1, rows, -1).contiguous()
    first = 6 - rows
    assert shifted(products, keys)[0, 0].tolist() == [[first + i - j for j in range(keys)] for i in range(rows)]


def test_distances_are_sines_then_cosines_and_may_be_clamped():
    table = distance_vectors(3, -1, 4, None, torch.device("cpu"), torch.float32)
    distance = torch.tensor([3.0, 2.0, 1.0, 0.0, -1.0])[:, None]
    angle = distance * torch.tensor([1.0, 0.01])
    torch.testing.assert_close(table, torch.cat([angle.sin(), angle.cos()], 1))
    clamped = distance_vectors(3, -1, 4, 1, torch.device("cpu"), torch.float32)
    assert torch.equal(clamped[0], clamped[2]) and torch.equal(clamped[2:], table[2:])


def test_heads_read_the_content_stream():
    model = made(CONFIG, **{SEQUENCE: SequenceHead(CONFIG, 3, "mean")})
    ids = drawn(2, 6)
    order, queries = torch.zeros_like(ids), torch.tensor([[1], [2]])
    alone = model(Inputs(Tokens(ids)), heads=[SEQUENCE])
    both = model(Inputs(Tokens(ids, order=order, queries=queries)), at="all", heads=[SEQUENCE])
    assert torch.equal(alone.heads[SEQUENCE], both.heads[SEQUENCE]) and torch.equal(alone.hidden, both.source_hidden)
    assert both.logits.shape == (2, 1, 61)
    second = model(Inputs(Tokens(ids, order=order, queries=queries)), at=torch.tensor([1]))
    close(second.logits, both.logits[1])


def test_first_weights_depend_on_the_seed_and_the_name_alone():
    model, larger = made(), made(replace(CONFIG, encoder_layers=3))
    for name, weight in model.named_parameters():
        assert torch.equal(weight, larger.get_parameter(name)), name
        if "norm" in name or name.endswith(".bias"):
            assert set(weight.unique().tolist()) <= {0.0, 1.0}, name
        else:
            assert 0.1 < weight.std() < 0.5, name


def test_dropout_falls_in_training_alone():
    model, ids = made(replace(CONFIG, dropout=0.5)), drawn(1, 6)
    still = [model(Inputs(target=Tokens(ids)), at="all").logits for _ in range(2)]
    moving = [model.train()(Inputs(target=Tokens(ids)), at="all").logits for _ in range(2)]
    assert torch.equal(*still) and not torch.equal(*moving)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (Inputs(Tokens(drawn(1, 3), queries=torch.ones(1, 1, dtype=torch.long))), "give an order"),
        (Inputs(target=Tokens(drawn(1, 3), order=torch.ones(1, 3))), "from left to right"),
        (Inputs(), r"reads inputs\.source"),
    ],
)
def test_inputs_that_say_too_little_or_too_much(inputs, said):
    with pytest.raises(SettingsError, match=said):
        made()(inputs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 33}, "must be even and a multiple"),
        ({"heads": 5}, "must be even and a multiple"),
        ({"encoder_layers": 0}, "at least 1"),
        ({"clamp": 0}, r"model\.clamp is 0"),
        ({"dropout": 1.0}, "below 1"),
        ({"activation": "tanh"}, "choose gelu"),
        ({"vocabulary_head": "plain"}, "is bias, or none"),
    ],
)
def test_impossible_configurations(changes, said):
    with pytest.raises(SettingsError, match=said):
        replace(CONFIG, **changes)
