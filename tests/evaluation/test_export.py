"""Pruned models on disk: what is loaded again is what was promised and measured."""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.evaluate import evaluate
from autoprune.evaluation.export import Produced, produce
from autoprune.evaluation.recipe import Recipe
from autoprune.models.packed import unpack
from tests.conftest import DATA


def make(model: Path, into: Path, recipe: Recipe, algorithm: str = "wanda", **settings: object) -> Produced:
    packed = into.with_suffix(".packed")
    config = Config.model_validate({"model": str(model), "device": "cpu", "data": DATA, **settings})
    return produce(config, Published.named(algorithm), recipe, into, packed)


def evaluated(model: Path, dtype: str = "float32") -> tuple[float, int]:
    found = evaluate(str(model), "builtin", DATA["seqlen"], DATA["report_windows"], (), "cpu", dtype)
    return found.perplexity, found.zeros


@pytest.mark.parametrize(
    ("algorithm", "recipe"),
    [
        ("wanda", Recipe(0.6)),
        ("magnitude", Recipe(0.5, "sdsa", "obs")),
        ("sparsegpt", Recipe(0.5, "uniform", "obs", "2:4", "sequential")),
        ("gblm", Recipe(0.7, "owl", statistics="sequential")),
    ],
)
def test_the_saved_model_measures_what_its_card_says(tiny_model, cache, tmp_path, algorithm, recipe):
    made = make(tiny_model, tmp_path / "out", recipe, algorithm)
    perplexity, zeros = evaluated(tmp_path / "out")
    assert perplexity == pytest.approx(made.perplexity, rel=1e-6)
    assert zeros == made.exported.zeros == round(recipe.sparsity * made.exported.weights)
    facts = json.loads((tmp_path / "out" / "autoprune.json").read_text())
    assert facts["perplexity"] == made.perplexity
    assert facts["perplexity_dense"] == pytest.approx(evaluated(tiny_model)[0], rel=1e-6)
    assert facts["recipe"]["allocation"] == recipe.allocation
    assert facts["calibration"]["windows"] == DATA["calibration_samples"]
    assert f"| perplexity | {made.perplexity:.6g} |" in (tmp_path / "out" / "README.md").read_text()


def test_a_bfloat16_model_stays_one_and_is_measured_as_it_is_saved(tiny_model, cache, tmp_path):
    small = tmp_path / "small"
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(small)
    for file in tiny_model.glob("tokenizer*"):
        (small / file.name).write_bytes(file.read_bytes())
    made = make(small, tmp_path / "out", Recipe(0.5, update="obs"), dtype="auto")
    assert AutoConfig.from_pretrained(tmp_path / "out").dtype == torch.bfloat16
    assert evaluated(tmp_path / "out")[1] >= made.exported.zeros
    assert evaluated(tmp_path / "out")[0] == pytest.approx(made.perplexity, rel=2e-2)


def test_the_packed_file_is_smaller_and_unpacks_to_the_same_model(tiny_model, cache, tmp_path):
    made = make(tiny_model, tmp_path / "out", Recipe(0.7))
    assert made.sizes is not None
    assert made.sizes.packed < made.sizes.directory == made.exported.bytes
    unpack(tmp_path / "out.packed", tmp_path / "again")
    assert evaluated(tmp_path / "again") == evaluated(tmp_path / "out")


def test_a_pruned_model_can_be_pruned_further(tiny_model, cache, tmp_path):
    make(tiny_model, tmp_path / "half", Recipe(0.5))
    made = make(tmp_path / "half", tmp_path / "more", Recipe(0.75, "sdsa"))
    assert made.exported.zeros == round(0.75 * made.exported.weights)
    before, after = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("half", "more"))
    assert all(bool(((after[name] == 0) | (weight != 0)).all()) for name, weight in before.items())


def test_a_place_that_is_taken_is_said_before_anything_is_loaded(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "something").write_text("")
    with pytest.raises(UsageError, match="out exists already"):
        make(Path("no-such-model"), tmp_path / "out", Recipe(0.5))
    (tmp_path / "new.packed").write_text("")
    with pytest.raises(UsageError, match=r"new\.packed exists already"):
        make(Path("no-such-model"), tmp_path / "new", Recipe(0.5))


def test_perplexities_are_those_of_the_report_split(tiny_model, cache, tmp_path):
    made = make(tiny_model, tmp_path / "out", Recipe(0.5))
    assert math.isfinite(made.dense_perplexity)
    assert made.facts["perplexity_text"]["windows"] == DATA["report_windows"]


@pytest.mark.parametrize(
    ("recipe", "unit"), [(Recipe(0.5), "21 layers"), (Recipe(0.5, update="obs"), "windows x blocks")]
)
def test_every_long_step_reports_its_progress(tiny_model, cache, tmp_path, caplog, recipe, unit):
    caplog.set_level("DEBUG", logger="autoprune")
    make(tiny_model, tmp_path / "out", recipe)
    said = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("perplexity of the dense model: ") for line in said) >= 2
    assert sum(line.startswith("perplexity: ") for line in said) >= 2
    pruning = [line for line in said if line.startswith("pruning: ")]
    assert len(pruning) >= 8
    assert all(line.endswith(unit) for line in pruning)
