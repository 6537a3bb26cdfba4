"""Structured pruning of a bench's target: importances, kept structures, compensation, and the smaller model.

    recipe -> shape -> importances -> kept structures -> new weights or biases -> a reduced model -> losses of windows

Statistics are those of the dense model on the calibration text. All that is measured is measured on the very model
that was reduced.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autoprune.evaluation.bench import Bench
from autoprune.evaluation.perplexity import perplexity, window_losses
from autoprune.evaluation.statistics_cache import some_of
from autoprune.evaluation.structured_recipe import Ranking, RanksStructures, StructuredRecipe
from autoprune.evaluation.texts import Split
from autoprune.models.block_importance import block_influence, without_blocks
from autoprune.models.bundle import Bundle
from autoprune.models.reduce import Reduction, check_bias, kept_columns, reduced
from autoprune.models.structures import Anatomy
from autoprune.models.target import Target
from autoprune.pruning.compensation import least_squares, mean_bias
from autoprune.pruning.shapes import Shape, shape_for
from autoprune.pruning.structure_view import StructureSet
from autoprune.pruning.structures.spec import BLOCK, CHANNEL, HEAD, Choose, Structures

GREEDY_WINDOWS = 4
"""Calibration windows with which a greedy removal of blocks measures each step, evenly spaced."""

Advance = Callable[[], None]


def no_progress() -> None:
    """The `advance` that reports nothing."""


@dataclass(frozen=True)
class Chosen:
    """What an algorithm keeps. `repeats`: whether a fresh process gave the same answers, None if that was not checked;
    `diagnostics`: its output; `memory`: peak growth of its processes in bytes, None if unknown."""

    reduction: Reduction
    repeats: bool | None = None
    diagnostics: str = ""
    memory: int | None = None


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

    @classmethod
    def of(cls, bench: Bench) -> "StructureBench":
        """That of a bench, made on first use."""
        if bench.structures is None:
            bench.structures = cls(bench)
        return bench.structures

    def __post_init__(self) -> None:
        self.bench.target.need_whole("structured pruning")
        self.anatomy = Anatomy(self.bench.target.model, self.bench.target.name)

    def shape(self, recipe: StructuredRecipe, algorithm: RanksStructures | None = None) -> Shape:
        """The shape that a recipe leads to. Raises UsageError if there is none, or no place for its biases."""
        recipe.check(algorithm)
        shape = shape_for(self.anatomy.sizes, recipe.structure, recipe.params, recipe.multiple)
        if recipe.compensate == "bias":
            for kind in recipe.kinds:
                check_bias(self.anatomy, kind)
        return shape

    def reduction(self, recipe: StructuredRecipe, advance: Advance = no_progress) -> Reduction:
        """What a recipe with a published method keeps. See `chosen`."""
        return self.chosen(recipe, None, advance).reduction

    def chosen(
        self, recipe: StructuredRecipe, algorithm: RanksStructures | None = None, advance: Advance = no_progress
    ) -> Chosen:
        """Choose the kept structures of each block, and compensate. `advance` is called once per block.

        `algorithm`: by default the published method of the recipe. Raises UsageError for a recipe that does not fit,
        CandidateFailure if a candidate fails or there is no memory for gradients.
        """
        algorithm = recipe.check(algorithm)
        shape = self.shape(recipe, algorithm)
        if algorithm.spec is not None and algorithm.spec.choose is not None:
            return Chosen(Reduction(self._chosen(algorithm.spec.choose, shape.blocks)))
        with self._ranking(algorithm) as ranking:
            reduction = self._reduction_by(recipe, shape, algorithm, ranking, advance)
            return Chosen(reduction, ranking.repeats(), ranking.diagnostics, ranking.memory)

    @contextmanager
    def _ranking(self, algorithm: RanksStructures) -> Iterator[Ranking]:
        """The algorithm, opened on this bench. Statistics that it needs are collected first."""
        if algorithm.reads_influence and self.influence is None:
            self.influence = block_influence(self.bench.target, self.bench.windows("calibration").tokens)
        readable = self._readable(*algorithm.needs)

        def statistic(name: str, which: str) -> Tensor:
            if which == "gradient":
                gradient: Tensor = readable.view(name, 0.0).gradient
                return gradient.cpu()
            return readable.statistic(name, which).cpu()

        def held(structures: StructureSet) -> Structures:
            return self.anatomy.structures(
                structures.kind, structures.block, self._weight, statistic, structures.influence
            )

        with algorithm.rank(readable, held) as ranking:
            yield ranking

    def _reduction_by(
        self, recipe: StructuredRecipe, shape: Shape, algorithm: RanksStructures, ranking: Ranking, advance: Advance
    ) -> Reduction:
        sets = self._sets(recipe, shape, algorithm.reads_influence)
        blocks = tuple(range(self.anatomy.sizes.dense.blocks))
        ranked = zip(sets, ranking.importances(sets), strict=True)
        if recipe.kinds == (BLOCK,):
            scores = []
            for _, importances in ranked:
                scores.append(importances)
                advance()
            return Reduction(tuple(most_important(torch.cat(scores), shape.blocks).tolist()))
        kept: dict[str, dict[int, Tensor]] = {kind: {} for kind in recipe.kinds}
        chosen = [(structures, most_important(importances, structures.keep)) for structures, importances in ranked]
        weights: dict[str, Tensor] = {}
        biases: dict[str, Tensor] = {}
        for structures, indices in chosen:
            kept[structures.kind][structures.block] = indices
            if algorithm.updates:
                weights[structures.consumer] = ranking.consumer(structures, indices)
            else:
                columns = kept_columns(self.anatomy, structures.kind, indices)
                self._compensate(recipe, structures.consumer, columns, weights, biases)
            advance()
        return Reduction(blocks, kept.get(CHANNEL) or None, kept.get(HEAD) or None, weights, biases)

    def _sets(self, recipe: StructuredRecipe, shape: Shape, with_influence: bool) -> list[StructureSet]:
        """The structures of which some are removed, block by block."""
        dense = self.anatomy.sizes.dense
        counts = {CHANNEL: dense.channels, HEAD: dense.groups, BLOCK: 1}
        keep = {CHANNEL: shape.channels, HEAD: shape.groups, BLOCK: shape.blocks}
        return [
            StructureSet(
                kind,
                block,
                counts[kind],
                keep[kind],
                recipe.params,
                self.anatomy.parts(kind, block),
                self.influence[block] if with_influence and self.influence else None,
            )
            for block in range(dense.blocks)
            for kind in recipe.kinds
            if kind == BLOCK or keep[kind] < counts[kind]
        ]

    def _weight(self, name: str) -> Tensor:
        return self.bench.target.weight(name).float().cpu()

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

    def _chosen(self, choose: Choose, count: int) -> tuple[int, ...]:
        """The blocks that a method which measures keeps."""
        blocks = self.anatomy.sizes.dense.blocks
        gone = choose(blocks, blocks - count, self._loss_without)
        return tuple(block for block in range(blocks) if block not in gone)

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
