"""The strong profile: what a model is told, and what is made of its replies; whole searches by a real server."""

import re

import pytest

from autoprune.agents.strong_proposer import read_thought
from autoprune.report.picture import Picture
from autoprune.runs.events import read_events
from autoprune.search.found import found_functions
from tests.agents.strong_model import Model, archived, draft, strong
from tests.llm.replies import Status

__all__ = ["strong"]

KNOWN = frozenset({"g1.c1", "obs.skew", "g1.c1.idea"})


@pytest.mark.parametrize(
    ("reply", "thought"),
    [
        (
            "Well.\n\nIDEA: swap pairs\nWHY: the error falls\nEXPECTED: better\nBUILDS_ON: [g1.c1], [g9.c9]\n```python",
            {
                "reasoning": "Well.",
                "idea": "swap pairs",
                "why": "the error falls",
                "expected": "better",
                "builds_on": ["g1.c1"],
            },
        ),
        (
            "**Idea:** swap\npairs\n**Why:** H knows\n\n**Expected:** Better, by 5 %\n**Builds on:** obs.skew",
            {"idea": "swap pairs", "why": "H knows", "expected": "better", "builds_on": ["obs.skew"]},
        ),
        (
            "IDEA: a first\n\nNo: that is Wanda.\n\nIDEA: the real one\nWHY: w\nEXPECTED: same\nBUILDS_ON: nothing",
            {"idea": "the real one", "why": "w", "expected": "same", "builds_on": []},
        ),
        ("IDEA: x\nEXPECTED: between 20 and 30\n", {"idea": "x"}),
        (
            "IDEA: x\nEXPECTED: -8 to -3 %, not worse\nREFUTED_IF: the error stays\nTESTS: [g1.c1], [obs.skew.idea]\n",
            {
                "idea": "x",
                "expected": "better",
                "predicted": "-8 to -3 %",
                "refuted_if": "the error stays",
                "tests": ["g1.c1.idea"],
            },
        ),
        ("```python\nIDEA = 1\n```", {}),
        ("IDEA: x\nABLATE: [g1.c1] its row weights\n", {"idea": "x", "ablate": "[g1.c1] its row weights"}),
        ("BUILDS_ON: [g1.c1] and [obs.skew].\n", {"builds_on": ["g1.c1", "obs.skew"]}),
        ("BUILDS_ON: nothing", {"builds_on": []}),
        ("FORMULA: |W|\nIDEA: x", {"idea": "x", "formula": "|W|"}),
        ("", {}),
    ],
)
def test_labelled_lines_of_a_reply_are_its_thought(reply, thought):
    assert read_thought(reply, KNOWN) == thought


def test_an_endpoint_gets_the_whole_contract_and_answers_thought_and_code_in_one_reply(strong):
    model = Model()
    run = strong(model)
    outcomes, proposals = archived(run)
    assert {proposal.thought["idea"] for proposal in proposals} == {"a score"}
    assert all(proposal.candidate for proposal in proposals)
    assert sum(outcome.status == "measured" for outcome in outcomes) >= 2
    assert len(model.told["proposer"]) == 4
    for told in model.told["proposer"]:
        for part in (
            "`layer.hessian`",
            "`layer.gradient`",
            "UNIT",
            "dense",
            "this is what you have to beat",
            "120 seconds",
            "On this machine one product of every weight",
            "[obs.density] Change of the loss",
        ):
            assert part in told
        assert "[obs.skew]" not in told  # plain facts about the target that no algorithm follows from
    assert "`layer.hessian`" in model.told["critic"][0]
    assert run.settings()[0].llm.profile == "auto"  # what was given: another life may be another model's
    texts = [event.data.get("text", "") for event in read_events(run.events_file)]
    assert any("the effect of density" in text for text in texts)
    assert "It prunes small weights." in texts
    assert proposals[0].thought["reasoning"] == "I think aloud."


