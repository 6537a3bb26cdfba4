"""One experiment: an algorithm, with an allocation, update, pattern and kind of statistics, applied to a model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from autoprune.config_values import Refinement
from autoprune.errors import AutoPruneError, UsageError
from autoprune.evaluation.algorithms import Algorithm, Repeated, Scoring
from autoprune.evaluation.allocate import NAMES, ON_THE_WALK, allocate
from autoprune.evaluation.bench import Bench
from autoprune.pruning.allocation.choose import ALLOCATIONS, READS
from autoprune.pruning.allocation.sdsa import PRESETS
from autoprune.pruning.bundle import LayerInfo
from autoprune.pruning.masks import parse_pattern
from autoprune.pruning.observed import Observed
from autoprune.pruning.online import OnlineBudget
from autoprune.pruning.prune import Plan, Seconds, Surgery, Update, prune_blocks
from autoprune.pruning.target import Put
from autoprune.pruning.threads import side_by_side

Statistics = Literal["dense", "sequential"]
OWN = "own"
"""The allocation that a candidate brings itself."""

ONLINE_WINDOWS = 2
"""Calibration windows from which `sdsa-online` sees the skewness of the rest, before every block."""

SPARSEGPT = "sparsegpt"
"""With the update obs this score is SparseGPT itself, which chooses its masks while it updates."""


@dataclass(frozen=True)
class Recipe:
    """How an algorithm is applied.

    `pattern`: "none", or N:M, which fixes the sparsity and is uniform. `unit`: what gets a sparsity of its own (block,
    module, projection). `refinement`: what becomes of the mask before an update. Allocations that are made by scores or
    by trials look at masks without it.
    """

    sparsity: float
    allocation: str = "uniform"
    update: Update = "none"
    pattern: str = "none"
    statistics: Statistics = "dense"
    unit: str = "block"
    refinement: Refinement = "none"

    def check(self, algorithm: Algorithm) -> None:
        """Raises UsageError for a combination that means nothing, before anything is computed."""
        if not 0.0 < self.sparsity < 1.0:
            raise UsageError(f"sparsity {self.sparsity:g} is not between 0 and 1")
        if self.allocation not in (*NAMES, OWN):
            raise UsageError(f"unknown allocation {self.allocation!r}; there are {', '.join((*NAMES, OWN))}")
        if self.allocation in ON_THE_WALK and self.statistics != "sequential":
            raise UsageError(f"the allocation {self.allocation} is made on the walk; it needs --statistics sequential")
        if self.allocation in ON_THE_WALK and self.unit != "block":
            raise UsageError(f"the allocation {self.allocation} goes block by block; unit {self.unit} does not fit it")
        if self.refinement != "none" and self.own_masks(algorithm):
            raise UsageError(
                f"SparseGPT chooses its masks while it updates; the refinement {self.refinement} does not fit it"
            )
        if parse_pattern(self.pattern) is not None and self.allocation != "uniform":
            raise UsageError(f"the pattern {self.pattern} is uniform; the allocation {self.allocation} does not fit it")

    def own_masks(self, algorithm: Algorithm) -> bool:
        """Whether this is SparseGPT itself."""
        return algorithm.name == SPARSEGPT and self.update == "obs"


@dataclass(frozen=True)
class Applied:
    """What pruning did to the weights of the target: zeros, as counted on them, and seconds by phase.

    Dense statistics cost the first experiment that needs them; later ones find them on disk.
    """

    zeros: int
    seconds: Seconds
    repeats: bool | None = None
    """Whether the algorithm's scores came back when a fresh process was asked; None for a published score."""


def apply(
    bench: Bench,
    algorithm: Algorithm,
    recipe: Recipe,
    put: Put,
    advance: Callable[[], None] = lambda: None,
) -> Applied:
    """Prune the bench's target, which must be dense; `put(name, weight)` takes the new weights.

    Raises UsageError for a recipe that does not fit, CandidateFailure when a candidate fails, AutoPruneError when the
    zeros are not those that were promised.
    """
    recipe.check(algorithm)
    pattern = parse_pattern(recipe.pattern)
    surgery = Surgery(recipe.update, pattern, recipe.own_masks(algorithm), recipe.refinement)
    seconds = Seconds()
    algorithm = repeated = Repeated(algorithm)
    plan, zeros = _plan(bench, algorithm, recipe)
    if recipe.statistics == "sequential":
        seconds = _on_the_walk(bench, algorithm, plan, surgery, put, advance)
    else:
        with algorithm.open(bench.readable(algorithm.needs)) as scoring:
            if surgery.update == "none":
                seconds = _at_once(bench, scoring, plan, surgery, put)
            else:
                seconds = _walk_behind_dense(bench, scoring, plan, surgery, put, advance)
    seconds.statistics += bench.take_statistics_seconds()
    return Applied(_counted(bench, zeros, recipe), seconds, repeated.repeats)


