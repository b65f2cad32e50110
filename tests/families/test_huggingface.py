"""Folders of ours and of transformers, each opened by the other, give the same numbers."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from trivium.errors import DataError
from trivium.families import FAMILIES, GPT2, TRIVIUM
from trivium.families.huggingface import expressed_by, load, save
from trivium.families.weights import weights_out
from trivium.transformer import (
    SEQUENCE,
    Band,
    Inputs,
    Model,
    Record,
    RelativeBias,
    Rotary,
    SequenceHead,
    Tokens,
    TransformerConfig,
    initialise,
)

NAMES = [name for name, family in FAMILIES.items() if family.architectures and family.config is TransformerConfig]


def test_hidden_states_logits_loss_and_gradients_agree(case, reference_folder, batch_for, close):
    theirs, folder = reference_folder
    batch = batch_for(case.family)
    loaded = load(folder)
    ours = loaded.model.eval()

    record = Record.empty()
    out = ours(batch.ours, at="all", record=record)
    expected = theirs(**batch.theirs, output_hidden_states=True, output_attentions=True)
    close(out.logits[batch.real], expected.logits[batch.real], "logits")
    encoder_decoder = case.stacks == "Seq2SeqLM"
    states = expected.decoder_hidden_states if encoder_decoder else expected.hidden_states
    mine = record.encoder_hidden if case.stacks == "MaskedLM" else record.decoder_hidden
    for number, (a, b) in enumerate(zip(mine[:-1], states[:-1], strict=True)):
        close(a[batch.real], b[batch.real], f"hidden states {number}")
    close(out.hidden[batch.real], states[-1][batch.real], "final hidden states")
    weights = record.encoder_attention if case.stacks == "MaskedLM" else record.decoder_attention
    for a, b in zip(weights, expected.decoder_attentions if encoder_decoder else expected.attentions, strict=True):
        real = batch.real[:, None, :].expand(a.shape[:3])
        close(a[real], b[real], "attention weights")
    if encoder_decoder:
        source_real = batch.source_real
        close(out.source_hidden[source_real], expected.encoder_last_hidden_state[source_real], "encoder's output")
        for a, b in zip(record.cross_attention, expected.cross_attentions, strict=True):
            real = batch.real[:, None, :].expand(a.shape[:3])
            close(a[real], b[real], "cross-attention weights")

    at = (batch.labels.reshape(-1) >= 0).nonzero()[:, 0]
    targets = batch.labels.reshape(-1)[at]
    loss = F.cross_entropy(ours(batch.ours, at=at).logits, targets)
    reference = F.cross_entropy(theirs(**batch.theirs).logits.reshape(-1, out.logits.shape[-1])[at], targets)
    close(loss[None], reference[None], "loss")
    loss.backward()
    reference.backward()
    gradients = {
        name: parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        for name, parameter in ours.named_parameters()
    }
    gradients = weights_out(gradients, loaded.family, loaded.config)
    compared = 0
    for name, parameter in theirs.named_parameters():
        close(gradients[name], parameter.grad, f"gradient of {name}", tolerance=gradient_tolerance(name))
        compared += 1
    assert compared == len(gradients)


def gradient_tolerance(name: str) -> float:
    # A key's bias shifts all scores of a query alike, so its true gradient is 0 and what is left is rounding.
    return float("inf") if name.endswith(("key.bias", "k_proj.bias", "k_lin.bias")) else 1e-5


def test_transformers_opens_our_folder_with_equal_logits(case, reference_folder, batch_for, tmp_path):
    theirs, folder = reference_folder
    loaded = load(folder)
    assert save(loaded.model, loaded.family, None, tmp_path / "ours") is loaded.family
    auto = getattr(transformers, f"AutoModelFor{case.stacks}")
    opened, report = auto.from_pretrained(tmp_path / "ours", attn_implementation="eager", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    for (name, a), (other, b) in zip(opened.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other and torch.equal(a, b), name
    batch = batch_for(case.family)
    assert torch.equal(opened.eval()(**batch.theirs).logits, theirs(**batch.theirs).logits)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_ours_goes_out_and_comes_back_the_same(name, tmp_path, batch_for, stacks_of, close):
    family = FAMILIES[name]
    model = initialise(Model(family.size("tiny", vocab_size=61)), seed=3).eval()
    save(model, family, None, tmp_path)
    again = load(tmp_path)
    first = {"spanbert": "bert", "gpt3": "gpt2"}.get(name, name)  # of the families in one layout
    assert again.family is FAMILIES[first] and again.config == model.config
    for (a, b), (other, c) in zip(model.state_dict().items(), again.model.state_dict().items(), strict=True):
        assert a == other and torch.equal(b, c)
    batch = batch_for(name)
    auto = getattr(transformers, f"AutoModelFor{stacks_of(name)}")
    theirs = auto.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ours = model(batch.ours, at="all").logits
    close(ours[batch.real], theirs(**batch.theirs).logits[batch.real], "logits")
    assert not list(tmp_path.glob(".*")), "no temporary file stays"


@pytest.mark.parametrize("name", ["bert", "gpt1", "gpt2", "llama", "qwen2"])
def test_sequence_classifiers_both_ways(name, cases, batch_for, close, tmp_path):
    theirs = cases[name].reference("sequence", num_labels=3, id2label={0: "good", 1: "bad", 2: "ugly"})
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load(tmp_path / "theirs")
    assert loaded.labels == ("good", "bad", "ugly")
    batch = batch_for(name)
    ours = loaded.model.eval()(batch.ours, heads=[SEQUENCE]).heads[SEQUENCE]
    close(ours, theirs(**batch.theirs).logits, "scores of labels")
    save(loaded.model, loaded.family, None, tmp_path / "ours", labels=loaded.labels)
    opened, report = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "ours", attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert opened.config.id2label == {0: "good", 1: "bad", 2: "ugly"}
    assert torch.equal(opened.eval()(**batch.theirs).logits, theirs(**batch.theirs).logits)


def test_a_pretrained_encoder_with_a_new_classifier_keeps_its_vocabulary(tmp_path, batch_for, close):
    config = FAMILIES["bert"].size("tiny", vocab_size=61)
    model = initialise(Model(config, {SEQUENCE: SequenceHead(config, 2, "first")}), 0).eval()
    assert save(model, FAMILIES["bert"], None, tmp_path, labels=["no", "yes"]).name == "bert"
    again = load(tmp_path)
    batch = batch_for("bert")
    expected, out = (m.eval()(batch.ours, at="all", heads=[SEQUENCE]) for m in (model, again.model))
    assert torch.equal(expected.logits, out.logits) and torch.equal(expected.heads[SEQUENCE], out.heads[SEQUENCE])
    theirs = transformers.BertForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager").eval()
    close(out.heads[SEQUENCE], theirs(**batch.theirs).logits, "scores of labels")


def test_documents_packed_into_a_row_are_what_the_reference_computes_of_each(case, reference_folder, close):
    theirs, folder = reference_folder
    ours = load(folder).model.eval()
    generator = torch.Generator().manual_seed(4)
    texts = [torch.randint(2, 61, (1, length), generator=generator) for length in (7, 4, 8)]
    sources = [torch.randint(2, 61, (1, length), generator=generator) for length in (3, 9, 5)]

    def packed(pieces):
        return Tokens(
            torch.cat(pieces, 1),
            torch.cat([torch.full((1, piece.shape[1]), i) for i, piece in enumerate(pieces)], 1),
            torch.cat([torch.arange(piece.shape[1])[None] for piece in pieces], 1),
        )

    inputs = {
        "MaskedLM": Inputs(packed(texts)),
        "CausalLM": Inputs(target=packed(texts)),
        "Seq2SeqLM": Inputs(packed(sources), packed(texts)),
    }[case.stacks]
    with torch.no_grad():
        logits = ours(inputs, at="all").logits
        for number, piece in enumerate(logits.split([text.shape[1] for text in texts], 1)):
            given = {"input_ids": texts[number]}
            if case.stacks == "Seq2SeqLM":
                given = {"input_ids": sources[number], "decoder_input_ids": texts[number]}
            close(piece, theirs(**given).logits, f"logits of document {number}")


FULL_SIZE = [
    ("bert", "base"), ("roberta", "base"), ("distilbert", "base"), ("gpt1", "base"), ("gpt2", "small"), ("t5", "base"),
    ("t5", "1.1-base"), ("bart", "base"), ("llama", "smollm2-135m"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "size"), FULL_SIZE)
def test_at_full_size(name, size, tmp_path, batch_for, stacks_of, close):
    """The published base size with random weights: hidden states, attention, logits, loss and gradients."""
    family = FAMILIES[name]
    model = initialise(Model(family.size(size)), 0).eval()
    assert save(model, family, None, tmp_path) is family
    auto = getattr(transformers, f"AutoModelFor{stacks_of(name)}")
    theirs = auto.from_pretrained(tmp_path, attn_implementation="eager", dtype=torch.float32).eval()
    # A ReLU has a step in its gradient: of the 9.6 million units of T5 on 100 tokens one lay so near 0 that rounding
    # decided its sign (6e-4 of the largest gradient). On few tokens none does.
    length = 8 if model.config.activation == "relu" else 100
    ids = torch.randint(5, 30000, (2, length), generator=torch.Generator().manual_seed(5))
    both, decoder = stacks_of(name) == "Seq2SeqLM", stacks_of(name) != "MaskedLM"
    targets = ids[:, :30] if both else ids
    inputs = Inputs(Tokens(ids) if not decoder or both else None, Tokens(targets) if decoder else None)
    given = {"input_ids": ids, **({"decoder_input_ids": targets} if both else {})}
    record, largest = Record.empty(), 0.0

    def check(a, b, what, tolerance=5e-5):
        nonlocal largest
        largest = max(largest, ((a - b).abs().max() / b.abs().max()).item())
        close(a, b, what, tolerance=tolerance)

    ours = model(inputs, at="all", record=record)
    expected = theirs(**given, output_hidden_states=True, output_attentions=True, use_cache=False)
    check(ours.logits, expected.logits, "logits")
    states = expected.decoder_hidden_states if both else expected.hidden_states
    check(ours.hidden, states[-1], "final hidden states")
    mine = record.decoder_hidden if decoder else record.encoder_hidden
    for number, (a, b) in enumerate(zip(mine[:-1], states[:-1], strict=True)):
        check(a, b, f"hidden states {number}")
    weights = record.decoder_attention if decoder else record.encoder_attention
    for a, b in zip(weights, expected.decoder_attentions if both else expected.attentions, strict=True):
        check(a, b, "attention weights")
    for a, b in zip(record.cross_attention, expected.cross_attentions if both else (), strict=True):
        check(a, b, "cross-attention weights")
    labels = targets.flip(1).reshape(-1)
    losses = [F.cross_entropy(out.logits.flatten(0, 1), labels) for out in (ours, expected)]
    check(losses[0][None], losses[1][None], "loss")
    for loss in losses:
        loss.backward()
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in model.named_parameters()}
    gradients = weights_out(gradients, family, model.config)
    for parameter, other in theirs.named_parameters():
        if gradient_tolerance(parameter) < 1:
            check(gradients[parameter], other.grad, f"gradient of {parameter}")
    print(f"{name} {size}: largest difference {largest:.2e} of a tensor's largest value")


def test_a_cache_gives_what_the_reference_computes_at_once(case, reference_folder, close):
    if case.stacks == "MaskedLM":
        return
    theirs, folder = reference_folder
    ours = load(folder).model.eval()
    generator = torch.Generator().manual_seed(1)
    source, target = (torch.randint(2, 61, (2, length), generator=generator) for length in (11, 14))
    both = case.stacks == "Seq2SeqLM"
    given = {"input_ids": source, "decoder_input_ids": target} if both else {"input_ids": target}
    cache = ours.new_cache(2, 14, "cpu", torch.float32)
    pieces = []
    with torch.no_grad():
        expected = theirs(**given).logits
        for first, last in ((0, 5), *((i, i + 1) for i in range(5, 14))):
            side = Tokens(source) if both and first == 0 else None
            pieces.append(ours(Inputs(side, Tokens(target[:, first:last])), at="all", cache=cache).logits)
    close(torch.cat(pieces, 1), expected, "logits")


def test_greedy_generation_is_theirs_token_for_token(case, reference_folder):
    if case.stacks == "MaskedLM":
        return
    theirs, folder = reference_folder
    ours = load(folder).model.eval()
    prompt = torch.randint(2, 61, (3, 7), generator=torch.Generator().manual_seed(2))
    settings = {"do_sample": False, "num_beams": 1, "max_new_tokens": 16, "eos_token_id": None}
    settings["use_cache"] = False  # theirs cannot keep more decoder than encoder layers
    expected = theirs.generate(prompt, forced_eos_token_id=None, pad_token_id=60, **settings)
    both = case.stacks == "Seq2SeqLM"
    ids = torch.full((3, 1), ours.config.start_token) if both else prompt
    cache = ours.new_cache(3, 40, "cpu", torch.float32)
    source, new = (Tokens(prompt) if both else None), ids
    with torch.no_grad():
        for _ in range(16):
            scores = ours(Inputs(source, Tokens(new)), at="all", cache=cache).logits
            source, new = None, scores[:, -1:].argmax(-1)
            ids = torch.cat([ids, new], 1)
    assert ids.tolist() == expected.tolist()


@pytest.mark.parametrize("tied", [True, False])
def test_a_classifier_without_vocabulary_goes_out_as_its_family(tied, tmp_path, batch_for, close):
    config = GPT2.size("tiny", vocab_size=61, vocabulary_head="none", tied=tied)
    model = initialise(Model(config, {SEQUENCE: SequenceHead(config, 2, "last")}), 0).eval()
    assert save(model, GPT2, None, tmp_path, labels=["no", "yes"]) is GPT2
    batch = batch_for("gpt2")
    expected = model(batch.ours, heads=[SEQUENCE]).heads[SEQUENCE]
    assert torch.equal(load(tmp_path).model.eval()(batch.ours, heads=[SEQUENCE]).heads[SEQUENCE], expected)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager")
    close(expected, theirs.eval()(**batch.theirs).logits, "scores of labels")


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "gpt1", "gpt2", "llama", "qwen2", "bart"])
def test_bodies_without_a_head_and_their_bare_names_are_read(name, cases, batch_for, close, tmp_path):
    theirs = cases[name].reference("body")
    theirs.save_pretrained(tmp_path)
    assert not any(k.startswith(cases[name].table.prefix) for k in load_file(tmp_path / "model.safetensors"))
    loaded = load(tmp_path)
    batch = batch_for(name)
    out = loaded.model.eval()(batch.ours)
    close(out.hidden[batch.real], theirs(**batch.theirs).last_hidden_state[batch.real], "hidden states")
    save(loaded.model, loaded.family, None, tmp_path / "ours")
    again = transformers.AutoModel.from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    assert torch.equal(again(**batch.theirs).last_hidden_state, theirs(**batch.theirs).last_hidden_state)


def test_a_bart_that_was_published_as_a_body_generates(cases, batch_for, close, tmp_path):
    """The numbers per token that its file lacks are zeros, for transformers and for us."""
    cases["bart"].reference("body").save_pretrained(tmp_path)
    theirs = transformers.BartForConditionalGeneration.from_pretrained(tmp_path, attn_implementation="eager").eval()
    loaded = load(tmp_path)
    batch = batch_for("bart")
    logits = loaded.model.eval()(batch.ours, at="all").logits
    close(logits[batch.real], theirs(**batch.theirs).logits[batch.real], "logits")
    assert save(loaded.model, loaded.family, None, tmp_path / "ours") is FAMILIES["bart"]
    again = transformers.BartForConditionalGeneration.from_pretrained(tmp_path / "ours", attn_implementation="eager")
    assert torch.equal(again.eval()(**batch.theirs).logits, theirs(**batch.theirs).logits)


def test_what_is_stored_but_not_trained_is_saved_with_the_masters(tmp_path):
    model = initialise(Model(FAMILIES["bart"].size("tiny", 61)), 0)
    model.vocabulary.offset.normal_()
    save(model, FAMILIES["bart"], None, tmp_path, state=dict(model.named_parameters()))
    assert torch.equal(load(tmp_path).model.vocabulary.offset, model.vocabulary.offset)


def test_tensors_that_nothing_uses_are_left_out_and_named(cases, tmp_path):
    """The published bert-base-uncased holds a next-sentence head, and gamma and beta for norms."""
    theirs = cases["bert"].reference("pretraining")
    theirs.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
           for k, v in tensors.items()}  # fmt: skip
    old["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    save_file(old, tmp_path / "model.safetensors", metadata={"format": "pt"})
    edit(tmp_path, architectures=["BertForMaskedLM"])  # as the published one says
    loaded = load(tmp_path)
    assert loaded.config.pooler and loaded.config.vocabulary_head == "transform"
    assert set(loaded.left_out) == {
        "cls.seq_relationship.weight", "cls.seq_relationship.bias", "cls.predictions.decoder.weight"
    }  # fmt: skip
    norm = loaded.model.encoder.layers[1].attention_norm.weight
    assert torch.equal(norm, theirs.bert.encoder.layer[1].attention.output.LayerNorm.weight)


UNEXPRESSED = {
    "banded GPT-3": FAMILIES["gpt3"].size("tiny", 61, band=Band(3)),
    "rotary gpt": TransformerConfig(61, 32, 4, 48, decoder_layers=2, position=Rotary(5e5), norm="rms", kv_heads=2),
    "pre-norm encoder": TransformerConfig(61, 32, 4, 48, encoder_layers=1, segments=2),
    "decoder with T5's positions": TransformerConfig(61, 32, 4, 48, decoder_layers=1, position=RelativeBias(8, 20)),
}


@pytest.mark.parametrize("config", UNEXPRESSED.values(), ids=UNEXPRESSED)
def test_what_no_class_expresses_is_saved_as_trivium(config, tmp_path):
    head = SequenceHead(config, 2, "mean")
    model = initialise(Model(config, {SEQUENCE: head}), 0).eval()
    family = GPT2 if config.decoder_layers else FAMILIES["bert"]
    assert save(model, family, None, tmp_path, labels=["no", "yes"]) is TRIVIUM
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "trivium" and "architectures" not in written
    again = load(tmp_path)
    assert (again.config, again.labels, again.family) == (config, ("no", "yes"), TRIVIUM)
    side = Tokens(torch.arange(2, 9)[None])
    inputs = Inputs(side if config.encoder_layers else None, side if config.decoder_layers else None)
    a, b = (m.eval()(inputs, at="all", heads=[SEQUENCE]) for m in (model, again.model))
    assert torch.equal(a.logits, b.logits) and torch.equal(a.heads[SEQUENCE], b.heads[SEQUENCE])


def test_a_head_that_a_class_has_not_makes_the_folder_trivium():
    config = FAMILIES["bert"].size("tiny", vocab_size=61)
    assert expressed_by(FAMILIES["bert"], Model(config)).name == "bert"
    assert expressed_by(FAMILIES["bert"], Model(config, {SEQUENCE: SequenceHead(config, 2, "first")})).name == "bert"
    assert expressed_by(FAMILIES["bert"], Model(config, {SEQUENCE: SequenceHead(config, 2, "mean")})) is TRIVIUM
    assert expressed_by(FAMILIES["bert"], Model(config, {"other": torch.nn.Linear(2, 2)})) is TRIVIUM


def test_saved_masters_are_what_is_written(tmp_path):
    """A run in bfloat16 saves the optimizer's float32 copies, not the rounded weights."""
    model = initialise(Model(GPT2.size("tiny", vocab_size=61)), 0)
    masters = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save(model.bfloat16(), GPT2, None, tmp_path, state=masters)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float32"
    again = load(tmp_path).model.state_dict()
    assert all(torch.equal(again[name], masters[name]) for name in masters)
    assert load(tmp_path, dtype=torch.bfloat16).model.tokens.weight.dtype == torch.bfloat16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(initialise(Model(GPT2.size("tiny", vocab_size=61)), 0), GPT2, None, tmp_path)
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_unknown_model_type_names_the_nearest(folder):
    edit(folder, model_type="gpt3")
    with pytest.raises(DataError, match=r"'gpt3'.*nearest.*'gpt2'"):
        load(folder)


