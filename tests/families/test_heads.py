"""Every head of every family: the numbers of the class of transformers that has it, both ways."""

import json
from dataclasses import replace
from importlib import import_module

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F

import trivium
from trivium.errors import DataError, SettingsError
from trivium.families import BERT, FAMILIES, GPT2, ROBERTA, T5, TRIVIUM
from trivium.families.huggingface import expressed_by, load, save
from trivium.families.weights import weights_out
from trivium.tokenizers import Tokenizer, train_bpe
from trivium.transformer import (
    CHOICE,
    NEXT_SENTENCE,
    SEQUENCE,
    SPAN,
    TOKEN,
    Inputs,
    Model,
    Record,
    SequenceHead,
    TokenHead,
    Tokens,
    initialise,
    make_head,
    moved_right,
)

V, PAD_LENGTHS = 61, (17, 9)
CLASSES = {
    ("bert", SEQUENCE): "BertForSequenceClassification",
    ("bert", TOKEN): "BertForTokenClassification",
    ("bert", SPAN): "BertForQuestionAnswering",
    ("bert", CHOICE): "BertForMultipleChoice",
    ("bert", NEXT_SENTENCE): "BertForNextSentencePrediction",
    ("bert", "next_sentence and vocabulary"): "BertForPreTraining",
    ("roberta", SEQUENCE): "RobertaForSequenceClassification",
    ("roberta", TOKEN): "RobertaForTokenClassification",
    ("roberta", SPAN): "RobertaForQuestionAnswering",
    ("roberta", CHOICE): "RobertaForMultipleChoice",
    ("distilbert", SEQUENCE): "DistilBertForSequenceClassification",
    ("distilbert", TOKEN): "DistilBertForTokenClassification",
    ("distilbert", SPAN): "DistilBertForQuestionAnswering",
    ("distilbert", CHOICE): "DistilBertForMultipleChoice",
    ("gpt1", SEQUENCE): "OpenAIGPTForSequenceClassification",
    ("gpt1", "choice and vocabulary"): "OpenAIGPTDoubleHeadsModel",
    ("gpt2", SEQUENCE): "GPT2ForSequenceClassification",
    ("gpt2", TOKEN): "GPT2ForTokenClassification",
    ("gpt2", SPAN): "GPT2ForQuestionAnswering",
    ("gpt2", "choice and vocabulary"): "GPT2DoubleHeadsModel",
    ("llama", SEQUENCE): "LlamaForSequenceClassification",
    ("llama", TOKEN): "LlamaForTokenClassification",
    ("llama", SPAN): "LlamaForQuestionAnswering",
    ("qwen2", SEQUENCE): "Qwen2ForSequenceClassification",
    ("qwen2", TOKEN): "Qwen2ForTokenClassification",
    ("qwen2", SPAN): "Qwen2ForQuestionAnswering",
    ("t5", SEQUENCE): "T5ForSequenceClassification",
    ("t5", TOKEN): "T5ForTokenClassification",
    ("t5", SPAN): "T5ForQuestionAnswering",
    ("bart", SEQUENCE): "BartForSequenceClassification",
    ("bart", SPAN): "BartForQuestionAnswering",
}
AUTO = {
    SEQUENCE: transformers.AutoModelForSequenceClassification,
    TOKEN: transformers.AutoModelForTokenClassification,
    SPAN: transformers.AutoModelForQuestionAnswering,
    CHOICE: transformers.AutoModelForMultipleChoice,
    NEXT_SENTENCE: transformers.AutoModelForNextSentencePrediction,
    "next_sentence and vocabulary": transformers.AutoModelForPreTraining,
}
NOT_DONE = {"BertLMHeadModel", "RobertaForCausalLM", "BartForCausalLM"}  # an encoder as a decoder, a decoder alone
LABELS = ("good", "bad", "ugly")
END = {"t5": 1, "bart": 2}


def reference(cases, family, on_top, **settings):
    cls = getattr(transformers, CLASSES[family, on_top])
    if on_top in (SEQUENCE, TOKEN):
        settings = {"num_labels": 3, "id2label": dict(enumerate(LABELS)), **settings}
    return replace(cases[family], classes={on_top: cls}).reference(on_top, **settings)


