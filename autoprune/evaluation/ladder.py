"""The fidelity ladder: what a candidate must pass before it is measured on all windows, cheapest first.

Source screen (sandbox) -> weighted reconstruction error of a few decoder blocks -> masks unlike those that are known ->
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
"""Sees the signature of a candidate's masks before they are measured; raises CandidateFailure to refuse them."""


def accept_all(signature: bytes) -> None:
    """Refuse nothing."""


class StoppedEarly(CandidateFailure):
    """A sound candidate that is not worth measuring to the end: a result, though not a full measurement.

    `partial`: what was measured of it. `estimate`: the perplexity on all windows that may be expected from that; None
    when nothing was measured.
    """

    def __init__(
        self, stage: str, reason: str, message: str, partial: Measurement, estimate: float | None = None
    ) -> None:
        super().__init__(stage, reason, message)
        self.partial = partial
        self.estimate = estimate


@dataclass(frozen=True)
class Ladder:
    """The rungs above the sandbox. Without any, everything is measured in full. Can be pickled if `accept` can.

    `most_error`: the largest weighted reconstruction error
    (`evaluation/reconstruction.py`) that is not refused. `race`: on the windows of the split.
    """

    accept: Accept = accept_all
    most_error: float | None = None
    race: Race | None = None

    def check_error(self, sampled: Measurement) -> None:
        """The rung that needs the masks of a few blocks, and of these no more than are enough to be sure: errors are
        not negative. Raises StoppedEarly, with nothing about single layers but the errors up to there."""
        if self.most_error is None:
            return
        most = self.most_error * sampled.sampled_layers
        enough = next((n for n, error in enumerate(accumulate(sampled.layer_errors), 1) if error > most), None)
        if enough is not None:
            errors = sampled.layer_errors[:enough]
            seen = f"{sum(errors) / enough:.4f} of {enough} of {sampled.sampled_layers} sampled layers"
            message = f"weighted reconstruction error {seen}, so that of all is more than {self.most_error:.4f}"
            unmeasured = {"layers": [], "signature": b"", "window_losses": [], "perplexity": math.nan}
            partial = sampled.model_copy(update={**unmeasured, "layer_errors": errors})
            raise StoppedEarly("check", "layer-error", message, partial)

    def looks(self, windows: int) -> tuple[int, ...]:
        """After how many windows `check_losses` is to be asked, the last time after all."""
        return (*(self.race.looks if self.race else ()), windows)

    def check_losses(self, masked: Measurement, losses: Sequence[float]) -> None:
        """The rung of racing: `losses` so far, in the order of measurement. Raises StoppedEarly."""
        if self.race is not None and self.race.lost(losses):
            raise _raced_out(self.race, masked.with_losses(losses))

    def replay(self, earlier: Measurement) -> Measurement | None:
        """What would come of a candidate that was measured before, if it were measured now.

        None when it was stopped before this race would stop it, so that it must be measured. Raises as the others do.
        """
        losses = (
            [earlier.window_losses[place] for place in order(earlier.windows)]
            if earlier.full
            else earlier.window_losses
        )
        replayed = earlier.model_copy(update={"seconds": {}})
        self.check_error(replayed)
        if not losses:  # it was stopped before it had all its masks
            return None
        self.accept(replayed.signature)
        count = self.race.lost_after(losses) if self.race else None
        if self.race is not None and count is not None:
            raise _raced_out(self.race, replayed.with_losses(losses[:count]))
        return replayed if earlier.full else None


EVERYTHING = Ladder()
"""No rung refuses: every window is measured."""


def _raced_out(race: Race, partial: Measurement) -> StoppedEarly:
    count = len(partial.window_losses)
    message = (
        f"raced out after {count} of {partial.windows} windows, partial perplexity {partial.perplexity:.2f}; "
        f"on these {race.rival} has {perplexity(list(race.losses[:count])):.2f}"
    )
    estimate = perplexity([race.estimate(partial.window_losses)])
    return StoppedEarly("measure", "raced-out", message, partial, estimate)