def _plan(bench: Bench, algorithm: Algorithm, recipe: Recipe) -> tuple[Plan, Mapping[str, int] | None]:
    """Zeros and told sparsity by block, and the zeros of all layers where they are known beforehand."""
    target, pattern = bench.target, parse_pattern(recipe.pattern)
    if recipe.allocation in ON_THE_WALK:
        few = bench.windows("calibration").tokens[:ONLINE_WINDOWS]
        return OnlineBudget(target, few, PRESETS["default"], recipe.sparsity), None
    units = bench.units_by(recipe.unit)
    if pattern is not None:
        kept, of = pattern
        zeros = {layer.name: layer.size * (of - kept) // of for layer in bench.layers}
    elif recipe.allocation in ALLOCATIONS:
        densities = ALLOCATIONS[recipe.allocation](units.described(READS[recipe.allocation]), recipe.sparsity)
        zeros = units.spread(densities, recipe.sparsity)
    else:
        with algorithm.open(bench.readable(algorithm.needs)) as scoring:
            if recipe.allocation != OWN:
                zeros = allocate(bench, units, recipe.allocation, recipe.sparsity, scoring)
            elif scoring.has_allocate:
                units = bench.units_by(scoring.unit or recipe.unit)
                zeros = units.projected(scoring.allocate(units.described(), recipe.sparsity), recipe.sparsity)
            else:
                raise UsageError(f"{algorithm.name} brings no allocation of its own; name another one than {OWN!r}")
    told = units.sparsity(zeros)

    def plan(layers: Sequence[LayerInfo], block: Observed) -> tuple[Mapping[str, int], Mapping[str, float]]:
        return zeros, told

    return plan, zeros


def _at_once(bench: Bench, scoring: Scoring, plan: Plan, surgery: Surgery, put: Put) -> Seconds:
    """Scores from cached statistics, and no update: no walk is needed."""
    refine = bench.refine(surgery.refinement, surgery.pattern)  # which may collect, so before the clock starts
    seconds = Seconds()
    zeros, told = plan(bench.layers, Observed((), {}))

    def mask(scored: tuple[str, Tensor]) -> tuple[str, Tensor]:
        name, score = scored
        weight = bench.target.weight(name)
        return name, refine(name, weight, surgery.mask(weight, score, zeros[name], scoring.group))

    scored = 0
    for name, kept in side_by_side(mask, seconds.heard(scoring.scores(told, pattern=surgery.pattern_text))):
        seconds.spent_on("mask")
        put(name, surgery.masked(bench.target.weight(name), kept))
        seconds.spent_on("update")
        scored += 1
    if scored != len(bench.layers):
        raise UsageError(f"{scored} of {len(bench.layers)} layers were scored")
    return seconds


def _walk_behind_dense(
    bench: Bench,
    scoring: Scoring,
    plan: Plan,
    surgery: Surgery,
    put: Put,
    advance: Callable[[], None],
) -> Seconds:
    """Scores from cached statistics; Hessians for the update, block by block, behind dense blocks."""
    windows = bench.windows("calibration").tokens
    return prune_blocks(
        bench.target,
        windows,
        surgery,
        plan,
        lambda block: nullcontext(scoring),
        put,
        sequential=False,
        advance=advance,
    )


def _on_the_walk(
    bench: Bench,
    algorithm: Algorithm,
    plan: Plan,
    surgery: Surgery,
    put: Put,
    advance: Callable[[], None],
) -> Seconds:
    """Everything behind the pruned prefix; gradients, where a score reads them, are those of the dense model."""
    return prune_blocks(
        bench.target,
        bench.windows("calibration").tokens,
        surgery,
        plan,
        algorithm.open,
        put,
        sequential=True,
        hessian="hessian" in algorithm.needs,
        gradients=_Gradients(bench) if "gradient" in algorithm.needs else None,
        advance=advance,
    )


class _Gradients(Mapping[str, Tensor]):
    """The dense model's gradients, read from the cached bundle when they are asked for."""

    def __init__(self, bench: Bench) -> None:
        self._readable = bench.readable(("gradient",))

    def __getitem__(self, name: str) -> Tensor:
        gradient: Tensor = self._readable.view(name, 0.0).gradient
        return gradient

    def __iter__(self) -> Iterator[str]:
        return (layer.name for layer in self._readable.layers)

    def __len__(self) -> int:
        return len(self._readable.layers)


def _counted(bench: Bench, zeros: Mapping[str, int] | None, recipe: Recipe) -> int:
    """Zeros on the live weights, checked against what was promised.

    There may be more where an update hit zero with a kept weight, and where a group of N:M had more zeros before.
    """
    found = {layer.name: bench.target.zeros(layer.name) for layer in bench.layers}
    total = sum(found.values())
    promised = zeros or {}
    exact = recipe.update == "none" and parse_pattern(recipe.pattern) is None
    if exact and any(found[name] != count for name, count in promised.items()):
        raise AutoPruneError(f"the pruned weights hold {total} zeros, not the {sum(promised.values())} that were set")
    least = sum(promised.values()) if promised else round(recipe.sparsity * bench.target.weights)
    if total < least:
        raise AutoPruneError(f"the pruned weights hold {total} zeros, fewer than the {least} that were set")
    return total
