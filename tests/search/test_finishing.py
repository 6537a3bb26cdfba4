"""What is done for the best candidates of a search once it has stopped."""

import pytest

from autoprune.agents.deepening import more_rounds
from autoprune.agents.population import Algorithm
from autoprune.agents.symbolic.expression import FEW_ROUNDS, MOST_ROUNDS, SEEDS
from autoprune.agents.symbolic.individual import Individual
from autoprune.config import change_config
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from autoprune.runs.names import generation_of
from autoprune.search.fork import fork_run
from tests.agents.strong_model import Model, draft
from tests.search.lives import live
from tests.search.test_search import llm_words, scripted

DRAWN = "agents.operators=[initialise,explore,structure,constants,simplify,cross,allocation]"
WORDS = ("search.max_candidates=12", "advanced.deepen=1", "advanced.layer_error=null", "advanced.racing=false", DRAWN)


@pytest.fixture
def ended(search):
    return search(*WORDS)


def ends(run):
    archive = Archive(run.archive_file)
    proposals, outcomes = archive.proposals(), archive.outcomes()
    archive.close()
    return proposals, {outcome.slot: outcome for outcome in outcomes}


def best_before(outcomes, slot):
    measured = {name: each.data["perplexity"] for name, each in outcomes.items() if each.status == "measured"}
    measured.pop(slot, None)
    return min(measured, key=measured.get)


def test_a_search_ends_with_its_best_candidate_tried_with_more_rounds_of_exchanges(ended):
    proposals, outcomes = ends(ended)
    last = proposals[-1]
    assert (last.operator, last.engine, len(outcomes)) == ("deepen", "symbolic", 13)
    assert last.parents == [best_before(outcomes, last.slot)]
    parent = next(each for each in proposals if each.slot == last.parents[0])
    assert [last.thought["expression"][:2], last.thought["expression"][2]] == [parent.thought["expression"][:2], 16.0]
    assert ", layer, GROUP, 16)" in ended.source(last.candidate)
    assert "then 16 rounds of mask swaps" in last.thought["idea"]
    assert outcomes[last.slot].status in ("measured", "duplicate")


def test_a_fork_of_the_end_does_not_do_it_again_and_one_that_goes_on_does(ended, facts):
    config = ended.settings()[0]
    again = fork_run(ended, None, config, ended.path.with_name("again"))
    live(again.path, config)
    assert facts(again)["outcomes"] == facts(ended)["outcomes"]
    config = change_config(config, ["search.max_candidates=16", "advanced.deepen=4"])
    further = fork_run(ended, None, config, ended.path.with_name("further"))
    live(further.path, config)
    before, after = (sum(each.operator == "deepen" for each in ends(run)[0]) for run in (ended, further))
    assert before == 1 < after


@pytest.mark.parametrize(("share", "deep"), [(0, 0), (0.25, 1)])
def test_a_chat_models_code_is_ended_with_exchanges_unless_the_model_is_to_be_alone(search, chat_server, share, deep):
    chat_server.script = scripted
    words = llm_words(chat_server, *WORDS, "search.max_candidates=3", f"agents.symbolic_share={share}")
    run = search(*words)
    proposals, outcomes = ends(run)
    first = [each for each in proposals if each.revision == 0]
    assert [each.engine for each in first] == ["llm"] * 3 + ["symbolic"] * deep
    archive = Archive(run.archive_file)
    reflected = {generation_of(key) for key in archive.calls() if key.endswith("reflect")}
    archive.close()
    assert reflected == {each.generation for each in first[:3]}  # the model need not reflect on the trial of the end
    for each in first[3:]:
        assert (each.operator, each.parents) == ("deepen", [best_before(outcomes, each.slot)])
        assert outcomes[each.slot].status == "measured"


