"""Texts for requests that come one after another: what a server and a chat write with.

``submit`` takes a prompt with its own settings, at any time; ``step`` writes one more token of every text that has a
place and gives the pieces of text that are now certain; ``cancel`` ends one. All from one thread. The engine underneath
(``engine.py``) says what is bounded and what is refused.
"""

from collections.abc import Iterator

from trivium.errors import SettingsError
from trivium.families.generation_config import GenerationConfig
from trivium.generation.completion import Completion, Piece, check_samples, end_tokens, joined, piece_of, text_streams
from trivium.generation.constraints import Guide, guides
from trivium.generation.engine import Engine, Request
from trivium.generation.prompts import Prompt, opened, prompt_of
from trivium.generation.rules import Forced
from trivium.generation.sampling import Sampling
from trivium.generation.text_stream import TextStream
from trivium.generation.wording import wording
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers


class Writer:
    """Prompts in, pieces of text out. A piece's ``prompt`` is the handle that ``submit`` gave.

    ``slots``: texts that are written at once; ``longest``: tokens of a text, its prompt's among them (None: the model's
    context); ``waiting``: requests that may wait (None: any number); ``read_at_once``: tokens of prompts that are read
    between two steps; ``reuse``: tokens of what was read that are kept for prompts that begin alike.
    """

    def __init__(
        self, model: Network, tokenizer: Tokenizer, files: GenerationConfig = GenerationConfig(), *,  # noqa: B008
        slots: int = 16, longest: int | None = None, waiting: int | None = None, read_at_once: int = 2048,
        reuse: int = 4096,
    ):  # fmt: skip
        self.model, self.tokenizer, self.files = model, tokenizer, files
        self.engine = Engine(
            model, tokenizer.vocab_size, slots=slots, longest=longest, waiting=waiting, read_at_once=read_at_once,
            reuse=reuse,
        )  # fmt: skip
        self._texts: dict[int, tuple[int, int, TextStream]] = {}  # by the engine's handle: ours, the sample, the text
        self._handles = 0

    @property
    def busy(self) -> bool:
        """Whether a text is being written or waits."""
        return self.engine.busy

    def submit(
        self, prompt: str | Prompt, sampling: Sampling = Sampling(), samples: int = 1, *,  # noqa: B008 (frozen)
        ends: frozenset[int] = frozenset(), guide: Guide | None = None,
    ) -> int:  # fmt: skip
        """The handle of ``samples`` texts that go on from a prompt, or answer it; refuses what can never be written.
        All of them are taken, or none is. ``ends``: tokens that end these texts, beside those that end every text.
        ``guide``: what ``guides`` made of the form that the settings prescribe, if that has been done already."""
        check_samples(samples)
        row = prompt_of(self.model, self.tokenizer, prompt) if isinstance(prompt, str) else prompt
        ends, forced = ends | end_tokens(self.tokenizer, self.files), Forced(self.files.first, self.files.last)
        words, handle = wording(sampling, self.tokenizer), self._handles
        followed: list[Guide] = []
        if sampling.form:  # what is forced to be first writes no text, and what is forced to be last would cut it short
            if guide is None:
                guide = guides(self.tokenizer, sampling.form, ends, 1, answers(self.model.config))[0]
            followed = [guide.fork() for _ in range(samples)]
            row, forced = opened(row, self.files.first), Forced()
        taken: list[int] = []
        try:
            for sample in range(samples):
                one = Prompt(row.ids, row.source, row.sample + sample)
                own = followed[sample] if followed else None
                taken.append(self.engine.submit(Request(one, sampling, ends, forced, words, own)))
        except BaseException:
            for each in taken:
                self.engine.cancel(each)
            raise
        for sample, each in enumerate(taken):
            self._texts[each] = (handle, sample, text_streams(self.model, self.tokenizer, [row], sampling.stop)[0])
        self._handles += 1
        return handle

    def step(self) -> list[Piece]:
        """One more token of each text that has a place. A text's last piece has a ``finish``; where one cannot go on
        that is ``error``, and the others do."""
        pieces = []
        for choice in self.engine.step():
            handle, sample, text = self._texts[choice.row]
            pieces.append(piece_of(choice, text, (handle, sample), self.engine.cancel, self.tokenizer))
            if pieces[-1].finish:
                del self._texts[choice.row]
        return pieces

    def cancel(self, handle: int) -> None:
        """No more pieces come of a request; nothing happens where it has ended already."""
        for each in [each for each, (ours, _, _) in self._texts.items() if ours == handle]:
            self.engine.cancel(each)
            del self._texts[each]

    def stream(self, handle: int) -> Iterator[Piece]:
        """The pieces of one request, where there is no other; closing the iterator cancels it."""
        if {ours for ours, _, _ in self._texts.values()} - {handle}:
            raise SettingsError("other requests are being written: call step, which gives the pieces of all")
        try:
            while any(ours == handle for ours, _, _ in self._texts.values()):
                for piece in self.step():
                    if piece.problem is not None:
                        raise piece.problem
                    yield piece
        finally:
            self.cancel(handle)

    def completions(self) -> Iterator[Completion]:
        """Writes all that were submitted, each text given when it has ended."""
        pieces: dict[tuple[int, int], list[Piece]] = {}
        while self.busy:
            for piece in self.step():
                place = (piece.prompt, piece.sample)
                pieces.setdefault(place, []).append(piece)
                if piece.problem is not None:
                    raise piece.problem
                if piece.finish:
                    yield joined(pieces.pop(place))
