"""Structured pruning of a bench's target: importances, kept structures, compensation, and the smaller model.

    recipe -> shape -> importances -> kept structures -> new weights or biases -> a reduced model -> losses of windows

Statistics are those of the dense model on the calibration text. All that is measured is measured on the very model
that was reduced.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autoprune.errors import UsageError
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.perplexity import perplexity, window_losses
from autoprune.evaluation.statistics_cache import some_of
from autoprune.evaluation.texts import Split
from autoprune.models.block_importance import block_influence, without_blocks
from autoprune.models.bundle import Bundle
from autoprune.models.reduce import Reduction, check_bias, kept_columns, reduced
from autoprune.models.structures import Anatomy
from autoprune.models.target import Target
from autoprune.pruning.compensation import least_squares, mean_bias
from autoprune.pruning.shapes import STRUCTURES, Shape, shape_for
from autoprune.pruning.structures.spec import BLOCK, COMPENSATIONS, HEAD, Structures, StructureSpec
from autoprune.pruning.structures.table import spec_of, that_rank

GREEDY_WINDOWS = 4
"""Calibration windows with which a greedy removal of blocks measures each step, evenly spaced."""

Advance = Callable[[], None]


@dataclass(frozen=True)
class StructuredRecipe:
    """What is removed, how it is chosen and compensated. `params`: the share of the decoder blocks' parameters;
    `multiple`: of the FFN width."""

    structure: str
    params: float
    algorithm: str
    compensate: str = "none"
    multiple: int = 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of structures that are removed."""
        return STRUCTURES[self.structure]

    def check(self) -> StructureSpec:
        """The method. Raises UsageError if the parts of the recipe do not fit together."""
        if self.structure not in STRUCTURES:
            raise UsageError(f"{self.structure!r} is not one of {', '.join(STRUCTURES)}")
        if self.compensate not in COMPENSATIONS:
            raise UsageError(f"{self.compensate!r} is not one of {', '.join(COMPENSATIONS)}")
        spec = spec_of(self.algorithm)
        if not set(self.kinds) <= set(spec.kinds):
            raise UsageError(
                f"{self.algorithm} does not rank what --structure {self.structure} removes; these do: "
                f"{', '.join(that_rank(*self.kinds))}"
            )
        if self.kinds == (BLOCK,) and self.compensate != "none":
            raise UsageError(f"removed blocks cannot be compensated; --structure depth takes no {self.compensate}")
        if self.kinds == (BLOCK,) and self.multiple != 1:
            raise UsageError("--structure depth keeps the FFN width, so it takes no --multiple")
        return spec


