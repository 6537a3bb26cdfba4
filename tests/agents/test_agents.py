"""Critic, analyst and proposer by themselves; the LLM ones through a real scripted server."""

import json
from dataclasses import replace

import pytest

from autoprune.agents.analyst import LLMAnalyst, Result, StatisticalAnalyst
from autoprune.agents.critic import LLMCritic, RuleCritic, Submission
from autoprune.agents.llm_proposer import LLMProposer
from autoprune.agents.population import Algorithm
from autoprune.agents.proposer import Request
from autoprune.llm.client import Chat, Endpoint

GOOD = "def score(layer):\n    return layer.weight.abs() * layer.input_norm.sqrt()\n"
WANDA = Algorithm("seed.wanda", "wanda", "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n", 65.6)
FAILED = Algorithm(
    "g1.c1", "an idea", "def score(layer):\n    return layer.wait\n", None, failure="score: exception: no"
)


@pytest.fixture
def chat(chat_server):
    chat = Chat(Endpoint(base_url=chat_server.base_url, model="m", retries=0, timeout=10))
    yield chat
    chat.close()


def submission(source=GOOD, problem="", known=(WANDA,)):
    return Submission("g2.c1", 2, 0, {"idea": "root", "why": "because"}, source, problem, list(known))


def result(slot, gain, source=GOOD, expected="better"):
    return Result(slot, f"idea {slot}", source, expected, "measured", 60.0, gain)


def request(operator="explore", parents=(WANDA,), previous=None, comments=()):
    plan = {"slot": "g2.c1", "generation": 2, "operator": operator, "engine": "llm", "parents": []}
    return Request(plan, "0", 0, list(parents), [WANDA], [], frozenset({"obs.skew"}), list(comments), previous)


def test_sound_code_is_accepted_by_rules():
    assert RuleCritic().review(submission()).verdict == "accept"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (None, "no code came"),
        ("def score(layer):\n    return (", "SyntaxError"),
        ("import os\n" + GOOD, "os"),
        ("x = 1\n", "score"),
        (WANDA.source, "seed.wanda"),
    ],
)
def test_faults_are_fatal_and_named(source, complaint):
    review = RuleCritic().review(submission(source, problem="no code came"))
    assert (review.verdict, review.fatal) == ("revise", True)
    assert complaint in " ".join(review.comments)


RIA = """import torch


def score(layer):
    W = layer.weight.abs()
    share = W / (W.sum(dim=0, keepdim=True) + 1e-8) + W / (W.sum(dim=1, keepdim=True) + 1e-8)
    return 3 * (share * layer.input_norm.sqrt()) ** 2
"""
ROOT = Algorithm("g1.c2", "root", GOOD, 60.0)


@pytest.mark.parametrize(
    ("source", "doubt"),
    [
        (RIA, "this is RIA: it orders the weights in the same way"),
        (WANDA.source.replace("input_norm", "hessian_diag.sqrt()"), "this is Wanda"),
        ("def score(layer):\n    return 2 * layer.weight.abs().log1p()\n", "this is magnitude"),
        (GOOD.replace("layer.input_norm.sqrt()", "layer.hessian_diag.pow(0.25)"), "this is g1.c2"),
        (GOOD.replace("sqrt()", "log()"), "line 2: not finite"),
        (GOOD.replace("layer.input_norm.sqrt()", "layer.input_mean.sqrt()"), "line 2: not finite"),
        ("def score(layer):\n    return layer.weight * layer.input_norm\n", "the sign of a weight changes the score"),
        (GOOD.replace("layer.input_norm.sqrt()", "0 + 1"), "score the same"),
    ],
)
def test_what_a_formula_repeats_and_its_hazards_are_doubts_that_are_named(source, doubt):
    review = RuleCritic().review(submission(source, known=(WANDA, ROOT)))
    assert (review.verdict, review.fatal) == ("revise", False)
    assert doubt in review.comments[0]


def test_the_same_scores_spread_otherwise_are_another_algorithm():
    own = (
        WANDA.source + "\n\ndef allocate(units, sparsity):\n    return [1 - sparsity + unit.depth for unit in units]\n"
    )
    assert RuleCritic().review(submission(own, known=(WANDA, ROOT))).verdict == "accept"


def test_the_llm_critic_is_asked_only_what_the_rules_let_through(chat, chat_server):
    chat_server.script = [{"comment": "divides by zero", "verdict": "revise"}]
    critic = LLMCritic(chat)
    assert critic.review(submission("x = 1\n")).by == "rules"
    assert chat_server.requests == []
    review = critic.review(submission())
    assert (review.verdict, review.fatal, review.comments) == ("revise", False, ["divides by zero"])


def test_a_small_critic_leaves_what_the_symbolic_engine_wrote_to_the_rules(chat, chat_server):
    review = LLMCritic(chat).review(replace(submission(), engine="symbolic"))
    assert (review.verdict, review.by) == ("accept", "rules")
    assert chat_server.requests == []


def test_a_critic_that_answers_nonsense_leaves_the_decision_to_the_rules_and_says_so(chat, chat_server):
    chat_server.script = ["purple"]
    review = LLMCritic(chat).review(submission())
    assert review.verdict == "accept"
    assert "could not be used" in review.comments[-1]


