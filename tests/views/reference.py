"""What ``transformers`` says of a text, for tests of what goes on inside a model."""

from pathlib import Path
from typing import Any

import torch
import transformers

from trivium.verbs.load import load
from trivium.views.passage import passage

TEXT = "Every model reads tokens and writes tokens."
ANSWER = "A list is a mutable sequence."
CLASSES = {
    "bert": transformers.BertForMaskedLM,
    "gpt2": transformers.GPT2LMHeadModel,
    "llama": transformers.LlamaForCausalLM,
    "t5": transformers.T5ForConditionalGeneration,
    "bart": transformers.BartForConditionalGeneration,
    "xlnet": transformers.XLNetLMHeadModel,
}


def answer_of(name: str) -> str | None:
    """What an encoder-decoder writes."""
    return ANSWER if name in ("t5", "bart") else None


def reference(folder: Path, name: str, asked: str, **options: Any) -> tuple[Any, Any]:
    """The model, and what it makes of the text; ``asked``: what else it is to give."""
    loaded = load(folder)
    read = passage(loaded.model, loaded.tokenizer, TEXT, answer_of(name))
    model = CLASSES[name].from_pretrained(folder, **options).eval()
    given: dict[str, Any] = {"input_ids": torch.tensor([(read.source or read.target).ids]), asked: True}
    if read.source and read.target:
        given["decoder_input_ids"] = torch.tensor([read.target.ids])
    with torch.no_grad():
        return model, model(**given)
