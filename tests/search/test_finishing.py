"""What is done for the best candidates of a search once it has stopped."""

import pytest

from autoprune.agents.population import Algorithm, Population, seed_name
from autoprune.agents.symbolic.expression import FEW_ROUNDS, MOST_ROUNDS, SEEDS
from autoprune.agents.symbolic.individual import Individual
from autoprune.config import change_config
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from autoprune.search.finishing import shallow
from autoprune.search.fork import fork_run
from tests.agents.test_strong_proposer import Model, draft
from tests.search.lives import live
from tests.search.test_search import llm_words, scripted

WORDS = ("search.max_candidates=12", "advanced.deepen=1", "advanced.layer_error=null", "advanced.racing=false")


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
    assert "16)" in last.thought["idea"]
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
    proposals, outcomes = ends(search(*words))
    assert [each.engine for each in proposals] == ["llm"] * 3 + ["symbolic"] * deep
    for each in proposals[3:]:
        assert (each.operator, each.parents) == ("deepen", [best_before(outcomes, each.slot)])
        assert outcomes[each.slot].status == "measured"


@pytest.mark.parametrize(
    ("profile", "script", "tokens", "comments"),
    [
        ("small", scripted, 30, []),  # whose rules would have decided alone in any case
        ("strong", Model(draft("layer.input_var.sqrt()")), 20, ["20 tokens spent: the rules alone decided"]),
    ],
)
def test_a_limit_of_calls_that_ended_the_search_leaves_what_it_ends_with_to_the_rules(
    search, chat_server, profile, script, tokens, comments
):
    chat_server.script = script
    limit = (f"search.max_tokens={tokens}", "search.generation_size=1", "agents.symbolic_share=0.25")
    run = search(*llm_words(chat_server, *WORDS, *limit, f"llm.profile={profile}"))
    proposals, outcomes = ends(run)
    assert [(each.engine, each.operator) for each in proposals][1:] == [("symbolic", "deepen")]
    assert outcomes[proposals[-1].slot].status == "measured"
    review = [event.data for event in read_events(run.events_file) if event.kind == "reviewed"][-1]
    assert (review["by"], review["comments"]) == ("rules", comments)


def test_the_best_that_can_have_more_rounds_is_chosen_though_others_are_ahead_of_it():
    wanda, group = SEEDS["wanda"]
    few, deep = (Individual(("exchange", wanda, rounds), group) for rounds in (FEW_ROUNDS, MOST_ROUNDS))
    ours, tried = (Individual(("exchange", wanda, rounds), "matrix") for rounds in (FEW_ROUNDS, MOST_ROUNDS))
    algorithms = [
        Algorithm(slot, slot, each.source, 30.0 + place, {"expression": each.expression})
        for place, (slot, each) in enumerate({"g1.c2": tried, "g2.c1": ours, "g2.c2": few}.items())
    ]
    code = "def score(layer):\n    return layer.weight.abs()\n"
    plain = Algorithm("g3.c1", "a language model's", code, 20.0)
    spread = Algorithm("g3.c2", "the same", code + "\n\ndef allocate(units, sparsity):\n    return [1.0]\n", 10.0)
    seed = Algorithm(seed_name("x"), "x", Individual(wanda, group).source, 5.0, {"expression": wanda})
    chosen = shallow(Population([seed, *algorithms, plain, spread]))
    assert [each.name for each in chosen] == ["g3.c1", "g2.c2"]
    failed = Algorithm("g4.c1", "timed out", deep.source, None, {"expression": deep.expression}, "timed out")
    assert [each.name for each in shallow(Population([*algorithms, failed]))] == []
