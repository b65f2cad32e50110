"""Unmodified ``lm-eval`` scores and generates through the API, and agrees with its own run of the same model."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A task of choices and one of writing, over local lines of JSON."""
    asked = ["Return the list", "Raise the error", "Count the fox", "Read the file"]
    choices = [" in a container.", " when it is missing.", " items"]
    rows = [{"question": question, "choices": choices, "gold": n % 3} for n, question in enumerate(asked)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {data}\ntest_split: test\n"
    (tmp_path / "choosing.yaml").write_text(
        f"task: choosing\n{common}output_type: multiple_choice\ndoc_to_text: '{{{{question}}}}'\n"
        "doc_to_choice: '{{choices}}'\ndoc_to_target: gold\ntarget_delimiter: ''\n"
        "metric_list:\n  - metric: acc\n  - metric: acc_norm\n"
    )
    (tmp_path / "writing.yaml").write_text(
        f"task: writing\n{common}output_type: generate_until\ndoc_to_text: '{{{{question}}}}'\ndoc_to_target: ' x'\n"
        "generation_kwargs:\n  until: ['.']\n  max_gen_toks: 8\n  do_sample: false\n"
        "metric_list:\n  - metric: exact_match\n"
    )
    return tmp_path


def test_lm_eval_finds_what_it_finds_with_its_own_model(server, talker: Path, tasks: Path) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    through = {
        "model": "talker", "base_url": f"{server.url}/v1/completions", "tokenizer": str(talker), "max_length": 60,
        "tokenizer_backend": "huggingface",
    }  # fmt: skip
    alone = {"pretrained": str(talker), "device": "cpu", "dtype": "float32", "max_length": 60}
    found = []
    for kind, arguments in (("local-completions", through), ("hf", alone)):
        report = lm_eval.simple_evaluate(
            kind, model_args=arguments, tasks=["choosing", "writing"], batch_size=1 if kind == "hf" else 4,
            task_manager=TaskManager(include_path=str(tasks), include_defaults=False), bootstrap_iters=0,
        )  # fmt: skip
        assert report is not None
        samples = report["samples"]
        found.append(
            (
                [[float(part[0]) for part in each["filtered_resps"]] for each in samples["choosing"]],
                [[bool(part[1]) for part in each["filtered_resps"]] for each in samples["choosing"]],
                [each["filtered_resps"] for each in samples["writing"]],
                report["results"]["choosing"]["acc,none"],
            )
        )
    ours, theirs = found
    for mine, other in zip(ours[0], theirs[0], strict=True):
        assert mine == pytest.approx(other, abs=1e-3)
    assert ours[1:] == theirs[1:]