@pytest.mark.parametrize(
    ("profile", "script", "tokens"),
    [("small", scripted, 30), ("strong", Model(draft("layer.input_var.sqrt()")), 20)],
)
def test_a_limit_of_calls_that_ended_the_search_leaves_what_it_ends_with_to_the_rules(
    search, chat_server, profile, script, tokens
):
    chat_server.script = script
    limit = (f"search.max_tokens={tokens}", "search.generation_size=1", "agents.symbolic_share=0.25")
    run = search(*llm_words(chat_server, *WORDS, *limit, f"llm.profile={profile}"))
    proposals, outcomes = ends(run)
    assert [(each.engine, each.operator) for each in proposals][1:] == [("symbolic", "deepen")]
    assert outcomes[proposals[-1].slot].status == "measured"
    review = [event.data for event in read_events(run.events_file) if event.kind == "reviewed"][-1]
    assert (review["by"], review["comments"]) == ("rules", [])


def test_a_model_that_is_alone_has_its_own_rounds_raised_at_the_end(search, chat_server):
    swaps = "kit.swaps(layer.weight, layer.weight.abs() > layer.weight.abs().median(), layer.hessian, 2)"
    code = f"from autoprune import kit\n\n\ndef score(layer):\n    return {swaps} + layer.weight.abs()"
    chat_server.script = Model(f"IDEA: swaps\nWHY: w\nEXPECTED: better\n```python\n{code}\n```")
    words = ("search.max_candidates=1", "search.generation_size=1", "agents.symbolic_share=0", "llm.profile=strong")
    proposals, outcomes = ends(search(*llm_words(chat_server, *WORDS, *words)))
    assert [(each.engine, each.operator) for each in proposals] == [("llm", "initialise"), ("symbolic", "deepen")]
    assert outcomes[proposals[-1].slot].status in ("measured", "duplicate")
    assert "with 8 times its rounds" in proposals[-1].thought["idea"]


WANDA, GROUP = SEEDS["wanda"]
CODE = "def score(layer):\n    return layer.weight.abs()\n"
SPREAD = f"{CODE}\n\ndef allocate(units, sparsity):\n    return [1.0]\n"
SWEEPS = f"SWEEPS = 4\n\n\n{CODE}\n\ndef refine(layer, mask):\n    return mask\n"


EXCHANGES = ({"of": "exchanges", "factor": 2}, {"of": "exchanges", "factor": 8})


def formula(rounds):
    individual = Individual(("exchange", WANDA, rounds), GROUP)
    return Algorithm("g1.c1", "t", individual.source, 30.0, {"expression": individual.expression})


@pytest.mark.parametrize(
    ("algorithm", "seconds", "exchanges", "drawn", "last"),
    [
        (formula(FEW_ROUNDS), 50.0, True, *EXCHANGES),
        (formula(FEW_ROUNDS), 50.0, False, *EXCHANGES),
        (formula(MOST_ROUNDS), 50.0, True, None, None),
        (
            Algorithm("g1.c1", "t", CODE, 30.0),
            1.0,
            True,
            {"of": "exchanges", "factor": 2},
            {"of": "exchanges", "factor": 8},
        ),
        (
            Algorithm("g1.c1", "t", SPREAD, 30.0),
            1.0,
            True,
            {"of": "exchanges", "factor": 2},
            {"of": "exchanges", "factor": 8},
        ),
        (Algorithm("g1.c1", "t", CODE, 30.0), 1.0, False, None, None),
        (Algorithm("g1.c1", "t", SWEEPS, 30.0), 1.0, False, {"of": "code", "factor": 2}, {"of": "code", "factor": 8}),
        (Algorithm("g1.c1", "t", SWEEPS, 30.0), 30.0, False, {"of": "code", "factor": 2}, {"of": "code", "factor": 2}),
        (Algorithm("g1.c1", "t", SWEEPS, 30.0), 60.0, True, None, None),
    ],
)
def test_more_rounds_are_of_the_formula_or_of_the_code_as_far_as_its_time_allows(
    algorithm, seconds, exchanges, drawn, last
):
    assert more_rounds(algorithm, seconds, 120.0, exchanges, last=False) == drawn
    assert more_rounds(algorithm, seconds, 120.0, exchanges, last=True) == last
