"""The seconds that the phases of a search are expected to take, before any of them was timed."""

from collections.abc import Mapping

from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.measuring.workbench import Workbench
from autoprune.phases import LOAD, STATISTICS, WHOLE


def expected_seconds(workbench: Workbench) -> dict[str, float] | str:
    """Seconds by phase, as `autoprune doctor` plans them, from a probe beside the loaded target; else why there are
    none, in a few words."""
    from autoprune.measuring import resource_plan

    measurer = workbench.measurer
    try:
        with measurer.lock:
            return resource_plan.expected_seconds(measurer.config, measurer.bench.target, measurer.sandbox)
    except (AutoPruneError, CandidateFailure, OSError, MemoryError, RuntimeError) as error:
        # A probe that fails, such as for want of memory on the device, must not end a search that may still run.
        return f"no probe: {error}"


def to_come(phases: Mapping[str, float]) -> float:
    """Seconds of the search from when its workbench is open."""
    return phases[WHOLE] - phases[LOAD] - phases[STATISTICS]
