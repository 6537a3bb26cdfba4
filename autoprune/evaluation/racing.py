"""Racing: stop measuring a candidate once it is shown to be worse than the worst of the elite.

The windows of a split are measured in one fixed, shuffled order, so that those measured so far are a simple random
sample of them. At each look a one-sided paired t-test (Student 1908) asks whether the candidate's losses will exceed
the rival's on all windows of the split. These are finitely many and drawn without replacement, so the more have been
seen the less is left open: the variance of the mean has the factor 1 - seen / all (finite population correction,
Cochran 1977, section 2.6). The looks share the error rate evenly (Bonferroni's inequality, which holds whatever their
dependence): the probability that a candidate which is no worse than its rival is ever stopped is at most the rate.
Races among models over common test points: Maron and Moore 1993 (Hoeffding races); with paired tests, Birattari et al.
2002 (F-Race, t-race).

The t-test takes the differences as normal. It is not robust against a difference that sits in very few windows: a
candidate that is much better in one window and slightly worse in all others may be stopped before that one is seen.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr

FIRST = 4
"""Windows before the first look: with fewer, the spread of the differences is a guess."""
EVERY = 4
"""Windows between looks; whole batches, as FIRST, so that a race cuts none of them (`perplexity.windows_per_pass`)."""

ERROR_RATE = 0.05
"""Largest probability with which a search stops a candidate that is no worse than its rival."""


def order(windows: int) -> list[int]:
    """In which order the windows of a split are measured: shuffled by a hash, so the same for everyone and for ever."""
    return sorted(range(windows), key=lambda place: hashlib.sha256(f"window {place}".encode()).digest())


def looks(windows: int) -> tuple[int, ...]:
    """After how many windows of so many a race is judged. Not after all of them: that is the full measurement."""
    return tuple(range(FIRST, windows, EVERY))


def p_worse(differences: Sequence[float], windows: int) -> float:
    """The p-value of the one-sided t-test that the mean difference over so many windows is not above zero.

    `differences`: of at least two of them, a simple random sample.
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
    """Against one rival. `losses`: its own, nats per token, of all windows in the order of `order`; `rival`: its name.

    `error_rate`: the largest probability, over all looks together, of stopping a candidate that is no worse.
    """

    rival: str
    losses: tuple[float, ...]
    error_rate: float

    @classmethod
    def against(cls, rival: str, losses: Sequence[float], error_rate: float) -> "Race":
        """A race against losses as they are recorded: in the order of the text."""
        return cls(rival, tuple(losses[place] for place in order(len(losses))), error_rate)

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many windows this race is judged."""
        return looks(len(self.losses))

    def lost(self, losses: Sequence[float]) -> bool:
        """Whether a candidate with these losses so far, in the order of `order`, is to be stopped at this look.

        Between looks nobody is: only the looks' tests share the error rate.
        """
        if len(losses) not in self.looks:
            return False
        differences = [mine - theirs for mine, theirs in zip(losses, self.losses, strict=False)]
        return p_worse(differences, len(self.losses)) <= self.error_rate / len(self.looks)

    def lost_after(self, losses: Sequence[float]) -> int | None:
        """After how many windows a candidate with these losses is stopped; None if it is not within them."""
        return next((count for count in self.looks if count <= len(losses) and self.lost(losses[:count])), None)

    def mean(self, windows: int | None = None) -> float:
        """The rival's mean loss on the first windows (None: all), in nats."""
        return _mean(self.losses[:windows])

    def estimate(self, losses: Sequence[float]) -> float:
        """The mean loss on all windows that a stopped candidate may be expected to have, in nats.

        The difference estimator of survey sampling: the rival's mean on all windows plus the mean difference so far.
        """
        return self.mean() + _mean(losses) - self.mean(len(losses))


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)
