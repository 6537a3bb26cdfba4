"""The sensitivity of the loss to the density of groups of layers, which guides proposers of allocations.

A published score is applied with a given allocation, then again with `STEP` more of the weights pruned in the layers of
one role in one third of the depth.
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
"""Windows of the search split per effect."""


@dataclass(frozen=True)
class DensityEffect:
    """`change` of the mean loss in nats per token when STEP more of the weights of a role in a third of the depth are
    pruned. `share` of these layers in all prunable weights."""

    role: str
    third: str
    share: float
    change: float


def density_effects(
    bench: Bench, score: str, zeros: Mapping[str, int], refinement: Refinement = "none"
) -> list[DensityEffect]:
    """The effects of all roles and thirds of the target, by role in the order of the layers.

    `zeros`: per layer, by name. A refinement is limited to a few rounds. Effects that are not finite are omitted.
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