def given(family, batch, on_top):
    """The batch for both: (theirs, ours, real places)."""
    side = batch.ours.source or batch.ours.target
    theirs, ours, real = dict(batch.theirs), batch.ours, batch.real
    if family in END:
        ids = side.ids.clamp(min=3) * (side.documents >= 0) + FAMILIES[family].base.get("pad_token", 0) * (
            side.documents < 0
        )
        for row, length in enumerate(PAD_LENGTHS):
            ids[row, length - 1] = END[family]
        side, real = Tokens(ids, side.documents), side.documents >= 0
        theirs = {"input_ids": ids, "attention_mask": real.long()}
        start = FAMILIES[family].base["start_token"]
        ours = Inputs(side, None if on_top == TOKEN else moved_right(side, start))
    if on_top == "choice and vocabulary":
        theirs = {"input_ids": side.ids[None], "mc_token_ids": torch.tensor([[n - 1 for n in PAD_LENGTHS]])}
    elif on_top == CHOICE:
        theirs = {name: tensor[None] for name, tensor in theirs.items()}
    return theirs, ours, real


def results(theirs, inputs, on_top, real, labels):
    """(their scores, in our shape; their loss; what our loss must be, a function of our outputs)."""
    head = on_top.partition(" ")[0]
    if head == SPAN:
        rows = len(inputs["input_ids"])
        places = {"start_positions": torch.tensor([3, 1])[:rows], "end_positions": torch.tensor([5, 8])[:rows]}
        out = theirs(**inputs, **places, output_hidden_states=True, output_attentions=True)
        scores = torch.stack((out.start_logits, out.end_logits), -1)
        start, end = places.values()
        return out, scores, lambda o: (F.cross_entropy(o.heads[SPAN][..., 0], start)
                                       + F.cross_entropy(o.heads[SPAN][..., 1], end)) / 2  # fmt: skip
    targets = {
        SEQUENCE: torch.tensor([2, 0]), NEXT_SENTENCE: torch.tensor([1, 0]), CHOICE: torch.tensor([1]),
        TOKEN: torch.where(real, torch.arange(real.shape[1]) % 3, -100),
    }[head]  # fmt: skip
    if on_top == "choice and vocabulary":
        words = torch.where(real, inputs["input_ids"][0], -100)
        out = theirs(**inputs, mc_labels=targets, labels=words[None], output_hidden_states=True, output_attentions=True)
        out.loss = (out.loss if out.loss is not None else out.lm_loss) + out.mc_loss
        return out, out.mc_logits.reshape(-1, 1), lambda o: (
            F.cross_entropy(o.heads[CHOICE].view(1, -1), targets)
            + F.cross_entropy(o.logits[:, :-1].flatten(0, 1), words[:, 1:].flatten())
        )
    named = {"labels": targets}
    if on_top == "next_sentence and vocabulary":
        named = {"labels": labels, "next_sentence_label": targets}
    out = theirs(**inputs, **named, output_hidden_states=True, output_attentions=True)
    if on_top == "next_sentence and vocabulary":
        return out, out.seq_relationship_logits, lambda o: (
            F.cross_entropy(o.heads[head], targets) + F.cross_entropy(o.logits.flatten(0, 1), labels.flatten())
        )
    if head == CHOICE:
        return out, out.logits.reshape(-1, 1), lambda o: F.cross_entropy(o.heads[head].view(1, -1), targets)
    if head == TOKEN:
        return out, out.logits, lambda o: F.cross_entropy(o.heads[head].flatten(0, 1), targets.flatten())
    return out, out.logits, lambda o: F.cross_entropy(o.heads[head], targets)


def check_inside(record, out, real, close):
    """Hidden states and attention weights of the last stack, and of the encoder below it."""
    both = getattr(out, "decoder_hidden_states", None) is not None
    states = out.decoder_hidden_states if both else out.hidden_states
    mine = record.decoder_hidden or record.encoder_hidden
    for number, (a, b) in enumerate(zip(mine[:-1], states[:-1], strict=True)):
        close(a[real], b[real], f"hidden states {number}")
    weights = record.decoder_attention or record.encoder_attention
    pairs = list(zip(weights, out.decoder_attentions if both else out.attentions, strict=True))
    pairs += list(zip(record.cross_attention, out.cross_attentions if both else (), strict=True))
    for a, b in pairs:
        rows = real[:, None, :].expand(a.shape[:3])
        close(a[rows], b[rows], "attention weights")
    if both:
        close(record.encoder_hidden[0][real], out.encoder_hidden_states[0][real], "the encoder's first states")


