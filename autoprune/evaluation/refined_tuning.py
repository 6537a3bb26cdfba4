"""Tuning an allocation for refined masks or updated weights by local search in the grid of settings.

Such trials are too expensive for the whole grid. The search starts from the better of the family's default and the
setting that was tuned for cheaper masks, and moves to the best neighbour in the grid until none is better. A trial uses
half of the search split's windows and a few rounds of swaps. The result and the default are then measured with all
rounds on all windows, and the better one is taken, so that tuning never loses on the search split.
"""

import math
from dataclasses import asdict, replace
from statistics import fmean

from autoprune.errors import CandidateFailure
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.layer_zeros import allocated
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.trials import Trials
from autoprune.evaluation.tuning import FIRST_WINDOWS, Tuned, best_place, finite, measure_setting, settings_of
from autoprune.progress import steps
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import neighbours
from autoprune.runs.measurement import Measurement

TRIAL_ROUNDS = 4
"""Rounds of swaps in a trial: two thirds of the gain of all rounds for two fifths of the work (docs/symbolic.md)."""


def tune_refined(bench: Bench, score: str, plain: Tuned, default: Setting, recipe: Recipe, subject: str) -> Measurement:
    """Measure a published score with the best found setting of a family for a recipe, and record the tuning.

    `plain`: the tuning with cheaper masks. Losses that are not finite count as infinite. Raises CandidateFailure if
    no finalist has a finite perplexity.
    """
    sparsity = recipe.sparsity
    settings = settings_of(bench, default, sparsity)
    algorithm = Published.named(score)
    method = replace(recipe.method(algorithm), rounds=TRIAL_ROUNDS)
    with (
        algorithm.open(bench.readable(algorithm.needs)) as scoring,
        Trials(bench, bench.units_by("module"), scoring, method) as trials,
        steps(f"tuning {default.family} for {score}+{recipe.refinement}", {"": len(settings)}, "trials at most") as bar,
    ):
        windows = max(trials.windows // 2, min(FIRST_WINDOWS, trials.windows))

        def loss(place: int) -> float:
            units = bench.units_by(settings[place].unit)
            found = trials.loss(allocated(bench, units, settings[place], sparsity, scoring).zeros, windows)
            bar.advance()
            return found

        start = settings.index(plain.setting) if plain.setting in settings else 0
        tried = {place: loss(place) for place in dict.fromkeys((0, start))}
        best = best_place(tried)
        while True:
            tried |= {place: loss(place) for place in neighbours(settings, best) if place not in tried}
            if best_place(tried) == best:
                break
            best = best_place(tried)
        measured_windows = trials.measured
    # The default (the first setting) and the best of the trials, measured in full.
    measurements: dict[int, Measurement] = {}
    failed: CandidateFailure | None = None
    for place in dict.fromkeys((0, best)):
        try:
            measurements[place] = measure_setting(bench, score, settings[place], recipe, subject)
        except CandidateFailure as failure:
            failed = failure
    if failed and not measurements:
        raise failed
    losses = {place: fmean(measured.window_losses) for place, measured in measurements.items()}
    chosen = best_place(losses)
    setting = settings[chosen]
    measured_windows += sum(measured.windows for measured in measurements.values())
    default_loss = finite(losses.get(0, math.inf))
    tuned = Tuned(
        setting.family, setting.unit, setting.parameters, losses[chosen], default_loss, len(tried), measured_windows
    )
    return measurements[chosen].model_copy(update={"tuning": asdict(tuned)})