def test_the_statistical_analyst_contrasts_what_best_and_worst_use():
    worst = "def score(layer):\n    return layer.weight.abs() * layer.input_mean.abs()\n"
    lesson = StatisticalAnalyst().reflect(1, [result("g1.c1", 0.1), result("g1.c2", -0.5, worst)])
    assert [claim.grounds for claim in lesson.claims] == [("g1.c1", "g1.c2")]
    assert "only the best uses input_norm" in lesson.text
    assert "only the worst uses input_mean" in lesson.text


def stopped(slot, gain):
    problem = "raced out after 4 of 16 windows, partial perplexity 90.00; on these abc has 60.00"
    return Result(slot, f"idea {slot}", GOOD, "better", "stopped", None, gain, problem)


def test_what_was_stopped_early_is_a_lesson_but_never_the_best_beside_a_full_measurement():
    lesson = StatisticalAnalyst().reflect(1, [stopped("g1.c1", 0.3), result("g1.c2", -0.1)])
    assert lesson.best == "g1.c2"
    assert "idea g1.c1 did worst (about -26 % perplexity, stopped early)" in lesson.text
    assert "1 of 2 hypotheses held" in lesson.text
    assert StatisticalAnalyst().reflect(1, [stopped("g1.c1", -0.3)]).best == "g1.c1"


def test_what_was_stopped_early_says_what_was_measured_and_what_is_an_estimate():
    line = stopped("g1.c1", -0.3).line()
    assert "after 4 of 16 windows, partial perplexity 90.00" in line
    assert "(about +35 % against its parent, predicted better)" in line


def test_a_generation_without_measurements_teaches_nothing():
    failed = Result("g1.c1", "idea", "", None, "failed", None, None, "boom")
    assert StatisticalAnalyst().reflect(1, [failed]) is None
    assert "failed, boom" in failed.line()


def test_the_llm_analyst_words_the_lesson_and_falls_back_openly(chat, chat_server):
    chat_server.script = [{"lesson": "roots help"}, "nonsense", "nonsense"]
    analyst = LLMAnalyst(chat)
    assert analyst.reflect(1, [result("g1.c1", 0.1)]).text == "roots help"
    assert "+10.5" not in chat_server.requests[0]["messages"][-1]["content"]
    assert "-9.5 %" in chat_server.requests[0]["messages"][-1]["content"]
    fallback = analyst.reflect(2, [result("g2.c1", 0.1)])
    assert fallback.by == "statistics"
    assert "could not be used" in fallback.text


def test_each_sentence_of_a_models_lesson_leads_to_what_it_names_or_is_a_conjecture(chat, chat_server):
    text = "g1.c1 beat g1.c10. Roots help in general! Try g1.c3, whose code failed."
    chat_server.script = [{"lesson": text}]
    failed = Result("g1.c3", "idea", "", None, "failed", None, None, "boom")
    lesson = LLMAnalyst(chat).reflect(1, [result("g1.c1", 0.1), result("g1.c10", -0.1), failed])
    assert [claim.grounds for claim in lesson.claims] == [("g1.c1", "g1.c10"), (), ()]
    assert lesson.text == text


@pytest.mark.parametrize("operator", ["initialise", "explore", "structure", "constants", "simplify", "cross", "repair"])
def test_every_operator_renders_a_prompt_and_brings_thought_and_code(chat, chat_server, operator):
    thought = {"idea": "i", "why": "w", "expected": "better", "builds_on": ["obs.skew", "invented"]}
    chat_server.script = [thought, f"Here it is:\n```python\n{GOOD}```\n"]
    parents = [FAILED] if operator == "repair" else [WANDA, WANDA][: 2 if operator == "cross" else 1]
    draft = LLMProposer(chat).propose(request(operator, parents))
    assert draft.source == GOOD
    assert draft.thought["builds_on"] == ["obs.skew"]
    opening = chat_server.requests[0]["messages"][-1]["content"]
    assert "$" not in opening
    assert parents[0].source.strip() in opening if parents else True


def test_a_reply_that_only_goes_on_from_the_opening_is_completed(chat, chat_server):
    thought = {"idea": "i", "why": "w", "expected": "better"}
    chat_server.script = [thought, "```python\n    return W * layer.input_norm.sqrt()\n```"]
    draft = LLMProposer(chat).propose(request())
    assert RuleCritic().review(submission(draft.source)).verdict == "accept"


def test_a_revision_shows_the_code_and_the_comments_and_asks_for_code_only(chat, chat_server):
    chat_server.script = [f"```python\n{GOOD}```"]
    draft = LLMProposer(chat).propose(request(previous=FAILED.source, comments=["no attribute 'wait'"]))
    assert draft.source == GOOD
    said = chat_server.requests[0]["messages"][-1]["content"]
    assert "layer.wait" in said
    assert "no attribute 'wait'" in said
    assert len(chat_server.requests) == 1


@pytest.mark.parametrize(
    "replies", [["no json", "no json"], [json.dumps({"idea": "i", "why": "w", "expected": "better"}), ""]]
)
def test_unusable_replies_end_in_a_draft_that_says_why(chat, chat_server, replies):
    chat_server.script = replies
    draft = LLMProposer(chat).propose(request())
    assert draft.source is None
    assert draft.problem
