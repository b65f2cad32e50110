"""What the cache gives is what a full pass gives, for every kind of position and for groups of queries."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivium.errors import SettingsError
from trivium.transformer import Cache, Inputs, Learned, RelativeBias, Rotary, Tokens


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-5)


@torch.no_grad()
@pytest.mark.parametrize("kv_heads", [None, 2, 1])
@pytest.mark.parametrize("steps", [[1] * 10, [4, 1, 1, 3, 1], [10]])
def test_cached_equals_uncached(make, ids, position, kv_heads, steps):
    model = make(decoder_layers=2, position=position, kv_heads=kv_heads)
    expected = model(Inputs(target=Tokens(ids)), at="all").logits
    cache = Cache.of(model.config, 3, 12)
    start, found = 0, []
    for count in steps:
        part = Tokens(ids[:, start : start + count])
        found.append(model(Inputs(target=part), at="all", cache=cache).logits)
        start += count
    close(torch.cat(found, 1), expected)
    assert cache.length == 10


@torch.no_grad()
def test_an_encoder_decoder_reads_its_source_once(make, ids, position):
    model = make(encoder_layers=2, decoder_layers=2, position=position)
    documents = torch.tensor([[0] * 10, [0] * 6 + [-1] * 4, [0] * 2 + [-1] * 8])
    source, target = Tokens(ids, documents), ids[:, :5].flip(1)
    expected = model(Inputs(source, Tokens(target)), at="all").logits
    cache = Cache.of(model.config, 3, 8)
    found = [model(Inputs(source, Tokens(target[:, :1])), at="all", cache=cache).logits]
    found += [model(Inputs(None, Tokens(target[:, t : t + 1])), at="all", cache=cache).logits for t in range(1, 5)]
    close(torch.cat(found, 1), expected)


@torch.no_grad()
def test_prompts_of_different_lengths_padded_on_the_left(make, ids, position):
    """Each row's answers are those that it would get alone."""
    model = make(decoder_layers=2, position=position)
    lengths = [6, 3, 5]
    prompt, documents = torch.zeros(3, 6, dtype=torch.long), torch.full((3, 6), -1)
    positions = torch.zeros(3, 6, dtype=torch.long)
    for row, n in enumerate(lengths):
        prompt[row, 6 - n :], documents[row, 6 - n :] = ids[row, :n], 0
        positions[row, 6 - n :] = torch.arange(n)
    cache = Cache.of(model.config, 3, 8)
    found = [model(Inputs(target=Tokens(prompt, documents, positions)), at="all", cache=cache).logits[:, -1]]
    for step in range(2):
        new = torch.stack([ids[row, n + step : n + step + 1] for row, n in enumerate(lengths)])
        where = torch.tensor([[n + step] for n in lengths])
        found.append(model(Inputs(target=Tokens(new, positions=where)), at="all", cache=cache).logits[:, -1])
    for row, n in enumerate(lengths):
        alone = model(Inputs(target=Tokens(ids[row : row + 1, : n + 2])), at="all").logits[0, n - 1 :]
        close(torch.stack([f[row] for f in found]), alone)


@torch.no_grad()
def test_rows_are_reordered_dropped_and_repeated(make, ids):
    model = make(decoder_layers=2, position=Rotary())
    documents = torch.zeros_like(ids)
    expected = model(Inputs(target=Tokens(ids)), at="all").logits
    cache = Cache.of(model.config, 3, 12)
    model(Inputs(target=Tokens(ids[:, :9], documents[:, :9])), cache=cache)
    order = torch.tensor([2, 0, 0, 1])
    cache.select(order)
    out = model(Inputs(target=Tokens(ids[order, 9:])), at="all", cache=cache).logits
    close(out, expected[order, 9:])


@torch.no_grad()
def test_one_prompt_is_read_once_for_many_samples(make, ids):
    model = make(encoder_layers=1, decoder_layers=2)
    source = Tokens(ids[:1], torch.tensor([[0] * 7 + [-1] * 3]))
    one = Cache.of(model.config, 1, 4)
    model(Inputs(source, Tokens(ids[:1, :4])), cache=one)
    many = Cache.of(model.config, 3, 12)
    many.vacate()
    for _ in range(3):
        many.join(one)
    assert many.documents is None and many.source_documents is None
    out = model(Inputs(None, Tokens(ids[:, 4:5])), at="all", cache=many).logits
    for row in range(3):
        target = torch.cat((ids[:1, :4], ids[row : row + 1, 4:5]), 1)
        close(out[row : row + 1], model(Inputs(source, Tokens(target)), at="all").logits[:, -1:])


