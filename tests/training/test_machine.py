"""What depends on the machine: device, precision, allocator, FLOPs, progress, TensorBoard."""

import json
import subprocess
import sys

import pytest
import torch
from toy_run import train

from trivium.errors import SettingsError
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.training import precision
from trivium.training.allocator import keep_freed_memory
from trivium.training.flops import Passes, training_flops
from trivium.training.progress import TrainingProgress
from trivium.training.settings import TrainingSettings
from trivium.transformer import TransformerConfig, TwoStreamConfig


def test_devices_by_name():
    assert precision.choose_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="the device cuda is one that this torch does not see: it has .*cpu"):
            precision.choose_device("cuda")


@pytest.mark.parametrize(
    ("bf16", "expected"), [(3.0, torch.bfloat16), (1.4, torch.float32), (1.0, torch.float32), (0.01, torch.float32)]
)
def test_auto_takes_bf16_where_it_was_measured_to_be_fast(monkeypatch, bf16, expected):
    asked = []

    def rate(device, dtype, size, repeats=4):
        asked.append(size)
        return bf16 if dtype == torch.bfloat16 else 1.0

    monkeypatch.setattr(precision, "matmul_rate", rate)
    precision.fast_bfloat16.cache_clear()
    try:
        assert precision.choose_precision("auto", torch.device("cpu")) == expected
        assert (max(asked) == 256) == (bf16 < 0.5), "an emulated product is not timed at full size"
        assert precision.choose_precision("auto", torch.device("cpu")) == expected
        assert precision.choose_precision("bfloat16", torch.device("cpu")) == torch.bfloat16
        resolved = precision.resolve(TrainingSettings(steps=1))
        assert resolved.precision == str(expected).removeprefix("torch.")
        assert resolved.device != "auto"
    finally:
        precision.fast_bfloat16.cache_clear()


def test_the_measured_rate_is_a_rate_of_this_machine_and_draws_no_random_number():
    state = torch.get_rng_state()
    assert 1e8 < precision.matmul_rate("cpu", torch.float32, 128) < 1e14
    assert torch.equal(state, torch.get_rng_state())


