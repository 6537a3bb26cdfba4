"""The variants that benchmarks/ablation.py measures: each is a candidate of its own."""

import pytest

from autoprune.candidates.screen import screen
from autoprune.evaluation.compare import run
from autoprune.evaluation.recipe import Recipe
from autoprune.sandbox.algorithm import Candidate
from benchmarks.ablation import replaced, variants
from tests.measuring.test_algorithms import opened

NAMES = ["coordinate_descent", "damped_trades", "matrix_admm", "tabu_swaps"]


@pytest.mark.parametrize("name", NAMES)
def test_each_variant_is_a_candidate_of_its_own(name):
    parts = list(variants(name))
    assert len({part.source for part in parts}) == len({part.without for part in parts}) == len(parts)
    for part in parts:
        assert not [finding for finding in screen(part.source) if finding.severity == "error"], part.without


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_each_variant_is_measured(bench, name):
    with opened(name) as (algorithm,):
        assert isinstance(algorithm, Candidate)
        for part in variants(name):
            candidate = Candidate(part.without, part.source, algorithm.sandbox)
            row = run(bench, candidate, Recipe(0.5, "sdsa", own_first=True), "search")
            assert row.perplexity is not None, part.without
            assert row.zeros == round(0.5 * row.weights), part.without


def test_a_piece_that_the_source_does_not_have_is_named():
    with pytest.raises(SystemExit, match="without swaps: the source has no 'SWAPS = 20'"):
        replaced("SWAPS = 10", {"without": "swaps", "replace": [["SWAPS = 20", "SWAPS = 0"]]})
