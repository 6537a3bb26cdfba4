"""Is a candidate better than a baseline? Paired tests over windows of text; losses in, verdicts out.

The unit of chance is a window of text. What is compared is the log-perplexity (nats per token): for every window, the
candidate's loss minus the baseline's, averaged over the calibration seeds that both were measured with, so that a
window's seeds stay together. Windows are resampled; interval and p-value come from the studentised bootstrap
(bootstrap-t: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12), which keeps its error rate with
the few windows of a small split, where the percentile bootstrap does not. Of all comparisons together, Holm's step-down
procedure (1979) keeps the chance of a single false verdict below `ALPHA`.

What this does not cover: other texts, other calibration texts, and the dependence between neighbouring windows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

ALPHA = 0.05
"""Chance that any verdict of a family claims a difference that is none; 1 - ALPHA is an interval's level."""
RESAMPLES = 9999
"""So that (RESAMPLES + 1) ALPHA / 2 is a whole number, and the least p-value is 0.0002."""
SEED = 0
"""Of the resampling: the same losses always give the same verdict."""

Verdict = Literal["better", "no difference shown", "worse"]
Losses = Mapping[int, Sequence[float]]
"""Of one algorithm: calibration seed -> loss of each window, in nats per token, windows in a fixed order."""
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """Candidate against baseline. `difference`: of the log-perplexities in nats per token, below 0 when the candidate's
    is lower; `low`, `high`: its interval, None where the windows are too few to bound it; `p`: two-sided."""

    difference: float
    low: float | None
    high: float | None
    p: float
    windows: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Decided:
    """A comparison with its p-value corrected for all those it was decided with."""

    paired: Paired
    p_holm: float
    verdict: Verdict


def paired(candidate: Losses, baseline: Losses, resamples: int = RESAMPLES) -> Paired:
    """Compare two algorithms over the same windows and the seeds that they have in common.

    Raises ValueError when they share no seed or their windows are not as many.
    """
    seeds = tuple(sorted(set(candidate) & set(baseline)))
    if not seeds:
        raise ValueError("nothing to compare: the two were measured with no calibration seed in common")
    if len({len(losses[seed]) for losses in (candidate, baseline) for seed in seeds}) != 1:
        raise ValueError("nothing to compare: the two were measured on different numbers of windows")
    by_window = np.mean([np.subtract(candidate[seed], baseline[seed]) for seed in seeds], axis=0)
    count, mean, error = len(by_window), float(by_window.mean()), _standard_error(by_window)
    ordered = np.sort(_studentised(by_window, resamples))
    # What a resample of one value only could not tell apart: without it two equal windows would prove anything.
    least = float(count) ** (1 - count)
    p = max(_two_sided(_ratio(mean, error), ordered), least)
    tail = math.floor(ALPHA / 2 * (resamples + 1) + 1e-9)
    if not tail or least > ALPHA:
        return Paired(mean, None, None, p, count, seeds)
    low, high = (_bound(mean - error * float(edge)) for edge in (ordered[-tail], ordered[tail - 1]))
    return Paired(mean, low, high, p, count, seeds)


def decide(comparisons: Sequence[Paired]) -> list[Decided]:
    """Verdicts on a family of comparisons, in their order."""
    corrected = holm([comparison.p for comparison in comparisons])
    return [
        Decided(comparison, p, _verdict(comparison, p)) for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected by Holm: the k-th smallest of m times (m - k + 1), at least the one before it, at most 1."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    corrected, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected


def _verdict(compared: Paired, p: float) -> Verdict:
    if p > ALPHA or compared.difference == 0.0:
        return "no difference shown"
    return "better" if compared.difference < 0.0 else "worse"


def _studentised(values: Vector, resamples: int) -> Vector:
    """(mean* - mean) / standard error* of each resample of values [n]: [resamples].

    Counts of how often each value was drawn stand for the resamples. Where all that was drawn is one value, the error
    is 0 and the result infinite: such a resample speaks for no bound.
    """
    if not np.ptp(values):
        return np.zeros(resamples)
    count = len(values)
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1.0 / count), size=resamples) / count
    centred = values - values.mean()
    means = drawn @ centred
    variances = np.maximum(drawn @ centred**2 - means**2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Vector = means / np.sqrt(variances / (count - 1))
    return np.where(np.isnan(ratios), 0.0, ratios)


def _standard_error(values: Vector) -> float:
    """Of the mean, from the mean square deviation over n - 1, as each resample has it."""
    return math.sqrt(float(values.var()) / (len(values) - 1)) if np.ptp(values) else 0.0


def _ratio(mean: float, error: float) -> float:
    if error > 0.0:
        return mean / error
    return math.copysign(math.inf, mean) if mean else 0.0


def _two_sided(observed: float, ordered: Vector) -> float:
    """The share of resamples at least as far out as what was observed, itself counted, in the thinner tail, twice."""
    above = len(ordered) - int(np.searchsorted(ordered, observed, side="left"))
    below = int(np.searchsorted(ordered, observed, side="right"))
    return min(1.0, 2.0 * (min(above, below) + 1) / (len(ordered) + 1))


def _bound(value: float) -> float | None:
    return value if math.isfinite(value) else None
