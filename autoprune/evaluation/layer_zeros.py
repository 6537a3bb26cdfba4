"""From a recipe to zeros per layer: by a pattern, by unit statistics, by scores, or by trials on search text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm, Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.trials import Trials
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import OWN, made, spec_of
from autoprune.pruning.allocation.units import LayerZeros, Units
from autoprune.pruning.layers import Session
from autoprune.pruning.masks import nm_zeros


def zeros_beforehand(bench: Bench, algorithm: Algorithm, recipe: Recipe) -> LayerZeros | None:
    """Zeros per layer before the algorithm is opened; None if the algorithm or the walk decides them.

    Raises UsageError for a pattern that does not divide a layer's inputs, CandidateFailure if the algorithm fails.
    """
    if recipe.kept_of is not None:
        zeros = {layer.name: nm_zeros(bench.target.weight(layer.name), *recipe.kept_of) for layer in bench.layers}
        return LayerZeros(zeros, bench.units_by(recipe.unit).sparsity(zeros))
    if recipe.allocation == OWN or spec_of(recipe.allocation).stage == "walk":
        return None
    unit = recipe.setting.unit if recipe.setting else recipe.unit
    units, allocation = bench.units_by(unit), recipe.setting or recipe.allocation
    if made(allocation).densities is not None:
        return allocated(bench, units, allocation, recipe.sparsity)
    maker = Published.named(recipe.allocated_by) if recipe.allocated_by else algorithm
    key = f"{allocation!r} of {unit} at {recipe.sparsity} by {recipe.allocated_by}"
    if recipe.allocated_by and key in bench.allocated:  # shared by all candidates of a search
        return bench.allocated[key]
    with maker.open(bench.readable(maker.needs)) as scoring:
        layer_zeros = allocated(bench, units, allocation, recipe.sparsity, scoring)
    if recipe.allocated_by:
        bench.allocated[key] = layer_zeros
    return layer_zeros


def own_zeros(bench: Bench, recipe: Recipe, scoring: Session, name: str) -> LayerZeros:
    """Zeros per layer by the algorithm's own `allocate`.

    Raises UsageError if it has none, CandidateFailure if its densities cannot be projected onto the budget.
    """
    if not scoring.has_allocate:
        raise UsageError(f"{name} brings no allocation of its own; name another one than {OWN!r}")
    units = bench.units_by(scoring.unit or recipe.unit)
    zeros = units.projected(scoring.allocate(units.described(), recipe.sparsity), recipe.sparsity)
    return LayerZeros(zeros, units.sparsity(zeros))


def allocated(
    bench: Bench, units: Units, allocation: str | Setting, sparsity: float, scoring: Session | None = None
) -> LayerZeros:
    """Zeros per layer by an allocation. `scoring`: for allocations by scores. Raises UsageError for an unknown name."""
    making = made(allocation)
    if making.densities is not None:
        zeros = units.spread(making.densities(units.described(making.reads), sparsity), sparsity)
    elif making.zeros is None or scoring is None:
        raise UsageError(f"the allocation {allocation} is made while the model is pruned, not beforehand")
    else:
        with Trials(bench, units, scoring) as trials:  # which edit the model once a loss is requested
            zeros = making.zeros(_Context(units, sparsity, scoring.group, trials.windows, bench, scoring, trials))
    return LayerZeros(zeros, units.sparsity(zeros))


@dataclass
class _Context:
    """Implements allocation.spec.Context."""

    units: Units
    sparsity: float
    group: str
    windows: int
    _bench: Bench
    _scoring: Session
    _trials: Trials

    def scores(self, zeros: Mapping[str, int]) -> Iterator[tuple[str, Tensor]]:
        return self._scoring.scores(self.units.sparsity(zeros))

    def weight(self, name: str) -> Tensor:
        return self._bench.target.weight(name)

    def loss(self, zeros: Mapping[str, int], windows: int) -> float:
        return self._trials.loss(zeros, windows)
