"""Paired tests over windows of text of whether a candidate is better than a baseline.

The unit of resampling is a window of text. Compared is the log-perplexity (nats per token): for every window, the
candidate's loss minus the baseline's, averaged over their common calibration seeds. Interval and p-value come from the
studentised bootstrap (bootstrap-t: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 12), which,
unlike the percentile bootstrap, keeps its error rate with few windows. Holm's step-down procedure (1979) keeps the
probability of any false verdict over all comparisons below `ALPHA`.

Not covered: other texts, other calibration texts, and the dependence between neighbouring windows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

ALPHA = 0.05
"""Family-wise error rate of the verdicts; intervals have the level 1 - ALPHA."""
RESAMPLES = 9999
"""Makes (RESAMPLES + 1) ALPHA / 2 a whole number, and 0.0002 the smallest p-value."""
SEED = 0
"""Seed of the resampling, so that verdicts are deterministic."""

Verdict = Literal["better", "no difference shown", "worse"]
Losses = Mapping[int, Sequence[float]]
"""Calibration seed -> loss of each window, in nats per token, in a fixed order of windows."""
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """Candidate against baseline. `difference` of the log-perplexities in nats per token, negative if the candidate is
    better; `low`, `high`: its interval, None if there are too few windows for a bound; `p`: two-sided p-value."""

    difference: float
    low: float | None
    high: float | None
    p: float
    windows: int
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Decided:
    """A comparison with its p-value corrected for the family of comparisons, and the verdict."""

    paired: Paired
    p_holm: float
    verdict: Verdict


def paired(candidate: Losses, baseline: Losses, resamples: int = RESAMPLES) -> Paired:
    """Compare two algorithms over the same windows and their common seeds.

    Raises ValueError if they share no seed or differ in the number of windows.
    """
    seeds = tuple(sorted(set(candidate) & set(baseline)))
    if not seeds:
        raise ValueError("nothing to compare: the two were measured with no calibration seed in common")
    if len({len(losses[seed]) for losses in (candidate, baseline) for seed in seeds}) != 1:
        raise ValueError("nothing to compare: the two were measured on different numbers of windows")
    by_window = np.mean([np.subtract(candidate[seed], baseline[seed]) for seed in seeds], axis=0)
    count, mean, error = len(by_window), float(by_window.mean()), _standard_error(by_window)
    ordered = np.sort(_studentised(by_window, resamples))
    least = _only_one_value(count)
    p = max(_two_sided(_ratio(mean, error), ordered), least)
    tail = math.floor(ALPHA / 2 * (resamples + 1) + 1e-9)
    if not tail or least > ALPHA:
        return Paired(mean, None, None, p, count, seeds)
    low, high = (_bound(mean - error * float(edge)) for edge in (ordered[-tail], ordered[tail - 1]))
    return Paired(mean, low, high, p, count, seeds)


def smallest_p(windows: int) -> float:
    """The smallest p-value that a comparison over so many windows can have, before its correction."""
    return max(_only_one_value(windows), 2 / (RESAMPLES + 1))


def _only_one_value(windows: int) -> float:
    """The probability that a resample has only one distinct window; a smaller p-value would make two equal windows
    significant."""
    return float(windows) ** (1 - windows)


def decide(comparisons: Sequence[Paired]) -> list[Decided]:
    """The verdicts on a family of comparisons."""
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

    Resamples are drawn as counts of the values. A resample of a single value has error 0 and an infinite result.
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
    """Standard error of the mean, from the mean square deviation over n - 1, as for each resample."""
    return math.sqrt(float(values.var()) / (len(values) - 1)) if np.ptp(values) else 0.0


def _ratio(mean: float, error: float) -> float:
    if error > 0.0:
        return mean / error
    return math.copysign(math.inf, mean) if mean else 0.0


def _two_sided(observed: float, ordered: Vector) -> float:
    """Twice the share of resamples at least as extreme as the observation, which is counted, in the smaller tail."""
    above = len(ordered) - int(np.searchsorted(ordered, observed, side="left"))
    below = int(np.searchsorted(ordered, observed, side="right"))
    return min(1.0, 2.0 * (min(above, below) + 1) / (len(ordered) + 1))


def _bound(value: float) -> float | None:
    return value if math.isfinite(value) else None
