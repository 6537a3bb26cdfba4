"""The self-test that users run says what holds on their machine, and passes for the right reason only."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoprune.errors import CandidateFailure
from autoprune.pruning.layers import Session
from autoprune.sandbox.check import check
from tests.sandbox.conftest import ON_DOCKER

FILES = {"no other files", "no other folders", "no writing", "no new files"}
FORGED = {"shape", "protocol", "not-finite", "not-repeatable"}


@pytest.mark.parametrize("name", ["local", pytest.param("docker", marks=[*ON_DOCKER, pytest.mark.long])])
def test_every_probe_passes(request: pytest.FixtureRequest, name: str) -> None:
    probes = check(request.getfixturevalue(name))
    assert [probe for probe in probes if not probe.passed] == []
    assert probes[0].outcome == "ok"
    assert {probe.outcome for probe in probes} >= {"forbidden", "memory", "timeout", "crashed", *FORGED}
    assert {probe.name for probe in probes} >= FILES


class Leaky:
    """A sandbox that keeps nobody out, or for another reason than the one that counts. Candidates do not run in it."""

    name = "local"

    def __init__(self, ends: str) -> None:
        self._ends = ends

    @contextlib.contextmanager
    def open(self, source: str, bundle: Path, times: int = 1) -> Iterator[Session]:
        if self._ends == "writes":
            (bundle.parent / "secret.txt.new").write_text("x")
        if self._ends == "deletes":
            (bundle.parent / "secret.txt").unlink(missing_ok=True)
        raise CandidateFailure("score", "exception", self._message(bundle.parent))
        yield

    def _message(self, folder: Path) -> str:
        return {
            "typo": "NameError: name 'secret' is not defined",
            "not there": f"FileNotFoundError: [Errno 2] No such file or directory: '{folder}/secret.txt'",
            "another file": "PermissionError: [Errno 13] Permission denied: '/elsewhere/x'",
        }.get(self._ends, f"PermissionError: [Errno 13] Permission denied: '{folder}/secret.txt'")


@pytest.mark.parametrize("ends", ["typo", "not there", "another file", "writes", "deletes"])
def test_a_refusal_for_another_reason_is_no_refusal(ends: str) -> None:
    passed = {probe.name for probe in check(Leaky(ends)) if probe.passed}  # type: ignore[arg-type]
    assert not passed & FILES


def test_a_refusal_by_the_jail_is_one() -> None:
    passed = {probe.name for probe in check(Leaky("as it must")) if probe.passed}  # type: ignore[arg-type]
    assert passed == FILES
