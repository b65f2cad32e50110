"""word2vec's two matrices and what its loops need to train them; imported only where a training is about to start."""

import numpy as np

from trivium.vectors import word2vec_kernels as kernels
from trivium.vectors.huffman import Tree, huffman
from trivium.vectors.room import check_room
from trivium.vectors.vocabulary import keep_probabilities, noise_probabilities
from trivium.vectors.word2vec import Chunk, Word2VecSettings, initial_vectors


class Network:
    """Input vectors (the result), output vectors (negative sampling) and inner nodes (hierarchical softmax)."""

    def __init__(self, counts: np.ndarray, settings: Word2VecSettings) -> None:
        words, self.dimensions = len(counts), settings.dimensions
        width = -(-self.dimensions // 16) * 16
        check_room(words, width, 4, 1 + bool(settings.negatives) + settings.hierarchical)
        self.inputs = aligned_zeros(words, width)
        for start, rows in initial_vectors(words, self.dimensions, settings.seed):
            self.inputs[start : start + len(rows), : self.dimensions] = rows
        self.outputs = aligned_zeros(words if settings.negatives else 0, width)
        self.nodes = aligned_zeros(words - 1 if settings.hierarchical else 0, width)
        self.tree = huffman(counts) if settings.hierarchical else Tree.none()
        self.alias = kernels.build_alias(noise_probabilities(counts, settings.noise_power))
        self.keep = keep_probabilities(counts, settings.sample, settings.subsample)
        self.table = kernels.sigmoid_table()
        self.window = settings.window
        self.loop = kernels.train_skipgram if settings.algorithm == "skipgram" else kernels.train_cbow
        self.scratch = [scratch(settings.negatives, width) for _ in range(settings.threads)]

    def train(self, thread: int, ids: np.ndarray, chunk: Chunk) -> None:
        state = np.array([chunk.key], np.uint64)
        self.loop(
            ids,
            chunk.start,
            chunk.stop,
            np.float32(chunk.rate),
            self.window,
            self.keep,
            self.alias,
            self.tree.arrays,
            self.table,
            self.inputs,
            self.outputs,
            self.nodes,
            state,
            self.scratch[thread],
        )

    def vectors(self) -> np.ndarray:
        """(V, D) float32."""
        return np.ascontiguousarray(self.inputs[:, : self.dimensions])


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def scratch(negatives: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Drawn]:
    """What one thread writes to: a sentence, the change of the input, the mean of the context, targets and rates."""
    drawn = (np.zeros(negatives + 1, np.int64), np.zeros(negatives + 1, np.float32), np.zeros(negatives, np.int64))
    return np.zeros(kernels.LONGEST, np.int32), aligned_zeros(1, width), aligned_zeros(1, width), drawn


def aligned_zeros(rows: int, width: int) -> np.ndarray:
    """(rows, width) float32 from the start of a cache line on, so that 16 floats are one line and not parts of two."""
    held = np.zeros(rows * width + 16, np.float32)
    start = -(held.ctypes.data // 4) % 16
    return held[start : start + rows * width].reshape(rows, width)
