"""The kit: the functions of published algorithms under friendlier signatures, and nothing beside them."""

import inspect
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from autoprune import kit
from autoprune.errors import UsageError
from autoprune.pruning import masks
from autoprune.pruning.allocation.atp import atp, steepest
from autoprune.pruning.allocation.owl import owl
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.refinements import table as refinements
from autoprune.pruning.updates import table as updates
from tests.pruning.updates.problems import problem

UNITS = [
    {"size": 10 + i, "depth": i / 3, "role": role, "skewness": float(i), "outlier_share": i / 100}
    for i, role in enumerate(("q", "down", "q", "up"))
]
PATTERNS = ["none", "2:4"]


@pytest.fixture(scope="module")
def layer():
    weight, hessian = problem(1)
    return SimpleNamespace(
        weight=weight,
        hessian=hessian,
        hessian_diag=hessian.diagonal(),
        input_mean=torch.linspace(-1, 1, len(hessian)),
        input_var=torch.linspace(0.1, 1, len(hessian)),
        score=weight.abs() * hessian.diagonal().sqrt(),
    )


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("rounds", [2, None])
def test_swaps_and_dsnot_are_the_refinements_of_published_scores(layer, pattern, rounds):
    parsed = masks.parse_pattern(pattern)
    mask = masks.make_mask(layer.score, layer.weight, 72, "row", parsed)
    arguments = (layer.weight, mask, lambda name: getattr(layer, name), parsed, rounds)
    refined = kit.swaps(layer.weight, mask, layer.hessian, rounds, pattern)
    assert torch.equal(refined, refinements.spec_of("swaps").refine(*arguments))
    moments = (layer.input_mean, layer.input_var, layer.hessian_diag)
    assert torch.equal(
        kit.dsnot(layer.weight, mask, *moments, pattern=pattern), refinements.spec_of("dsnot").refine(*arguments)
    )


@pytest.mark.parametrize("name", ["obs", "admm", "alps"])
def test_updates_are_those_of_published_baselines(layer, name):
    mask = kit.row_mask(layer.score, 72)
    spec = updates.spec_of(name)
    expected = spec.apply(layer.weight, mask, spec.prepare(layer.hessian))
    assert torch.equal(getattr(kit, name)(layer.weight, mask, layer.hessian), expected)


def test_masks_have_the_given_zeros(layer):
    assert torch.equal(kit.row_mask(layer.score, 50), masks.row_mask(layer.score, 50))
    assert torch.equal(kit.matrix_mask(layer.score, 50), masks.matrix_mask(layer.score, 50))
    assert torch.equal(kit.nm_mask(layer.score, 2, 4), masks.nm_mask(layer.score, 2, 4))


def test_the_inverse_hessian_is_that_of_the_damped_one(layer):
    damped = layer.hessian + 0.05 * layer.hessian.diagonal().mean() * torch.eye(len(layer.hessian))
    assert torch.allclose(kit.inverse_hessian(layer.hessian, 0.05) @ damped, torch.eye(len(damped)), atol=1e-3)


@pytest.mark.parametrize("units", [UNITS, [SimpleNamespace(**unit) for unit in UNITS]])
def test_allocations_take_the_units_of_a_candidate_and_hold_the_budget(units):
    shapes = {
        "linear_depth": kit.linear_depth(units, 0.6, 0.3),
        "sdsa": kit.sdsa(units, 0.6, kappa=0.8),
        "owl": kit.owl(units, 0.6),
        "by_role": kit.by_role(units, 0.6, {"down": 1.5}),
    }
    sizes = [unit["size"] for unit in UNITS]
    for densities in shapes.values():
        held = sum(size * density for size, density in zip(sizes, densities, strict=True))
        assert held == pytest.approx(0.4 * sum(sizes))
    first, *_, last = shapes["linear_depth"]
    assert first - last == pytest.approx(0.3)
    q, down, *_ = shapes["by_role"]
    assert down - q == pytest.approx(0.2)
    assert shapes["sdsa"] == SDSA(kappa=0.8)(UNITS, 0.6)
    assert shapes["owl"] == owl(UNITS, 0.6)
    assert kit.linear_depth(units, 0.6, 3 * steepest(UNITS, 0.6) / 2) == pytest.approx(atp(UNITS, 0.6))


def test_what_does_not_fit_is_one_line(layer):
    with pytest.raises(UsageError, match="pattern"):
        kit.swaps(layer.weight, layer.weight > 0, layer.hessian, pattern="4")
    with pytest.raises(UsageError, match="shape"):
        kit.admm(layer.weight, (layer.weight > 0)[1:], layer.hessian)


def test_every_function_is_documented_with_its_source_and_changes_nothing_in_place(layer):
    functions = [getattr(kit, name) for name in kit.__all__]
    assert all(inspect.getdoc(function) and function.__module__ == "autoprune.kit" for function in functions)
    before = layer.weight.clone(), layer.hessian.clone()
    mask = kit.row_mask(layer.score, 72)
    for change in (kit.swaps, kit.obs, kit.admm, kit.alps):
        change(layer.weight, mask, layer.hessian)
    assert torch.equal(layer.weight, before[0])
    assert torch.equal(layer.hessian, before[1])
    assert torch.equal(mask, kit.row_mask(layer.score, 72))


def test_the_kit_needs_nothing_that_a_sandbox_lacks():
    """A container has torch, NumPy and safetensors, but neither pydantic nor transformers."""
    script = (
        "import sys, autoprune.kit; print(*sorted({'pydantic', 'transformers', 'yaml', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
