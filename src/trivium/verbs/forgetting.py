"""What a model forgets of the text that it was pretrained on while it is fine-tuned (Hu et al. 2021 leave the weights
as they are; Biderman et al. 2024 measure it): the pretrained model's own figure before, and with the tuned body after.

The figure is that of the objective that fits the model: bits per byte of a decoder; of an encoder or encoder-decoder
what the hidden part costs, with the same noise both times. Its vocabulary head is the pretrained one both times, for
fine-tuning drops it. At most 64 KiB of the text are read.
"""

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from trivium.errors import DataError, SettingsError
from trivium.objectives import OBJECTIVES
from trivium.objectives.objective import Objective
from trivium.text.blocks import cut
from trivium.text.documents import read_documents
from trivium.text.mixture import Mixture
from trivium.text.shards import Shards
from trivium.tokenizers.sampling import even_sample
from trivium.transformer import Network
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.verbs.judging import FIGURES, JUDGED_BYTES, some, written_shards
from trivium.verbs.load import LanguageModel
from trivium.verbs.pretraining_batches import evaluation
from trivium.verbs.pretraining_data import CutText, PretrainingData
from trivium.verbs.source_model import fits

LONGEST = 128  # tokens of a row, where the context allows as many
ROWS = 8


class Forgetting:
    """Judges the bodies of models that were tuned from ``base`` on the text of ``files``, which is tokenised once."""

    def __init__(self, base: LanguageModel, files: Sequence[str | Path]) -> None:
        kind = next((each for each in OBJECTIVES.values() if fits(each, base.config)), None)
        if base.model.vocabulary is None or kind is None:
            raise SettingsError(
                f"{base.directory} has no vocabulary head, so it predicts no tokens and cannot be asked what it "
                "forgets of a text: leave out old, or use a model that still has its head"
            )
        self.base = base
        self.objective: Objective = kind()
        self.length = min(LONGEST, base.config.context)
        layout = self.objective.layout(base.tokenizer, self.length)
        documents = some(even_sample(read_documents(files), JUDGED_BYTES).texts)
        if base.tokenizer.end is None or not documents:
            lacking = f"{base.directory}'s tokenizer has no end token" if documents else f"{files[0]} has no text"
            raise DataError(f"{lacking}, so what is forgotten cannot be measured: leave out old, or give another")
        self._folder = tempfile.TemporaryDirectory(prefix="trivium-")  # gone with this object
        written_shards(documents, base.tokenizer, Path(self._folder.name))
        self.blocks = cut(Shards.open(Path(self._folder.name)), layout)
        self.figure, self.before = self._figure(base.model)

    def after(self, tuned: Network) -> float:
        """The figure of the pretrained model with the tuned one's body."""
        model = copy.deepcopy(self.base.model)
        adapters = Adapters(tuned)
        if adapters.names:
            adapters.merge(DEFAULT)
        learnt = tuned.state_dict()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                new = learnt.get(name)
                if new is not None and not name.startswith(("vocabulary.", "heads.")):
                    weight.copy_(new[: len(weight)])  # tokens that the task added come last
        if adapters.names:
            adapters.unmerge()
        return self._figure(model)[1]

    def _figure(self, model: Network) -> tuple[str, float]:
        cut_text = CutText(Mixture.of(self.blocks, 0), [self.blocks])
        data = PretrainingData(self.base.tokenizer, [cut_text], "", self.objective, 0)
        measure = evaluation(model, self.objective, data, ROWS, self.length, 0)
        assert measure is not None
        values = measure()
        name = next(each for each in FIGURES if each in values)
        return name, values[name]