@dataclass
class StructureBench:
    """A bench with what structured methods read, collected once. Raises UsageError if the target does not fit.

    `influence`: of every block, if a method has read it.
    """

    bench: Bench
    anatomy: Anatomy = field(init=False)
    influence: list[float] | None = None
    _greedy: dict[frozenset[int], float] = field(default_factory=dict)
    _bundles: dict[tuple[str, ...], Bundle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bench.target.need_whole("structured pruning")
        self.anatomy = Anatomy(self.bench.target.model, self.bench.target.name)

    def shape(self, recipe: StructuredRecipe) -> Shape:
        """The shape that a recipe leads to. Raises UsageError if there is none, or no place for its biases."""
        recipe.check()
        shape = shape_for(self.anatomy.sizes, recipe.structure, recipe.params, recipe.multiple)
        if recipe.compensate == "bias":
            for kind in recipe.kinds:
                check_bias(self.anatomy, kind)
        return shape

    def reduction(self, recipe: StructuredRecipe, advance: Advance = lambda: None) -> Reduction:
        """Choose the kept structures of each block, and compensate. `advance` is called once per block.

        Raises UsageError for a recipe that does not fit, CandidateFailure if there is no memory for gradients.
        """
        spec, shape = recipe.check(), self.shape(recipe)
        blocks = tuple(range(self.anatomy.sizes.dense.blocks))
        if recipe.kinds == (BLOCK,):
            return Reduction(self._kept_blocks(spec, shape.blocks, advance))
        weights: dict[str, Tensor] = {}
        biases: dict[str, Tensor] = {}
        kept: dict[str, dict[int, Tensor]] = {kind: {} for kind in recipe.kinds}
        counts = {kind: shape.groups if kind == HEAD else shape.channels for kind in recipe.kinds}
        dense = self.anatomy.sizes.dense
        whole = {kind: dense.groups if kind == HEAD else dense.channels for kind in recipe.kinds}
        for block in blocks:
            for kind in recipe.kinds:
                if counts[kind] == whole[kind]:
                    continue
                kept[kind][block] = most_important(self._scores(spec, kind, block), counts[kind])
                columns = kept_columns(self.anatomy, kind, kept[kind][block])
                self._compensate(
                    recipe, self.anatomy.layer(block, self.anatomy.consumer(kind)), columns, weights, biases
                )
            advance()
        return Reduction(blocks, kept.get("channel") or None, kept.get("head") or None, weights, biases)

    def _compensate(
        self,
        recipe: StructuredRecipe,
        name: str,
        columns: Tensor,
        weights: dict[str, Tensor],
        biases: dict[str, Tensor],
    ) -> None:
        weight = self.bench.target.weight(name).float()
        columns = columns.to(weight.device)
        if recipe.compensate == "least-squares":
            hessian = self._readable("hessian").hessian(name).to(weight.device)
            weights[name] = least_squares(weight, hessian, columns)
        elif recipe.compensate == "bias":
            mean = self._readable().statistic(name, "input_mean").to(weight.device)
            biases[name] = mean_bias(weight, mean, columns)

    def _kept_blocks(self, spec: StructureSpec, count: int, advance: Advance) -> tuple[int, ...]:
        blocks = self.anatomy.sizes.dense.blocks
        if spec.choose is not None:
            gone = spec.choose(blocks, blocks - count, self._loss_without)
            return tuple(block for block in range(blocks) if block not in gone)
        scores = []
        for block in range(blocks):
            scores.append(self._scores(spec, BLOCK, block))
            advance()
        return tuple(most_important(torch.cat(scores), count).tolist())

    def _scores(self, spec: StructureSpec, kind: str, block: int) -> Tensor:
        assert spec.score is not None  # only blocks are chosen otherwise
        if "influence" in spec.reads and self.influence is None:
            self.influence = block_influence(self.bench.target, self.bench.windows("calibration").tokens)
        readable = self._readable(*(("gradient",) if "gradient" in spec.reads else ()))

        def statistic(name: str, which: str) -> Tensor:
            if which == "gradient":
                gradient: Tensor = readable.view(name, 0.0).gradient
                return gradient.cpu()
            return readable.statistic(name, which).cpu()

        def weight(name: str) -> Tensor:
            return self.bench.target.weight(name).float().cpu()

        influence = self.influence[block] if self.influence else None
        structures: Structures = self.anatomy.structures(kind, block, weight, statistic, influence)
        return spec.score(structures)

    def _readable(self, *needs: str) -> Bundle:
        if needs not in self._bundles:
            self._bundles[needs] = self.bench.readable(needs)
        return self._bundles[needs]

    def _loss_without(self, removed: frozenset[int]) -> float:
        """The mean loss on a few calibration windows; equal steps of several recipes are measured once."""
        if removed not in self._greedy:
            calibration = self.bench.windows("calibration")
            with without_blocks(self.bench.target, removed):
                losses = window_losses(
                    self.bench.target, some_of(calibration.tokens, GREEDY_WINDOWS), lead=calibration.lead
                )
            self._greedy[removed] = statistics.fmean(losses)
        return self._greedy[removed]

    def reduced(self, reduction: Reduction) -> Target:
        """The smaller model, as a target of its own."""
        target = self.bench.target
        return Target(reduced(self.anatomy, reduction), target.tokenizer, target.name)

    def block_parameters(self, target: Target) -> int:
        """Parameters in the decoder blocks of a reduced model."""
        return sum(parameter.numel() for parameter in target.model.get_submodule(self.anatomy.path).parameters())

    def perplexity(self, target: Target, split: Split) -> float:
        """Of a reduced model, on a split of the bench's texts."""
        windows = self.bench.windows(split)
        return perplexity(window_losses(target, windows.tokens, lead=windows.lead))


def most_important(scores: Tensor, count: int) -> Tensor:
    """The indices of the `count` highest scores, int64, ascending; of equal ones the first."""
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[:count].sort().values


def count_parameters(target: Target) -> int:
    """All parameters of a model; tied ones count once."""
    return sum(parameter.numel() for parameter in target.model.parameters())


def shape_facts(anatomy: Anatomy, shape: Shape) -> Mapping[str, int]:
    """A shape in the words of a configuration: blocks, FFN width, heads and key-value heads (0 where not stated)."""
    per_group = anatomy.heads // anatomy.groups if anatomy.groups else 0
    return {
        "blocks": shape.blocks,
        "ffn_width": shape.channels,
        "heads": shape.groups * per_group,
        "key_value_heads": shape.groups,
    }
