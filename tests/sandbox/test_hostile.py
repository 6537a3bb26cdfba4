"""Every hostile candidate ends as it must, within its limits, and the next good one is not touched by it."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autoprune.errors import CandidateFailure
from autoprune.models.bundle import Bundle
from autoprune.pruning.layers import Session
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.channel import PRINTED
from autoprune.sandbox.docker import DockerSandbox
from autoprune.sandbox.local import LocalSandbox
from tests.sandbox.candidates import WANDA, score_all
from tests.sandbox.conftest import ON_DOCKER, PATIENT
from tests.sandbox.hostile import HOSTILE, IN_DOCKER, REFUSED, SOURCES, SOURCES_IN_DOCKER, Hostile, at_once

SECRET = "the report text"
HIDDEN = (SECRET, "secret-in-the-environment", "root:x:0")
LONG = [*ON_DOCKER, pytest.mark.long]


def everywhere(cases: dict[str, Any], in_docker: Iterable[str]) -> list[Any]:
    """Every case in `local`, and those that are named in a container too."""
    here = [pytest.param("local", case, id=f"local-{name}") for name, case in cases.items()]
    return here + [pytest.param("docker", cases[name], id=f"docker-{name}", marks=LONG) for name in in_docker]


@pytest.fixture(scope="module")
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    chosen: Sandbox = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def patient(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Another of the same kind, whose clock hardly ever runs out."""
    made = LocalSandbox(PATIENT) if sandbox.name == "local" else DockerSandbox(PATIENT)
    yield made
    made.close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home") / "report.txt"
    path.write_text(SECRET)
    return path


@pytest.fixture(scope="module")
def wanda(sandbox: Sandbox, bundle: Path) -> Iterator[dict[str, Tensor]]:
    """Scores from before the first hostile candidate; those after the last one are the same."""
    fresh = score_all(sandbox, WANDA, bundle)
    yield fresh
    check_same(score_all(sandbox, WANDA, bundle), fresh)


@pytest.fixture(autouse=True)
def intact(bundle: Path, secret: Path) -> Iterator[None]:
    """The bundle's files and the secret are what they were, and nothing was left in writable places."""
    before = {path: path.read_bytes() for path in (*bundle.iterdir(), secret)}
    yield
    assert {path: path.read_bytes() for path in (*bundle.iterdir(), secret)} == before
    left = [name for place in ("/tmp", "/dev/shm", ".") for name in os.listdir(place) if name.startswith("autoprune-")]
    assert not [name for name in left if name.removeprefix("autoprune-") in ("huge", "link", "folder", "id")]


@pytest.mark.parametrize(
    ("sandbox", "case"),
    everywhere({case.name: case for case in HOSTILE}, IN_DOCKER),
    indirect=["sandbox"],
    scope="module",
)
def test_hostile_candidate_ends_as_it_must(
    sandbox: Sandbox, patient: Sandbox, bundle: Path, secret: Path, wanda: dict[str, Tensor], case: Hostile
) -> None:
    if not any(end.endswith("timeout") for end in case.ends):
        sandbox = patient
    source = case.source(secret=str(secret), bundle=str(bundle), home=str(Path.home()))
    outcome, told = run(sandbox, source, bundle, wanda)
    assert outcome in case.ends, f"ended as {outcome}: {told}"
    assert not [hidden for hidden in HIDDEN if hidden in told]
    if sandbox.name == "local":  # in docker, where a worker takes a second, the next case looks (see `run`)
        check_same(score_all(sandbox, WANDA, bundle), wanda)


@pytest.mark.parametrize("sandbox", [pytest.param("docker", marks=LONG)], indirect=True)
def test_a_container_refuses_whatever_local_refuses(
    patient: Sandbox, bundle: Path, secret: Path, wanda: dict[str, Tensor]
) -> None:
    source = at_once(REFUSED, secret=str(secret), bundle=str(bundle), home=str(Path.home()))
    outcome, told = run(patient, source, bundle, wanda)
    assert (outcome, "all were tried" in told) == ("score/exception", True), told
    assert not [hidden for hidden in HIDDEN if hidden in told]
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("[")]
    ends = {name: end for name, end, _ in lines}
    assert ends.keys() == {case.name for case in REFUSED}
    assert not {case.name: ends[case.name] for case in REFUSED if ends[case.name] not in case.ends}, told


@pytest.mark.parametrize(
    ("sandbox", "whole"), everywhere(SOURCES, SOURCES_IN_DOCKER), indirect=["sandbox"], scope="module"
)
def test_hostile_source_ends_as_it_must(sandbox: Sandbox, bundle: Path, whole: tuple[str, str]) -> None:
    source, ends = whole
    outcome, told = run(sandbox, source, bundle)
    assert outcome == ends, told


def check_same(scores: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert scores.keys() == expected.keys()
    assert all(torch.equal(scores[name], expected[name]) for name in expected)


def good_scores(session: Session, layers: Iterable[str]) -> dict[str, Tensor]:
    """What a hostile source answers at the sparsity at which it is Wanda."""
    try:
        return dict(session.scores(dict.fromkeys(layers, 0.25)))
    except CandidateFailure as failure:
        pytest.fail(f"the good score: {failure}")


def run(sandbox: Sandbox, source: str, bundle: Path, wanda: dict[str, Tensor] | None = None) -> tuple[str, str]:
    """("ok" or "stage/reason", everything that the candidate could tell).

    With `wanda` the source is asked for the good score first, in the worker that comes after the last hostile one's.
    """
    try:
        with sandbox.open(source, bundle) as session:
            if wanda is not None:
                check_same(good_scores(session, wanda), wanda)
            scores = dict(session.scores(dict.fromkeys([layer.name for layer in Bundle(bundle).layers], 0.5)))
    except CandidateFailure as caught:
        failure = caught
    else:
        time.sleep(0.01)
        assert all(bool(torch.isfinite(tensor).all()) for tensor in scores.values())
        return "ok", ""
    assert len(failure.message) < 2100
    assert failure.message.isprintable()
    assert len(failure.diagnostics) <= PRINTED
    return f"{failure.stage}/{failure.reason}", f"{failure.message}\n{failure.diagnostics}"
