"""The self-test that users run says what holds on their machine."""

from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.check import check


def test_every_probe_passes_in_the_local_sandbox(local: Sandbox) -> None:
    probes = check(local)
    assert [probe.name for probe in probes if not probe.passed] == []
    assert probes[0].outcome == "ok"
    assert {probe.outcome for probe in probes} >= {"forbidden", "memory", "timeout", "crashed", "not-finite"}
