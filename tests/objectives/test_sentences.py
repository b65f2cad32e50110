import numpy as np
import pytest

from trivium.objectives.sentences import sentence_ends
from trivium.tokenizers.learning import OPTIONS, learn

TEXT = "It rains. Does it? Yes! He said “no.” And (so be it.) went on…\nA new line, 3.5 wide. 雨。 はい。"


@pytest.mark.parametrize(("algorithm", "size"), [("bpe", 300), ("wordpiece", 100), ("unigram", 340)])
def test_sentences_end_at_their_marks_and_at_line_breaks(algorithm, size):
    tokenizer = learn([TEXT] * 50, size, OPTIONS[algorithm](), "classify").tokenizer
    ends = sentence_ends(tokenizer)
    ids = np.array(tokenizer.encode_batch([TEXT])[0])
    shown = [tokenizer.decode([i]) or tokenizer.piece(i) for i in ids[ends[ids]]]
    assert len(shown) >= 8
    assert {text.strip("\n \"“”)")[-1:] for text in shown} <= {".", "?", "!", "…", "。", ""}
    assert not ends[sorted(tokenizer.controls)].any()


def test_a_comma_or_a_word_ends_nothing(tokenizer):
    ends = sentence_ends(tokenizer)
    marked = [tokenizer.piece(int(i)) for i in np.flatnonzero(ends)]
    assert any(piece.endswith(".") for piece in marked)
    others = [piece for piece in marked if "\n" not in piece and "Ċ" not in piece]
    assert not any(piece[-1].isalnum() or piece[-1] == "," for piece in others)
