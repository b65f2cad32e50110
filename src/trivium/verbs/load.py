"""``trivium.load``: a model's folder as one object that writes, fills, scores and predicts."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from trivium.errors import DataError, SettingsError
from trivium.families import Family
from trivium.families.adapter_folder import load as read_folder
from trivium.families.demo_models import DEMO_MODELS, find_model
from trivium.families.generation_config import GENERATION, GenerationConfig
from trivium.families.gguf_model import load_gguf
from trivium.families.hub import fetch, hub_model
from trivium.families.huggingface import Loaded
from trivium.families.model_folder import PICKLES
from trivium.families.sentence_modules import SentencePooling
from trivium.generation.completion import Completion, Piece, complete, stream
from trivium.generation.contrastive import Contrastive
from trivium.generation.fill import Filling, fill_masks
from trivium.generation.questions import about_continuation, about_text
from trivium.generation.sampling import Sampling
from trivium.generation.score import Score, Surprise, answers, joined, surprise
from trivium.generation.search import Search
from trivium.generation.spans import fill_spans
from trivium.generation.speculative import Draft
from trivium.generation.writer import Writer
from trivium.tokenizers import Tokenizer
from trivium.training.precision import choose_device
from trivium.transformer import Config, Network

if TYPE_CHECKING:
    import numpy as np

    from trivium.text.readers import Row
    from trivium.verbs.predict import Predicted

Precision = Literal["float32", "bfloat16", "int8"]


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A model with its tokenizer, ready to use. What it can do depends on its kind, and the others say what to use."""

    model: Network
    tokenizer: Tokenizer
    family: Family
    config: Config
    directory: Path
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by head: what a fine-tuned model predicts
    generation: GenerationConfig = GenerationConfig()  # what its makers say about writing

    @property
    def kind(self) -> Literal["encoder", "decoder", "encoder-decoder"]:
        if self.config.decoder_layers == 0:
            return "encoder"
        return "encoder-decoder" if self.config.encoder_layers else "decoder"

    @property
    def shareable(self) -> bool:
        """Whether adapters that stand on it can have its tensors as they are."""
        weight = next(self.model.parameters())
        return weight.dtype == torch.float32 and weight.device.type == "cpu" and not len(self.model.heads)

    @property
    def search(self) -> Search:
        """The beam search that the model's makers published with it, or else one with the defaults."""
        try:
            opening = 1 if self.kind == "encoder-decoder" else None
            return Search.published(self.generation.written, opening)
        except SettingsError as problem:
            raise DataError(f"{self.directory / GENERATION} cannot be followed: {problem}") from None

    def generate(
        self, prompt: str, sampling: Sampling | Search | Contrastive = Sampling(),  # noqa: B008 (frozen)
    ) -> Completion:  # fmt: skip
        """One text that goes on from the prompt (decoder) or answers it (encoder-decoder)."""
        return self.complete([prompt], sampling)[0]

    def complete(
        self,
        prompts: Sequence[str],
        sampling: Sampling | Search | Contrastive = Sampling(),  # noqa: B008 (frozen)
        samples: int = 1,
        draft: "LanguageModel | None" = None,
        draft_tokens: int = 4,
        best_of: int | None = None,
    ) -> list[Completion]:
        """``samples`` texts for each prompt, written side by side, by prompt and then by sample; of a search the best,
        by falling score. ``draft``: a smaller model of the same tokenizer, which drafts ``draft_tokens`` at a time.
        ``best_of``: so many are written, and those of the highest mean log-probability are given."""
        self._check_vocabulary()
        drafting = self._draft(draft, draft_tokens)
        return complete(self.model, self.tokenizer, prompts, sampling, samples, self.generation, drafting, best_of)

    def stream(
        self,
        prompts: Sequence[str],
        sampling: Sampling | Contrastive = Sampling(),  # noqa: B008 (frozen)
        samples: int = 1,
        draft: "LanguageModel | None" = None,
        draft_tokens: int = 4,
    ) -> Iterator[Piece]:
        """The same, piece by piece as tokens are chosen."""
        self._check_vocabulary()
        drafting = self._draft(draft, draft_tokens)
        return stream(self.model, self.tokenizer, prompts, sampling, samples, self.generation, drafting)

    def writer(
        self, *, slots: int = 16, longest: int | None = None, waiting: int | None = None, read_at_once: int = 2048,
        reuse: int = 4096,
    ) -> Writer:  # fmt: skip
        """Writes texts for requests that come one after another, at most ``slots`` at once: ``submit``, ``step``,
        ``cancel``."""
        self._check_vocabulary()
        return Writer(
            self.model, self.tokenizer, self.generation, slots=slots, longest=longest, waiting=waiting,
            read_at_once=read_at_once, reuse=reuse,
        )  # fmt: skip

    def fill(self, text: str, top: int = 5, size: int | Sequence[int] | None = None) -> Filling:
        """Fills a text's blanks (``___`` or ``<mask>``): a token each by an encoder, a span by an encoder-decoder.
        ``size``: of so many tokens, one number for each blank or one for all."""
        if self.kind == "decoder":
            raise SettingsError(
                f"{self.directory} is a decoder, which only writes on from a prompt: use generate, or give fill an "
                "encoder or an encoder-decoder"
            )
        self._check_vocabulary()
        if self.kind == "encoder":
            if size is not None:
                raise SettingsError(
                    f"{self.directory} is an encoder, which fills a blank with one token: write ___ ___ for two, or "
                    "give size to an encoder-decoder"
                )
            return fill_masks(self.model, self.tokenizer, [text], top)[0]
        sizes = () if size is None else (size,) if isinstance(size, int) else tuple(size)
        return fill_spans(self.model, self.tokenizer, [text], top, size=sizes)[0]

    def score(self, prompt: str, continuation: str) -> Score:
        """How probable the continuation is after the prompt (by an encoder: its pseudo-log-likelihood)."""
        return self.scores([(prompt, continuation)])[0]

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """Scores of many (prompt, continuation) pairs, batched."""
        self._check_vocabulary()
        questions = [about_continuation(self.model, self.tokenizer, *pair) for pair in pairs]
        found = iter(answers(self.model, [question for each in questions for question in each]))
        return [joined([next(found) for _ in each]) for each in questions]

    def surprise(self, text: str, stride: int | None = None) -> Surprise:
        """What a text costs, each token seeing up to a context of text before it.

        A smaller ``stride`` (half the context) is slower and lowers the cost. By an encoder: each token masked once.
        """
        self._check_vocabulary()
        questions = about_text(self.model, self.tokenizer, text, stride)
        if not questions:
            raise SettingsError("the text is too short for a token of it to be predicted: give more text")
        return surprise(joined(answers(self.model, questions)), text)

    def predict(self, rows: "Iterable[str | Row]") -> "list[Predicted]":
        """What a fine-tuned model says of texts, or of rows with the fields that its task reads; of a reward model,
        what the last reply of each conversation is worth."""
        from trivium.verbs.predict import predict, task_of
        from trivium.verbs.reward_models import is_reward_model, open_reward_model
        from trivium.verbs.tuning import Tuned

        if is_reward_model(self.directory):
            return list(predict(open_reward_model(self), rows))
        task = task_of(self.model, self.labels, self.directory)
        if task is None:
            raise SettingsError(f"{self.directory} predicts no labels: fine-tune it first, with trivium finetune")
        return list(predict(Tuned(self.model, self.tokenizer, task), rows))

    def embed(
        self,
        texts: Sequence[str],
        pooling: SentencePooling | None = None,
        normalise: bool | None = None,
        length: int | None = None,
    ) -> "np.ndarray":
        """(N, W) float32: a vector for each text, made as the folder says (``modules.json``), else the mean of its
        tokens as it is; each argument changes one thing. ``length``: tokens of a text that are read."""
        from trivium.verbs.embed import embedded

        return embedded(self, texts, pooling, normalise, length).vectors

    def _draft(self, draft: "LanguageModel | None", tokens: int) -> Draft | None:
        if draft is None:
            return None
        if draft.tokenizer.fingerprint != self.tokenizer.fingerprint:
            raise SettingsError(
                f"{draft.directory} cannot draft for {self.directory}: their tokenizers differ; use a smaller model of "
                "the same family, or one trained with the same tokenizer"
            )
        draft._check_vocabulary()
        return Draft(draft.model, tokens)

    def _check_vocabulary(self) -> None:
        if self.model.vocabulary is None:
            raise SettingsError(
                f"{self.directory} has no vocabulary projection, so it predicts no words: use predict, or the model it "
                "was fine-tuned from"
            )
        if self.config.vocabulary_head == "two-way":
            raise SettingsError(
                f"{self.directory} is a two-way language model, whose vectors are its use: look at them with trivium "
                "inspect text --word, or fine-tune it; to write, fill or score use another model"
            )


