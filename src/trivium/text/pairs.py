"""Pairs of segments for next-sentence prediction, chosen as BERT's code does (Devlin et al. 2019, section 3.1, task 2;
code release, ``create_instances_from_document``).

A document is gone through sentence by sentence. Sentences are gathered until they fill a row (or, for a tenth of the
documents, a random shorter length) or the document ends. Of such a chunk the first segment takes a random number of
sentences, at least one; the second is the rest of the chunk, or, for half of the chunks and wherever a chunk is one
sentence, a stretch of another document that begins at a random sentence, and then the rest of the chunk is put back and
gone on from. What is too long loses tokens of the longer segment, each at its front or its back.

Chosen once for a text, so that a run reads memory-mapped rows. A copy is one pass through the text, with choices of its
own (BERT's ``dupe_factor``). Every document of every copy is a lane, and all lanes go on by one pair at a time; the
random numbers of a pair are keyed by its lane and its number there.

Differences from the code: a sentence longer than a row is cut into pieces, where the code drops all but one row of it;
lines are not needed, since a vocabulary knows which of its pieces end a sentence; and closing marks that follow each
other ("?!", "...") end one sentence.

L lanes, D documents, S sentences, R pairs.
"""


import numpy as np

from trivium.errors import DataError
from trivium.randomness import Draws, key
from trivium.text.rows import Layout, Rows
from trivium.text.sentences import Sentences, find_sentences
from trivium.text.shards import Shards

TRIES = 10  # to find another document
_LANES = 1 << 14  # at a time, which bounds the memory


