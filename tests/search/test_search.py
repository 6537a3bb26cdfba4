"""The whole state machine on a tiny real model, in the real local sandbox."""

import json

import pytest
import torch

from autoprune.agents.niche import niche_of
from autoprune.agents.population import load_population, seeds_of
from autoprune.errors import ChatError, RunPaused
from autoprune.gcot.graph import GCoT
from autoprune.models import target
from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from autoprune.search.fork import fork_run
from autoprune.search.islands import able_on_island
from autoprune.search.session import finished
from tests.llm.replies import Status
from tests.search.lives import live

IDEAS = (
    "layer.input_norm.pow(0.5)",
    "layer.input_var.clamp(min=0).sqrt()",
    "layer.hessian_diag",
    "layer.input_mean.abs()",
)


def thought(idea="a score", expected="better", builds_on=()):
    return json.dumps({"idea": idea, "why": "because", "expected": expected, "builds_on": list(builds_on)})


def code(factor):
    return f"```python\nimport torch\n\n\ndef score(layer):\n    return layer.weight.abs() * ({factor} + 1e-6)\n```"


def scripted(body):
    """Answers as each agent would, by what it is asked for; the proposals differ by what is in the conversation."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    last = body["messages"][-1]["content"]
    if "verdict" in schema:
        return json.dumps({"comment": "fine", "verdict": "accept"})
    if "lesson" in schema:
        return json.dumps({"lesson": "variance helps"})
    if "idea" in schema:
        return thought(idea=str(sum(map(ord, last)) % 997), builds_on=["obs.skew", "no.such.thought"])
    seed = sum(map(ord, body["messages"][-2]["content"]))
    return code(f"{IDEAS[seed % len(IDEAS)]} * {1 + seed % 7}")


def read(run):
    archive = Archive(run.archive_file)
    picture = Picture.of(read_events(run.events_file))
    outcomes, proposals, graph = archive.outcomes(), archive.proposals(), (archive.nodes(), archive.edges())
    archive.close()
    return outcomes, proposals, GCoT(*graph), picture


def test_a_symbolic_search_measures_its_candidates_and_confirms_on_the_report_split(search):
    run = search()
    outcomes, _, gcot, picture = read(run)
    assert len(outcomes) == 6
    assert sum(outcome.status == "measured" for outcome in outcomes) >= 3
    assert {row["kind"] for row in picture.rows} == {"dense", "baseline", "candidate"}
    assert picture.conclusion
    assert picture.stop == "6 candidates tried"
    assert finished(run)
    weights = picture.rows[1]["weights"]
    assert all(row["zeros"] == round(0.5 * weights) for row in picture.rows if row["kind"] != "dense")
    assert {node.kind for node in gcot.nodes.values()} == {
        "observation",
        "hypothesis",
        "design",
        "algorithm",
        "evidence",
        "lesson",
    }


def test_parents_from_the_map_are_the_best_of_their_cells_and_the_same_in_every_run(search, facts):
    words = ("agents.parents=map", "search.max_candidates=4")
    one, again = search(*words, name="a"), search(*words, name="b")
    assert facts(one) == facts(again)
    archive, config = Archive(one.archive_file), one.settings()[0]
    rows = {row.subject: row.perplexity for row in archive.measurements("search")}
    seeds = seeds_of(config)
    measured = {name: rows[f"baseline:{name}+{config.allocation.name}"] for name in seeds}
    for proposal in archive.proposals():
        best, place = {}, int(proposal.slot.rpartition("c")[2])
        ranked = load_population(archive, one, seeds, measured, proposal.generation).ranked()
        for algorithm in able_on_island(ranked, place, proposal.generation):
            best.setdefault(niche_of(algorithm.source), algorithm.name)
        assert set(proposal.parents) <= set(best.values())
    archive.close()


def test_a_run_keeps_the_dtype_that_it_began_with_whatever_would_be_faster_now(search, facts, monkeypatch):
    words = ("search.max_candidates=1", "dtype=auto", "device=auto")
    monkeypatch.setattr(target, "faster_dtype", lambda *given: torch.bfloat16)
    run = search(*words)
    before = facts(run)
    monkeypatch.setattr(target, "faster_dtype", lambda *given: torch.float32)
    config = run.settings()[0]
    fork = fork_run(run, None, config, run.path.with_name("fork"))
    live(fork.path, config)
    assert facts(fork) == before
    assert [each.settings()[1]["dtype"] for each in (run, fork)] == ["bfloat16"] * 2
    said = [event.data["text"] for event in read_events(fork.events_file) if event.kind == "notice"]
    assert any("dtype bfloat16: as the run began" in text for text in said)


def test_the_same_seed_finds_the_same_and_another_seed_something_else(search, facts):
    first, again, other = facts(search(name="a")), facts(search(name="b")), facts(search("seed=1", name="c"))
    assert first == again
    assert first["outcomes"] != other["outcomes"]


def test_a_run_ends_at_once_when_it_is_resumed_after_its_end(search, facts):
    before = facts(search())
    assert facts(search()) == before


def llm_words(chat_server, *words):
    endpoint = ("llm.provider=openai", f"llm.base_url={chat_server.base_url}", "llm.profile=small")
    return (*endpoint, "agents.critic=llm", "agents.symbolic_share=0", "advanced.symbolic_first=false", *words)


def test_agents_by_llm_propose_criticise_and_reflect_through_a_real_server(search, chat_server):
    chat_server.script = scripted
    run = search(*llm_words(chat_server, "search.max_candidates=4", "advanced.layer_error=null"))
    outcomes, proposals, gcot, picture = read(run)
    assert {proposal.engine for proposal in proposals} == {"llm"}
    assert any(outcome.status == "measured" for outcome in outcomes)
    assert picture.lessons[0] == "variance helps"
    assert all("no.such.thought" not in proposal.thought["builds_on"] for proposal in proposals)
    assert ("obs.skew", "g1.c1.idea", "motivates") in gcot.graph.edges(keys=True)
    reviews = [event.data for event in read_events(run.events_file) if event.kind == "reviewed"]
    assert "scripted" in {review["by"] for review in reviews} or {review["verdict"] for review in reviews} >= {"accept"}


def test_a_model_behind_an_endpoint_on_this_machine_comes_after_the_symbolic_engines_share(search, chat_server):
    chat_server.script = scripted
    words = ("agents.symbolic_share=0.5", "search.max_candidates=4", "advanced.symbolic_first=null")
    _, proposals, _, _ = read(search(*llm_words(chat_server, *words)))
    engines = [proposal.engine for proposal in proposals if proposal.revision == 0]
    assert engines == ["symbolic", "symbolic", "llm", "llm"]


def test_measurement_decides_after_a_rejection_by_the_llm_critic(search, chat_server):
    def script(body):
        said = scripted(body)
        return json.dumps({"comment": "no", "verdict": "reject"}) if "verdict" in said else said

    chat_server.script = script
    outcomes, proposals, _, _ = read(search(*llm_words(chat_server, "search.max_candidates=1")))
    assert outcomes[0].status != "rejected"
    assert [proposal.revision for proposal in proposals] == [0, 1]


def test_code_that_fails_in_the_sandbox_goes_back_to_the_proposer_with_the_error(search, chat_server):
    def script(body):
        last = body["messages"][-1]["content"]
        if "response_format" in body:
            return scripted(body)
        return code("layer.input_norm.sqrt()") if "score: exception" in last else code("layer.input_norm[:3]")

    chat_server.script = script
    words = ("search.max_candidates=1", "agents.critic=rules", "advanced.layer_error=null")
    outcomes, proposals, _, _ = read(search(*llm_words(chat_server, *words)))
    assert [proposal.revision for proposal in proposals] == [0, 1]
    assert outcomes[0].status == "measured"
    assert proposals[0].thought == proposals[1].thought


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ("I would rather talk about the weather.", "unusable"),
        ("```python\ndef score(layer):\n    return layer.weight[:1]\n```", "failed"),
        ("```python\ndef score(layer):\n    return layer.weight.abs() / 0\n```", "failed"),
        ("```python\ndef score(layer):\n    while True: pass\n```", "failed"),
        ("```python\nimport os\ndef score(layer):\n    return layer.weight\n```", "rejected"),
    ],
)
def test_a_bad_candidate_ends_with_its_reason_and_the_run_goes_on(search, chat_server, reply, status):
    chat_server.script = lambda body: scripted(body) if "response_format" in body else reply
    words = ("search.max_candidates=2", "search.generation_size=1", "agents.symbolic_share=0.5", "sandbox.seconds=1")
    run = search(*llm_words(chat_server, *words))
    outcomes, _, _, picture = read(run)
    by_llm = next(outcome for outcome in outcomes if picture.slots[outcome.slot].engine == "llm")
    assert by_llm.status == status
    assert by_llm.message
    assert any(outcome.status in ("measured", "stopped", "duplicate") for outcome in outcomes)
    assert picture.conclusion


def test_a_candidate_that_is_not_deterministic_fails(search, chat_server):
    body = "state.append(1)\n    return layer.weight.abs().pow(len(state))"
    forgetful = f"```python\nstate = []\n\n\ndef score(layer):\n    {body}\n```"
    chat_server.script = lambda body: scripted(body) if "response_format" in body else forgetful
    words = ("search.max_candidates=1", "advanced.layer_error=null", "agents.critic=rules")
    outcomes, _, _, _ = read(search(*llm_words(chat_server, *words)))
    assert (outcomes[0].status, outcomes[0].stage, outcomes[0].reason) == ("failed", "check", "not-repeatable")


def test_a_refused_key_stops_the_run_at_once_and_a_resumed_run_goes_on(search, chat_server):
    chat_server.script = [Status(401)]
    words = llm_words(chat_server, "search.max_candidates=2")
    with pytest.raises(ChatError, match="key"):
        search(*words)
    chat_server.script = scripted
    run = search(*words)
    assert len(read(run)[0]) == 2


def test_an_endpoint_that_fails_pauses_the_run_which_can_be_resumed(search, chat_server, facts):
    chat_server.script = scripted
    words = llm_words(chat_server, "search.max_candidates=2")
    undisturbed = facts(search(*words, name="undisturbed"))
    replies = iter([True, True])
    chat_server.script = lambda body: scripted(body) if next(replies, False) else Status(503)
    with pytest.raises(RunPaused):
        search(*words, name="paused")
    chat_server.script = scripted
    assert facts(search(*words, name="paused"))["outcomes"] == undisturbed["outcomes"]


def test_a_limit_on_tokens_ends_the_run_with_its_table(search, chat_server):
    chat_server.script = scripted
    run = search(*llm_words(chat_server, "search.max_tokens=30"))
    _, _, _, picture = read(run)
    assert picture.stop == "30 tokens spent"
    assert picture.rows
