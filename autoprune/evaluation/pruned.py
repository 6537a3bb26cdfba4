"""The pruned model as it is: its zeros are counted, its losses measured.

The counted zeros are those of the weights that are measured.
"""

import math
import time
from collections.abc import Callable

from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.algorithms import Algorithm
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.bos import shown
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.perplexity import perplexity
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split
from autoprune.leagues import MASK_ONLY, WITH_UPDATE, League
from autoprune.pruning.allocation.units import LayerZeros
from autoprune.pruning.threads import side_by_side
from autoprune.runs.measurement import Measurement

Advance = Callable[[], None]


class NotFinite(CandidateFailure):
    """The perplexity of the pruned model is not finite. `measured`: its other measurements."""

    def __init__(self, measured: Measurement) -> None:
        message = f"the perplexity on the {measured.split} split is not finite"
        super().__init__("measure", "not-finite", message)
        self.measured = measured


def unmeasured(bench: Bench, subject: str, split: Split, zeros: int, league: League = MASK_ONLY) -> Measurement:
    windows = bench.windows(split)
    return Measurement(
        subject=subject,
        split=split,
        perplexity=math.nan,
        sparsity=zeros / bench.target.weights,
        zeros=zeros,
        weights=bench.target.weights,
        seqlen=windows.seqlen,
        windows=len(windows.tokens),
        bos=shown(windows.bos),
        league=league,
    )


def count_zeros(bench: Bench, algorithm: Algorithm, recipe: Recipe, zeros: LayerZeros | None) -> int:
    """Count the zeros of the live weights and compare them with the allocation.

    An update may create more, and a candidate's `refine` may keep weights that were zero before. Under a pattern, an
    update may fill such weights where more than M - N of a group were zero.
    """
    names = [layer.name for layer in bench.layers]
    counts = dict(zip(names, side_by_side(bench.target.zeros, names), strict=True))
    total, promised = sum(counts.values()), zeros.zeros if zeros else {}
    with_update = recipe.league(algorithm) == WITH_UPDATE
    if recipe.kept_of is not None and with_update:
        kept, of = recipe.kept_of
        promised = {layer.name: layer.size // of * (of - kept) for layer in bench.layers}
    exactly = not with_update and not algorithm.edits_defined
    for name, count in promised.items():
        if counts[name] < count or (exactly and counts[name] != count):
            raise AutoPruneError(f"layer {name} has {counts[name]} zeros, not the {count} that were set")
    least = sum(promised.values()) if promised else round(recipe.sparsity * bench.target.weights)
    if total < least:
        raise AutoPruneError(f"the pruned weights hold {total} zeros, fewer than the {least} that were set")
    return total


def measure_losses(
    bench: Bench, masked: Measurement, ladder: Ladder = EVERYTHING, advance: Advance = lambda: None
) -> Measurement:
    """Add the losses of the model in its present state. Raises CandidateFailure (stage measure) if they are not
    finite."""
    started = time.perf_counter()

    def timed() -> Measurement:
        return masked.model_copy(update={"seconds": {**masked.seconds, "eval": time.perf_counter() - started}})

    def check(losses: list[float]) -> None:
        if not math.isfinite(perplexity(losses)):
            raise NotFinite(timed())
        ladder.check_losses(timed(), losses)

    losses = bench.losses(masked.split, looks=ladder.looks(masked.windows), check=check, advance=advance)
    return timed().with_losses(losses)
