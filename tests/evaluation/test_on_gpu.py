"""Measuring on a GPU, which is simulated: tensors of two devices never meet, and the figures are those of the CPU."""

import pytest

from autoprune.config import load_config
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.compare import run
from autoprune.evaluation.recipe import Recipe
from autoprune.measuring.algorithms import open_algorithms
from tests.conftest import DATA
from tests.simulated_gpu import simulated_gpu

DENSE = [
    Recipe(0.5, "uniform"),
    Recipe(0.5, "alphapruning"),
    Recipe(0.5, "global"),
    Recipe(0.5, "uniform", pattern="2:4"),
    Recipe(0.5, "lsa", refinement="swaps"),
    Recipe(0.5, "owl", refinement="dsnot"),
    Recipe(0.5, "sdsa", update="obs"),
]
SEQUENTIAL = [Recipe(0.5, "uniform", statistics="sequential"), Recipe(0.5, "atp", "admm", statistics="sequential")]


def perplexities(model, device, offload, recipes, name="wanda"):
    words = [f"model={model}", f"device={device}", f"offload={offload}", "dtype=float32", "data.bos=never"]
    words += [f"data.{key}={value}" for key, value in DATA.items()]
    config = load_config(None, [*words, "sandbox.engine=local"])
    bench = open_bench(config, None)
    with open_algorithms([name], config.sandbox) as (algorithm,):
        return [run(bench, algorithm, recipe, "report").perplexity for recipe in recipes]


@pytest.mark.long
@pytest.mark.parametrize("offload", ["none", "memory", "disk"])
def test_algorithms_measure_the_same_on_a_gpu(tiny_model, cache, offload):
    recipes = DENSE + SEQUENTIAL
    with simulated_gpu():
        measured = perplexities(tiny_model, "cuda", offload, recipes)
    assert measured == pytest.approx(perplexities(tiny_model, "cpu", "none", recipes), rel=1e-5)


@pytest.mark.parametrize("offload", ["none", "memory"])
def test_candidates_of_the_sandbox_measure_the_same_on_a_gpu(tiny_model, cache, offload):
    recipes = [DENSE[0], SEQUENTIAL[0]]
    with simulated_gpu():
        measured = perplexities(tiny_model, "cuda", offload, recipes, "exchange_by_variance")
    assert measured == pytest.approx(perplexities(tiny_model, "cpu", "none", recipes, "exchange_by_variance"), rel=1e-5)
