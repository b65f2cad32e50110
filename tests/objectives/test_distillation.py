"""Distillation: the numbers of the paper's losses, what a teacher teaches, and what it is never given."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tests.objectives.regularities import CHANCE, FIRST, SYMBOLS, counting, learnt, noise
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.objectives import Causal, Distillation, Masked, Mixed, Taught
from trivium.objectives.distillation import begin, check, spread
from trivium.objectives.divergence import divergence
from trivium.randomness import Draws
from trivium.transformer import Inputs, Model, Tokens, TransformerConfig, initialise
from trivium.transformer.inputs import Outputs
from trivium.transformer.network import changed

BERT = TransformerConfig(vocab_size=400, width=16, heads=2, ffn_width=32, encoder_layers=4, context=64)
GPT = TransformerConfig(
    vocab_size=400, width=16, heads=2, ffn_width=32, decoder_layers=4, context=64
)


def made(config, seed=0):
    return initialise(Model(config), seed).eval()


def test_the_worked_numbers():
    """Teacher (2, 1, 0), student (1, 1, 0): at T = 1 and 2, the cross entropy and the divergence times T^2."""
    teacher, student = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    assert divergence(student, teacher, 1.0).item() == pytest.approx(0.119630, abs=1e-6)
    assert divergence(student, teacher, 2.0).item() == pytest.approx(0.123962, abs=1e-6)
    assert divergence(student, teacher, 2.0).item() / 4 == pytest.approx(0.030991, abs=1e-6)
    entropy = -(teacher.softmax(-1) * teacher.log_softmax(-1)).sum().item()
    assert divergence(student, teacher, 1.0).item() + entropy == pytest.approx(0.952025, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_the_divergence_and_its_gradient_are_those_of_autograd(dtype, temperature, monkeypatch):
    monkeypatch.setattr("trivium.objectives.cross_entropy._CHUNK", {"cpu": 100})  # several chunks
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(7, 31, generator=generator).to(dtype) * 3 for _ in range(2))
    ours, theirs = student.clone().requires_grad_(), student.clone().requires_grad_()
    found = divergence(ours, teacher, temperature)
    wide = torch.promote_types(dtype, torch.float32)
    logs = F.log_softmax(theirs.to(wide) / temperature, -1)
    wanted = F.softmax(teacher.to(wide) / temperature, -1)
    expected = temperature**2 * (wanted * (wanted.log() - logs)).sum()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    (2 * found).backward()
    (2 * expected).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)
    assert divergence(student, student, temperature).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("of", [Masked(), Masked(isolate_documents=False), Causal(), Causal(isolate_documents=True)])
def test_the_three_losses_by_hand(of, make_rows, tokenizer):
    """On padded rows: the divergence and the text at the targets, the cosine at every place that is not padding."""
    config = BERT if of.kind == "masked" else GPT
    student, teacher = made(changed(config, **_depth(config, 2))), made(config, 1)
    objective = Taught(Distillation(teacher="t", of=of, from_teacher=False), teacher)
    rows, draws = make_rows([20, 12, 16], 20, framed=of.kind == "masked" and of.isolate_documents)
    batch = objective.batch(rows, draws, tokenizer)
    assert batch.weights == {"soft": 5.0, of.kind: 2.0, "cosine": 1.0}
    losses = objective.loss(student, batch)
    side = batch.inputs.source or batch.inputs.target
    own, said = (model(batch.inputs, at="all") for model in (student, teacher))
    plain = of.batch(rows, draws, tokenizer)
    at = plain.targets.get("at", torch.arange(side.ids.numel()))
    logits, wanted = own.logits.flatten(0, 1)[at], said.logits.flatten(0, 1)[at]
    hard = F.cross_entropy(logits, plain.targets[of.kind], reduction="sum")
    soft = 4 * F.kl_div(F.log_softmax(logits / 2, -1), F.softmax(wanted / 2, -1), reduction="sum")
    torch.testing.assert_close(losses[of.kind].total, hard, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(losses["soft"].total, soft, rtol=1e-4, atol=1e-5)
    real = rows.documents >= 0
    if of == Masked(isolate_documents=False):
        real = np.pad(real, ((0, 0), (1, 0)), constant_values=True)  # the classify token is put before each row
    if of.kind == "causal":
        real = (rows.documents[:, 1:] if not of.isolate_documents else rows.documents[:, :-1]) >= 0
    apart = 1 - F.cosine_similarity(own.hidden, said.hidden, dim=-1)
    torch.testing.assert_close(losses["cosine"].total, apart[torch.from_numpy(real)].sum(), rtol=1e-4, atol=1e-4)
    assert {name: loss.count for name, loss in losses.items()} == batch.counts
    assert batch.counts["soft"] == batch.counts[of.kind] == plain.counts[of.kind]


def test_both_models_are_asked_for_numbers_of_places_that_repeat(make_rows, tokenizer):
    """45 targets, 46 rows of scores (``steady``), and the last one is worth nothing."""
    teacher, student, sizes = made(GPT, 1), made(GPT), []
    for model in (teacher, student):
        model.vocabulary.register_forward_hook(lambda _, given, scores: sizes.append(len(scores)))
    objective = Taught(Distillation(teacher="t", of=Causal(), from_teacher=False), teacher)
    rows, draws = make_rows([20, 12, 16], 20)
    batch = objective.batch(rows, draws, tokenizer)
    losses = objective.loss(student, batch)
    assert batch.counts["soft"] == 45 and sizes == [46, 46]
    (losses["soft"].total + losses["causal"].total).backward()
    ours, at = student.tokens.weight.grad, batch.targets["at"]
    again = made(GPT)
    logits, wanted = (model(batch.inputs, at=at).logits for model in (again, teacher))
    soft = 4 * F.kl_div(F.log_softmax(logits / 2, -1), F.softmax(wanted.detach() / 2, -1), reduction="sum")
    (soft + F.cross_entropy(logits, batch.targets["causal"], reduction="sum")).backward()
    torch.testing.assert_close(ours, again.tokens.weight.grad, rtol=1e-4, atol=1e-5)


def _depth(config, layers):
    return {"encoder_layers": layers} if config.encoder_layers else {"decoder_layers": layers}


def test_a_loss_of_weight_0_is_left_out(make_rows, tokenizer):
    rows, draws = make_rows([20], 20, framed=True)
    teacher, student = made(BERT), made(BERT, 1)
    for left, names in (("soft", {"masked", "cosine"}), ("hard", {"soft", "cosine"}), ("cosine", {"soft", "masked"})):
        objective = Taught(Distillation(teacher="t", **{left: 0.0}), teacher)
        batch = objective.batch(rows, draws, tokenizer)
        assert set(batch.counts) == set(batch.weights) == set(objective.loss(student, batch)) == names


def test_no_gradient_reaches_the_teacher_and_it_is_no_part_of_the_student(make_rows, tokenizer):
    rows, draws = make_rows([20], 20, framed=True)
    teacher, student = made(BERT), made(changed(BERT, encoder_layers=2))
    objective = Taught(Distillation(teacher="t"), teacher)
    losses = objective.loss(student, objective.batch(rows, draws, tokenizer))
    sum(loss.total for loss in losses.values()).backward()
    assert all(p.grad is None for p in teacher.parameters()) and student.tokens.weight.grad.abs().sum() > 0
    with pytest.raises(SettingsError, match="needs its teacher"):
        Distillation(teacher="t").loss(student, objective.batch(rows, draws, tokenizer))


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn_of_it(make_rows, tokenizer):
    rows, draws = make_rows([20], 20, framed=True)
    teacher = made(BERT)
    objective = Taught(Distillation(teacher="t"), teacher)
    losses = objective.loss(made(BERT), objective.batch(rows, draws, tokenizer))
    assert losses["soft"].total.item() == pytest.approx(0, abs=1e-5)
    assert losses["cosine"].total.item() == pytest.approx(0, abs=1e-4)


def test_rows_of_the_teachers_embeddings_that_are_no_token_are_not_asked(make_rows, tokenizer):
    rows, draws = make_rows([20], 20, framed=True)
    teacher = made(changed(BERT, vocab_size=464))
    objective = Taught(Distillation(teacher="t"), teacher)
    assert torch.isfinite(objective.loss(made(BERT), objective.batch(rows, draws, tokenizer))["soft"].total)
    assert begin(objective.settings, made(BERT, 3), teacher) == []


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [(6, 12, (0, 2, 4, 7, 9, 11)), (12, 24, None), (1, 12, (0,)), (3, 3, (0, 1, 2)), (2, 4, (0, 3))],
)
def test_a_students_layers_are_spread_over_the_teachers(student, teacher, expected):
    found = spread(student, teacher)
    assert expected in (None, found) and len(set(found)) == student and found[-1] in (0, teacher - 1)


@pytest.mark.parametrize(("config", "layers"), [(BERT, ()), (BERT, (1, 2)), (GPT, ()), (GPT, (3, 0))])
def test_the_student_begins_with_layers_of_the_teacher(config, layers):
    teacher = made(changed(config, context=80, **({"segments": 2, "pooler": True} if config is BERT else {})), 1)
    student = made(changed(config, **_depth(config, 2)), 2)
    assert begin(Distillation(teacher="t", layers=layers), student, teacher) == []
    known = teacher.state_dict()
    stack = "encoder" if config is BERT else "decoder"
    for name, tensor in student.state_dict().items():
        for own, theirs in enumerate(layers or (0, 3)):
            if name.startswith(f"{stack}.layers.{own}."):
                name = name.replace(f"layers.{own}.", f"layers.{theirs}.", 1)
                break
        assert (tensor == known[name][: len(tensor)]).all(), name


def test_four_layers_of_a_student_whose_layers_are_the_teachers_say_the_same(make_rows, tokenizer):
    """All layers taken over: the student is the teacher."""
    teacher, student = made(BERT, 1), made(BERT, 2)
    begin(Distillation(teacher="t"), student, teacher)
    ids = Inputs(source=Tokens(torch.arange(10)[None]))
    assert (student(ids, at="all").logits == teacher(ids, at="all").logits).all()


@pytest.mark.parametrize(
    ("changes", "config", "teacher", "said"),
    [
        ({}, BERT, GPT, "cannot teach this: the masked objective trains an encoder alone"),
        ({}, BERT, changed(BERT, vocabulary_head="none"), "no vocabulary head"),
        ({}, BERT, changed(BERT, context=32), "reads at most 32 tokens: set model.context = 32 or less"),
        ({}, changed(BERT, width=32), BERT, "model.width = 32, and the states of t have 16 numbers"),
        ({"cosine": 0.0}, changed(BERT, width=32), BERT, "differs in model.width"),
        ({}, changed(BERT, ffn_width=64, norm_place="post"), BERT, "model.ffn_width, model.norm_place"),
        ({"layers": (0, 1)}, BERT, BERT, "names 2 layers and the student has 4"),
        ({"layers": (0, 1, 2, 4)}, BERT, BERT, "has the layers 0 to 3"),
        ({"layers": (0, 1, 2, -1)}, BERT, BERT, "has the layers 0 to 3"),
        ({}, changed(BERT, encoder_layers=6), BERT, "has the layers 0 to 3, and the student's 6"),
        ({"of": Causal()}, FAMILIES["xlnet"].size("tiny", 400, width=16, heads=2), GPT, "differs in model.family"),
    ],
)
def test_teachers_that_do_not_fit(changes, config, teacher, said):
    with pytest.raises(SettingsError, match=said):
        check(Distillation(teacher="t", **changes), config, teacher)


def test_a_student_of_another_shape_learns_from_predictions_alone():
    check(Distillation(teacher="t", cosine=0.0, from_teacher=False), changed(BERT, width=32), BERT)
    check(Distillation(teacher="t"), changed(BERT, encoder_layers=2, context=32), changed(BERT, segments=2))
    check(Distillation(teacher="t", of=Causal()), GPT, changed(GPT, bidirectional_prompt=True))  # a prefix LM's student


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "objective.teacher is missing"),
        ({"teacher": "t", "temperature": 0.0}, "objective.temperature = 0.0"),
        ({"teacher": "t", "soft": -1.0}, "none may be negative"),
        ({"teacher": "t", "soft": 0.0, "cosine": 0.0}, "would teach nothing"),
        ({"teacher": "t", "layers": (0,), "from_teacher": False}, "objective.layers names"),
        ({"teacher": "t", "of": Causal(carry_state=True)}, "objective.of.carry_state"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(SettingsError, match=said):
        Distillation(**settings)


def test_it_is_a_part_of_a_mixture(make_rows, tokenizer):
    rows, draws = make_rows([20], 20, framed=True)
    taught = Taught(Distillation(teacher="t"), made(BERT))
    mixed = Mixed(parts=(taught, Masked(rate=0.4)))
    batch = mixed.batch(0, 0.5, rows, draws, tokenizer)
    assert batch.weights == {"distillation.soft": 2.5, "distillation.masked": 1.0, "distillation.cosine": 0.5}
    assert set(mixed.loss(made(BERT, 1), batch)) == set(batch.counts) == set(batch.weights)


# ---- what only a correct objective can learn ----


class Counter(torch.nn.Module):
    """A teacher that knows the answer: it is sure that each token is the one before it and ``step`` on."""

    def __init__(self, step, width=16):
        super().__init__()
        self.step, self.width = step, width

    def forward(self, inputs, at=None):
        ids = inputs.target.ids
        sure = 6.0 * F.one_hot(FIRST + (ids - FIRST + self.step) % SYMBOLS, 400)
        return Outputs(torch.ones(*ids.shape, self.width), logits=sure.float())


@dataclass(frozen=True, eq=False)
class Displaced(Taught):
    """A planted error: the teacher is read a place too early."""

    def loss(self, model, batch):
        side = batch.inputs.target
        late = replace(batch, inputs=Inputs(target=Tokens(side.ids.roll(1, 1))))
        own, said = model(batch.inputs, at="all"), self.teacher(late.inputs, at="all")
        return {"soft": replace_total(super().loss(model, batch)["soft"], divergence(own.logits, said.logits, 2.0))}


def replace_total(loss, total):
    return replace(loss, total=total)


def cost_of(kind, step):
    """A student that is told nothing but what the teacher says of noise, on rows that count by one or two."""
    student = initialise(Model(changed(GPT, decoder_layers=1, width=32, ffn_width=64)), 0)
    settings = Distillation(teacher="t", of=Causal(), hard=0.0, cosine=0.0, from_teacher=False)
    objective = kind(settings, Counter(step))
    learnt(student, lambda draws: objective.batch(noise(draws, 16), Draws(0, draws), None), objective.loss, 100)
    rows = counting(np.arange(10**6, 10**6 + 64), 16)
    by_one = (rows.tokens[:, 1] - rows.tokens[:, 0]) % SYMBOLS == 1
    few = replace(rows, tokens=rows.tokens[by_one], documents=rows.documents[by_one], positions=rows.positions[by_one])
    with torch.no_grad():
        loss = Causal().loss(student, Causal().batch(few, Draws(0, rows.draws[by_one]), None))["causal"]
    return loss.total.item() / loss.count


def test_a_student_learns_to_count_from_a_teacher_that_can_and_not_from_one_read_at_the_wrong_place():
    assert cost_of(Taught, 1) < CHANCE / 2
    assert cost_of(Displaced, 1) > CHANCE
