import sys
from pathlib import Path

import pytest

from trivium.alignment.reward_model import RewardModel
from trivium.families import FAMILIES
from trivium.serving.tasks import _predicted
from trivium.tasks import TASKS
from trivium.text.chat_templates import chat_template
from trivium.tokenizers.chats import ChatRenderer
from trivium.transformer import SEQUENCE, make_head
from trivium.transformer.head_config import Pooled
from trivium.verbs.load import load
from trivium.verbs.predict import predict
from trivium.verbs.tuning import placed, tuned_of

sys.path.insert(0, str(Path(__file__).parent))
from task_server import ask, refused, served, serving

TEXT = "The quick fox, Number 7, jumps over the lazy dog."
WORDS = ["Every", "model", "reads", "tokens"]
PASSAGE = "The model reads tokens. The list is a sequence of items. " * 8
KINDS = {  # task, family, rows to learn from, ability
    "sequence": ("bert", [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}], "classify"),
    "regression": ("bert", [{"text": "a", "text2": "b", "label": score} for score in (0, 1.5)], "classify"),
    "multilabel": ("bert", [{"text": "a", "labels": ["x", "y"]}, {"text": "b", "labels": ["z"]}], "classify"),
    "choices": ("bert", [{"question": "a", "options": ["b", "c"], "label": 0}], "classify"),
    "tagging": ("bert", [{"words": ["a", "b"], "tags": ["B-X", "O"]}, {"words": ["a"], "tags": ["B-Y"]}], "tag"),
    "spans": ("bert", [{"words": WORDS, "spans": [{"first": 0, "last": 2, "label": "X"}]}], "spans"),
    "relations": (
        "bert",
        [
            {
                "words": WORDS,
                "spans": [{"first": 0, "last": 0}, {"first": 2, "last": 3}],
                "relations": [{"head": 0, "tail": 1, "label": "of"}],
            }
        ],
        "spans",
    ),
    "answers": ("bert", [{"question": "a", "context": "b", "answers": {"text": ["b"], "answer_start": [0]}}], "answer"),
    "rewriting": ("t5", [{"source": "a", "target": "b"}], "rewrite"),
}  # fmt: skip
INPUTS = {
    "sequence": [{"text": TEXT}, {"text": "dog"}, {"text": "The list", "text2": "is a sequence"}],
    "regression": [{"text": TEXT, "text2": "dog"}, {"text": "dog", "text2": "fox"}],
    "multilabel": [{"text": TEXT}, {"text": "dog"}],
    "choices": [{"question": "Which?", "options": ["fox", "dog", "list"]}, {"context": TEXT, "options": ["a", "b"]}],
    "tagging": [{"text": TEXT}, {"words": WORDS}],
    "spans": [{"text": TEXT}, {"words": WORDS}],
    "relations": [{"text": TEXT, "spans": [{"start": 4, "end": 9}, {"start": 44, "end": 48}]}],
    "answers": [{"question": "What is a list?", "context": PASSAGE}, {"question": "Who?", "context": TEXT}],
    "rewriting": [{"source": TEXT}, {"text": "dog"}],
}


def tuned(kind, tiny_models):
    family, rows, _ = KINDS[kind]
    base, task = load(tiny_models[family]), TASKS[kind]()
    examples = [task.example("row", row, {}, True) for row in rows]
    task = task.learn(placed(examples, "train"), [])
    made = tuned_of(base.model, base.tokenizer, task, 1, FAMILIES[family].heads)
    if kind == "spans":  # new heads begin by finding nothing
        made.model.heads["spans"].classifier.bias.data.zero_()
    return base, made


@pytest.fixture(scope="module")
def predictors(tiny_models):
    return {kind: tuned(kind, tiny_models) for kind in KINDS}


@pytest.fixture(scope="module")
def server(predictors):
    models = [served(kind, base, KINDS[kind][2], predictor=p) for kind, (base, p) in predictors.items()]
    with serving(*models) as address:
        yield address


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_is_answered_as_predict_answers_it_alone(server, predictors, kind):
    status, found = ask(server, f"/{KINDS[kind][2]}", {"model": kind, "inputs": INPUTS[kind]})
    assert status == 200 and found["model"] == kind, found
    for row, said in zip(INPUTS[kind], found["predictions"], strict=True):
        said = dict(said)
        said.pop("places", None)
        (alone,) = predict(predictors[kind][1], [row])
        wanted = alone.prediction.row()
        assert flat(said) == pytest.approx(flat(wanted), abs=3e-6), kind


def test_a_text_is_written_token_by_token_between_other_work(predictors):
    model, read, between = predictors["rewriting"][1].model, [], []
    hook = model.register_forward_pre_hook(lambda _, given: read.append(given[0].target.ids.numel()))
    for _ in _predicted(predictors["rewriting"][1], INPUTS["rewriting"]):
        between.append(sum(read))
        read.clear()
    hook.remove()
    assert len(between) > 10 and max(between[1:]) <= 16


def flat(value, name=""):
    """Numbers by the way to them; whatever else, by itself."""
    if isinstance(value, dict):
        return {key: each for part in value for key, each in flat(value[part], f"{name}.{part}").items()}
    if isinstance(value, list):
        return {key: each for n, part in enumerate(value) for key, each in flat(part, f"{name}.{n}").items()}
    return {name: value} if isinstance(value, float) else {f"{name} {value!r}": 0.0}


