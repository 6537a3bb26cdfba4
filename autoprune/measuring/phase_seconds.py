"""The seconds of a search's phases, from the costs of a probe."""

from collections.abc import Sequence
from dataclasses import dataclass

from autoprune.config import Config
from autoprune.evaluation.memory_estimate import reads_hessians
from autoprune.evaluation.probe import Costs
from autoprune.evaluation.statistics_cache import SENSITIVITY_WINDOWS
from autoprune.evaluation.structured import GREEDY_WINDOWS
from autoprune.measuring.baselines import most_refined, most_updated
from autoprune.measuring.structured_workbench import published_methods
from autoprune.phases import BASELINE, CANDIDATE, CONFIRMATION, LOAD, REFINED, STATISTICS, UPDATED, WHOLE
from autoprune.pruning.structures.table import spec_of

BACKWARD = 3
"""Cost of a window's gradient in forward passes: forward, recomputation of each block, backward without weights."""
READS = {"load": 3, "statistics": 2, "measuring": 4}
"""How often offloaded blocks are read from disk: to check, inspect and hash them; to collect and write statistics; to
score, mask, count and evaluate."""


@dataclass(frozen=True)
class Storage:
    """Of the model: bytes of its decoder blocks, their number, bytes of its files, and bytes per second of reading
    them, None if nothing is read. `on_disk`: whether the blocks stay there, and are read for each pass."""

    blocks: int
    count: int
    files: int
    speed: float | None
    on_disk: bool


@dataclass(frozen=True)
class _Baselines:
    """How many baselines of a phase there are at most. `making`: seconds of one, apart from passes over its windows."""

    phase: str
    count: int
    making: float


def phase_seconds(config: Config, costs: Costs, storage: Storage) -> dict[str, float]:
    """Seconds by phase, in order."""
    data, final, speed = config.data, config.confirmation, storage.speed
    once = storage.blocks / speed if speed and storage.on_disk else 0.0
    stored = storage.files / speed if speed else 0.0
    load = stored + costs.hash + (READS["load"] - 1) * once
    walk = costs.collect * data.calibration_samples
    dense = walk + costs.write + READS["statistics"] * once
    hessians = (costs.hessian * data.calibration_samples + once) * reads_hessians(config)
    read = READS["measuring"] * once
    if config.search.kinds:
        kinds, sampling = _of_structures(config, costs), 0.0
        on_demand = hessians + _read_by_structures(config, costs, storage.count)
    else:
        kinds, sampling = _of_weights(config, costs, walk), _sampling(config, costs, walk, once)
        on_demand = hessians

    def measured(making: float, windows: int) -> float:
        return making + costs.loss * windows + read

    def baselines(windows: int) -> float:
        return sum(kind.count * measured(kind.making, windows) for kind in kinds)

    search, report = data.search_windows, data.report_windows
    more_seeds = final.seeds - 1
    conditions = 1 + len(final.sparsities) + len(final.patterns)
    likely = [kind for kind in kinds if kind.count and kind.phase != UPDATED]
    reseeded = min(final.baselines, sum(kind.count for kind in likely))
    slowest = max((kind.making for kind in likely), default=0.0)
    confirmed = baselines(report) + more_seeds * reseeded * measured(slowest, report)
    confirmed += final.finalists * (1 + more_seeds) * measured(costs.candidate, report)
    confirmation = costs.loss * report + once + conditions * confirmed + more_seeds * (dense + on_demand)
    opening = load + dense + sampling + on_demand + costs.loss * search + once + baselines(search)
    return {
        LOAD: load,
        STATISTICS: dense + sampling,
        **{kind.phase: measured(kind.making, search) for kind in kinds if kind.count or kind.phase == BASELINE},
        CANDIDATE: measured(costs.candidate, search),
        CONFIRMATION: confirmation,
        WHOLE: opening + config.search.max_candidates * measured(costs.candidate, search) + confirmation,
    }


def _of_weights(config: Config, costs: Costs, walk: float) -> Sequence[_Baselines]:
    """`walk`: seconds of a pass over the calibration text."""
    published = config.baselines
    allocations = len(published.allocations)
    return (
        _Baselines(BASELINE, len(published.scores) * ("none" in published.refinements) * allocations, costs.score),
        _Baselines(REFINED, most_refined(published) * allocations, costs.refined),
        _Baselines(UPDATED, most_updated(config), walk + costs.refined),
    )


def _sampling(config: Config, costs: Costs, walk: float, once: float) -> float:
    """Seconds for the reconstruction errors of sampled blocks: their Hessians, then their output sensitivities."""
    if config.advanced.layer_error is None:
        return 0.0
    backward = BACKWARD * costs.loss * min(config.data.calibration_samples, SENSITIVITY_WINDOWS)
    return walk + once + backward + 2 * once


def _of_structures(config: Config, costs: Costs) -> Sequence[_Baselines]:
    """Every method without compensation, and with that of the settings."""
    count, way = len(published_methods(config.search.kinds)), config.search.compensate
    plain = _Baselines(BASELINE, count, costs.score)
    return (plain,) if way == "none" else (plain, _Baselines(f"{BASELINE}, {way}", count, costs.refined))


def _read_by_structures(config: Config, costs: Costs, blocks: int) -> float:
    """Seconds of what methods read or measure once for a calibration sample: gradients, the influence of blocks, and
    the losses without some blocks."""
    specs = [spec_of(name) for name in published_methods(config.search.kinds)]
    reads = {name for spec in specs for name in spec.reads}
    passes = config.data.calibration_samples * (BACKWARD * ("gradient" in reads) + ("influence" in reads))
    if any(spec.choose for spec in specs):
        passes += GREEDY_WINDOWS * sum(blocks - gone for gone in range(round(config.sparsity * blocks)))
    return costs.loss * passes
