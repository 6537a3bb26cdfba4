"""Every operator with every kind of parent: task, frame and parent must not ask for things that exclude each other."""

import re
from itertools import product
from typing import get_args

import pytest

from autoprune.agents.llm_proposer import LLMProposer, conversation
from autoprune.agents.population import Algorithm
from autoprune.agents.prompts.load import kit_section, league_parts, render, strong_task
from autoprune.agents.proposer import Request
from autoprune.agents.symbolic.expression import SEEDS
from autoprune.agents.symbolic.source import source
from autoprune.config_values import WITHOUT_MODEL, Operator
from autoprune.leagues import League
from autoprune.llm.client import Chat
from autoprune.llm.endpoint import Endpoint
from autoprune.search.bandit import PARENTS
from tests.llm.faulty_server import ChatServer

ASKED_FOR = [operator for operator in get_args(Operator) if operator not in WITHOUT_MODEL]
EXCHANGED = ("exchange", ("mul", "W", "X"), 2.0)
ALLOCATION = "def allocate(units, sparsity):\n    return [1 - sparsity for unit in units]\n"
KINDS = {
    "row": Algorithm("seed.wanda", "wanda", source(*SEEDS["wanda"]), 60.0),
    "matrix": Algorithm("seed.ria", "ria", source(*SEEDS["ria"]), 60.0),
    "gradient": Algorithm("seed.gblm", "gblm", source(*SEEDS["gblm"]), 60.0),
    "exchanges": Algorithm("g1.c1", "swaps", source(EXCHANGED, "row"), 35.0, {"expression": EXCHANGED}),
    "by a model": Algorithm("g1.c2", "x", "def score(layer):\n    return layer.weight.abs()\n", 61.0),
    "own allocation": Algorithm(
        "g1.c3", "x", f"def score(layer):\n    return layer.weight.abs()\n\n\n{ALLOCATION}", 62.0
    ),
    "failed": Algorithm(
        "g1.c4", "x", "def score(layer):\n    return layer.wait\n", None, failure="score: exception: x"
    ),
}


def request(operator: str, kind: str, slot: str = "g2.c1") -> Request:
    parents = [KINDS[kind]] * PARENTS[operator]
    plan = {"slot": slot, "generation": 2, "operator": operator, "engine": "llm", "parents": []}
    return Request(plan, "0", 0, parents, [], [], frozenset(), [], None)


@pytest.mark.parametrize(("operator", "kind"), list(product(ASKED_FOR, KINDS)))
def test_the_small_profile_does_not_contradict_itself(operator: str, kind: str) -> None:
    for seed in range(30):
        system, task, frame = (each["content"] for each in conversation(request(operator, kind, f"g2.c{seed}")))
        asked = task[task.index("Task:") :]
        allocates = operator == "allocation"
        # What the frame begins with is what the task asks for.
        assert ("def allocate(units, sparsity):" in frame) == allocates
        assert ("def score(layer):" in frame) != allocates
        wanted = re.search(r'GROUP = "(\w+)"', asked)
        if wanted and not allocates:
            assert wanted[0] in frame
        elif not allocates and PARENTS[operator] and operator not in ("explore",):
            parent = re.search(r'GROUP = "(\w+)"', KINDS[kind].source)
            assert f'GROUP = "{parent[1] if parent else "row"}"' in frame
        # Nobody is asked to keep the order of the weights and to change it.
        if "as it is" in asked:
            assert "must differ" not in frame
        # What the rules forbid is neither asked for nor, beyond what its code has, shown.
        assert "loops over weights" in system
        assert "exchange(" not in task.partition("Task:")[0].partition("Parent:")[2]
        assert "layer.hessian\n" not in task
        assert "$" not in system + task + frame


@pytest.mark.parametrize("league", ["mask", "update"])
@pytest.mark.parametrize("operator", ASKED_FOR)
def test_the_strong_profile_does_not_contradict_itself(operator: str, league: League) -> None:
    parts = league_parts(league)
    facts = dict.fromkeys(("target", "judged", "allocation", "tuning"), "")
    contract = render("strong/contract", **facts, kit=kit_section(), edits=parts["edits"])
    system = render("strong/proposer_system", contract=contract, kept=parts["kept"], drafts="")
    assert "refine(layer, mask)" in system
    assert ("update(layer, mask)" in system) == (league == "update")
    assert ("stay as they are" in system) == (league == "mask")
    asked = strong_task(operator)
    for limit in ("at most", "no others", "No training", "sign of a weight", "never matmul"):
        assert limit not in system + asked
    named = set(re.findall(r"\bparents?\b", asked))
    assert named == ({"parents"} if PARENTS[operator] == 2 else {"parent"} if PARENTS[operator] else set())


def test_the_parent_of_an_allocation_by_a_small_model_keeps_its_score(chat_server: ChatServer) -> None:
    chat_server.script = ['{"idea": "deep", "why": "x", "expected": "better"}', f"```python\n{ALLOCATION}```"]
    chat = Chat(Endpoint(base_url=chat_server.base_url, model="m", retries=0, timeout=10))
    draft = LLMProposer(chat).propose(request("allocation", "own allocation"))
    chat.close()
    assert draft.source is not None
    assert draft.source.count("def allocate") == 1
    assert draft.source.startswith("def score(layer):\n    return layer.weight.abs()")