def load(
    model: "str | Path | LanguageModel", *, precision: Precision = "float32", device: str = "auto",
    base: LanguageModel | None = None,
) -> LanguageModel:  # fmt: skip
    """The model in a folder: one that ``trivium`` made, or a Hugging Face model folder on this machine; or a ``.gguf``
    file, the name of a demo model (``families/demo_models.py``), or a hub id (``families/hub.py``).

    ``precision``: bfloat16 takes half of float32's memory, int8 (weights alone, CPU alone) a quarter, and both write
    faster; on a CPU they are for inference only, and only float32 can be trained or saved. A model that is loaded
    already is given back as it is. ``base``: of an adapter's folder, the model that it stands on, loaded already; both
    then share what the adapter does not change, where they can: in float32 on a CPU, without heads.
    """
    if isinstance(model, LanguageModel):
        return model
    if precision not in get_args(Precision):
        raise SettingsError(f"precision is {precision!r}: choose {', '.join(get_args(Precision))}")
    directory = find(model)
    where = inference_device(device, precision)
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    if not directory.is_dir():
        loaded = load_gguf(directory, device=where, dtype=dtype)
    elif base is not None and base.shareable and precision == "float32" and where.type == "cpu":
        known = Loaded(base.model, base.family, base.tokenizer, base.config, generation=base.generation)
        loaded = read_folder(directory, base=known)
    else:
        loaded = read_folder(directory, device=where, dtype=dtype)
    if loaded.tokenizer is None:
        raise DataError(f"{directory} has no tokenizer.json: get it from where the model came from")
    body = inference_form(loaded.model, precision)
    return LanguageModel(
        body, loaded.tokenizer, loaded.family, loaded.config, directory, loaded.head_labels, loaded.generation
    )