def test_every_candidate_its_source_and_every_lesson_are_told_and_siblings_too(strong):
    model = Model()
    outcomes, proposals = archived(strong(model, "search.max_candidates=6"))
    first, second, last = model.told["proposer"][0], model.told["proposer"][1], model.told["proposer"][-1]
    assert "(none yet)" in first
    assert "- [g1.c1] initialise: a score" in second
    assert all(f"[{outcome.slot}]" in last for outcome in outcomes if outcome.generation < 3)
    assert "lesson 1: the norm helps." in last
    assert "lesson 2: the norm helps." in last
    assert "input_norm.pow(0.1)" in last
    assert "Left, those of this generation included: 2 candidates." in last
    table = re.findall(r"^- \[g\d\.c\d\] (\d+\.\d+) \(", last, re.MULTILINE)
    assert table == sorted(table, key=float)
    assert "the best" in last
    assert "Errors: " in last
    parents = {name for proposal in proposals if proposal.generation > 1 for name in proposal.parents}
    assert parents <= {proposal.slot for proposal in proposals}


@pytest.mark.parametrize("layer_error", ["null", "1.2"])
def test_the_early_stop_by_reconstruction_error_is_explained_only_where_there_is_one(strong, layer_error):
    model = Model()
    strong(model, f"advanced.layer_error={layer_error}", "confirmation.finalists=3")
    first, last = model.told["proposer"][0], model.told["proposer"][-1]
    there = layer_error != "null"
    assert ("A candidate is stopped when its weighted reconstruction error" in first) == there
    assert ("Weighted reconstruction error: sum of s p H p^T" in last) == there
    assert "worse than the worst of the 3 best so far" in first


def test_a_failure_goes_back_with_the_source_and_what_happened(strong):
    model = Model(draft("layer.input_norm[:3]"), draft("layer.input_var.sqrt()"))
    outcomes, proposals = archived(strong(model, "search.max_candidates=1"))
    told = model.told["proposer"][1]
    assert "a score" in told
    assert "layer.input_norm[:3]" in told
    assert "exception" in told
    assert re.search(r"; 0 of \d+ layers were done by then", told)
    assert "the same idea, mended" in told
    assert [proposal.revision for proposal in proposals] == [0, 1]
    assert outcomes[0].status in ("measured", "duplicate")


def test_a_doubt_of_the_rules_goes_back_before_anything_runs(strong):
    model = Model(draft("layer.wait"), draft("layer.input_var.sqrt()"))
    _, proposals = archived(strong(model, "search.max_candidates=1"))
    told = model.told["proposer"][1]
    assert told.count("layer has no attribute 'wait'; it has depth, gradient, ") == 1
    assert "exception" not in told.partition("What happened")[2]
    assert [proposal.revision for proposal in proposals] == [0, 1]


def test_a_candidate_that_is_too_slow_is_asked_to_be_faster_with_what_took_the_time(strong):
    slow = "sum(float((layer.weight @ layer.weight.T).sum()) * 0 for _ in iter(int, 1)) + layer.input_norm"
    model = Model(draft(slow), draft("layer.input_var.sqrt()"))
    strong(model, "search.max_candidates=1", "sandbox.seconds=3")
    told = model.told["proposer"][1]
    assert "timeout" in told
    assert "layers were done by then" in told
    assert "the same idea in at most 2 of the 3 seconds" in told
    assert "plan for 1.5 of these seconds" in told


def test_a_duplicate_goes_back_with_the_slot_of_its_twin_and_is_asked_to_decide_otherwise(strong):
    same = "torch.stack([layer.input_norm.sqrt()]).amax(0)"  # which static analysis cannot follow
    model = Model(draft("layer.input_norm.sqrt()"), draft(same))
    run = strong(model, "search.max_candidates=2", "search.generation_size=1")
    told = model.told["proposer"][2]
    assert "check: duplicate: its masks are those of g1.c1 (agreement 1.0000); 21 of 21 layers were done" in told
    assert "Write it again so that it prunes other weights" in told
    assert "the same idea, mended" not in told
    assert archived(run)[0][1].slot == "g2.c1"


