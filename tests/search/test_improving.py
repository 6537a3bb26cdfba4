"""Operators without a model: any slot can draw them, on candidates of any author, and never twice for the same."""

from collections import Counter

import pytest

from autoprune.agents.partial import completed
from autoprune.agents.population import Algorithm
from autoprune.agents.recombiner import untried_donors
from autoprune.candidates.composition import algorithm_of, allocation_of
from autoprune.runs.events import read_events
from tests.agents.strong_model import Model, code
from tests.search.lives import live
from tests.search.test_finishing import ends
from tests.search.test_search import llm_words

WORDS = ("advanced.layer_error=null", "advanced.racing=false", "confirmation.seeds=1")
OPEN = "llm.profile=strong"
SPREAD = "def allocate(units, sparsity):\n    return [1 - sparsity + {0} * unit.depth for unit in units]\n"


def algorithm(name, source, perplexity=30.0):
    return Algorithm(name, name, source, perplexity)


def score(power):
    return f"def score(layer):\n    return layer.weight.abs() * layer.input_norm.pow({power})\n"


def test_donors_are_those_whose_allocation_the_algorithm_was_not_measured_with():
    first = algorithm("g1.c1", score(0.5))
    donors = [algorithm(f"g2.c{number}", f"{score(0.1 * number)}\n\n{SPREAD.format(number)}") for number in range(1, 5)]
    twin = algorithm("g3.c1", f"{score(0.9)}\n\n{SPREAD.format(2)}")
    sources = [each.source for each in (first, *donors, twin)]
    assert untried_donors(first, [*donors, twin], sources, 3) == ["g2.c1", "g2.c2", "g2.c3"]
    tried = f"{score(0.5)}\n\n{SPREAD.format(1)}"
    assert untried_donors(first, [*donors, twin], [*sources, tried], 3) == ["g2.c2", "g2.c3", "g2.c4"]
    assert untried_donors(first, [algorithm("g2.c1", score(0.2))], sources, 3) == []


def test_a_reply_of_an_allocation_alone_or_of_an_algorithm_alone_takes_the_rest_from_its_parent():
    parent = f"EPS = 1\n\n\n{score(0.5)}\n\n{SPREAD.format(1)}"
    assert completed(SPREAD.format(2), parent) == f"EPS = 1\n\n\n{score(0.5)}\n\n{SPREAD.format(2)}"
    kept = completed(f'ALLOCATION = "parent"\n\n\n{score(0.7)}', parent)
    assert (algorithm_of(kept), allocation_of(kept)) == (score(0.7), allocation_of(parent))
    whole = f"{score(0.7)}\n\n{SPREAD.format(3)}"
    assert completed(whole, parent) == whole
    assert completed(score(0.7), parent) == score(0.7)
    constant = f'ALLOCATION = {{"q": 1.1}}\n\n\n{score(0.7)}'
    assert completed(constant, parent) == constant
    shared = completed(f'ALLOCATION = "parent"; GROUP = "matrix"\n\n\n{score(0.7)}', parent)
    assert "GROUP = 'matrix'" in shared
    assert "ALLOCATION" not in shared
    assert completed(SPREAD.format(2), None) == SPREAD.format(2)


def test_a_strong_models_partial_replies_become_whole_candidates(search, chat_server):
    def reply(source):
        return f"IDEA: x\nWHY: w\nEXPECTED: better\n```python\n{source}\n```"

    chat_server.script = Model(
        code("layer.input_norm.pow(0.5)"),
        reply(SPREAD.format(-0.2)),
        reply(f'ALLOCATION = "parent"\n\n\n{score(0.8)}'),
    )
    words = ("search.max_candidates=3", "search.generation_size=1", "agents.symbolic_share=0", OPEN)
    run = search(*llm_words(chat_server, *WORDS, *words, "agents.operators=[initialise,allocation,structure]"))
    proposals, outcomes = ends(run)
    first, second, third = (run.source(each.candidate) for each in proposals)
    assert algorithm_of(second) == algorithm_of(first)
    assert "-0.2 * unit.depth" in allocation_of(second)
    assert "ALLOCATION" not in third
    assert ("-0.2 * unit.depth" in third) == (proposals[2].parents == ["g2.c1"])
    assert {each.status for each in outcomes.values()} == {"measured"}


@pytest.mark.long
def test_any_slot_draws_them_once_for_a_candidate_and_a_run_goes_on_as_if_it_had_not_stopped(
    search, small_config, facts
):
    words = (
        *WORDS,
        "search.max_candidates=16",
        "advanced.polish=1",
        "advanced.deepen=1",
        "agents.operators=[allocation,recombine,deepen,polish]",
    )
    run = search(*words)
    proposals, _ = ends(run)
    drawn = Counter(each.operator for each in proposals)
    assert {"recombine", "polish"} <= set(drawn)
    assert {each.engine for each in proposals if each.operator in ("recombine", "polish")} == {"trials"}
    polished = [each.parents[0] for each in proposals[:-2] if each.operator == "polish"]
    assert len(set(polished)) == len(polished)
    recombined = next(each for each in proposals if each.operator == "recombine")
    parents = {each.slot: run.source(each.candidate) for each in proposals if each.slot in recombined.parents}
    source, (first, *donors) = run.source(recombined.candidate), recombined.parents
    assert algorithm_of(source) == algorithm_of(parents[first])
    assert allocation_of(source) in [allocation_of(parents[donor]) for donor in donors]
    reviews = {
        event.data["slot"]: event.data["by"] for event in read_events(run.events_file) if event.kind == "reviewed"
    }
    assert reviews[recombined.slot] == "rules"
    again = search(*words, name="again")
    assert facts(again)["outcomes"] == facts(run)["outcomes"]
    before = facts(run)
    live(run.path, small_config(*words))
    assert facts(run) == before