def test_the_first_model_that_can_is_asked(server):
    assert ask(server, "/classify", {"inputs": [{"text": "dog"}]})[1]["model"] == "sequence"
    assert ask(server, "/spans", {"inputs": [{"text": "dog"}]})[1]["model"] == "spans"


def test_places_lead_to_the_words_and_answers(server):
    (tags,) = ask(server, "/tag", {"inputs": [{"text": TEXT}]})[1]["predictions"]
    assert [TEXT[start:end] for start, end in tags["places"]] == tags["words"]
    assert len(tags["tags"]) == len(tags["words"]) == len(tags["probabilities"])
    for entity in tags["entities"]:
        assert TEXT[entity["start"] : entity["end"]] == entity["text"]
    (spans,) = ask(server, "/spans", {"inputs": [{"text": TEXT}]})[1]["predictions"]
    assert spans["spans"] and [TEXT[start:end] for start, end in spans["places"]] == spans["words"]
    for span in spans["spans"]:
        assert TEXT[span["start"] : span["end"]] == span["text"]
        assert spans["places"][span["first"]][0] == span["start"] and spans["places"][span["last"]][1] == span["end"]
    (answer,) = ask(server, "/answer", {"inputs": [INPUTS["answers"][0]]})[1]["predictions"]
    assert PASSAGE[answer["start"] : answer["end"]] == answer["answer"] != ""


def test_a_reward_model_scores_conversations(tiny_models):
    base = load(tiny_models["llama"])
    renderer = ChatRenderer(base.tokenizer, chat_template("plain"))
    model = tuned_of(base.model, base.tokenizer, TASKS["regression"](), 1).model
    model.heads[SEQUENCE] = make_head(model.config, Pooled(1, "last", bias=False))
    judge = RewardModel(model, renderer, {base.tokenizer.end})
    said = [{"role": "user", "content": "a list"}, {"role": "assistant", "content": "the dog"}]
    rows = [{"messages": said}, {"prompt": "a list", "chosen": "the dog", "rejected": "fox"}] * 5
    with serving(served("judge", base, "score", predictor=judge)) as address:
        status, found = ask(address, "/score", {"inputs": rows})
        assert "did you mean messages?" in refused(address, "/score", {"inputs": [{"massages": said}]})[0]
    assert status == 200
    wanted = [each.prediction.row() for each in predict(judge, rows)]
    assert [flat(each) for each in found["predictions"]] == [pytest.approx(flat(each), abs=3e-6) for each in wanted]
    assert {"reward"} == set(wanted[0]) and {"reward_chosen", "reward_rejected", "right"} == set(wanted[1])


@pytest.mark.parametrize(
    ("path", "inputs", "says", "param"),
    [
        ("/classify", [], "inputs is an empty list: give it a row", "inputs"),
        ("/classify", ["dog"], "valid dictionary", "inputs.0"),
        ("/classify", [{"txt": "dog"}], "inputs[0].txt is not read by this model: did you mean text?", "inputs.0.txt"),
        ("/classify", [{"text": "a"}, {"zzz": "dog"}], "inputs[1].zzz is not read", "inputs.1.zzz"),
        ("/classify", [{}], "inputs[0]: no column 'text'", None),
        ("/classify", [{"text": 5}], "inputs[0]: the text in 'text' is int, not a string", None),
        ("/classify", [{"text": None}], "inputs[0]: the text in 'text' is null", None),
        ("/classify", [{"text": "  "}], "inputs[0]: the text in 'text' is empty", None),
        ("/classify", [{"text": "a"}, {"text": ["b"]}], "inputs[1]: the text in 'text' is list", None),
        ("/classify", [{"text": "a"}] * 257, "257 rows, and at most 256", "inputs"),
        ("/classify", [{"text": "a" * 140_000}], "140,00", "inputs"),
        ("/answer", [{"question": "a"}], "no column 'context'", None),
        ("/tag", [{"words": []}], "holds no words", None),
        ("/tag", [{"words": ["a", 3]}], "inputs[0]: 'words' holds 3", None),
    ],
)  # fmt: skip
def test_what_is_refused(server, path, inputs, says, param):
    message, field = refused(server, path, {"inputs": inputs})
    assert says in message and field == param


def test_the_list_of_models_says_what_each_reads(server):
    told = {each["id"]: each["trivium"] for each in ask(server, "/v1/models")[1]["data"]}
    assert {name: about["task"] for name, about in told.items()} == {kind: kind for kind in KINDS}
    assert told["sequence"]["fields"] == ["text", "text2"] and told["tagging"]["fields"] == ["words", "text"]
    assert told["spans"]["fields"] == ["words", "text"] and told["relations"]["fields"] == ["words", "spans", "text"]
    assert told["answers"]["fields"] == ["question", "context"]
    assert told["rewriting"]["fields"] == ["source", "text", "text2"]
    assert told["choices"]["fields"] == ["context", "question", "options"]


def test_who_cannot_says_who_can(server):
    message, field = refused(server, "/tag", {"model": "sequence", "inputs": [{"text": "a"}]})
    assert message == "the model 'sequence' does not tag: ask tagging" and field == "model"


def test_the_documentation_says_what_each_route_takes(server):
    paths = ask(server, "/openapi.json")[1]
    for path in ("/classify", "/tag", "/spans", "/answer", "/rewrite", "/score"):
        post = paths["paths"][path]["post"]
        name = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        schema = paths["components"]["schemas"][name]
        assert schema["examples"] and post["summary"] and post["description"]
        assert schema["additionalProperties"] is False
