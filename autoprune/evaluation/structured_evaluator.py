"""The evaluator of structured recipes: from an algorithm that ranks structures to a smaller model and its perplexity.

    recipe -> shape -> importances -> kept structures -> new weights -> a reduced model -> losses of windows

Importances, and new weights of the layers that read removed structures, come from a published method or from a
candidate in its sandbox; trusted code removes, builds the model and measures it. The parameters of the very model that
is measured are counted.
"""

import math
import time

import numpy as np
import torch
from torch import Tensor

from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import measure as measure_weights
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.perplexity import perplexity
from autoprune.evaluation.pruned import NotFinite, unmeasured
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.structured import StructureBench, count_parameters
from autoprune.evaluation.structured_recipe import PublishedStructured, RanksStructures, StructuredRecipe
from autoprune.evaluation.texts import Split
from autoprune.models.reduce import Reduction
from autoprune.runs.measurement import Measurement

STRIDE = 97
"""Every STRIDE-th new weight is part of a signature."""

AnyRecipe = Recipe | StructuredRecipe


def measure_published(bench: Bench, name: str, recipe: AnyRecipe, split: Split, subject: str) -> Measurement:
    """A published method under a recipe of its kind."""
    if isinstance(recipe, StructuredRecipe):
        return measure_structured(bench, PublishedStructured(name), recipe, split, subject=subject)
    return measure_weights(bench, Published.named(name), recipe, split, subject=subject)


def measure_structured(
    bench: Bench,
    algorithm: RanksStructures,
    recipe: StructuredRecipe,
    split: Split,
    ladder: Ladder = EVERYTHING,
    subject: str = "",
) -> Measurement:
    """Reduce the target by a recipe and measure the smaller model; the target itself stays as it is.

    `sparsity`, `zeros` and `weights` of the measurement are of the decoder blocks' parameters: the removed share, the
    number of those removed, and that of the dense model, counted. Raises
    UsageError for a recipe that does not fit, CandidateFailure if a candidate fails, StoppedEarly if the ladder ends
    the measurement.
    """
    structures = StructureBench.of(bench)
    started = time.perf_counter()
    chosen = structures.chosen(recipe, algorithm)
    facts = {"diagnostics": chosen.diagnostics, "memory_bytes": chosen.memory}
    scored = time.perf_counter()
    target = structures.reduced(chosen.reduction)
    left, dense = structures.block_parameters(target), structures.block_parameters(bench.target)
    measured = unmeasured(bench, subject, split, 0, recipe.league(algorithm)).model_copy(
        update={
            "sparsity": 1.0 - left / dense,
            "zeros": dense - left,
            "weights": dense,
            "parameters": count_parameters(target),
            "signature": _signature(structures, chosen.reduction),
            "seconds": {"score": scored - started, "mask": time.perf_counter() - scored},
            **facts,
        }
    )
    ladder.accept(measured.signature)
    begun = time.perf_counter()

    def timed() -> Measurement:
        return measured.model_copy(update={"seconds": {**measured.seconds, "eval": time.perf_counter() - begun}})

    def check(losses: list[float]) -> None:
        if not math.isfinite(perplexity(losses)):
            raise NotFinite(timed())
        ladder.check_losses(timed(), losses)

    losses = bench.losses(split, looks=ladder.looks(measured.windows), check=check, target=target)
    return timed().with_losses(losses).model_copy(update={"repeats": chosen.repeats})


def _signature(structures: StructureBench, reduction: Reduction) -> bytes:
    """Bits of the kept structures, and signs and sizes of a sample of new weights: only the same structures with the
    same update are a duplicate."""
    dense = structures.anatomy.sizes.dense
    bits = [_kept(torch.tensor(reduction.blocks), dense.blocks)]
    for kept, count in ((reduction.channels, dense.channels), (reduction.groups, dense.groups)):
        bits += [_kept(kept[block], count) for block in reduction.blocks] if kept is not None else []
    for name in sorted(reduction.weights):
        some = reduction.weights[name].float().cpu().flatten()[::STRIDE]
        bits += [some > 0, some.abs() > some.abs().median()]
    return np.packbits(torch.cat(bits).numpy()).tobytes()


def _kept(indices: Tensor, count: int) -> Tensor:
    mask = torch.zeros(count, dtype=torch.bool)
    mask[indices.cpu()] = True
    return mask
