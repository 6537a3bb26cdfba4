"""The sensitivity of the loss to the density of groups of layers, which guides proposers of allocations.

A published score is applied with a given allocation, then again with `STEP` more of the weights pruned in a group of
layers: those of one role in one third of the depth, and all of a decoder block at either end, where thirds say least.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from autoprune.config_values import Refinement
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.prune import Method
from autoprune.evaluation.refined_tuning import TRIAL_ROUNDS
from autoprune.evaluation.trials import Trials
from autoprune.progress import progress
from autoprune.pruning.layers import THIRDS, LayerInfo

STEP = 0.05
WINDOWS = 4
"""Windows of the search split per effect."""
ENDS = 2
"""Decoder blocks at either end whose layers are a group of their own."""
EFFECTS = "obs.density"
"""The observation of a run that holds its effects."""
BLOCKS = "all roles"
"""In place of the role, for all layers of a decoder block."""


@dataclass(frozen=True)
class DensityEffect:
    """`change` of the mean loss in nats per token when STEP more of the weights of a group of layers are pruned.

    `role`: of the group's layers, or BLOCKS; `third`: the third of the depth, or the decoder block; `share`: of these
    layers in all prunable weights; `error`: the standard error of the change, from paired windows, where there are
    several.
    """

    role: str
    third: str
    share: float
    change: float
    error: float | None = None


def density_effects(
    bench: Bench, score: str, zeros: Mapping[str, int], refinement: Refinement = "none"
) -> list[DensityEffect]:
    """The effects of all roles and thirds of the target, by role in the order of the layers, then those of blocks.

    `zeros`: per layer, by name. A refinement is limited to a few rounds. Effects that are not finite are omitted.
    """
    algorithm, method = Published.named(score), Method(refinement=refinement, rounds=TRIAL_ROUNDS)
    effects = []
    with (
        algorithm.open(bench.readable(algorithm.needs)) as scoring,
        Trials(bench, bench.units_by("module"), scoring, method) as trials,
        progress("effect of density", len(groups := _groups(bench.layers)), "groups", logging.DEBUG) as advance,
    ):
        windows = min(WINDOWS, trials.windows)
        before = trials.losses(zeros, windows)
        for (role, third), layers in groups.items():
            more = {layer.name: min(zeros[layer.name] + round(STEP * layer.size), layer.size) for layer in layers}
            after = trials.losses({**zeros, **more}, windows)
            advance(1)
            changes = [loss - loss_before for loss, loss_before in zip(after, before, strict=True)]
            if all(map(math.isfinite, changes)):
                share = sum(layer.size for layer in layers) / bench.target.weights
                error = stdev(changes) / math.sqrt(windows) if windows > 1 else None
                effects.append(DensityEffect(role, third, share, fmean(changes), error))
    return effects


def _groups(layers: Sequence[LayerInfo]) -> dict[tuple[str, str], list[LayerInfo]]:
    """(role, third) -> layers, then (BLOCKS, block) -> layers of the first and the last `ENDS` decoder blocks."""
    groups: dict[tuple[str, str], list[LayerInfo]] = {
        (role, third): group
        for role in dict.fromkeys(layer.role for layer in layers)
        for third in THIRDS
        if (group := [layer for layer in layers if (layer.role, layer.third) == (role, third)])
    }
    for block in end_blocks(layers):
        groups[BLOCKS, f"block {block}"] = [layer for layer in layers if layer.block == block]
    return groups


def end_blocks(layers: Sequence[LayerInfo]) -> list[int]:
    """The first and the last `ENDS` decoder blocks; none of a model that has no others."""
    blocks = sorted({layer.block for layer in layers})
    return [*blocks[:ENDS], *blocks[-ENDS:]] if len(blocks) > 2 * ENDS else []
