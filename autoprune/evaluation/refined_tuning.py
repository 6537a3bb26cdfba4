"""Tuning an allocation for refined masks: from the setting that was tuned without the refinement, step by step.

A refinement makes every trial many times as dear as masks alone, so the whole grid is not measured again. The search
starts from the better of the family's default and the setting that was tuned without the refinement. All its neighbours
in the grid are tried, then those of the best of them, until none is better. A trial is half of the search split's
windows with a few rounds of swaps. What the search ends with, and the default, are then measured as the baseline itself
is, with all rounds on all windows, and the better of the two is taken: on the search split tuning never loses.
"""

import math
from statistics import fmean

from autoprune.config_values import Refinement
from autoprune.errors import CandidateFailure
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.allocate import Trials
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.measurement import Measurement
from autoprune.evaluation.tuning import FIRST_WINDOWS, Tuned, finite, measure_setting, setting_zeros
from autoprune.pruning.allocation.families import Setting, grid, neighbours
from autoprune.pruning.allocation.sdsa import SDSA

TRIAL_ROUNDS = 4
"""Rounds of swaps in a trial: two thirds of what all of them gain, for two fifths of the work (docs/symbolic.md)."""


def tune_refined(
    bench: Bench, score: str, plain: Tuned, sparsity: float, unit: str, constants: SDSA, refinement: Refinement
) -> tuple[Tuned, Measurement]:
    """The best setting that is found of a family for a published score with a refinement, and what it measures.

    `plain`: how the family was tuned for the score without the refinement; `unit`, `constants`: of the default setting.
    Losses that are not finite count as infinite. Raises CandidateFailure when no finalist has a finite perplexity.
    """
    settings = grid(plain.family, unit, constants, bench.units_by(unit).described(("depth",)), sparsity)
    algorithm = Published.named(score)
    with (
        algorithm.open(bench.readable(algorithm.needs)) as scoring,
        Trials(bench, bench.units_by("module"), scoring, bench.refine(refinement, rounds=TRIAL_ROUNDS)) as trials,
    ):
        windows = max(trials.windows // 2, min(FIRST_WINDOWS, trials.windows))

        def loss(place: int) -> float:
            return trials.loss(setting_zeros(bench, settings[place], sparsity, scoring), windows)

        start = settings.index(plain.setting) if plain.setting in settings else 0
        tried = {place: loss(place) for place in dict.fromkeys((0, start))}
        best = _best(tried)
        while True:
            tried |= {place: loss(place) for place in neighbours(settings, best) if place not in tried}
            if _best(tried) == best:
                break
            best = _best(tried)
        measured_windows = trials.measured
    return _finished(bench, score, settings, best, sparsity, refinement, len(tried), measured_windows)


def _finished(
    bench: Bench,
    score: str,
    settings: list[Setting],
    best: int,
    sparsity: float,
    refinement: Refinement,
    tried: int,
    windows: int,
) -> tuple[Tuned, Measurement]:
    """The default (the first of the settings) against the best of the trials, both measured in full."""
    found: dict[int, Measurement] = {}
    failed: CandidateFailure | None = None
    for place in dict.fromkeys((0, best)):
        try:
            found[place] = measure_setting(bench, score, settings[place], sparsity, "search", refinement=refinement)
        except CandidateFailure as failure:
            failed = failure
    if failed and not found:
        raise failed
    losses = {place: fmean(measured.window_losses) for place, measured in found.items()}
    chosen = _best(losses)
    setting = settings[chosen]
    windows += sum(measured.windows for measured in found.values())
    default = finite(losses.get(0, math.inf))
    tuned = Tuned(setting.family, setting.unit, setting.parameters, losses[chosen], default, tried, windows)
    return tuned, found[chosen]


def _best(losses: dict[int, float]) -> int:
    """The place of the lowest loss; of equal ones the first, so that the default is only left for something."""
    return min(losses, key=lambda place: (losses[place], place))
