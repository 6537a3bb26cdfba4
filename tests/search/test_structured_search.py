"""A search that removes structures, from its baselines to its verdict, by the symbolic engine."""

import pytest

from autoprune.api.run_data import write_report
from autoprune.candidates.structure_contract import structures_ranked
from autoprune.config import load_config
from autoprune.errors import UsageError
from autoprune.llm.provider import choose_llm
from autoprune.report.algorithm_notes import algorithm_notes
from autoprune.report.origin import Origin
from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from autoprune.runs.lookup import find_candidate
from autoprune.search.resolving import check_agents
from tests.agents.strong_model import Model, draft

WORDS = ("search.structure=mix", "sparsity=0.4", "search.max_candidates=4", "confirmation.seeds=1")


def events_of(run, kind):
    return [event.data for event in read_events(run.events_file) if event.kind == kind]


@pytest.fixture
def archive_of():
    opened = []

    def of(run):
        opened.append(Archive.of(run))
        return opened[-1]

    yield of
    for archive in opened:
        archive.close()


def test_a_search_measures_reduced_models_and_judges_within_both_leagues(search, archive_of):
    run = search(*WORDS, "search.compensate=least-squares")
    archive = archive_of(run)
    outcomes = archive.outcomes()
    assert len(outcomes) == 4
    assert {outcome.status for outcome in outcomes} <= {"measured", "duplicate", "stopped"}
    measured = [outcome for outcome in outcomes if outcome.status == "measured"]
    assert measured
    for outcome in measured:
        assert structures_ranked(run.source(outcome.candidate)) == ("channel", "head")
    (estimate,) = [data["text"] for data in events_of(run, "notice") if data["text"].startswith("estimate for")]
    assert "on this machine (by a probe" in estimate
    names = {data["name"] for data in events_of(run, "baseline")}
    assert names == {
        name + way for name in ("flap", "magnitude", "taylor", "wanda-sp") for way in ("", "+least-squares")
    }
    (confirmed,) = events_of(run, "confirmed")
    rows = confirmed["rows"]
    assert {row.get("league") for row in rows if row["kind"] == "candidate"} == {"compensated"}
    assert {row.get("league") for row in rows if row["kind"] == "baseline"} == {"structured", "compensated"}
    shares = {round(row["sparsity"], 6) for row in rows if row["kind"] != "dense"}
    assert len(shares) == 1
    assert 0.35 < shares.pop() < 0.45
    assert len({row["model_parameters"] for row in rows if row["kind"] != "dense"}) == 1
    (ended,) = events_of(run, "run-ended")
    assert "structured, compensated" in ended["conclusion"]
    assert Picture.of(read_events(run.events_file)).rows
    write_report(run)
    said = "--structure mix --params 0.4 --compensate least-squares --out pruned"
    assert said in (run.path / "report.html").read_text("utf-8")
    origin = Origin.of(run, archive, list(read_events(run.events_file)), find_candidate(archive, "best"))
    notes = algorithm_notes(origin, "best.py")
    assert "--structure mix --params 0.4 --compensate least-squares --out smaller" in notes
    assert "share of the decoder blocks' parameters that is removed" in notes


def test_without_compensation_all_are_in_one_league(search):
    run = search(*WORDS[:2], "search.structure=depth", "search.max_candidates=2", "confirmation.seeds=1")
    (confirmed,) = events_of(run, "confirmed")
    assert {row.get("league") for row in confirmed["rows"] if row["kind"] != "dense"} == {"structured"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["search.compensate=bias"], "search.compensate needs search.structure"),
        (["search.structure=width", "search.league=update"], "search.league is for single weights"),
        (["search.structure=depth", "search.compensate=bias"], "removed blocks cannot be compensated"),
        (["search.structure=width", "confirmation.patterns=[2:4]"], "confirmation.patterns have no meaning"),
        (["search.structure=height"], "search.structure"),
    ],
)
def test_settings_that_contradict_a_structure_are_refused(words, complaint):
    with pytest.raises(UsageError, match=complaint):
        load_config(None, words)


def test_a_structure_has_a_default_share_of_its_own():
    assert load_config(None, ["search.structure=width"]).sparsity == 0.2
    assert load_config(None, ["search.structure=width", "sparsity=0.3"]).sparsity == 0.3
    assert load_config(None, []).sparsity == 0.6


def proposal(factor):
    code = f"    read = structures.consumer\n    return ({factor}).sum(1)\n"
    return (
        "IDEA: columns\nWHY: because\nEXPECTED: better\nBUILDS_ON: nothing\n"
        f'```python\nSTRUCTURE = "channel"\n\n\ndef score(structures):\n{code}```'
    )


UPDATED = (
    "\n\ndef update(structures, kept):\n    read = structures.consumer\n"
    "    return read.weight[kept] * (1.0 + 0.01 * structures.depth)\n```"
)


@pytest.mark.parametrize("compensate", ["none", "least-squares"])
def test_a_strong_model_is_told_the_contract_and_proposes_importances(search, chat_server, archive_of, compensate):
    columns = "read.weight.square().sum(-1) * read.hessian_diag.pow(0.{})"
    unstructured = draft("layer.input_norm")
    updated = proposal(columns.format(9)).removesuffix("```") + UPDATED
    chat_server.script = model = Model(
        unstructured, proposal(columns.format(5)), updated, proposal(columns.format(7)), proposal(columns.format(8))
    )
    endpoint = ("llm.provider=openai", f"llm.base_url={chat_server.base_url}", "agents.symbolic_share=0")
    run = search(*endpoint, *WORDS[1:], "search.structure=width", f"search.compensate={compensate}")
    archive = archive_of(run)
    first, *others = model.told["proposer"]
    for part in ('STRUCTURE = "channel"', "`part.input_var`", "FFN channels", "3 decoder blocks", "wanda-sp: "):
        assert part in first
    assert ("- `update(structures, kept)" in first) == (compensate != "none")
    assert "layer.sparsity" not in first
    assert any('this search removes structures: define STRUCTURE = "channel"' in told for told in others)
    assert "STRUCTURE" in model.told["critic"][0]
    outcomes = {outcome.slot: outcome for outcome in archive.outcomes()}
    sources = {run.source(outcome.candidate) for outcome in outcomes.values() if outcome.status == "measured"}
    assert sources
    assert all("STRUCTURE" in source for source in sources)
    updates = [source for source in sources if "def update" in source]
    assert bool(updates) == (compensate != "none")
    assert events_of(run, "run-ended")


def test_a_small_models_prompts_know_no_structures(search, chat_server):
    endpoint = ("llm.provider=openai", f"llm.base_url={chat_server.base_url}", "llm.profile=small")
    choice = choose_llm(load_config(None, [*endpoint]).llm, "model")
    problem = check_agents(load_config(None, [*endpoint, "search.structure=width"]), choice)
    assert "needs the prompts of a strong model" in problem