@pytest.mark.parametrize(("family", "on_top"), CLASSES, ids=CLASSES.values())
def test_a_head_computes_what_their_class_does_and_goes_back(family, on_top, cases, batch_for, close, tmp_path):
    theirs = reference(cases, family, on_top)
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load(tmp_path / "theirs")
    name, ours = on_top.partition(" ")[0], loaded.model.eval()
    assert list(ours.heads) == [name] and not loaded.left_out
    assert loaded.head_labels == ({name: LABELS} if name in (SEQUENCE, TOKEN) else {})

    batch = batch_for(family)
    inputs, mine, real = given(family, batch, on_top)
    out, scores, loss_of = results(theirs, inputs, on_top, real, batch.labels)
    record = Record.empty()
    all_words = "all" if "vocabulary" in on_top else None
    got = ours(mine, heads=[name], at=all_words, record=record)
    places = real if scores.ndim == 3 else slice(None)
    close(got.heads[name][places], scores[places], "scores")
    if all_words:
        words = getattr(out, "prediction_logits", None)
        close(got.logits[real], (out.logits[0] if words is None else words)[real], "logits")
    check_inside(record, out, real, close)
    if name == SPAN:  # their loss counts the padding's scores in: take the row without any
        inputs, mine = {key: value[:1] for key, value in inputs.items()}, first_row(mine)
        out, _, loss_of = results(theirs, inputs, on_top, real[:1], batch.labels)
        got = ours(mine, heads=[name])
    loss = loss_of(got)
    close(loss[None], out.loss[None], "loss")
    loss.backward()
    out.loss.backward()
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in ours.named_parameters()}
    gradients = weights_out(gradients, loaded.family, loaded.config)
    assert set(gradients) == {parameter for parameter, _ in theirs.named_parameters()}
    expected = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in theirs.named_parameters()}
    # A bias that shifts all compared scores alike has a true gradient of 0, of which rounding is left: in attention a
    # key's, under a softmax over places or choices that of the scores and of the last norm.
    rounding = 1e-6 * max(gradient.abs().max().item() for gradient in expected.values())
    for parameter, gradient in expected.items():
        if gradient.abs().max() <= rounding:
            assert gradients[parameter].abs().max() <= rounding, parameter
        else:
            close(gradients[parameter], gradient, f"gradient of {parameter}")
    check_way_back(loaded, theirs, tmp_path, on_top, inputs)


def first_row(inputs):
    def cut(side):
        return side and Tokens(*(None if t is None else t[:1] for t in vars(side).values()))

    return Inputs(cut(inputs.source), cut(inputs.target))


