"""The map of the best of each kind, and the front of perplexity, time and memory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.runs.archive import Outcome
from autoprune.runs.directory import RunDirectory
from autoprune.runs.quality import Niche, Placed, as_data, best_of_cells, pareto_front, place, unknown_costs

MIB = 1 << 20
ROW, MATRIX = Niche(("norm",), "light", "row"), Niche((), "heavy", "matrix")


def placed(slot, perplexity, cell=ROW, seconds=1.0, memory=10 * MIB):
    return Placed(slot, f"hash-{slot}", perplexity, cell, seconds, memory)


few = st.integers(1, 4)
candidates = st.lists(st.tuples(few, st.none() | few, st.none() | few), max_size=12).map(
    lambda rows: [
        placed(f"g1.c{n}", float(p), ROW, None if s is None else float(s), None if m is None else m * MIB)
        for n, (p, s, m) in enumerate(rows)
    ]
)


def beats(one, other):
    pairs = list(zip(one.costs, other.costs, strict=True))
    return all(mine <= theirs for mine, theirs in pairs) and any(mine < theirs for mine, theirs in pairs)


@given(candidates)
def test_nobody_beats_one_of_the_front_and_everybody_else_is_beaten_by_one_of_it(everybody):
    front = pareto_front(everybody)
    known = [each for each in everybody if each.costs is not None]
    assert not any(beats(other, each) for each in front for other in known)
    assert all(any(beats(other, each) for other in front) for each in known if each not in front)
    assert len(known) + unknown_costs(everybody) == len(everybody)


@given(candidates, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order(everybody, chance: random.Random):
    mixed = chance.sample(everybody, len(everybody))
    assert {each.slot for each in pareto_front(mixed)} == {each.slot for each in pareto_front(everybody)}


def test_the_lowest_perplexity_is_always_on_the_front_and_stands_first():
    front = pareto_front([placed("a", 3.0, seconds=1.0), placed("b", 2.0, seconds=9.0), placed("c", 4.0, seconds=1.0)])
    assert [each.slot for each in front] == ["b", "a"]


def test_memory_that_differs_by_less_than_a_mebibyte_is_the_same():
    assert [each.slot for each in pareto_front([placed("a", 2.0), placed("b", 3.0, memory=10 * MIB - 4096)])] == ["a"]


def test_a_cell_keeps_the_best_and_of_equals_the_earlier():
    several = [placed("a", 3.0), placed("b", 2.0), placed("c", 2.0), placed("d", 9.0, MATRIX), placed("e", 1.0, None)]
    assert {cell: each.slot for cell, each in best_of_cells(several).items()} == {ROW: "b", MATRIX: "d"}


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "run", Config.model_validate({"model": "m"}))


def test_only_what_was_measured_is_placed_and_a_source_once(run):
    one, other = run.save_source("one"), run.save_source("other")
    data = {"perplexity": 5.0, "seconds": {"score": 0.5, "eval": 2.0}, "memory_bytes": MIB}
    outcomes = [
        Outcome("g1.c1", 1, one, "measured", data=data),
        Outcome("g1.c2", 1, other, "stopped", data={"partial_perplexity": 1.0}),
        Outcome("g1.c3", 1, None, "unusable"),
        Outcome("g2.c1", 2, one, "measured", data={"perplexity": 5.0, "cached": True, "seconds": {}}),
    ]
    described = []
    found = place(run, outcomes, lambda source: described.append(source) or ROW)
    assert found == [Placed("g1.c1", one, 5.0, ROW, 0.5, MIB)]
    assert described == ["one"]


def test_a_source_that_is_gone_or_was_changed_has_no_cell_and_keeps_its_place_on_the_front(run):
    name = run.save_source("one")
    (run.candidates / f"{name}.py").write_text("changed")
    with pytest.raises(AutoPruneError):
        run.source(name)
    data = {"perplexity": 5.0, "seconds": {"score": 0.5}, "memory_bytes": MIB}
    [found] = place(run, [Outcome("g1.c1", 1, name, "measured", data=data)], lambda source: ROW)
    assert found.cell is None
    assert best_of_cells([found]) == {}
    assert pareto_front([found]) == [found]


def test_candidates_of_unknown_cost_are_counted_and_on_no_front():
    data = as_data([placed("a", 1.0, seconds=None), placed("b", 2.0, memory=None), placed("c", 3.0)])
    assert (data["measured"], data["unknown_costs"]) == (3, 2)
    assert [each["slot"] for each in data["front"]] == ["c"]
    assert data["front"][0] | {"seconds_score": 1.0, "memory_bytes": 10 * MIB} == data["front"][0]
    assert data["cells"][0] | {"inputs": ("norm",), "cost": "light", "group": "row", "slot": "a"} == data["cells"][0]
