"""An allocation polished by trials: exact, and never worse on the search split than what it started from."""

from contextlib import contextmanager

import pytest

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.polish import _spread, polish
from autoprune.evaluation.trials import Trials
from autoprune.models.identity import checksum


class Allocating:
    """Wanda's scores beside an allocation of its own."""

    group, unit, has_allocate, edits_defined = "row", "module", True, frozenset()

    def __init__(self, scoring):
        self._scoring = scoring

    def allocate(self, units, sparsity):
        return [(1 - sparsity) * (1.2 if unit["role"] == "v" else 1.0) for unit in units]

    def scores(self, *arguments):
        return self._scoring.scores(*arguments)


@contextmanager
def opened(bench):
    with (
        Published.named("wanda").open(bench.readable()) as scoring,
        Trials(bench, bench.units_by("module"), scoring) as trials,
    ):
        yield scoring, trials


def test_it_is_never_worse_than_what_it_started_from_and_leaves_the_model_alone(bench):
    heard = []
    with opened(bench) as (scoring, trials):
        found = polish(bench, scoring, trials, 0.6, 3, 0, heard.append)
    assert found.after <= found.before
    assert len(heard) == 3
    assert heard[-1] == found.after
    assert not found.own
    assert len(found.factors) == len(bench.units_by("block").sizes)
    assert checksum(bench.target.model) == bench.target.fingerprint


def test_layers_keep_the_densities_that_the_candidate_gave_them_relative_to_each_other(bench):
    with opened(bench) as (scoring, trials):
        found = polish(bench, Allocating(scoring), trials, 0.6, 1, 0)
    assert found.own
    blocks = bench.units_by("block")
    kept = {layer.name: layer.size // (2 if layer.role == "v" else 4) for layer in bench.layers}
    totals = [size // 2 for size in blocks.sizes]
    zeros = _spread(blocks, kept, totals)
    assert blocks.totals(zeros) == totals
    densities = {layer.role: 1 - zeros[layer.name] / layer.size for layer in bench.layers[:7]}
    assert densities["v"] == pytest.approx(min(2 * densities["q"], 1.0), abs=0.05)