def check_way_back(loaded, theirs, tmp_path, on_top, inputs):
    family = save(
        loaded.model, loaded.family, None, tmp_path / "ours", labels=loaded.head_labels, generation=loaded.generation
    )
    assert family is loaded.family
    auto = AUTO.get(on_top, type(theirs))
    opened, report = auto.from_pretrained(tmp_path / "ours", attn_implementation="eager", output_loading_info=True)
    assert type(opened) is type(theirs)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    for (name, a), (other, b) in zip(opened.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other and torch.equal(a, b), name
    with torch.no_grad():
        first, second = (m.eval()(**inputs, return_dict=True) for m in (opened, theirs))
    assert all(torch.equal(first[key], second[key]) for key in first if isinstance(first[key], torch.Tensor))
    if on_top in (SEQUENCE, TOKEN):
        assert opened.config.id2label == dict(enumerate(LABELS))
    again = load(tmp_path / "ours")
    assert (again.family, again.config, again.head_labels) == (loaded.family, loaded.config, loaded.head_labels)
    assert [head.config for head in again.model.heads.values()] == [h.config for h in loaded.model.heads.values()]


def test_the_table_has_every_class_of_theirs():
    """A class of a later version of transformers with a head that we do not know fails here."""
    modules = {"gpt1": "openai"}
    for name in ("bert", "roberta", "distilbert", "gpt1", "gpt2", "llama", "t5", "bart"):
        theirs = modules.get(name, name)
        module = import_module(f"transformers.models.{theirs}.modeling_{theirs}")
        published = {each for each in module.__all__ if "For" in each or "Heads" in each or "LMHead" in each}
        family = FAMILIES[name]
        known = {*family.architectures.values(), *(each for head in family.heads.values() for each in head.classes)}
        assert published - known - NOT_DONE == set(), name
        assert known - {f"{each}" for each in module.__all__} == set(), name
        assert {cls for (each, _), cls in CLASSES.items() if each == name} == {
            each for head in family.heads.values() for each in head.classes
        }


@pytest.mark.parametrize(("family", "head"), [k for k in CLASSES if k[1] in (TOKEN, SPAN) and k != ("t5", SPAN)])
def test_packed_documents_have_the_scores_of_each_alone(family, head, cases, close, tmp_path):
    theirs = reference(cases, family, head)
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path).model.eval()
    generator = torch.Generator().manual_seed(4)
    texts = [torch.randint(3, V, (1, length), generator=generator) for length in (7, 4, 8)]

    def packed(pieces):
        return Tokens(
            torch.cat(pieces, 1),
            torch.cat([torch.full((1, piece.shape[1]), i) for i, piece in enumerate(pieces)], 1),
            torch.cat([torch.arange(piece.shape[1])[None] for piece in pieces], 1),
        )

    both = ours.config.encoder_layers and ours.config.decoder_layers
    start = ours.config.start_token
    target = packed([moved_right(Tokens(text), start).ids for text in texts]) if both else packed(texts)
    inputs = Inputs(packed(texts), target)
    with torch.no_grad():
        scores = ours(inputs, heads=[head]).heads[head]
        for number, piece in enumerate(scores.split([text.shape[1] for text in texts], 1)):
            out = theirs(input_ids=texts[number])
            expected = out.logits if head == TOKEN else torch.stack((out.start_logits, out.end_logits), -1)
            close(piece, expected, f"scores of document {number}")


def test_several_heads_no_class_has_are_saved_as_ours_and_found_again(tmp_path, batch_for):
    config = ROBERTA.size("tiny", 61, dropout=0.1)
    heads = {
        SEQUENCE: make_head(config, replace(ROBERTA.heads[SEQUENCE].made, labels=2)),
        TOKEN: TokenHead(config, 3, dropout=0.3),
        SPAN: make_head(config, ROBERTA.heads[SPAN].made),
        "topic": SequenceHead(config, 5, "mean"),
    }
    model = initialise(Model(config, heads), 0).eval()
    assert save(model, ROBERTA, None, tmp_path, labels={SEQUENCE: ["no", "yes"], TOKEN: ["O", "B", "I"]}) is TRIVIUM
    again = load(tmp_path)
    assert again.head_labels == {SEQUENCE: ("no", "yes"), TOKEN: ("O", "B", "I")} and again.labels == ("no", "yes")
    assert [(n, h.config) for n, h in again.model.heads.items()] == [(n, h.config) for n, h in model.heads.items()]
    batch = batch_for("roberta")
    a, b = (m.eval()(batch.ours, heads=list(heads)).heads for m in (model, again.model))
    assert all(torch.equal(a[name], b[name]) for name in heads)
    assert save(again.model, again.family, None, tmp_path / "b", labels=again.head_labels) is TRIVIUM
    with pytest.raises(SettingsError, match="heads sequence, token: give their labels by head"):
        save(model, ROBERTA, None, tmp_path / "c", labels=["no", "yes"])


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_folders_from_before_other_heads_are_read(pooling, tmp_path, batch_for):
    config = BERT.size("tiny", 61)
    model = initialise(Model(config, {SEQUENCE: SequenceHead(config, 2, pooling)}), 0).eval()
    save(model, BERT, None, tmp_path, labels=["no", "yes"])
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps(written | {"heads": {SEQUENCE: {"labels": 2, "pooling": pooling}}}))
    again = load(tmp_path)
    assert again.labels == ("no", "yes") and again.model.heads[SEQUENCE].config == model.heads[SEQUENCE].config
    batch = batch_for("bert")
    a, b = (m.eval()(batch.ours, heads=[SEQUENCE]).heads[SEQUENCE] for m in (model, again.model))
    assert torch.equal(a, b)


