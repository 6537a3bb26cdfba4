"""Every operator with every kind of parent: task, frame and parent must not ask for things that exclude each other."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from autoprune.agents.briefing import Briefing
from autoprune.agents.llm_proposer import LLMProposer, conversation
from autoprune.agents.partial import completed
from autoprune.agents.population import Algorithm
from autoprune.agents.prompts.load import strong_task
from autoprune.agents.proposer import Request
from autoprune.agents.symbolic.expression import SEEDS
from autoprune.agents.symbolic.source import source
from autoprune.config import load_config
from autoprune.config_values import NOT_DRAWN, WITHOUT_MODEL, Operator
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.measurement_store import MeasurementStore
from autoprune.llm.client import Chat
from autoprune.llm.endpoint import Endpoint
from autoprune.measuring.measurer import Measurer
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.sandbox.local import LocalSandbox
from autoprune.search.bandit import PARENTS
from tests.llm.faulty_server import ChatServer
from tests.small_search import SMALL

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
PLAIN = "def score(layer):\n    return layer.weight.abs()\n"
STRONG_KINDS = KINDS | {
    "refined": Algorithm("g1.c5", "x", f"{PLAIN}\n\ndef refine(layer, mask):\n    return mask\n", 40.0),
    "updated": Algorithm("g1.c6", "x", f"{PLAIN}\n\ndef update(layer, mask):\n    return layer.weight * mask\n", 39.0),
    "tuned": Algorithm("g1.c7", "x", 'PARAMS = {"p": 0.7}\n\n\n' + PLAIN.replace("abs()", 'pow(PARAMS["p"])'), 38.0),
}
STRONG = [
    (operator, kind)
    for operator, kind in product(ASKED_FOR, STRONG_KINDS)
    if not PARENTS[operator] or (operator == "repair") == (kind == "failed")
]
"""Operators with the kinds of parents that a plan gives them: what has failed is repaired, and nothing else is."""


def request(operator: str, kind: str, slot: str = "g2.c1") -> Request:
    first = STRONG_KINDS[kind]
    parents = [first, KINDS["matrix" if kind == "row" else "row"]][: PARENTS[operator]]
    plan = {"slot": slot, "generation": 2, "operator": operator, "engine": "llm", "parents": []}
    return Request(plan, "0", 0, parents, [], [], frozenset(), [], None)


@pytest.mark.parametrize(("operator", "kind"), list(product(sorted(set(ASKED_FOR) - {*NOT_DRAWN}), KINDS)))
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


@pytest.fixture(scope="module", params=["mask", "update"])
def briefing(
    request: pytest.FixtureRequest, tiny_model: Path, sandbox: LocalSandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Briefing]:
    """The briefing of a run on the tiny model, in each league."""
    home = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
        words = (f"model={tiny_model}", *SMALL, f"search.league={request.param}", "baselines.allocations=[uniform]")
        config = load_config(None, list(words))
        run = RunDirectory.create(home / "run", config)
        archive = Archive(run.archive_file)
        measurer = Measurer(config, run, MeasurementStore(archive, None), open_bench(config, None), sandbox)
        yield Briefing(Workbench.of(measurer), archive)
        archive.close()


@pytest.mark.parametrize(("operator", "kind"), STRONG)
def test_the_strong_profile_does_not_contradict_itself(briefing: Briefing, operator: str, kind: str) -> None:
    league = briefing.workbench.config.search.league
    asked_of = request(operator, kind)
    system, prompt = briefing.system(""), briefing.task(asked_of, [], strong_task(operator, briefing.operators))
    shown, task = prompt.split("# Your task")
    # The league says what may change, and nothing that the contract allows is forbidden.
    assert "refine(layer, mask)" in system
    assert ("update(layer, mask)" in system) == (league == "update")
    assert ("stay as they are" in system) == (league == "mask")
    for limit in ("at most", "no others", "No training", "sign of a weight", "never matmul"):
        assert limit not in system + strong_task(operator)
    # The task speaks of as many parents as there are, and all that it says of them is there.
    named = set(re.findall(r"\bparents?\b", strong_task(operator)))
    assert named == ({"parents"} if PARENTS[operator] == 2 else {"parent"} if PARENTS[operator] else set())
    assert ("There is no parent: you begin anew." in task) == (not asked_of.parents)
    for parent in asked_of.parents:
        result = parent.failure or f"perplexity {parent.perplexity:.2f}"
        assert f"[{parent.name}] ({result})" in task
        assert shown.count(f"[{parent.name}] {result}") == 1
        assert shown.count(parent.source.strip()) >= 1
    assert ("The parent failed" in task) == any(parent.failure for parent in asked_of.parents)
    assert "$" not in system + prompt
    assert "None" not in task


@pytest.mark.parametrize("kind", STRONG_KINDS)
def test_the_parts_that_a_strong_model_may_leave_out_come_from_every_kind_of_parent(kind: str) -> None:
    parent = STRONG_KINDS[kind].source
    score = 'ALLOCATION = "parent"\n\n\ndef score(layer):\n    return layer.weight.square()\n'
    assert "layer.weight.square()" in completed(score, parent)
    assert ("def allocate" in completed(score, parent)) == ("def allocate" in parent)
    whole = completed(ALLOCATION, parent)
    assert whole.count("def allocate") == whole.count("def score") == 1


def test_the_parent_of_an_allocation_by_a_small_model_keeps_its_score(chat_server: ChatServer) -> None:
    chat_server.script = ['{"idea": "deep", "why": "x", "expected": "better"}', f"```python\n{ALLOCATION}```"]
    chat = Chat(Endpoint(base_url=chat_server.base_url, model="m", retries=0, timeout=10))
    draft = LLMProposer(chat).propose(request("allocation", "own allocation"))
    chat.close()
    assert draft.source is not None
    assert draft.source.count("def allocate") == 1
    assert draft.source.startswith("def score(layer):\n    return layer.weight.abs()")
