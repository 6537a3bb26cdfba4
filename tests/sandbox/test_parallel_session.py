"""One candidate in two processes."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from autoprune.errors import CandidateFailure
from autoprune.models.bundle import Bundle
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.local import LocalSandbox
from autoprune.sandbox.timings import TimeBudget
from tests.sandbox.candidates import WANDA, score_all
from tests.sandbox.conftest import PATIENT

RANDOM = "import torch\ndef score(layer):\n    return torch.rand_like(layer.weight)\n"
STATEFUL = "calls = []\ndef score(layer):\n    calls.append(1)\n    return layer.weight * len(calls)\n"


@pytest.fixture(scope="module")
def team() -> Iterator[Sandbox]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        sandbox = LocalSandbox(PATIENT)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def names(bundle: Path) -> list[str]:
    return [layer.name for layer in Bundle(bundle).layers]


@pytest.mark.parametrize("source", [WANDA, RANDOM])
def test_scores_are_those_of_one_process_in_the_order_asked_for(
    team: Sandbox, local: Sandbox, bundle: Path, names: list[str], source: str
) -> None:
    alone, told = score_all(local, source, bundle), dict.fromkeys(names, 0.5)
    with team.open(source, bundle) as session:
        for layers in (None, names[::-1], names[3:4]):
            scores = dict(session.scores(told, layers))
            assert list(scores) == (layers or names)
            assert all(torch.equal(scores[name], alone[name]) for name in scores)
        assert session.repeats() is True
        assert session.memory


def test_a_generator_that_was_dropped_leaves_nothing_behind(team: Sandbox, bundle: Path, names: list[str]) -> None:
    told = dict.fromkeys(names, 0.5)
    with team.open(WANDA, bundle) as session:
        next(iter(session.scores(told)))
        assert list(dict(session.scores(told))) == names


def test_a_state_in_one_process_is_noticed(team: Sandbox, bundle: Path, names: list[str]) -> None:
    with team.open(STATEFUL, bundle) as session:
        list(session.scores(dict.fromkeys(names, 0.5), names[:2]))
        assert session.repeats() is False


def test_both_processes_end_with_a_failure_that_names_the_first_layer(
    team: Sandbox, bundle: Path, names: list[str]
) -> None:
    team.wait_until_warm()
    warm = [child for child in psutil.Process().children() if "autoprune.sandbox.inside.zygote" in child.cmdline()]

    def workers() -> int:
        return sum(len(each.children()) for each in warm)

    source = f"def score(layer):\n    print('at', layer.name)\n    if layer.name in {names[3:5]}: 1 / 0\n"
    before = workers()

    def run() -> None:
        with team.open(source + "    return layer.weight\n", bundle) as session:
            assert workers() == before + 2
            list(session.scores(dict.fromkeys(names, 0.5)))

    with pytest.raises(CandidateFailure, match=rf"ZeroDivisionError.*{names[3]}") as caught:
        run()
    assert names[1] in caught.value.diagnostics
    assert caught.value.progress.startswith("3 of 6 layers were done by then")
    assert workers() == before


def test_seconds_are_the_candidates_not_a_processes() -> None:
    allowance = TimeBudget(5.0)
    with allowance.waiting() as first:
        pass
    with pytest.raises(KeyError), allowance.waiting() as second:
        raise KeyError
    assert allowance.left < 5.0
    assert second < first + 5.0