def test_what_their_class_would_compute_otherwise_is_not_said_to_be_it():
    config = ROBERTA.size("tiny", 61)
    own = ROBERTA.heads[SEQUENCE].made
    assert expressed_by(ROBERTA, Model(config, {SEQUENCE: make_head(config, replace(own, labels=4))})) is ROBERTA
    assert expressed_by(ROBERTA, Model(config, {SEQUENCE: SequenceHead(config, 4, "first")})) is TRIVIUM
    assert expressed_by(ROBERTA, Model(config, {SPAN: TokenHead(config, 3)})) is TRIVIUM
    assert expressed_by(ROBERTA, Model(config, {"other": TokenHead(config, 3)})) is TRIVIUM
    assert expressed_by(ROBERTA, Model(config, {SEQUENCE: nn.Linear(32, 2)})) is TRIVIUM
    choice = GPT2.heads[CHOICE].made
    for head, expected in (("plain", GPT2), ("none", TRIVIUM)):  # a class that has the vocabulary's head as well
        config = GPT2.size("tiny", 61, vocabulary_head=head)
        assert expressed_by(GPT2, Model(config, {CHOICE: make_head(config, choice)})) is expected
    config = T5.size("tiny", 61)
    token = {TOKEN: make_head(config, replace(T5.heads[TOKEN].made, labels=3))}
    assert expressed_by(T5, Model(config, token)) is TRIVIUM  # theirs reads the encoder alone
    assert expressed_by(T5, Model(replace(config, decoder_layers=0, vocabulary_head="none"), token)) is T5


def test_an_encoder_of_t5_alone_both_ways(cases, batch_for, close, tmp_path):
    theirs = replace(cases["t5"], classes={"encoder": transformers.T5EncoderModel}).reference("encoder")
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load(tmp_path / "theirs")
    assert (loaded.config.encoder_layers, loaded.config.decoder_layers) == (2, 0)
    inputs, mine, real = given("t5", batch_for("t5"), TOKEN)
    close(loaded.model.eval()(mine).hidden[real], theirs(**inputs).last_hidden_state[real], "hidden states")
    assert save(loaded.model, loaded.family, None, tmp_path / "ours") is T5
    opened = transformers.T5EncoderModel.from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    assert torch.equal(opened(**inputs).last_hidden_state, theirs(**inputs).last_hidden_state)
    assert load(tmp_path / "ours").config == loaded.config


def test_the_problem_and_a_regressor_are_kept(cases, batch_for, close, tmp_path):
    theirs = reference(cases, "bert", SEQUENCE, num_labels=1, id2label={0: "score"}, problem_type="regression")
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load(tmp_path / "theirs")
    assert (loaded.problem, loaded.labels) == ("regression", ("score",))
    batch = batch_for("bert")
    scores = loaded.model.eval()(batch.ours, heads=[SEQUENCE]).heads[SEQUENCE]
    close(scores, theirs(**batch.theirs).logits, "scores")
    save(loaded.model, loaded.family, None, tmp_path / "ours", labels=loaded.head_labels, problem=loaded.problem)
    opened = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours")
    assert (opened.config.problem_type, opened.config.id2label) == ("regression", {0: "score"})


