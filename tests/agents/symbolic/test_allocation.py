"""Allocations of the symbolic engine: sources that keep to the contract."""

from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoprune.agents.symbolic import allocation
from autoprune.agents.symbolic.source import source
from autoprune.candidates.contract import UNITS
from autoprune.candidates.screen import screen
from autoprune.pruning.allocation.budget import project
from autoprune.pruning.allocation.sdsa import SDSA


def units(count=6):
    return [
        SimpleNamespace(
            name=f"u{place}", size=100 + 50 * place, depth=place / (count - 1), role="v", skewness=1.0 + 0.3 * place
        )
        for place in range(count)
    ]


def load(spread):
    text = source(("mul", "W", "X"), "row", spread)
    assert [finding for finding in screen(text) if finding.severity == "error"] == []
    names = {}
    exec(text, names)
    return names


@given(seed=st.integers(0, 10_000), sparsity=st.floats(0.3, 0.9))
@settings(max_examples=80, deadline=None)
def test_every_allocation_can_be_projected_and_mutated(seed, sparsity):
    random = Random(seed)
    drawn = allocation.draw(random)
    for spread in (drawn, allocation.mutate(drawn, random), allocation.mutate(None, random)):
        names = load(spread)
        assert names["UNIT"] in UNITS
        raw = names["allocate"](units(), sparsity)
        sizes = [unit.size for unit in units()]
        held = sum(n * d for n, d in zip(sizes, project(raw, sizes, sparsity), strict=True))
        assert held == pytest.approx((1 - sparsity) * sum(sizes))
        assert allocation.words(spread)
    assert allocation.mutate(drawn, random) != drawn or drawn["family"] == "profile"


def test_sdsa_in_a_source_is_sdsa():
    constants = {"kappa": 0.5, "tau": 1.0, "delta": 0.15}
    raw = load({"family": "sdsa", "unit": "block", **constants})["allocate"](units(), 0.6)
    sizes, skewness = [unit.size for unit in units()], [unit.skewness for unit in units()]
    ours = SDSA(**constants).densities(skewness, sizes, 0.6)
    assert project(raw, sizes, 0.6, 0.25, 0.55) == pytest.approx(ours)


def test_a_profile_spares_what_it_is_told_to():
    spread = {"family": "profile", "unit": "module", "knots": [0.2, 0.0, -0.2], "roles": {"v": 0.1}}
    raw = load(spread)["allocate"](units(5), 0.5)
    assert raw == pytest.approx([0.65, 0.6, 0.55, 0.5, 0.45])
