"""The last candidate of a search: the best one with its allocation improved by trials."""

from types import SimpleNamespace

import pytest

from autoprune.agents.polisher import polished
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"


def allocate_of(source):
    names = {}
    exec(source, names)
    return names["allocate"]


def units(count):
    return [SimpleNamespace(depth=place / max(count - 1, 1)) for place in range(count)]


def test_a_source_without_an_allocation_gets_one_around_uniform():
    raw = allocate_of(polished(WANDA, [1.1, 1.0, 0.9], own=False))(units(3), 0.6)
    assert raw == pytest.approx([0.44, 0.4, 0.36])


def test_an_allocation_of_its_own_is_multiplied_and_can_be_again():
    own = WANDA + "\n\ndef allocate(units, sparsity):\n    return [0.1 + unit.depth for unit in units]\n"
    once = polished(own, [2.0, 1.0], own=True)
    assert allocate_of(once)(units(2), 0.6) == pytest.approx([0.2, 1.1])
    twice = polished(once, [1.0, 3.0], own=True)
    assert allocate_of(twice)(units(2), 0.6) == pytest.approx([0.2, 3.3])


def test_between_blocks_factors_lie_on_straight_lines():
    raw = allocate_of(polished(WANDA, [1.0, 2.0], own=False))(units(5), 0.5)
    assert raw == pytest.approx([0.5, 0.625, 0.75, 0.875, 1.0])


def test_a_search_ends_with_it_and_it_may_be_a_finalist(search):
    run = search("advanced.polish=1", "search.max_candidates=4")
    archive = Archive(run.archive_file)
    last, outcome = archive.proposals()[-1], archive.outcomes()[-1]
    archive.close()
    assert (last.operator, last.engine, last.slot) == ("polish", "trials", "g3.c1")
    assert outcome.status in ("measured", "stopped", "duplicate")
    assert "spared(allocate" in run.source(last.candidate)
    events = read_events(run.events_file)
    assert any("polishing the allocation" in event.data.get("text", "") for event in events)
    assert [event.kind for event in events][-1] == "run-ended"
