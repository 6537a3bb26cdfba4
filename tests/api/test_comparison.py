"""`autoprune.compare`: the rows of the command as a DataFrame, of a model that is dense again afterwards."""

from dataclasses import asdict

import pandas
import pytest
import torch

import autoprune
from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.compare import compare as rows_of
from autoprune.evaluation.recipe import Recipe
from tests.api.conftest import LOADED, SMALL


def test_the_table_has_the_rows_of_the_room(tiny):
    table = autoprune.compare(tiny, ["wanda", "magnitude"], sparsity=[0.5, 0.6], allocations="uniform", **LOADED)
    data = {"seqlen": 48, "calibration_samples": 4, "report_windows": 3, "search_windows": 3}
    config = Config.model_validate({"model": str(tiny), "device": "cpu", "dtype": "float32", "data": data})
    algorithms = [Published.named(name) for name in ("wanda", "magnitude")]
    rows = pandas.DataFrame([asdict(row) for row in rows_of(config, algorithms, [Recipe(0.5), Recipe(0.6)], 1)])
    timed = [column for column in table.columns if column.startswith("seconds")]
    pandas.testing.assert_frame_equal(table.drop(columns=timed), rows.drop(columns=timed))
    assert list(table["algorithm"]) == ["dense", "wanda", "magnitude", "wanda", "magnitude"]


def test_a_live_model_is_dense_afterwards(tiny, live):
    model, tokenizer = live
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    table = autoprune.compare(model, "wanda", allocations=["uniform"], tokenizer=tokenizer, **SMALL)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    loaded = autoprune.compare(tiny, "wanda", allocations=["uniform"], **LOADED)
    assert list(table["perplexity"]) == pytest.approx(list(loaded["perplexity"]), rel=1e-6)


def test_a_failed_experiment_has_no_perplexity_and_is_logged(tiny, tmp_path, logged):
    (tmp_path / "broken.py").write_text("def score(layer):\n    return layer.nothing\n")
    table = autoprune.compare(tiny, [tmp_path / "broken.py"], allocations="uniform", sandbox="local", **LOADED)
    assert list(table["perplexity"].isna()) == [False, True]
    assert any("broken" in line and "nothing" in line for line in logged)


def test_patterns_updates_and_seeds_are_rows(tiny):
    table = autoprune.compare(tiny, "wanda", patterns=["2:4"], updates=["none", "obs"], seeds=2, **LOADED)
    assert len(table) == 1 + 2 * 2
    assert set(table["sparsity_target"][1:]) == {0.5}


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"seeds": 0}, "seeds=0"),
        ({"refinements": "swap"}, "did you mean swaps"),
        ({"sparsity": [0.5, 1.0]}, "sparsity 1 is not between 0 and 1"),
        ({"seqlen": 2}, "greater than or equal to 8"),
    ],
)
def test_what_cannot_be_used_is_a_usage_error(tiny, keywords, problem):
    with pytest.raises(UsageError, match=problem):
        autoprune.compare(tiny, "wanda", **{**LOADED, **keywords})
