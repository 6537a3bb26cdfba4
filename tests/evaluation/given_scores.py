"""An algorithm whose scores are given, and a few short words for measuring on the tiny model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.recipe import Recipe
from autoprune.runs.measurement import Measurement


class GivenScores:
    """Hands out scores by layer. `asked`: the layers in the order in which they were scored; `order`: in which they
    are handed out, whatever was asked for."""

    name, identity, needs = "given", None, ()
    unit, has_allocate, edits_defined, ranks = None, False, frozenset(), ()
    diagnostics, memory = "", None

    def __init__(self, scores: Mapping[str, Tensor], group: str = "row", order: Sequence[str] | None = None) -> None:
        self.group = group
        self.asked: list[str] = []
        self._scores, self._order = scores, order

    @contextmanager
    def open(self, readable: object) -> Iterator["GivenScores"]:
        yield self

    def scores(self, told: object, layers: Sequence[str] | None = None, pattern: str = "none") -> Iterator[object]:
        for name in self._order if self._order is not None else layers or self._scores:
            self.asked.append(name)
            yield name, self._scores[name]

    def repeats(self) -> None:
        return None


def random_scores(bench: Bench, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {layer.name: torch.rand(layer.shape, generator=generator) for layer in bench.layers}


def measure_random(
    bench: Bench, seed: int = 0, ladder: Ladder = EVERYTHING, split: str = "search", group: str = "row"
) -> Measurement:
    """Random scores at half of the weights, uniformly."""
    return measure(bench, GivenScores(random_scores(bench, seed), group), Recipe(0.5), split, ladder)


def baseline(bench: Bench, score: str, allocation: str, sparsity: float, split: str, **more: object) -> Measurement:
    """A published score with an allocation."""
    return measure(bench, Published.named(score), Recipe(sparsity, allocation, **more), split)