def test_missing_unexpected_and_misshapen_tensors_are_listed(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["extra"] = torch.zeros(2)
    del tensors["transformer.ln_f.bias"]
    tensors["transformer.wpe.weight"] = torch.zeros(3, 32)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(DataError) as caught:
        load(folder)
    for part in ("missing: transformer.ln_f.bias", "unexpected: extra",
                 "wrong in shape: transformer.wpe.weight (3, 32) instead of (64, 32)"):  # fmt: skip
        assert part in str(caught.value)


def test_a_huge_config_is_refused_by_the_header_before_any_memory_is_taken(folder):
    edit(folder, n_embd=1 << 17, vocab_size=1 << 28)  # 140 TB of embeddings
    with pytest.raises(DataError, match="wrong in shape"):
        load(folder)


def test_a_cut_off_file_is_damaged(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged or cut short"):
        load(folder)


def test_pickled_weights_are_never_opened(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(DataError, match="pickled weights only"):
        load(folder)


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "absent.safetensors"])
def test_an_index_cannot_name_files_elsewhere(folder, name):
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = {"weight_map": {"transformer.wte.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="not a file in that folder"):
        load(folder)


def test_sharded_files_are_read(folder):
    model = load(folder).model
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    where = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}
    for part in set(where.values()):
        save_file({n: tensors[n] for n in names if where[n] == part}, folder / part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    again = load(folder).model.state_dict()
    assert all(torch.equal(t, again[name]) for name, t in model.state_dict().items())


@pytest.mark.parametrize("text", ["", "[1]", "{", "\x00"])
def test_a_config_that_is_none(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(DataError, match=r"config\.json"):
        load(folder)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n_head": 5}, "does not divide"),
        ({"n_embd": "wide"}, "n_embd = 'wide', which must be a whole number"),
        ({"activation_function": "swish_7"}, "activation_function = 'swish_7'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "knows only False"),
        ({"n_layer": "2.5"}, "n_layer = '2.5', which must be a whole number"),
    ],
)
def test_an_impossible_config(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_labels_and_scores_must_be_as_many(tmp_path):
    config = GPT2.size("tiny", vocab_size=61)
    model = Model(config, {SEQUENCE: SequenceHead(config, 3, "last")})
    with pytest.raises(DataError, match="2 labels were given for a head of 3"):
        save(model, GPT2, None, tmp_path, labels=["a", "b"])


def test_t5_version_1_1_with_a_projection_of_its_own(tmp_path, batch_for, close):
    config = FAMILIES["t5"].size("tiny", 61, tied=False, logit_scale=1.0, gated=True, activation="gelu_tanh")
    model = initialise(Model(config), 0).eval()
    assert save(model, FAMILIES["t5"], None, tmp_path).name == "t5"
    assert load(tmp_path).config == config
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    batch = batch_for("t5")
    ours = model(batch.ours, at="all").logits
    close(ours[batch.real], theirs(**batch.theirs).logits[batch.real], "logits")
