"""Polish: the allocation of one algorithm, improved by trials on the search split, block by block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoprune.evaluation.bench import Bench
from autoprune.evaluation.layer_zeros import allocated
from autoprune.evaluation.trials import Trials
from autoprune.progress import steps
from autoprune.pruning.allocation.budget import largest_remainder
from autoprune.pruning.allocation.searched import Rung, searched
from autoprune.pruning.allocation.units import Units
from autoprune.pruning.layers import Session

OFFSPRING = 8
FEW = 2
"""Windows on the first rung."""
SCORINGS = 3
"""How often all layers are scored in one generation, about: most trials change a few blocks."""


@dataclass(frozen=True)
class Polished:
    """`factors`: for each decoder block, its density relative to the start. `before`, `after`: mean losses on the
    search split, in nats per token. `windows`: number of measured windows. `own`: whether the start is the candidate's
    own `allocate`, else uniform."""

    factors: list[float]
    before: float
    after: float
    windows: int
    own: bool


def polish(
    bench: Bench,
    scoring: Session,
    trials: Trials,
    sparsity: float,
    generations: int,
    seed: int,
    on_progress: Callable[[float], None] = lambda loss: None,
) -> Polished:
    """Evolve the zeros of the blocks (`allocation.searched`) from an algorithm's own allocation, or from uniform.

    `scoring`: the open algorithm, whose masks may be those of the `trials`, or others that stand in for them. Within a
    block the relative densities of the layers are kept. `on_progress` is called with the best loss after each
    generation. Raises CandidateFailure if the algorithm fails.
    """
    start = starting_zeros(bench, scoring, sparsity)
    blocks = bench.units_by("block")
    kept = {layer.name: layer.size - start[layer.name] for layer in bench.layers}

    def zeros_of(totals: Sequence[int]) -> dict[str, int]:
        return _spread(blocks, kept, totals)

    few, whole = min(FEW, trials.windows), trials.windows
    half = max(whole // 2, few)
    in_one = OFFSPRING * few + 3 * (half - few) + whole - half  # windows of a generation, if all offspring differ
    left = generations

    def measure(zeros: tuple[int, ...], windows: int) -> float:
        before = trials.measured
        loss = trials.loss(zeros_of(zeros), min(windows, trials.windows))
        bar.advance(count=trials.measured - before)
        return loss

    def after_generation(loss: float) -> None:
        nonlocal left
        left -= 1
        bar.expect({"": left * in_one})
        on_progress(loss)

    totals, floors = blocks.totals(start), blocks.totals(blocks.floors)
    rungs = [Rung(few, 3), Rung(half, 1), Rung(whole, 1)]
    with steps("polishing", {"": whole + generations * in_one}, "windows") as bar:
        best = searched(totals, blocks.sizes, measure, rungs, generations, OFFSPRING, seed, floors, after_generation)
    return Polished(
        [
            round((size - after) / (size - before), 4) if size > before else 1.0
            for size, before, after in zip(blocks.sizes, totals, best.zeros, strict=True)
        ],
        best.losses[0],
        best.loss,
        trials.measured,
        scoring.has_allocate,
    )


def starting_zeros(bench: Bench, scoring: Session, sparsity: float) -> dict[str, int]:
    """Zeros per layer by an algorithm's own allocation, uniform without one. Raises CandidateFailure if it fails."""
    if not scoring.has_allocate:
        return allocated(bench, bench.units_by("block"), "uniform", sparsity).zeros
    units = bench.units_by(scoring.unit or "block")
    return units.projected(scoring.allocate(units.described(), sparsity), sparsity)


def _spread(blocks: Units, kept: dict[str, int], totals: Sequence[int]) -> dict[str, int]:
    """Zeros per layer from zeros per block, the layers' densities in the proportions of `kept`."""
    zeros: dict[str, int] = {}
    for unit, total in zip(blocks.members.values(), totals, strict=True):
        sizes, before = [layer.size for layer in unit], [kept[layer.name] for layer in unit]
        factor = (sum(sizes) - total) / max(sum(before), 1)
        shares = [size - min(number * factor, size) for size, number in zip(sizes, before, strict=True)]
        floors = [blocks.floors[layer.name] for layer in unit]
        counts = largest_remainder(shares, total, sizes, floors)
        zeros |= {layer.name: count for layer, count in zip(unit, counts, strict=True)}
    return zeros
