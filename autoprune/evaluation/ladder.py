"""The fidelity ladder: the checks that a candidate must pass before it is measured on all windows, cheapest first.

Source screen (sandbox) -> weighted reconstruction error of a few decoder blocks -> masks that are no duplicate ->
perplexity, racing against the worst of the elite -> perplexity on the full split.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from autoprune.errors import CandidateFailure
from autoprune.evaluation.racing import Race, order
from autoprune.runs.measurement import Measurement, perplexity

Accept = Callable[[bytes], None]
"""Called with the signature of a candidate's masks before they are measured; raises CandidateFailure to reject them."""


def accept_all(signature: bytes) -> None:
    """Accept any masks. A function and not a lambda, so that a ladder can be pickled."""


class StoppedEarly(CandidateFailure):
    """A valid candidate whose measurement was stopped: a result, though not a full measurement.

    `partial`: its measurement so far. `estimate`: the estimated perplexity on all windows; None without losses.
    """

    def __init__(
        self, stage: str, reason: str, message: str, partial: Measurement, estimate: float | None = None
    ) -> None:
        super().__init__(stage, reason, message)
        self.partial = partial
        self.estimate = estimate


@dataclass(frozen=True)
class Ladder:
    """The rungs above the sandbox; by default none. Can be pickled if `accept` can.

    `most_error`: the largest accepted weighted reconstruction error, as a multiple of that of Wanda with as many zeros
    in each layer (`evaluation/reconstruction.py`). `race`: on the windows of the split.
    """

    accept: Accept = accept_all
    most_error: float | None = None
    race: Race | None = None

    def check_error(self, sampled: Measurement) -> None:
        """The rung of the reconstruction error. It is decided as soon as the sum of the errors, which are not negative,
        exceeds the limit. Raises StoppedEarly with the errors up to there."""
        if self.most_error is None or len(sampled.reference_errors) != sampled.sampled_layers:
            return
        most = self.most_error * sum(sampled.reference_errors)
        enough = next((n for n, error in enumerate(accumulate(sampled.layer_errors), 1) if error > most), None)
        if enough is not None:
            errors = sampled.layer_errors[:enough]
            message = (
                f"after {enough} of {sampled.sampled_layers} sampled layers the weighted reconstruction error is "
                f"{_multiple(errors, sampled.reference_errors)} times that of Wanda with as many zeros in each of all "
                f"{sampled.sampled_layers}, where the limit is {self.most_error:.3g}, and "
                f"{_multiple(errors, sampled.reference_errors[:enough])} times in those {enough}"
            )
            unmeasured = {"layers": [], "signature": b"", "window_losses": [], "perplexity": math.nan}
            partial = sampled.model_copy(update={**unmeasured, "layer_errors": errors})
            raise StoppedEarly("check", "layer-error", message, partial)

    def looks(self, windows: int) -> tuple[int, ...]:
        """The numbers of windows after which `check_losses` is called, the last one all windows."""
        return (*(self.race.looks if self.race else ()), windows)

    def check_losses(self, masked: Measurement, losses: Sequence[float]) -> None:
        """The rung of racing, with the losses so far in the order of measurement. Raises StoppedEarly."""
        if self.race is not None and self.race.lost(losses):
            raise _raced_out(self.race, masked.with_losses(losses))

    def replay(self, earlier: Measurement) -> Measurement | None:
        """The result of this ladder for a candidate that was measured before.

        None if its measurement was stopped before this race would stop it. Raises as the other methods do.
        """
        losses = earlier.window_losses
        if earlier.full:
            losses = [losses[place] for place in order(earlier.windows)]
        replayed = earlier.model_copy(update={"seconds": {}})
        self.check_error(replayed)
        if not losses:  # stopped before all masks were computed
            return None
        self.accept(replayed.signature)
        count = self.race.lost_after(losses) if self.race else None
        if self.race is not None and count is not None:
            raise _raced_out(self.race, replayed.with_losses(losses[:count]))
        return replayed if earlier.full else None


EVERYTHING = Ladder()
"""No rungs: every window is measured."""


def _multiple(errors: Sequence[float], references: Sequence[float]) -> str:
    """The sum of the errors as a multiple of that of the references."""
    reference = sum(references)
    return f"{sum(errors) / reference if reference else math.inf:.3g}"


def _raced_out(race: Race, partial: Measurement) -> StoppedEarly:
    count = len(partial.window_losses)
    message = (
        f"raced out after {count} of {partial.windows} windows, partial perplexity {partial.perplexity:.2f}; "
        f"on the same windows {race.rival}, the worst of the elite, has {perplexity(list(race.losses[:count])):.2f}"
    )
    estimate = perplexity([race.estimate(partial.window_losses)])
    return StoppedEarly("measure", "raced-out", message, partial, estimate)
