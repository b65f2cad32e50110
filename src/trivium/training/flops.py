"""Arithmetic of a training step, so that equal compute means equal FLOPs and a speed has a share of the possible.

The rule: forward and backward cost 6 FLOPs per matrix weight and token that passes it (the vocabulary projection where
logits are computed, look-ups nothing), plus 12 T W per token and layer for attention over T positions of width W, half
of it where attention is causal (Kaplan et al. 2020, section 2.1; PaLM's appendix B). Padding is not counted. A
recurrent network follows the same rule; its element-wise gates are left out, as norms and activations are elsewhere.
"""

from dataclasses import dataclass
from functools import singledispatch

from trivium.recurrent.config import RecurrentConfig
from trivium.recurrent.elmo_config import ElmoConfig
from trivium.transformer.config import TransformerConfig
from trivium.transformer.network import Config
from trivium.transformer.two_stream_config import TwoStreamConfig


@dataclass(frozen=True)
class Passes:
    """What a batch puts through the model: tokens of each side, the rows' lengths, and positions with logits."""

    source: int = 0
    source_length: int = 0
    target: int = 0
    target_length: int = 0
    logits: int = 0
    queries: int = 0  # positions of the source that a second stream predicts
    distinct: int = 0  # tokens of the source that differ: what is computed for a word once, whatever it is beside


@singledispatch
def training_flops(config: Config, passes: Passes) -> float:
    """FLOPs of one forward and backward pass, by the kind of network."""
    raise NotImplementedError(f"nobody has said how many FLOPs a pass of {type(config).__name__} takes")


@training_flops.register
def _transformer(config: TransformerConfig, passes: Passes) -> float:
    attention_width = config.heads * config.per_head
    keys_width = config.groups * config.per_head
    queries = 2 * config.width * attention_width  # query and output projections
    keys = 2 * config.width * keys_width  # key and value projections
    feed_forward = (3 if config.gated else 2) * config.width * config.ffn_width
    both = config.encoder_layers > 0 and config.decoder_layers > 0
    encoder = config.encoder_layers * (queries + keys + feed_forward) * passes.source
    decoder = config.decoder_layers * (queries + keys + feed_forward) * passes.target
    cross = config.decoder_layers * (queries * passes.target + keys * passes.source) if both else 0
    transform = config.width**2 if config.vocabulary_head == "transform" else 0
    head = (config.vocab_size * config.width + transform) * passes.logits
    attention = attention_width * (
        config.encoder_layers * passes.source * passes.source_length
        + 0.5 * config.decoder_layers * passes.target * passes.target_length
        + (config.decoder_layers * passes.target * passes.source_length if both else 0)
    )
    return 6.0 * (encoder + decoder + cross + head) + 12.0 * attention


@training_flops.register
def _two_stream(config: TwoStreamConfig, passes: Passes) -> float:
    """A source is read by one stream, a target by two, of which the second has no keys and values of its own; of a
    source in an order, the second has the positions to predict. A score is two products, of contents and of distances;
    the keys of distances are made once for a batch and not counted."""
    stream = config.encoder_layers * (2 * config.width**2 + 2 * config.width * config.ffn_width)
    keys = config.encoder_layers * 2 * config.width**2
    weights = (stream + keys) * passes.source + stream * passes.queries + (2 * stream + keys) * passes.target
    pairs = (passes.source + passes.queries) * passes.source_length
    pairs += passes.target * passes.target_length  # half of each of two streams
    head = config.vocab_size * config.width * passes.logits
    return 6.0 * (weights + head) + 1.5 * 12.0 * config.width * config.encoder_layers * pairs


@training_flops.register
def _recurrent(config: RecurrentConfig, passes: Passes) -> float:
    state, width = config.state, config.width
    crosses = config.encoder_layers > 0 and config.decoder_layers > 0
    additive = crosses and config.attention == "additive"
    encoder = decoder = pairs = 0
    if config.encoder_layers:
        encoder = 2 * _cells(config, config.encoder_layers, width, 2 * state) + _projection(2 * state, width)
        encoder += width**2 if additive else 0  # keys
    if config.decoder_layers:
        decoder = _cells(config, config.decoder_layers, width * (2 if additive else 1), state)
        decoder += (state + state + width) * width if crosses else _projection(state, width)  # query and readout
    if crosses:
        pairs = 2 * width * passes.target * passes.source_length  # a score, and its share of the context
    head = config.vocab_size * width * passes.logits
    return 6.0 * (encoder * passes.source + decoder * passes.target + pairs + head)


@training_flops.register
def _elmo(config: ElmoConfig, passes: Passes) -> float:
    recurrent, spelling = config.matrix_weights()
    head = config.vocab_size * config.projection * passes.logits
    return 6.0 * (recurrent * passes.source + spelling * passes.distinct + head)


def _projection(wide: int, width: int) -> int:
    return wide * width if wide != width else 0


def _cells(config: RecurrentConfig, layers: int, inputs: int, between: int) -> int:
    """Matrix weights of a stack of cells in one direction."""
    widths = [inputs] + [between] * (layers - 1) if layers else []
    return sum(config.gates * config.state * (each + config.state) for each in widths)
