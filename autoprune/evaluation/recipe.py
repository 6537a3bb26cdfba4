"""A recipe: how an algorithm is applied to a model."""

from dataclasses import dataclass

from autoprune.config_values import SWAP_ROUNDS, Refinement, Statistics, Update
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm
from autoprune.evaluation.prune import Method
from autoprune.leagues import MASK_ONLY, WITH_UPDATE, League
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import OWN, spec_of
from autoprune.pruning.masks import parse_pattern

SPARSEGPT = "sparsegpt"
"""With the update obs, this score is SparseGPT itself, which chooses masks during the update."""


@dataclass(frozen=True)
class Recipe:
    """How an algorithm is applied: all settings that determine masks and new weights.

    Args:
        pattern: "none", or N:M, which implies the sparsity and a uniform allocation.
        unit: what has a sparsity of its own (block, module, projection).
        refinement: of masks, before a candidate's own `refine` and before an update. Allocations by scores or trials
            use masks without either.
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
    rounds: int = SWAP_ROUNDS
    setting: Setting | None = None
    allocated_by: str = ""
    own_first: bool = False

    @property
    def kept_of(self) -> tuple[int, int] | None:
        """The pattern as (n, m)."""
        return parse_pattern(self.pattern)

    def check(self, algorithm: Algorithm) -> None:
        """Raises UsageError for an invalid combination."""
        if not 0.0 < self.sparsity < 1.0:
            raise UsageError(f"sparsity {self.sparsity:g} is not between 0 and 1")
        on_the_walk = self.allocation != OWN and spec_of(self.allocation).stage == "walk"
        if on_the_walk and self.statistics != "sequential":
            raise UsageError(f"the allocation {self.allocation} is made on the walk; it needs --statistics sequential")
        if on_the_walk and self.unit != "block":
            raise UsageError(f"the allocation {self.allocation} goes block by block; unit {self.unit} does not fit it")
        if self.refinement != "none" and self.own_masks(algorithm):
            raise UsageError(
                f"SparseGPT chooses its masks while it updates; the refinement {self.refinement} does not fit it"
            )
        if self.update != "none" and "update" in algorithm.edits_defined:
            raise UsageError(
                f"{algorithm.name} updates the kept weights itself; the update {self.update} does not fit it"
            )
        if self.kept_of is not None and self.allocation != "uniform":
            raise UsageError(f"the pattern {self.pattern} is uniform; the allocation {self.allocation} does not fit it")

    def own_masks(self, algorithm: Algorithm) -> bool:
        """Whether this is SparseGPT itself."""
        return algorithm.name == SPARSEGPT and self.update == "obs"

    def league(self, algorithm: Algorithm) -> League:
        """Whether kept weights are updated, by the recipe or by the algorithm itself."""
        return WITH_UPDATE if self.update != "none" or "update" in algorithm.edits_defined else MASK_ONLY

    def method(self, algorithm: Algorithm) -> Method:
        """How the scores of each layer become its new weight."""
        return Method(self.update, self.kept_of, self.own_masks(algorithm), self.refinement, self.rounds)
