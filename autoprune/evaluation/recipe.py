"""A recipe: how an algorithm is applied to a model."""

from dataclasses import dataclass

from autoprune.config_values import SWAP_ROUNDS, Refinement, Statistics, Update
from autoprune.errors import UsageError
from autoprune.evaluation.algorithms import Algorithm
from autoprune.evaluation.prune import Method
from autoprune.pruning.allocation.spec import Setting
from autoprune.pruning.allocation.table import OWN, spec_of
from autoprune.pruning.masks import parse_pattern

SPARSEGPT = "sparsegpt"
"""With the update obs this score is SparseGPT itself, which chooses its masks while it updates."""


@dataclass(frozen=True)
class Recipe:
    """How an algorithm is applied: all that decides masks and new weights, beside the algorithm and the statistics.

    `pattern`: "none", or N:M, which fixes the sparsity and is uniform. `unit`: what gets a sparsity of its own (block,
    module, projection). `refinement`: what becomes of the mask before an update. Allocations that are made by scores or
    by trials look at masks without it.

    `setting`: the parameters of the allocation, where they were tuned. `allocated_by`: the published score with which
    an allocation is made that takes scores; the algorithm's own, if that is empty. `own_first`: where the algorithm
    brings an allocation, that one counts, and the recipe's for all others.
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
        """Raises UsageError for a combination that means nothing, before anything is computed."""
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
        if self.kept_of is not None and self.allocation != "uniform":
            raise UsageError(f"the pattern {self.pattern} is uniform; the allocation {self.allocation} does not fit it")

    def own_masks(self, algorithm: Algorithm) -> bool:
        """Whether this is SparseGPT itself."""
        return algorithm.name == SPARSEGPT and self.update == "obs"

    def method(self, algorithm: Algorithm) -> Method:
        """What is done to each layer."""
        return Method(self.update, self.kept_of, self.own_masks(algorithm), self.refinement, self.rounds)
