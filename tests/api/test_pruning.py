"""`autoprune.prune`: the same model as the command writes, from a path or live, and errors in one line."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

import autoprune
from autoprune.errors import AutoPruneError, UsageError
from autoprune.evaluation.evaluate import evaluate
from tests.api.conftest import LOADED, SMALL

WEIGHTS = 25_344
BROKEN = "def score(layer):\n    raise ValueError('no')\n"
MARKED = "def score(layer):\n    open({!r}, 'w')\n    return layer.weight.abs()\n"
WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"


def state(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_path_becomes_a_live_model_that_is_saved_as_it_was_measured(tiny, tmp_path):
    pruned = autoprune.prune(tiny, "wanda", sparsity=0.6, measure=True, **LOADED)
    report = pruned.report
    assert (report.zeros, report.weights, report.league) == (round(0.6 * WEIGHTS), WEIGHTS, "mask")
    assert report.sparsity == pytest.approx(0.6, abs=1e-4)
    folder = pruned.save_pretrained(tmp_path / "out")
    again = evaluate(str(folder), "builtin", SMALL["seqlen"], SMALL["windows"], (), "cpu", "float32")
    assert again.perplexity == pytest.approx(report.perplexity, rel=1e-6)
    assert again.zeros == report.zeros
    assert same(state(pruned.model), state(AutoModelForCausalLM.from_pretrained(folder)))
    facts = json.loads((folder / "autoprune.json").read_text())
    assert (facts["algorithm"], facts["perplexity"]) == ("wanda", report.perplexity)
    assert pruned.tokenizer("a")["input_ids"]


def test_nothing_is_measured_unless_asked(tiny):
    report = autoprune.prune(str(tiny), **LOADED).report
    assert (report.perplexity, report.dense_perplexity, report.zeros) == (None, None, WEIGHTS // 2)


def test_a_live_model_is_pruned_in_place_to_the_weights_of_the_path(tiny, live):
    model, tokenizer = live
    flags = [parameter.requires_grad for parameter in model.parameters()]
    pruned = autoprune.prune(model, "wanda", sparsity=0.5, tokenizer=tokenizer, **SMALL)
    assert pruned.model is model
    assert model.training
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert not model.get_input_embeddings()._forward_pre_hooks
    loaded = autoprune.prune(tiny, "wanda", sparsity=0.5, **LOADED)
    assert same(state(model), state(loaded.model))
    loss = model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss
    loss.backward()  # it can be trained on


def test_a_live_model_in_bfloat16_keeps_its_dtype(live, tmp_path):
    model, tokenizer = live
    pruned = autoprune.prune(model.to(torch.bfloat16), tokenizer=tokenizer, **SMALL)
    assert pruned.model.dtype == torch.bfloat16
    assert AutoModelForCausalLM.from_pretrained(pruned.save_pretrained(tmp_path / "out")).dtype == torch.bfloat16


def test_a_live_model_is_unchanged_when_the_algorithm_fails(live, tmp_path):
    model, tokenizer = live
    before = state(model)
    (tmp_path / "broken.py").write_text(BROKEN)
    with pytest.raises(AutoPruneError, match="the algorithm broken failed: score: exception: ValueError: no"):
        autoprune.prune(model, tmp_path / "broken.py", tokenizer=tokenizer, sandbox="local", **SMALL)
    assert same(before, state(model))
    assert model.training


def test_a_file_runs_in_the_sandbox_and_prunes_as_the_formula_that_it_holds(tiny, tmp_path):
    (tmp_path / "mine.py").write_text(WANDA)
    mine = autoprune.prune(tiny, autoprune.load_algorithm(tmp_path / "mine.py"), sandbox="local", **LOADED)
    assert same(state(mine.model), state(autoprune.prune(tiny, "wanda", **LOADED).model))
    marker = tmp_path / "ran"
    (tmp_path / "marked.py").write_text(MARKED.format(str(marker)))
    with pytest.raises(AutoPruneError, match="forbidden"):
        autoprune.prune(tiny, tmp_path / "marked.py", sandbox="local", **LOADED)
    assert not marker.exists()


def test_an_update_and_a_pattern(tiny):
    pruned = autoprune.prune(tiny, "wanda", pattern="2:4", update="obs", **LOADED)
    assert pruned.report.league == "update"
    assert pruned.report.sparsity == 0.5
    assert pruned.report.facts["recipe"]["statistics"] == "sequential"


def test_a_model_that_was_changed_since_is_not_saved_under_its_report(tiny, tmp_path):
    pruned = autoprune.prune(tiny, **LOADED)
    with torch.no_grad():
        pruned.model.model.layers[0].mlp.up_proj.weight.fill_(1.0)
    with pytest.raises(AutoPruneError, match="it was changed since"):
        pruned.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"sparsity": 1.2}, "sparsity 1.2 is not between 0 and 1"),
        ({"sparsity": "half"}, "sparsity 'half' is not a number"),
        ({"algorithm": "wnada"}, "did you mean wanda"),
        ({"update": "admn"}, "did you mean admm"),
        ({"pattern": "2:4", "sparsity": 0.6}, "the pattern 2:4 means a sparsity of 0.5"),
        ({"allocation": "uniforn"}, "uniforn"),
        ({"statistics": "none"}, "'none' is not one of auto, dense, sequential"),
        ({"tokenizer": object()}, "is loaded with its own"),
        ({"model": 3}, "the model is a int"),
        ({"model": torch.nn.Linear(2, 2)}, "Linear is no causal language model"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
    ],
)
def test_what_cannot_be_used_is_one_line(tiny, keywords, problem):
    settings = {**LOADED, **keywords}
    if isinstance(keywords.get("model"), torch.nn.Module):
        settings |= {"device": "auto", "dtype": "auto"}
    model, algorithm = settings.pop("model", tiny), settings.pop("algorithm", "wanda")
    with pytest.raises(UsageError, match=problem) as raised:
        autoprune.prune(model, algorithm, **settings)
    assert "\n" not in str(raised.value)


def test_a_live_model_needs_its_tokenizer_and_keeps_its_device(live):
    model, tokenizer = live
    with pytest.raises(UsageError, match="needs its tokenizer"):
        autoprune.prune(model, **SMALL)
    with pytest.raises(UsageError, match="a live model keeps its own"):
        autoprune.prune(model, tokenizer=tokenizer, dtype="bfloat16", **SMALL)
