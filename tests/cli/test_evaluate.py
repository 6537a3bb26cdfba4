"""`autoprune evaluate` and `unpack`, as their users start them."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from autoprune.models.packed import pack
from autoprune.models.target import load_target

WINDOWS = ["--seqlen", "48", "--windows", "3"]


def test_a_model_is_measured_and_the_protocol_is_said(autoprune, tiny_model):
    done = autoprune("evaluate", str(tiny_model), *WINDOWS)
    assert done.returncode == 0, done.stderr
    assert "builtin, report split, 3 windows of 48 tokens" in done.stdout
    assert "zeros       0 of 25,344 (0.00%)" in done.stdout


def test_json_holds_the_same_numbers_and_nothing_else_is_on_standard_output(here, tiny_model):
    from autoprune.evaluation.perplexity import perplexity, window_losses
    from autoprune.evaluation.texts import cut, read_text

    done = here("evaluate", str(tiny_model), *WINDOWS, "--dtype", "float32", "--device", "cpu", "--json")
    found = json.loads(done.stdout)
    target = load_target(str(tiny_model), "cpu", "float32")
    text = cut(read_text("builtin", "report"), "builtin", "report", target.tokenizer, 48, 3)
    assert found["perplexity"] == pytest.approx(perplexity(window_losses(target, text.tokens)), rel=1e-6)
    assert found["fingerprint"] == target.fingerprint
    assert found["text_fingerprint"] == text.fingerprint
    assert (found["seqlen"], found["windows"], found["weights"]) == (48, 3, target.weights)


def test_without_windows_the_whole_text_is_measured(here, tiny_model, tmp_path):
    (tmp_path / "story.txt").write_text("\n\n".join(f"The story of number {i} is told here." for i in range(200)))
    found = json.loads(here("evaluate", str(tiny_model), "--data", "story.txt", "--seqlen", "64", "--json").stdout)
    assert found["windows"] > 3
    assert found["data"] == "story.txt"


def test_a_local_task_is_measured_by_lm_eval_without_a_hub(autoprune, tiny_model, tmp_path):
    pytest.importorskip("lm_eval")
    rows = [{"q": f"{i} + 1 =", "choices": [f" {i + 1}", f" {i + 5}"], "answer": 0} for i in range(4)]
    (tmp_path / "sums.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    task = {
        "task": "sums",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "sums.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "q",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc"}],
    }
    (tmp_path / "sums.yaml").write_text(yaml.safe_dump(task))
    done = autoprune("evaluate", str(tiny_model), *WINDOWS, "--tasks", "sums.yaml", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["tasks"]
    assert [(row["task"], row["metric"], row["samples"]) for row in found] == [("sums", "acc", 4)]
    assert 0 <= found[0]["value"] <= 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["no/such-model"], "there is no model 'no/such-model'"),
        (["m" * 300], "there is no model 'mmm"),
        (["MODEL", "--data", "none.txt"], "none.txt"),
        (["MODEL", "--data", "wikitext2"], "cannot be loaded from the hub"),
        (["MODEL", "--seqlen", "40000"], "knows 4096 positions"),
        (["MODEL", "--windows", "4000", "--seqlen", "512"], "4000 windows of 512 need"),
        (["MODEL", "--device", "cuda:7"], "cuda:7"),
        (["MODEL", *WINDOWS, "--tasks", "no-such-task"], "no-such-task"),
        (["MODEL", *WINDOWS, "--tasks", "none.yaml"], "none.yaml"),
    ],
)
def test_input_that_cannot_be_used_is_one_line_and_exit_2(here, tiny_model, words, complaint):
    done = here("evaluate", *(str(tiny_model) if word == "MODEL" else word for word in words))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert complaint in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("autoprune: ")
    assert "Traceback" not in done.stderr


def test_a_packed_model_is_restored_and_measures_the_same(here, tiny_model, tmp_path):
    target = load_target(str(tiny_model), "cpu", "float32")
    with torch.no_grad():
        for layer in target.layers:
            weight = target.live_weight(layer.name)
            weight[:, ::2] = 0
    target.model.save_pretrained(tmp_path / "pruned")
    target.tokenizer.save_pretrained(tmp_path / "pruned")
    sizes = pack(tmp_path / "pruned", tmp_path / "model.packed")
    done = here("unpack", "model.packed", "--out", "restored", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["packed_bytes"] == sizes.packed < sizes.directory
    options = [*WINDOWS, "--dtype", "float32", "--json"]
    before, after = (json.loads(here("evaluate", name, *options).stdout) for name in ("pruned", "restored"))
    assert before["sparsity"] == after["sparsity"] == 0.5
    assert before["perplexity"] == after["perplexity"]
    again = here("unpack", "model.packed", "--out", "restored")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_a_file_that_is_no_packed_model_is_one_line(here, tmp_path):
    Path(tmp_path / "junk.packed").write_bytes(b"junk")
    done = here("unpack", "junk.packed", "--out", "restored")
    assert done.returncode == 2
    assert "junk.packed" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "restored").exists()
