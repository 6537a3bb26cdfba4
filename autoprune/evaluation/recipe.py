"""A recipe: how an algorithm is applied to a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

from autoprune.config_errors import share_meant
from autoprune.config_values import Refinement, Statistics, Update
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm
from autoprune.evaluation.prune import Method
from autoprune.keywords import choice
from autoprune.leagues import MASK_ONLY, WITH_UPDATE, League
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import OWN, spec_of
from autoprune.pruning.masks import parse_pattern
from autoprune.pruning.refinements.spec import SWAP_ROUNDS
from autoprune.pruning.refinements.table import CHOICES as REFINEMENTS
from autoprune.pruning.updates.table import CHOICES as UPDATES
from autoprune.pruning.updates.table import NONE
from autoprune.pruning.updates.table import spec_of as update_of

AUTO = "auto"
STATISTICS: tuple[str, ...] = get_args(Statistics)
DEFAULT_SPARSITY = 0.5


@dataclass(frozen=True)
class Recipe:
    """How an algorithm is applied: all settings that determine masks and new weights.

    Args:
        pattern: "none", or N:M, which implies the sparsity and a uniform allocation.
        unit: what has a sparsity of its own (block, module, projection).
        refinement: of masks, before a candidate's own `refine` and before an update. Allocations by scores or trials
            use masks without either.
        rounds: of a refinement that has rounds; None for no limit.
        setting: the parameters of a tuned allocation.
        allocated_by: the published score for an allocation by scores; empty for the algorithm's own.
        own_first: whether an algorithm's own `allocate` takes precedence over `allocation`.
    """

    sparsity: float
    allocation: str = "uniform"
    update: Update = "none"
    pattern: str = "none"
    statistics: Statistics = "dense"
    unit: str = "block"
    refinement: Refinement = "none"
    rounds: int | None = SWAP_ROUNDS
    setting: Setting | None = None
    allocated_by: str = ""
    own_first: bool = False

    @classmethod
    def given(
        cls,
        sparsity: float | None = None,
        allocation: str | None = None,
        update: str = "none",
        pattern: str = "none",
        unit: str = "block",
        refinement: str = "none",
    ) -> "Recipe":
        """A recipe from a user's choices. By default half of the weights are pruned, allocated by SDSA; a pattern
        fixes the sparsity and is uniform. Raises UsageError for an unknown or a contradicting choice."""
        kept = parse_pattern(pattern)
        default = DEFAULT_SPARSITY if kept is None else 1.0 - kept[0] / kept[1]
        target = default if sparsity is None else sparsity
        if kept is not None and abs(target - default) > 1e-9:
            raise UsageError(f"the pattern {pattern} means a sparsity of {default:g}, not {target:g}")
        chosen = allocation or ("sdsa" if kept is None else "uniform")
        return cls(
            target,
            chosen,
            choice(update, UPDATES, "update"),
            pattern,
            unit=unit,
            refinement=choice(refinement, REFINEMENTS, "refinement"),
        )

    def with_statistics(self, kind: str, algorithm: Algorithm) -> "Recipe":
        """The same with statistics of layer inputs: dense, sequential, or auto, which is sequential where kept weights
        are updated. Raises UsageError for another word."""
        chosen = choice(kind, (AUTO, *STATISTICS), "statistics")
        if chosen == AUTO:
            chosen = "sequential" if self.league(algorithm) == WITH_UPDATE else "dense"
        return replace(self, statistics=chosen)

    @property
    def kept_of(self) -> tuple[int, int] | None:
        return parse_pattern(self.pattern)

    def check(self, algorithm: Algorithm) -> None:
        """Raises UsageError for an invalid combination."""
        if algorithm.ranks:
            raise UsageError(f"{algorithm.name} ranks structures, not single weights; it needs --structure")
        if not 0.0 < self.sparsity < 1.0:
            raise UsageError(f"sparsity {self.sparsity:g} is not between 0 and 1{share_meant(self.sparsity)}")
        on_the_walk = self.allocation != OWN and spec_of(self.allocation).stage == "walk"
        if on_the_walk and self.statistics != "sequential":
            raise UsageError(f"the allocation {self.allocation} is made on the walk; it needs --statistics sequential")
        if on_the_walk and self.unit != "block":
            raise UsageError(f"the allocation {self.allocation} goes block by block; unit {self.unit} does not fit it")
        self._check_update(algorithm)
        if self.kept_of is not None and self.allocation != "uniform":
            raise UsageError(f"the pattern {self.pattern} is uniform; the allocation {self.allocation} does not fit it")

    def _check_update(self, algorithm: Algorithm) -> None:
        if self.update == NONE:
            return
        if "update" in algorithm.edits_defined:
            raise UsageError(
                f"{algorithm.name} updates the kept weights itself; the update {self.update} does not fit it"
            )
        update, own = update_of(self.update), self.own_masks(algorithm)
        if self.refinement != "none" and own:
            raise UsageError(
                f"the update {self.update} chooses the masks of {algorithm.name} itself; "
                f"the refinement {self.refinement} does not fit it"
            )
        if update.apply is None and not own:
            raise UsageError(
                f"the update {self.update} chooses its own masks; it needs the algorithm {update.chooses_with}, "
                f"not {algorithm.name}"
            )

    def walks(self) -> bool:
        """Whether layers are pruned block by block on a walk, not at once from cached statistics."""
        return self.statistics == "sequential" or self.update != NONE

    def own_masks(self, algorithm: Algorithm) -> bool:
        """Whether the update chooses its own masks in place of this score: SparseGPT itself, say."""
        if self.update == NONE:
            return False
        update = update_of(self.update)
        return update.choose is not None and algorithm.name == update.chooses_with

    def league(self, algorithm: Algorithm) -> League:
        """Whether kept weights are updated, by the recipe or by the algorithm itself."""
        return WITH_UPDATE if self.update != "none" or "update" in algorithm.edits_defined else MASK_ONLY

    def method(self, algorithm: Algorithm) -> Method:
        """How the scores of each layer become its new weight."""
        return Method(self.update, self.kept_of, self.own_masks(algorithm), self.refinement, self.rounds)


def every_recipe(
    sparsities: Sequence[float],
    allocations: Sequence[str] = ("uniform", "sdsa"),
    refinements: Sequence[str] = ("none",),
    updates: Sequence[str] = ("none",),
    patterns: Sequence[str] = ("none",),
    statistics: str = "dense",
    unit: str = "block",
) -> list[Recipe]:
    """Every combination: unstructured recipes for each sparsity and allocation, uniform ones for each N:M pattern.

    Raises UsageError for an unknown word.
    """
    kind = choice(statistics, STATISTICS, "statistics")
    recipes = []
    for pattern in patterns:
        unstructured = parse_pattern(pattern) is None
        pairs = list(product(sparsities, allocations)) if unstructured else [(None, None)]
        for refinement, update, (sparsity, allocation) in product(refinements, updates, pairs):
            recipe = Recipe.given(sparsity, allocation, update, pattern, unit, refinement)
            recipes.append(replace(recipe, statistics=kind))
    return recipes
