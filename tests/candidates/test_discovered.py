"""The discoveries that are shipped: candidates like any other, which say where they come from."""

import ast
from importlib.resources import files

import pytest

from autoprune.candidates import discovered as shipped
from autoprune.candidates.contract import MAX_SOURCE_BYTES
from autoprune.candidates.discovered import discovered, discovered_source
from autoprune.candidates.screen import screen
from tests.measuring.test_algorithms import opened


@pytest.mark.parametrize("name", discovered())
def test_a_discovery_says_where_it_comes_from_and_nothing_in_it_is_forbidden(name):
    source = discovered_source(name)
    assert len(source.encode()) <= MAX_SOURCE_BYTES
    assert not [finding for finding in screen(source) if finding.severity == "error"]
    told = ast.get_docstring(ast.parse(source))
    assert told is not None
    assert len(told.splitlines()) <= 10
    assert "in the run " in told
    assert told.endswith(f"{name}.md")
    notes = files(shipped).joinpath(f"{name}.md").read_text(encoding="utf-8")
    for part in ("Thought", "Lineage", "Search", "Confirmation", "Use"):
        assert f"\n## {part}\n" in notes


@pytest.mark.parametrize("name", discovered())
@pytest.mark.parametrize("pattern", ["none", "2:4"])
def test_a_discovery_prunes_another_model_than_the_one_that_it_was_found_on(bench, name, pattern):
    told = {layer.name: 0.5 for layer in bench.layers}
    with opened(name) as (algorithm,), algorithm.open(bench.readable(algorithm.needs)) as scoring:
        scores = dict(scoring.scores(told, pattern=pattern))
        assert list(scores) == [layer.name for layer in bench.layers]
        assert all(score.isfinite().all() for score in scores.values())
        if scoring.has_allocate:
            units = bench.units_by(scoring.unit or "block")
            zeros = units.projected(scoring.allocate(units.described(), 0.6), 0.6)
            assert sum(zeros.values()) == round(0.6 * bench.target.weights)
