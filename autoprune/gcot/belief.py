"""Belief in a hypothesis: the effect of its mechanism, pooled over all candidates that tested it.

A test is a controlled contrast: a candidate against the parent from which its hypothesis says how it differs. The
verdict is a function of the pooled effect alone, so a hypothesis has one verdict, however many tests it had and
whatever the forecasts were.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Literal

Claim = Literal["better", "same", "worse"]
Verdict = Literal["supports", "refutes"]

TOLERANCE = 0.01
"""Log ratio of perplexities below which two results count as the same."""
EQUAL = 0.03
"""Log ratio within which an effect must surely lie to count as none."""
UNKNOWN = 0.05
"""Standard error of a contrast whose error is unknown: it was stopped early, or measured on few windows."""
SPREAD = 0.02
"""Standard deviation of a mechanism's effect between parents, as a log ratio: a second parent is worth more than more
windows of the first."""
SURE = 2.0
"""Standard errors on either side of an effect within which a verdict must hold."""
FEWEST = 4
"""Windows below which no standard error is given."""
PRIOR = 0.1
"""Standard deviation of the effects of untested mechanisms, around none."""


_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
_RANGE = re.compile(rf"{_NUMBER}\s*%?\s*(?:to|and|\.\.+|…|,)\s*{_NUMBER}\s*(?:%|percent)")
_LOWER = re.compile(r"lower|less|better|improv|reduc|decreas|drop|gain")
_DASH = re.compile(r"(?<=[\d%])\s*–\s*")


@dataclass(frozen=True)
class Contrast:
    """One contrast. `gain`: log(the parent's perplexity / the candidate's); `error`: its standard error over paired
    windows, None where it is unknown (UNKNOWN)."""

    gain: float
    error: float | None = None


@dataclass(frozen=True)
class Belief:
    """The pooled effect of a mechanism: log ratio of perplexities, positive if it helps, with its standard error."""

    effect: float
    error: float
    tests: int

    def verdict(self, claim: Claim | None) -> Verdict | None:
        """What the tests say of a claim; None without a claim, and while the effect is within chance."""
        low, high = self.effect - SURE * self.error, self.effect + SURE * self.error
        if claim is None:
            return None
        if claim == "same":
            return _decided(low >= -EQUAL and high <= EQUAL, low > TOLERANCE or high < -TOLERANCE)
        if claim == "worse":
            low, high = -high, -low
        return _decided(low > 0.0, high < TOLERANCE)

    @property
    def promise(self) -> float:
        """The largest effect that is still plausible, for ranking what to test next: an upper confidence bound."""
        shrunk = PRIOR**2 / (PRIOR**2 + self.error**2)
        return shrunk * self.effect + SURE * math.sqrt(shrunk) * self.error

    def __str__(self) -> str:
        percent, error = 100 * math.expm1(-self.effect), 100 * math.exp(-self.effect) * self.error
        return f"{percent:+.1f} ± {error:.1f} % perplexity, {self.tests} test{'s' * (self.tests > 1)}"


def pooled(tests: Sequence[Contrast]) -> Belief:
    """The mean effect, weighted by inverse variances, of one or more tests.

    Raises ValueError without a test.
    """
    if not tests:
        raise ValueError("a belief needs a test")
    errors = [UNKNOWN if test.error is None else test.error for test in tests]
    if len(tests) == 1:
        return Belief(tests[0].gain, errors[0], 1)
    weights = [1.0 / (error**2 + SPREAD**2) for error in errors]
    effect = sum(weight * test.gain for weight, test in zip(weights, tests, strict=True)) / sum(weights)
    return Belief(effect, math.sqrt(1.0 / sum(weights)), len(tests))


def read_range(text: str) -> tuple[float, float] | None:
    """A predicted change of perplexity in percent, from words such as `-8 to -3 %` or `3 to 8 % lower`; None if there
    is none."""
    text = _DASH.sub(" to ", text.lower()).replace("−", "-").replace("–", "-")
    match = _RANGE.search(text)
    if match is None:
        return None
    low, high = sorted(float(number) for number in match.groups())
    return (-high, -low) if low >= 0 and _LOWER.search(text) else (low, high)


def shown_range(low: float, high: float) -> str:
    return f"{low:+g} to {high:+g} %"


def claim_of(low: float, high: float) -> Claim:
    """What a predicted range claims: the side of its middle."""
    middle = (low + high) / 200
    return "same" if abs(middle) < TOLERANCE else "better" if middle < 0 else "worse"


def paired_error(losses: Sequence[float], others: Sequence[float]) -> float | None:
    """The standard error of the mean difference between two algorithms' losses on the same windows, in nats per token.

    None with fewer than FEWEST windows, or if the numbers of windows differ.
    """
    if len(losses) != len(others) or len(losses) < FEWEST:
        return None
    return stdev(ours - theirs for ours, theirs in zip(losses, others, strict=True)) / math.sqrt(len(losses))


def _decided(holds: bool, fails: bool) -> Verdict | None:
    return "supports" if holds else "refutes" if fails else None