def inference_device(device: str, precision: Precision) -> torch.device:
    """The device by name; refuses int8 on any but a CPU."""
    found = choose_device(device)
    if precision == "int8" and found.type != "cpu":
        raise SettingsError(f"int8 weights are for CPUs, and the device is {found.type}: choose cpu, or bfloat16")
    return found


def inference_form(network: Network, precision: Precision) -> Network:
    """The network, changed in its place, with its weights as they are read fastest."""
    network.eval().requires_grad_(False)
    if precision == "float32":
        return network
    if next(network.parameters()).device.type != "cpu":
        return network.to(torch.bfloat16)
    from trivium.transformer.inference_weights import for_inference

    return for_inference(network, int8=precision == "int8")


def find(model: str | Path, tell: Callable[[str], None] | None = None) -> Path:
    """Where a model is on this machine: a folder or a ``.gguf`` file; what is on the hub only is fetched first.

    What is here goes first: a name ``a/b`` is looked for on the hub where no folder ``a`` is, ``hf://a/b`` always.
    ``tell`` is told what is fetched and how much; if not given, standard error is.
    """
    path, name = Path(model), str(model)
    if path.is_dir() or path.suffix == ".gguf":
        return path
    if name in DEMO_MODELS and not path.exists():
        return find_model(name)
    wanted = hub_model(name)
    if wanted is not None and (wanted.explicit or not path.parent.is_dir()):
        return fetch(wanted, tell or _told)
    if path.suffix in PICKLES and path.is_file():
        raise DataError(
            f"{path} holds pickled weights, which can run code when opened and are never read: get the "
            "model.safetensors of the model, and give its folder"
        )
    elsewhere = f", or hf://{wanted} to take it from the hub" if wanted is not None else ""
    raise DataError(
        f"there is no model folder {path}: give the folder that a run wrote (--out), or a Hugging Face model "
        "folder with config.json, model.safetensors and tokenizer.json, or a .gguf file, or a demo model: "
        f"{', '.join(DEMO_MODELS)}{elsewhere}"
    )


def _told(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
