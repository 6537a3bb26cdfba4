"""What is to be beaten: the baselines, as a strong model is told of them, and where an algorithm keeps its weights."""

from collections.abc import Sequence

from autoprune.config_values import SWAP_ROUNDS
from autoprune.evaluation.tuning import parameters_of
from autoprune.measuring.baselines import baselines
from autoprune.measuring.workbench import Workbench
from autoprune.pruning.layers import THIRDS, LayerInfo
from autoprune.runs.measurement import Measurement


def baseline_rows(workbench: Workbench) -> list[Measurement]:
    """The baselines on the search split, the best first."""
    return sorted((each.measured(workbench, "search") for each in baselines(workbench)), key=lambda row: row.perplexity)


def bar(rows: Sequence[Measurement], layers: Sequence[LayerInfo], dense: float) -> str:
    """The baselines as text, the best first and with its densities; `dense`: the dense model's perplexity."""
    refined = any("+swaps" in row.subject for row in rows)
    what = (
        f" `+swaps`: the mask of the score is then improved by {SWAP_ROUNDS} rounds of swaps of a kept and a pruned "
        "weight within each row, as long as p H p^T falls."
    )
    lines = [
        f"Published scores with an allocation, perplexity on the search split (dense {dense:.2f}).{what * refined}"
    ]
    for place, row in enumerate(rows):
        said = parameters_of(row)
        lines.append(f"- {row.name}: {row.perplexity:.2f}{f' ({said})' * bool(said)}{_known(row)}")
        if place == 0:
            lines[-1] += f" <- this is what you have to beat. {densities(row, layers)}"
    return "\n".join(lines)


def _known(row: Measurement) -> str:
    """The error by which candidates are stopped, and how long masks took, where they were not found."""
    error, seconds = row.reconstruction, row.seconds.get("mask", 0.0)
    weighted = f", weighted reconstruction error {error:.4f}" if error is not None else ""
    return weighted + (f", masks in {seconds:.0f} s" if seconds >= 1 else "")


def densities(row: Measurement, layers: Sequence[LayerInfo]) -> str:
    """What of its weights each role keeps, by third of the depth, after the projection onto the budget."""
    sparsity = {each.name: each.sparsity for each in row.layers}
    parts = []
    for role in dict.fromkeys(layer.role for layer in layers):
        kept = [
            f"{1 - sum(sparsity[layer.name] * layer.size for layer in some) / sum(layer.size for layer in some):.3f}"
            for third in THIRDS
            if (some := [each for each in layers if (each.role, each.third) == (role, third) and each.name in sparsity])
        ]
        parts += [f"{role} {'/'.join(kept)}"] * bool(kept)
    return f"It keeps, by third of the depth: {', '.join(parts)}." if parts else ""