def chosen_pairs(shards: Shards, layout: Layout, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and lengths (2 R,), first and second segments by turns, and labels (R,): 1 where the second segment is of
    another document."""
    assert layout.pairs is not None
    ends = np.isin(np.arange(shards.vocab_size), layout.pairs.ends)
    sentences = find_sentences(shards, ends, layout.room)
    counts = np.diff(sentences.first)
    if len(counts) < 2 or not (counts > 1).any():
        held = f"{len(counts)} documents of one sentence each" if len(counts) > 1 else f"{len(counts)} document(s)"
        raise DataError(
            f"{shards.directory} has {held}, and next-sentence prediction needs two documents, and in one of them two "
            'sentences: give more or longer documents, or set objective.kind = "masked"'
        )
    lanes = np.arange(len(counts) * layout.pairs.copies)
    parts = [_walk(sentences, layout, lanes[at : at + _LANES], seed) for at in range(0, len(lanes), _LANES)]
    starts, lengths, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return starts.ravel(), lengths.ravel(), labels


def _walk(
    sentences: Sentences, layout: Layout, lanes: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and lengths (R, 2) and labels (R,) of the pairs of some lanes, in the order of the lanes."""
    first, offsets, room = sentences.first, sentences.offsets, layout.room
    documents = len(first) - 1
    document = lanes % documents
    at, stop = first[document], first[document + 1]
    targets = _targets(layout, lanes, seed)
    made: list[tuple[np.ndarray, ...]] = []
    number = 0
    while len(lanes):
        draws = Draws(key(seed, "pairs"), (lanes << 32) + number)
        by_chance = draws.uniform("choice", 3 + TRIES)  # (L, 3 + TRIES)
        chunk = np.clip(np.searchsorted(offsets, offsets[at] + targets), at + 1, stop)  # where it ends
        several = chunk - at > 1
        split = at + 1 + (by_chance[:, 0] * np.maximum(0, chunk - at - 1)).astype(np.int64)
        other = ~several | (by_chance[:, 1] < 0.5)
        begin = np.where(other, _elsewhere(first, document, by_chance[:, 2:]), split)
        missing = targets - (offsets[split] - offsets[at])
        of = np.searchsorted(first, begin, side="right") - 1
        filled = np.clip(np.searchsorted(offsets, offsets[begin] + missing), begin + 1, first[of + 1])
        end = np.where(other, filled, chunk)
        starts = np.stack([sentences.starts[at], sentences.starts[begin]], axis=1)
        lengths = np.stack([offsets[split] - offsets[at], offsets[end] - offsets[begin]], axis=1)
        made.append((lanes, *_truncated(starts, lengths, room, draws), other.astype(np.int64)))
        at = np.where(other, split, chunk)
        going = at < stop
        lanes, document, at, stop, targets = (each[going] for each in (lanes, document, at, stop, targets))
        number += 1
    of_lane, starts, lengths, labels = (np.concatenate(each) for each in zip(*made, strict=True))
    order = np.argsort(of_lane, kind="stable")
    return starts[order], lengths[order], labels[order]


def _targets(layout: Layout, lanes: np.ndarray, seed: int) -> np.ndarray:
    """(L,) how many tokens the pairs of a lane are to have: all that a row has room for, or a random number from 2."""
    assert layout.pairs is not None
    by_chance = Draws(key(seed, "pairs"), lanes).uniform("length", 2)
    shorter = 2 + (by_chance[:, 1] * (layout.room - 1)).astype(np.int64)
    return np.where(by_chance[:, 0] < layout.pairs.short, shorter, layout.room)


def _elsewhere(first: np.ndarray, document: np.ndarray, by_chance: np.ndarray) -> np.ndarray:
    """(L,) a random sentence of another document; of any one where ten tries have found the same. ``by_chance``
    (L, 1 + TRIES)."""
    tried = (by_chance[:, 1:] * (len(first) - 1)).astype(np.int64)
    differs = tried != document[:, None]
    one = np.where(differs.any(axis=1), differs.argmax(axis=1), TRIES - 1)
    chosen = np.take_along_axis(tried, one[:, None], axis=1)[:, 0]
    return first[chosen] + (by_chance[:, 0] * (first[chosen + 1] - first[chosen])).astype(np.int64)


def _truncated(starts: np.ndarray, lengths: np.ndarray, room: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """(L, 2) segments of at most ``room`` tokens together. The longer one (of equal ones the second) loses a token
    until they fit, each by a coin at its front or at its back."""
    fewest = np.array([room - room // 2, room // 2])  # of a segment, where both are long
    kept = np.minimum(lengths, np.maximum(fewest, room - lengths[:, ::-1]))
    dropped = lengths - kept
    most = int(dropped.max(initial=0))
    if not most:
        return starts, lengths
    words = -(-most // 64)
    coins = draws.bits("front", 2 * words).reshape(-1, 2, words).astype("<u8").view(np.uint8)
    flips = np.unpackbits(coins, axis=2)[:, :, :most]
    front = (flips & (np.arange(most) < dropped[:, :, None])).sum(axis=2, dtype=np.int64)
    return starts + front, kept


def pair_rows(
    shards: Shards, layout: Layout, starts: np.ndarray, lengths: np.ndarray, labels: np.ndarray, draws: np.ndarray
) -> Rows:
    """Rows of the pairs ``starts`` and ``lengths`` (B, 2): ``[CLS] A [SEP] B [SEP]``, segments 0 and 1."""
    before, after = len(layout.before), len(layout.after)
    column = np.arange(layout.length)[None, :]
    begin = np.stack([np.full(len(starts), before), before + lengths[:, 0] + after], axis=1)  # (B, 2) in the row
    stop = begin + lengths
    total = stop[:, 1:] + after
    inside = (column[:, :, None] >= begin[:, None]) & (column[:, :, None] < stop[:, None])  # (B, T, 2)
    places = np.where(inside, starts[:, None] + column[:, :, None] - begin[:, None], 0).sum(axis=2)
    text = inside.any(axis=2)
    tokens = np.where(text, shards.take(places), 0)
    tokens[:, :before] = layout.before
    for offset, control in enumerate(layout.after):
        np.put_along_axis(tokens, stop + offset, control, axis=1)
    real = column < total
    second = real & (column >= begin[:, 1:])
    return Rows(
        tokens, np.where(real, 0, -1), np.where(real, column, 0), draws,
        segments=second.astype(np.int64), labels=np.asarray(labels, np.int64),
    )  # fmt: skip
