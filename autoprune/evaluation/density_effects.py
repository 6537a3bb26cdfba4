"""What density is worth, and where: how much the loss rises when some layers keep a few points less.

Proposers that spread the sparsity over depth and roles see it, so that they need not guess. The probe is a published
score with the zeros of some allocation, refined or not; one kind of layer in one third of the depth then loses `STEP`
of its weights more, the rest stays.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoprune.config_values import Refinement
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.prune import Method
from autoprune.evaluation.refined_tuning import TRIAL_ROUNDS
from autoprune.evaluation.trials import Trials
from autoprune.pruning.layers import THIRDS, LayerInfo

STEP = 0.05
WINDOWS = 4
"""At most as many windows of the search split are read for each effect."""


@dataclass(frozen=True)
class DensityEffect:
    """`change`: of the mean loss, in nats per token, when the layers of a role in a third of the depth keep STEP of
    their weights less. `share`: of all prunable weights, those of these layers."""

    role: str
    third: str
    share: float
    change: float


def density_effects(
    bench: Bench, score: str, zeros: Mapping[str, int], refinement: Refinement = "none"
) -> list[DensityEffect]:
    """One effect for every role and third that the target has, by role in the order of the layers.

    `zeros`: of each layer, by name. A refinement is cut to a few rounds, for each effect masks anew what it changes.
    What is not finite is left out, as is everything where the probe itself is not finite.
    """
    groups: dict[tuple[str, str], list[LayerInfo]] = {}
    for layer in bench.layers:
        groups.setdefault((layer.role, layer.third), []).append(layer)
    algorithm, method = Published.named(score), Method(refinement=refinement, rounds=TRIAL_ROUNDS)
    effects = []
    with (
        algorithm.open(bench.readable(algorithm.needs)) as scoring,
        Trials(bench, bench.units_by("module"), scoring, method) as trials,
    ):
        windows = min(WINDOWS, trials.windows)
        before = trials.loss(zeros, windows)
        for (role, third), layers in sorted(groups.items(), key=lambda group: _place(bench, group[0])):
            more = {layer.name: min(zeros[layer.name] + round(STEP * layer.size), layer.size) for layer in layers}
            change = trials.loss({**zeros, **more}, windows) - before
            if math.isfinite(change):
                share = sum(layer.size for layer in layers) / bench.target.weights
                effects.append(DensityEffect(role, third, share, change))
    return effects


def _place(bench: Bench, group: tuple[str, str]) -> tuple[int, int]:
    roles = list(dict.fromkeys(layer.role for layer in bench.layers))
    return roles.index(group[0]), THIRDS.index(group[1])
