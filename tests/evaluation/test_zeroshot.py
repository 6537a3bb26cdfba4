"""Zero-shot tasks by the real lm-eval, on a local task file."""

import json
import sys
from pathlib import Path

import pytest
import torch

from autoprune.errors import UsageError
from autoprune.evaluation.zeroshot import zero_shot
from autoprune.models.target import Target

ITEMS = [
    {"stem": "the value of a name", "choices": ["is bound", "runs away quickly"], "answer": 0},
    {"stem": "an exception is", "choices": ["raised by a statement", "blue"], "answer": 1},
    {"stem": "a class", "choices": ["defines", "of an object which is called"], "answer": 0},
    {"stem": "the expression", "choices": ["list", "evaluates"], "answer": 1},
    {"stem": "in the body of", "choices": ["x", "a function definition"], "answer": 1},
]


@pytest.fixture
def task_file(tmp_path: Path) -> Path:
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    described = f"""
task: two_choices
dataset_path: json
dataset_kwargs:
  data_files:
    test: {tmp_path / "items.jsonl"}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{stem}}}}"
doc_to_target: answer
doc_to_choice: choices
metric_list:
  - metric: acc
"""
    (tmp_path / "two_choices.yaml").write_text(described)
    return tmp_path / "two_choices.yaml"


def log_likelihood(target: Target, stem: str, choice: str) -> float:
    before = target.tokenizer(stem).input_ids
    whole = target.tokenizer(f"{stem} {choice}").input_ids
    logits = target.model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(float(logits[at - 1, whole[at]]) for at in range(len(before), len(whole)))


def test_accuracy_is_the_share_of_items_whose_answer_is_likeliest(tiny_target, task_file, monkeypatch):
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    right = 0
    for item in ITEMS:
        likelihoods = [log_likelihood(tiny_target, item["stem"], choice) for choice in item["choices"]]
        right += likelihoods.index(max(likelihoods)) == item["answer"]
    (result,) = zero_shot(tiny_target, [str(task_file)])
    assert (result.task, result.metric, result.samples) == ("two_choices", "acc", len(ITEMS))
    assert result.value == pytest.approx(right / len(ITEMS))


@pytest.mark.long
def test_a_missing_task_file_and_an_unknown_task_are_one_line(tiny_target, tmp_path):
    pytest.importorskip("lm_eval")
    with pytest.raises(UsageError, match="there is no task file"):
        zero_shot(tiny_target, [str(tmp_path / "nothing.yaml")])
    with pytest.raises(UsageError, match="knows no task 'no-such-task'"):
        zero_shot(tiny_target, ["no-such-task"])


def test_without_lm_eval_the_extra_to_install_is_named(tiny_target, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(UsageError, match=r"pip install autoprune\[zeroshot\]"):
        zero_shot(tiny_target, ["piqa"])