def test_the_allocator_is_set_by_a_call_and_not_by_an_import():
    """In a process of its own: mallopt is called once, with what is reported."""
    code = (
        "import ctypes, json\n"
        "calls = []\n"
        "import trivium.training.run, trivium.training.trainer\n"
        "from trivium.training import allocator\n"
        "real = ctypes.CDLL\n"
        "class Watch:\n"
        "    def __init__(self, name): self.real = real(name)\n"
        "    def __getattr__(self, name):\n"
        "        if name == 'mallopt': calls.append(name)\n"
        "        return getattr(self.real, name)\n"
        "ctypes.CDLL = Watch\n"
        "assert allocator.keep_freed_memory.cache_info().currsize == 0\n"
        "first = allocator.keep_freed_memory()\n"
        "before = len(calls)\n"
        "assert allocator.keep_freed_memory() == first and len(calls) == before\n"
        "print(json.dumps([first, before]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, calls = json.loads(done.stdout)
    assert first in ({}, {"M_MMAP_THRESHOLD": 2**31 - 1, "M_TRIM_THRESHOLD": 2**31 - 1, "M_TOP_PAD": 256 * 2**20})
    assert bool(first) == bool(calls)
    assert keep_freed_memory() == first


def test_what_threads_free_goes_back_where_they_share_one_heap():
    """In processes of their own: a thread leaves 20 MiB at the top of its heap, which are returned only then."""
    code = (
        "import ctypes, sys, threading\n"
        "from trivium.training import allocator\n"
        "from trivium.serving.metrics_page import resident_bytes\n"
        "shared = sys.argv[1] == 'shared' and allocator.share_one_heap()\n"
        "library = ctypes.CDLL(None)\n"
        "ctypes.memset.restype = library.malloc.restype = ctypes.c_void_p\n"
        "library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]\n"
        "def work():\n"
        "    library.free(ctypes.memset(library.malloc(20 << 20), 1, 20 << 20))\n"
        "    done.set(); end.wait()\n"
        "done, end, before = threading.Event(), threading.Event(), resident_bytes()\n"
        "library.mallopt(-1, 64 << 20), library.mallopt(-3, 32 << 20)  # as freed large blocks have made them by then\n"
        "thread = threading.Thread(target=work); thread.start(); done.wait()\n"
        "allocator.give_back_freed_memory(); print(int(shared), resident_bytes() - before); end.set()\n"
    )
    shared, left = _printed(code, "shared")
    if shared:  # with glibc, that is
        assert left < 4 << 20 and _printed(code, "own")[1] > 16 << 20


def _printed(code: str, word: str) -> tuple[int, int]:
    done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    return first, second


def test_flops_of_the_documented_shapes():
    """The rule written out: 6 x matrix weights x tokens + 12 L d T a token, half of that where attention is causal."""
    width, layers, length, vocabulary, tokens = 384, 6, 256, 8192, 4096
    matrices = layers * 12 * width**2
    gpt2 = TransformerConfig(vocabulary, width, 6, 4 * width, decoder_layers=layers, context=length)
    attention = 12 * layers * width * length * tokens
    expected = 6 * (matrices + vocabulary * width) * tokens + attention / 2
    assert training_flops(gpt2, Passes(target=tokens, target_length=length, logits=tokens)) == pytest.approx(expected)
    bert = TransformerConfig(vocabulary, width, 6, 4 * width, encoder_layers=layers, context=length)
    masked = 6 * matrices * tokens + 6 * vocabulary * width * 614 + attention
    assert training_flops(bert, Passes(source=tokens, source_length=length, logits=614)) == pytest.approx(masked)
    # T5: the decoder's layers have cross-attention, whose keys and values are made of the source.
    t5 = TransformerConfig(vocabulary, width, 6, 4 * width, encoder_layers=3, decoder_layers=3, context=length)
    source, target = 3000, 700
    weights = 3 * 12 * width**2 * (source + target) + 3 * 2 * width**2 * (source + target) + vocabulary * width * target
    scores = width * (3 * source * 256 + 3 * target * 64 / 2 + 3 * target * 256)
    assert training_flops(t5, Passes(source, 256, target, 64, target)) == pytest.approx(6 * weights + 12 * scores)
    # XLNet: two streams of which one has keys and values, and scores of two products.
    xlnet = TwoStreamConfig(vocabulary, width, 6, 4 * width, encoder_layers=layers, context=length)
    streams = layers * ((2 + 2 + 8) + (2 + 8)) * width**2
    written = 6 * (streams + vocabulary * width) * tokens + 1.5 * attention
    assert training_flops(xlnet, Passes(target=tokens, target_length=length, logits=tokens)) == pytest.approx(written)
    once = 6 * matrices * tokens + 1.5 * attention
    assert training_flops(xlnet, Passes(source=tokens, source_length=length)) == pytest.approx(once)
    # In an order, the second stream has queries alone, each of which looks at the whole row.
    queries = 683
    asked = 6 * layers * 10 * width**2 * queries + 6 * vocabulary * width * queries
    asked += 1.5 * 12 * layers * width * length * queries
    ordered = Passes(source=tokens, source_length=length, logits=queries, queries=queries)
    assert training_flops(xlnet, ordered) == pytest.approx(once + asked)
    # Attention by a causal decoder is cheaper than by an encoder, and gated layers have a third matrix.
    gated = TransformerConfig(vocabulary, width, 6, 1000, decoder_layers=1, gated=True, kv_heads=2)
    inner = 2 * width**2 + 2 * width * width // 3 + 3 * width * 1000
    assert training_flops(gated, Passes(target=10, target_length=10)) == pytest.approx(60 * inner + 6 * width * 100)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_flops_of_recurrent_networks_are_those_of_their_matrices(cell):
    """6 for each number of a matrix and token that passes it, counted from the modules themselves."""

    def matrices(module):
        return sum(p.numel() for p in module.parameters() if p.ndim == 2)

    sizes = {"vocab_size": 50, "width": 12, "state_width": 20, "cell": cell}
    decoder = RecurrentModel(RecurrentConfig(**sizes, decoder_layers=3))
    count = training_flops(decoder.config, Passes(target=70, target_length=10, logits=60))
    assert count == 6 * (70 * matrices(decoder.decoder) + 60 * 50 * 12)
    encoder = RecurrentModel(RecurrentConfig(**sizes, encoder_layers=2))
    assert training_flops(encoder.config, Passes(source=70, source_length=10)) == 6 * 70 * matrices(encoder.encoder)
    for attention in ("general", "additive"):
        both = RecurrentModel(RecurrentConfig(**sizes, encoder_layers=1, decoder_layers=2, attention=attention))
        own = matrices(both.decoder) - matrices(both.decoder.start)  # once a row, not a token
        keys = matrices(both.decoder.attention.key) if attention == "additive" else 0
        score = 12 if attention == "additive" else 0  # a vector that every pair meets
        expected = 90 * (matrices(both.encoder) + keys) + 40 * (own - keys - score) + 40 * 30 * 2 * 12
        assert training_flops(both.config, Passes(90, 30, 40, 20)) == 6 * expected


def test_lines_where_there_is_no_terminal_and_silence_when_quiet(capsys):
    with TrainingProgress(10, 0) as progress:
        progress.step(5, 2.5, 1000.0)
        progress.interval(5, 2.5, 1234.5)
        progress.tell("[evaluated] 1")
    assert capsys.readouterr().err.startswith("step 5/10  loss 2.500  1,234 tokens/s  0 s left\n[evaluated] 1\n")
    with TrainingProgress(10, 0, quiet=True) as progress:
        progress.interval(5, 2.5, 1234.5)
        progress.tell("nothing")
        progress.say("a warning")
    assert capsys.readouterr().err == "a warning\n"


def test_a_bar_on_a_terminal_without_colour(monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with TrainingProgress(10, 0) as progress:
        progress.step(5, 2.5, 1234.5)
        progress.interval(5, 2.5, 1234.5)
    shown = screen.getvalue()
    assert "step 5/10" in shown and "loss 2.500  1,234 tokens/s" in shown
    assert "\x1b[3" not in shown, "NO_COLOR is set"


def test_tensorboard_gets_the_numbers_of_metrics_jsonl(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run, _ = train(tmp_path / "run", tensorboard=True)
    events = event_accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    lines = [line for line in run.directory.metrics.lines if line["kind"] == "train"]
    written = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert written == [(line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in lines]


def test_a_missing_tensorboard_is_named_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"pip install -e '\.\[tensorboard\]'"):
        train(tmp_path / "run", tensorboard=True)