@torch.no_grad()
@pytest.mark.parametrize("encoder", [0, 2])
@given(data=st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sequences_join_and_leave_in_any_order(make, data, encoder):
    """What each is told is what it would be told alone, while the block grows, shrinks and moves."""
    position = data.draw(st.sampled_from([Learned(), Rotary(), RelativeBias(buckets=8, distance=20)]))
    model = make(encoder_layers=encoder, decoder_layers=2, position=position, kv_heads=2)
    cache = Cache.of(model.config, 3, 11)
    cache.vacate()
    texts, sources = [], []
    draw_ids = st.lists(st.integers(0, model.config.vocab_size - 1), min_size=1, max_size=7)
    for _ in range(14):
        move = data.draw(st.sampled_from(["join", "leave", "step", "step"]))
        if move == "join" and len(texts) < 3:
            text, source = data.draw(draw_ids), data.draw(draw_ids) if encoder else None
            one = Cache.of(model.config, 1, len(text))
            model(Inputs(tokens(source), tokens(text)), cache=one)
            cache.join(one)
            texts.append(text)
            sources.append(source)
        elif move == "leave" and texts:
            row = data.draw(st.integers(0, len(texts) - 1))
            cache.leave(row, clean=data.draw(st.booleans()))
            texts[row], sources[row] = texts[-1], sources[-1]
            texts.pop()
            sources.pop()
        elif move == "step" and texts and max(map(len, texts)) < 11:
            new = data.draw(st.lists(st.integers(0, 9), min_size=len(texts), max_size=len(texts)))
            where = torch.tensor([[len(text)] for text in texts]) if cache.documents is not None else None
            step = Tokens(torch.tensor(new)[:, None], positions=where)
            found = model(Inputs(None, step), at="all", cache=cache).logits[:, -1]
            texts = [[*text, token] for text, token in zip(texts, new, strict=True)]
            for row, (text, source) in enumerate(zip(texts, sources, strict=True)):
                close(found[row], model(Inputs(tokens(source), tokens(text)), at="all").logits[0, -1])
        assert cache.rows == len(texts)
        assert cache.length == max(map(len, texts), default=0)


def tokens(ids):
    return None if ids is None else Tokens(torch.tensor([ids]))


@torch.no_grad()
def test_reset_forgets(make, ids):
    model = make(decoder_layers=2)
    cache = Cache.of(model.config, 3, 10)
    first = model(Inputs(target=Tokens(ids, torch.zeros_like(ids))), at="all", cache=cache).logits
    cache.reset()
    assert cache.length == 0 and cache.documents is None
    assert torch.equal(model(Inputs(target=Tokens(ids, torch.zeros_like(ids))), at="all", cache=cache).logits, first)


def test_what_does_not_fit_is_said(make, ids):
    model = make(decoder_layers=1)
    with pytest.raises(SettingsError, match="holds 0 of at most 5 tokens and 10 more"):
        model(Inputs(target=Tokens(ids)), cache=Cache.of(model.config, 3, 5))
    with pytest.raises(SettingsError, match="for 2 sequences, but 3"):
        model(Inputs(target=Tokens(ids)), cache=Cache.of(model.config, 2, 10))
    prompt, full = Cache.of(model.config, 1, 9), Cache.of(model.config, 1, 8)
    prompt.advance(9)
    with pytest.raises(SettingsError, match="1 sequences, and all places are taken"):
        full.join(prompt)
    full.vacate()
    with pytest.raises(SettingsError, match="9 tokens, more than the 8"):
        full.join(prompt)


def test_grouped_queries_cache_fewer_heads(make):
    assert Cache.of(make(decoder_layers=2, kv_heads=1).config, 3, 12).keys.shape == (2, 3, 1, 12, 8)


@torch.no_grad()
def test_branches_exchange_what_they_have_read(make, ids, position):
    """Two branches of each row, which go on from one another, give what each text gives alone."""
    model = make(encoder_layers=2, decoder_layers=2, position=position)
    documents = torch.tensor([[0] * 10, [0] * 6 + [-1] * 4, [0] * 2 + [-1] * 8])
    source, target = Tokens(ids, documents), ids[:, :3].flip(1)
    cache = Cache.of(model.config, 3, 8)
    model(Inputs(source, Tokens(target)), cache=cache)
    cache.branch(2)
    texts = [target[row // 2].tolist() for row in range(6)]
    keys = cache.keys.clone()
    for step, rows in enumerate(([0, 1, 2, 3, 4, 5], [1, 0, 2, 2, 4, 5], [0, 0, 3, 2, 5, 4])):
        cache.exchange(torch.tensor(rows), since=3)
        new = torch.arange(step, 6 + step)
        texts = [[*texts[row], int(token)] for row, token in zip(rows, new, strict=True)]
        found = model(Inputs(target=Tokens(new[:, None])), at="all", cache=cache).logits[:, -1]
        for row, text in enumerate(texts):
            alone = Tokens(ids[row // 2 : row // 2 + 1], documents[row // 2 : row // 2 + 1])
            expected = model(Inputs(alone, Tokens(torch.tensor([text]))), at="all").logits[0, -1]
            close(found[row], expected)
    assert torch.equal(cache.keys[:, :, :, :3], keys[:, :, :, :3])  # what all have read alike has not moved
    cache.select(torch.tensor([2, 3, 4, 5]))
    assert cache.rows == 4 and len(cache.memory(0)[0]) == 2
    new = torch.arange(4)
    found = model(Inputs(target=Tokens(new[:, None])), at="all", cache=cache).logits[:, -1]
    alone = Tokens(ids[2:3], documents[2:3])
    expected = model(Inputs(alone, Tokens(torch.tensor([[*texts[4], 2]]))), at="all").logits[0, -1]
    close(found[2], expected)
