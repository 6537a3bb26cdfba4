"""The tool `polish_allocation`: trials on the search split for the allocation of a candidate that was measured."""

from collections.abc import Callable

from autoprune.candidates.contract import expensive_fields_named
from autoprune.evaluation.polish import Polished, polish
from autoprune.measuring.workbench import Workbench


def polish_allocation(
    workbench: Workbench, source: str, generations: int, on_progress: Callable[[float], None]
) -> Polished:
    """Better densities per decoder block for a candidate's scores. Raises CandidateFailure when the candidate fails.

    The candidate's clock runs while it scores, and it scores many times here: it gets its time for each generation.
    """
    config, bench = workbench.config, workbench.bench
    bundle = bench.bundle(expensive_fields_named(source))
    with workbench.measurer.lock, workbench.measurer.sandbox.open(source, bundle, generations + 1) as session:
        return polish(bench, session, workbench.sparsity, generations, config.seed, on_progress)
