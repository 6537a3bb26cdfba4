"""Racing: stop measuring a candidate once it is shown to be worse than the worst of the elite.

The windows of a split are measured in one fixed, shuffled order, so that the measured ones are a simple random sample.
At each look, a one-sided paired t-test (Student 1908) tests whether the candidate's mean loss on all windows of the
split exceeds the rival's. Since windows are drawn without replacement, the variance of the mean has the factor 1 - seen
/ all (finite population correction, Cochran 1977, section 2.6). The looks share the error rate evenly (Bonferroni's
inequality), so that a candidate that is no worse than its rival is stopped with at most this probability. Races among
models over common test points: Maron and Moore 1993 (Hoeffding races); with paired tests, Birattari et al. 2002
(F-Race, t-race).

The t-test assumes normal differences: a candidate that is much better in one window and slightly worse in all others
may be stopped before that window is measured.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr

FIRST = 4
"""Windows before the first look; fewer give no usable estimate of the variance."""
EVERY = 4
"""Windows between looks. Like FIRST, a multiple of the batch size (`perplexity.windows_per_pass`)."""

ERROR_RATE = 0.05
"""Upper bound of the probability that a search stops a candidate that is no worse than its rival."""


def order(windows: int) -> list[int]:
    """The order in which the windows of a split are measured: shuffled by a hash, so always the same."""
    return sorted(range(windows), key=lambda place: hashlib.sha256(f"window {place}".encode()).digest())


def looks(windows: int) -> tuple[int, ...]:
    """The numbers of windows after which a race is tested, without the full number."""
    return tuple(range(FIRST, windows, EVERY))


def p_worse(differences: Sequence[float], windows: int) -> float:
    """The p-value of the one-sided t-test against a mean difference above zero over all windows.

    `differences`: at least two of them, a simple random sample.
    """
    seen = len(differences)
    mean = math.fsum(differences) / seen
    squares = math.fsum((difference - mean) ** 2 for difference in differences)
    error = math.sqrt(squares / (seen - 1) / seen * (1 - seen / windows))
    if error == 0.0:
        return 0.0 if mean > 0.0 else 1.0
    return float(stdtr(seen - 1, -mean / error))


@dataclass(frozen=True)
class Race:
    """A race against one rival. `losses`: the rival's, in nats per token, of all windows in the order of `order`.

    `error_rate`: upper bound of the probability, over all looks, of stopping a candidate that is no worse.
    """

    rival: str
    losses: tuple[float, ...]
    error_rate: float

    @classmethod
    def against(cls, rival: str, losses: Sequence[float], error_rate: float) -> "Race":
        """A race against losses in the order of the text, as they are recorded."""
        return cls(rival, tuple(losses[place] for place in order(len(losses))), error_rate)

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of windows after which this race is tested."""
        return looks(len(self.losses))

    def lost(self, losses: Sequence[float]) -> bool:
        """Whether to stop a candidate with these losses so far, in the order of `order`; always False between looks."""
        if len(losses) not in self.looks:
            return False
        differences = [mine - theirs for mine, theirs in zip(losses, self.losses, strict=False)]
        return p_worse(differences, len(self.losses)) <= self.error_rate / len(self.looks)

    def lost_after(self, losses: Sequence[float]) -> int | None:
        """The number of windows after which a candidate with these losses is stopped, or None."""
        return next((count for count in self.looks if count <= len(losses) and self.lost(losses[:count])), None)

    def mean(self, windows: int | None = None) -> float:
        """The rival's mean loss on the first windows (None: all), in nats."""
        return _mean(self.losses[:windows])

    def estimate(self, losses: Sequence[float]) -> float:
        """The estimated mean loss in nats of a stopped candidate on all windows.

        The difference estimator of survey sampling: the rival's mean on all windows plus the mean difference so far.
        """
        return self.mean() + _mean(losses) - self.mean(len(losses))


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)
