"""The error of a few decoder blocks' outputs: by the formula, on the real inputs, and before anything else is asked."""

import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.ladder import Ladder, StoppedEarly
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.reconstruction import BLOCKS, Reconstruction, sampled_blocks
from autoprune.models.bundle import Bundle
from autoprune.pruning.layers import LayerInfo
from tests.conftest import save_tiny_model
from tests.evaluation.given_scores import GivenScores, random_scores

DEEP = 12


@pytest.fixture
def deep_bench(open_tiny_bench, tiny_model, tmp_path):
    """A bench on a model with more blocks than are sampled."""
    save_tiny_model(tmp_path / "deep", DEEP)
    for file in tiny_model.glob("*token*"):
        shutil.copy(file, tmp_path / "deep")
    return open_tiny_bench(model=str(tmp_path / "deep"))


@given(st.integers(1, 120))
def test_sampled_blocks_are_spread_over_the_model(count):
    layers = [LayerInfo(f"{block}.q", "q", block, 0.0, (2, 2), "u") for block in range(count) for _ in range(2)]
    found = sampled_blocks(layers)
    assert found == sorted(set(found))
    assert len(found) == min(BLOCKS, count)
    assert all(0 <= block < count for block in found)
    gaps = [after - before for before, after in zip([-1, *found], [*found, count], strict=True)]
    assert max(gaps) <= count / len(found) + 1


def inputs_and_sensitivity(bench, layer):
    """A layer's inputs on the calibration text, and the squared gradients of the loss by its outputs, summed."""
    seen, outputs, sensitivity = [], [], 0.0

    def keep(module, inputs, output):
        seen.append(inputs[0].detach().flatten(0, -2))
        outputs.append(output)

    handle = layer.module.register_forward_hook(keep)
    layer.parameter.requires_grad_(True)
    for window in bench.windows("calibration").tokens:
        logits = bench.target.model(window.unsqueeze(0), use_cache=False).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], window[1:])
        (gradient,) = torch.autograd.grad(loss, [outputs.pop()])
        sensitivity = sensitivity + gradient.double().flatten(0, -2).square().sum(0)
    layer.parameter.requires_grad_(False)
    handle.remove()
    return torch.cat(seen).double(), sensitivity


@pytest.mark.parametrize("role", ["q", "up", "down"])
def test_the_error_is_that_of_the_layers_outputs_weighted_by_what_they_cost_the_loss(bench, role):
    layer = next(each for each in bench.target.prunable if each.info.role == role)
    inputs, sensitivity = inputs_and_sensitivity(bench, layer)
    weight = bench.target.weight(layer.info.name)
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    whole, lost = inputs @ weight.double().T, inputs @ (weight * ~mask).double().T
    expected = float((lost.square() @ sensitivity).sum() / (whole.square() @ sensitivity).sum())
    found = bench.sampled("search").error(layer.info.name, weight, mask)
    assert found == pytest.approx(expected, rel=1e-4)


def test_what_is_lost_at_an_output_that_the_loss_ignores_costs_nothing(bench):
    layer = next(each for each in bench.target.prunable if each.info.role == "up")
    sample, name = bench.sampled("search"), layer.info.name
    weight = bench.target.weight(name)
    _, sensitivity = inputs_and_sensitivity(bench, layer)
    order = sensitivity.argsort()
    few = len(order) // 4
    least, most = torch.ones(weight.shape, dtype=torch.bool), torch.ones(weight.shape, dtype=torch.bool)
    least[order[:few]], most[order[-few:]] = False, False
    assert sample.error(name, weight, least) < sample.error(name, weight, most)


def test_a_layer_that_the_loss_does_not_depend_on_has_no_error(bench):
    path = bench._cache.sample(sampled_blocks(bench.layers))
    bundle = Bundle(path)
    name = bundle.layers[0].name
    bundle.output_sensitivity = lambda name: torch.zeros(bundle.weight(name).shape[0])
    weight = bench.target.weight(name)
    assert Reconstruction(bundle).error(name, weight, torch.zeros(weight.shape, dtype=torch.bool)) == 0.0


def test_keeping_all_costs_nothing_and_keeping_nothing_everything(bench):
    sample = bench.sampled("search")
    name = sample.layers[0]
    weight = bench.target.weight(name)
    everything = torch.ones(weight.shape, dtype=torch.bool)
    assert sample.error(name, weight, everything) == 0.0
    assert sample.error(name, weight, ~everything) == 1.0


def test_a_layer_of_zeros_has_no_error(bench):
    sample = Reconstruction(Bundle(bench._cache.sample(sampled_blocks(bench.layers))))
    name = sample.layers[0]
    weight = torch.zeros_like(bench.target.weight(name))
    assert sample.error(name, weight, torch.zeros(weight.shape, dtype=torch.bool)) == 0.0


@pytest.mark.parametrize("allocation", ["uniform", "sdsa", "owl", "atp"])
def test_densities_do_not_count_in_the_error_that_is_compared(bench, allocation):
    row = measure(bench, Published.named("wanda"), Recipe(0.6, allocation), "search")
    assert row.layer_errors == pytest.approx(row.reference_errors, rel=1e-6)
    assert row.reconstruction == pytest.approx(1.0)
    magnitude = measure(bench, Published.named("magnitude"), Recipe(0.6, allocation), "search")
    assert magnitude.reconstruction > 1.0
    assert magnitude.reference_errors == row.reference_errors


def test_hessians_of_the_sampled_blocks_are_those_of_all_and_the_others_are_not_kept(deep_bench):
    few, whole = deep_bench._cache.sample([1, 7]), Bundle(deep_bench.bundle(("hessian",)))
    assert sorted(file.name for file in few.glob("hessian-*")) == ["hessian-1.safetensors", "hessian-7.safetensors"]
    for layer in deep_bench.layers:
        if layer.block in (1, 7):
            assert torch.equal(Bundle(few).hessian(layer.name), whole.hessian(layer.name))


def test_a_candidate_is_stopped_before_the_other_blocks_are_scored(deep_bench):
    algorithm = GivenScores(random_scores(deep_bench))
    asked = algorithm.asked
    full = measure(deep_bench, algorithm, Recipe(0.5), "search")
    assert len(asked) == len(deep_bench.layers)
    asked.clear()
    ladder = Ladder(most_error=0.9 * full.reconstruction)
    with pytest.raises(StoppedEarly) as caught:
        measure(deep_bench, algorithm, Recipe(0.5), "search", ladder)
    assert len(asked) < len(deep_bench.layers) * (BLOCKS + 2) / DEEP
    with pytest.raises(StoppedEarly) as replayed:
        ladder.replay(full)
    assert replayed.value.message == caught.value.message
    assert replayed.value.partial.layers == caught.value.partial.layers == []
    with pytest.raises(StoppedEarly):
        ladder.replay(caught.value.partial)
    assert Ladder().replay(caught.value.partial) is None


def test_what_is_measured_on_the_report_split_or_without_the_rung_needs_no_hessian(open_tiny_bench, cache):
    for advanced, split in (({}, "report"), ({"layer_error": None}, "search")):
        bench = open_tiny_bench(advanced=advanced)
        algorithm = GivenScores(random_scores(bench))
        measured = measure(bench, algorithm, Recipe(0.5), split)
        assert measured.reconstruction is None
        assert algorithm.asked == [layer.name for layer in bench.layers]
    assert not list((cache / "statistics").glob("*hessian*"))
