"""Trials of a candidate's allocation: its own masks where it is fast enough, else masks of a published score.

An allocation that serves one algorithm mostly serves another, so trials on few windows can also rank allocations whose
algorithms would take too long to be run for each.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from autoprune.candidates.contract import edits_defined, expensive_fields_named
from autoprune.errors import CandidateFailure, UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.layer_zeros import own_zeros
from autoprune.evaluation.prune import Method
from autoprune.evaluation.refined_tuning import TRIAL_ROUNDS
from autoprune.evaluation.trials import Trials
from autoprune.measuring.parameter_tuning import STAND_IN, WINDOWS
from autoprune.measuring.workbench import Workbench
from autoprune.progress import progress
from autoprune.pruning.layers import Session
from autoprune.runs.directory import content_hash

MASKS = Method(refinement="swaps", rounds=TRIAL_ROUNDS)
"""How the stand-in's masks are made."""


@dataclass(frozen=True)
class Candidacy:
    """A candidate that is open for trials. `masks`: whose masks they have, in words."""

    scoring: Session
    trials: Trials
    masks: str


@contextmanager
def allocation_trials(workbench: Workbench, source: str, scorings: float) -> Iterator[Candidacy]:
    """Open a candidate for trials that score all its layers `scorings` times, about.

    They have its own masks and weights, with its `refine` and `update`, if that takes no longer than the time limit of
    a candidate by what it took before, else the stand-in's masks. Needs the lock. Raises CandidateFailure.
    """
    bench, sandbox = workbench.bench, workbench.measurer.sandbox
    seconds = _seconds(workbench, source)
    units = bench.units_by("module")
    if seconds is not None and seconds * scorings <= workbench.config.sandbox.seconds:
        bundle = bench.bundle(expensive_fields_named(source))
        whole = " with its " + " and ".join(sorted(edits_defined(source))) if edits_defined(source) else ""
        with (
            sandbox.open(source, bundle, math.ceil(scorings) + 1) as session,
            Trials(bench, units, session, whole=True) as trials,
        ):
            yield Candidacy(session, trials, f"its own masks{whole}")
        return
    published = Published.named(STAND_IN)
    with (
        sandbox.open(source, bench.bundle()) as session,
        published.open(bench.readable(published.needs)) as scoring,
        Trials(bench, units, scoring, MASKS) as trials,
    ):
        yield Candidacy(session, trials, f"masks of {STAND_IN} and {TRIAL_ROUNDS} rounds of swaps in place of its own")


def losses_by_allocation(workbench: Workbench, algorithm: str, sources: Sequence[str]) -> tuple[list[float], str]:
    """The loss on a few windows of the search split of each source, infinite if its `allocate` fails, and the masks.

    The sources differ from `algorithm`, which was measured, in their allocation alone; each has an `allocate`. Needs
    the lock. Raises CandidateFailure if the algorithm fails.
    """
    zeros = [_own_zeros(workbench, source) for source in sources]
    with (
        allocation_trials(workbench, algorithm, len(sources)) as candidate,
        progress("comparing allocations", len(sources), "allocations", logging.DEBUG) as advance,
    ):
        windows = min(WINDOWS, candidate.trials.windows)
        losses = []
        for each in zeros:
            losses.append(candidate.trials.loss(each, windows) if each else math.inf)
            advance(1)
        return losses, candidate.masks


def _own_zeros(workbench: Workbench, source: str) -> Mapping[str, int] | None:
    try:
        with workbench.measurer.sandbox.open(source, workbench.bench.bundle()) as session:
            return own_zeros(workbench.bench, workbench.candidates_recipe, session, "the candidate").zeros
    except (CandidateFailure, UsageError):  # a name `allocate` that is no function
        return None


def _seconds(workbench: Workbench, source: str) -> float | None:
    """What a candidate took to score all layers when it was measured; None if it was not."""
    row = workbench.recorded(content_hash(source), "search")
    return None if row is None else sum(row.seconds.get(phase, 0.0) for phase in ("score", "mask"))
