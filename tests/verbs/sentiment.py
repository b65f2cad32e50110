"""Films and what is thought of them, made up: one word of each text decides its label."""

import numpy as np

from trivium.text.examples import Labelled

GOOD = "wonderful great lovely superb charming brilliant".split()
BAD = "awful dull boring terrible weak tedious".split()
OTHER = "the film was a plot with actor scene and music in it".split()


def sentiment(count: int, seed: int) -> list[Labelled]:
    generator = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        good = bool(generator.integers(2))
        words = [*generator.choice(OTHER, generator.integers(4, 12)), generator.choice(GOOD if good else BAD)]
        generator.shuffle(words)
        examples.append(Labelled(" ".join(words), "good" if good else "bad"))
    return examples