def test_a_paused_run_asks_the_same_questions_when_it_goes_on(strong, facts):
    model = Model()
    run = strong(model, name="whole")
    picture, whole = Picture.of(read_events(run.events_file)), facts(run)
    assert picture.explained["slot"] == picture.finalist["name"].split()[0]
    again = Model()
    replies = iter([True] * 5)

    def until_down(body):
        return again(body) if next(replies, False) else Status(503)

    with pytest.raises(Exception, match="resume"):
        strong(until_down, name="paused")
    asked = list(again.told["proposer"])
    resumed = facts(strong(again, name="paused"))
    assert resumed["outcomes"] == whole["outcomes"]
    assert again.told["proposer"][: len(asked)] == asked
    assert len(again.told["proposer"]) == 4


def test_an_endpoint_that_is_down_at_the_end_costs_the_sentence_and_not_the_end(strong):
    model = Model()

    def down_at_the_end(body):
        return Status(503) if "sentence" in str(body.get("response_format")) else model(body)

    events = list(read_events(strong(down_at_the_end, "search.max_candidates=2").events_file))
    kinds = [event.kind for event in events]
    assert "run-ended" in kinds
    assert "explained" not in kinds
    assert any("the best candidate gets no description" in event.data.get("text", "") for event in events)


def test_a_reply_of_labels_alone_takes_no_longer_than_its_length():
    assert read_thought("why:\n" * 20_000, KNOWN) == {}


@pytest.mark.parametrize("kit", ["published", "off"])
def test_the_kit_is_offered_unless_it_is_off_and_then_refused(strong, kit):
    source = "```python\nfrom autoprune import kit\n\n\ndef score(layer):\n    share = layer.sparsity\n"
    source += "    zeros = int(share * layer.weight.numel())\n"
    source += "    mask = kit.row_mask(layer.weight.abs() * layer.input_norm, zeros)\n    return mask.float()\n```"
    model = Model(f"IDEA: a mask\nWHY: w\nEXPECTED: same\nBUILDS_ON: nothing\n{source}")
    outcomes, _ = archived(strong(model, f"agents.kit={kit}", "search.max_candidates=1", "advanced.revisions=0"))
    assert [outcome.status for outcome in outcomes] == ["measured" if kit == "published" else "rejected"]
    assert ("`kit.swaps(" in model.told["proposer"][0]) == (kit == "published")
    assert ("autoprune" in model.told["proposer"][0].split("## Target")[0]) == (kit == "published")
    if kit == "off":
        assert "a candidate may import torch and math" in outcomes[0].message


FOUND = """```python
from autoprune import kit

GROUP = "matrix"


def score(layer):
    kept = layer.weight.numel() - round(layer.sparsity * layer.weight.numel())
    return kit.found.weighted_descent(layer.weight, layer.hessian, kept, layer.output_sensitivity.sqrt()).float()
```"""


@pytest.mark.parametrize("kit", ["published", "all"])
def test_found_functions_are_offered_and_written_into_a_candidate_with_the_whole_kit_alone(strong, kit):
    model = Model(f"IDEA: the found mask\nWHY: w\nEXPECTED: better\nBUILDS_ON: nothing\n{FOUND}")
    run = strong(model, f"agents.kit={kit}", "search.max_candidates=1", "advanced.revisions=0")
    (outcome,), (proposal, *_) = archived(run)
    prompt, record = model.told["proposer"][0], run.settings()[1]
    line = (
        "- `kit.found.weighted_descent(weight, hessian, kept, sensitivity, sweeps=7, block=16, swaps=12, shrink=0.03)`"
    )
    assert (line in prompt) == (kit == "all")
    assert ("Found by a strong general-purpose chat model, replies recorded." in prompt) == (kit == "all")
    source = run.source(proposal.candidate)
    if kit == "published":
        assert "found" not in record
        assert outcome.status == "rejected"
        assert "there is no found function weighted_descent" in outcome.message
        return
    assert (outcome.status, proposal.thought["found"]) == ("measured", ["weighted_descent"])
    assert "def weighted_descent(" in source
    assert "import kit" not in source
    kept = record["found"]["weighted_descent"]
    assert "def weighted_descent(" in run.source(kept["source"])
    assert found_functions(run, run.settings()[0])["weighted_descent"].found_by == kept["found_by"]