def test_labels_without_names_are_counted_from_the_tensors(cases, tmp_path):
    """Their files leave out the names that their configuration would give: BART has three labels by default."""
    cls = transformers.BartForSequenceClassification
    replace(cases["bart"], classes={SEQUENCE: cls}).reference(SEQUENCE).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    written = json.loads(path.read_text())
    for key in ("id2label", "label2id", "num_labels"):
        written.pop(key, None)
    path.write_text(json.dumps(written))
    assert load(tmp_path).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem_type": "guessing"}, "problem_type is 'guessing'"),
        ({"id2label": {"1": "a", "2": "b"}}, "does not number its labels from 0"),
        ({"id2label": {}}, "does not number its labels from 0"),
        ({"id2label": {"0": "a", "1": "b", "2": "c", "3": "d"}}, "wrong in shape: classifier.weight"),
        ({"id2label": None, "num_labels": 1 << 40}, None),  # the tensors say how many
        ({"classifier_dropout": 2}, "2 as a head's dropout"),
        ({"architectures": [["BertForSequenceClassification"]]}, "unexpected: classifier"),
        ({"architectures": 5}, "unexpected: classifier"),
        ({"architectures": ["BertForTokenClassification"], "id2label": "x"}, None),  # fits: pooler aside
        ({"architectures": ["BertForQuestionAnswering"]}, "missing: qa_outputs.weight"),
    ],
)
def test_a_config_that_describes_no_head(changes, message, cases, tmp_path):
    reference(cases, "bert", SEQUENCE).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    if message is None:
        assert len(next(iter(load(tmp_path).head_labels.values()))) == 3
        return
    with pytest.raises(DataError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (5, "heads are no tables"),
        ({SEQUENCE: 5}, "heads are no tables"),
        ({SEQUENCE: {"labels": 2, "pooling": "max"}}, "pooling"),
        ({SEQUENCE: {"kind": "beam", "labels": 2}}, "kind 'beam'"),
        ({SEQUENCE: {"kind": "pooled", "labels": -1}}, "-1 labels"),
        ({TOKEN: {"kind": "token", "labels": 2, "pooling": "first"}}, "pooling"),
        ({TOKEN: {"kind": "token", "labels": True}}, "labels"),
        ({TOKEN: {"kind": "token", "labels": 2, "names": 7}}, "names of labels"),
        ({TOKEN: {"labels": 2}}, "kind None"),
        ({"topic": {"kind": "token", "labels": 1 << 60}}, "at most 1,048,576"),
        ({"topic": {"kind": "pooled", "labels": 0}}, "of 0 labels"),
    ],
)
def test_a_table_that_describes_no_head(heads, message, tmp_path):
    config = BERT.size("tiny", 61, norm_place="pre")
    save(initialise(Model(config, {SEQUENCE: SequenceHead(config, 2, "mean")}), 0), BERT, None, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"heads": heads}))
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_another_summary_of_theirs_is_refused(cases, tmp_path):
    reference(cases, "gpt2", "choice and vocabulary").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"summary_activation": "tanh"}))
    with pytest.raises(DataError, match="summary_activation = 'tanh'"):
        load(tmp_path)


@pytest.mark.parametrize("family", END)
def test_an_encoder_decoder_with_labels_predicts_what_theirs_does(family, tmp_path):
    """The decoder is given the text moved right by one, also where texts of several lengths share a batch."""
    corpus = ["the cat sat on the mat and a dog sat on the cat"] * 20
    layout = "end" if family == "t5" else "classify"
    specials = FAMILIES[family].specials
    tokenizer: Tokenizer = train_bpe(corpus, 270 + len(specials.sentinels), specials, layout)
    config = FAMILIES[family].size("tiny", tokenizer.vocab_size)
    config = replace(config, pad_token=tokenizer.pad, start_token=tokenizer.end)
    head = make_head(config, replace(FAMILIES[family].heads[SEQUENCE].made, labels=3))
    model = initialise(Model(config, {SEQUENCE: head}), 0)
    for parameter in model.heads.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(1))
    assert save(model, FAMILIES[family], tokenizer, tmp_path, labels=LABELS) is FAMILIES[family]
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    encode = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = ["the cat sat on the mat", "a dog", "the mat sat on a cat and a dog and the mat"]
    predicted = trivium.load(tmp_path).predict(texts)
    with torch.no_grad():
        expected = theirs(**encode(texts, padding=True, return_tensors="pt", return_token_type_ids=False)).logits
    expected = expected.softmax(-1)
    found = torch.tensor([[each.prediction.probabilities[label] for label in LABELS] for each in predicted])
    assert (found - expected).abs().max() < 1e-5 and expected.std(0).min() > 1e-4
