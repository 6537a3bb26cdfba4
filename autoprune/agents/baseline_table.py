"""Text about baselines for a strong model's prompt: their perplexities, the density of each layer role,
and what density is worth with their masks."""

from collections.abc import Sequence

from autoprune.evaluation.density_effects import EFFECTS, STEP, DensityEffect, end_blocks
from autoprune.evaluation.tuning import parameters_of
from autoprune.leagues import COMPENSATED, MASK_ONLY, STRUCTURED, WITH_UPDATE
from autoprune.measuring.baselines import all_baselines
from autoprune.measuring.workbench import Workbench
from autoprune.pruning.layers import THIRDS, LayerInfo
from autoprune.pruning.refinements.table import NAMES, spec_of
from autoprune.pruning.updates.table import NAMES as UPDATES
from autoprune.pruning.updates.table import spec_of as update_of
from autoprune.runs.measurement import Measurement

TO_BEAT = {
    MASK_ONLY: "this is what you have to beat.",
    WITH_UPDATE: "this is what you have to beat with an `update`.",
    STRUCTURED: "this is what you have to beat without compensation.",
    COMPENSATED: "this is what you have to beat with compensation.",
}
"""What the best baseline of each league is for the proposer."""


def baseline_rows(workbench: Workbench) -> list[Measurement]:
    """The baselines on the search split, best first."""
    rows = (baseline.measured(workbench, "search") for baseline in all_baselines(workbench))
    return sorted(rows, key=lambda row: row.perplexity)


def baseline_table(rows: Sequence[Measurement], layers: Sequence[LayerInfo], dense: float) -> str:
    """The baselines as text, best first, with the densities of the best; `dense`: the dense model's perplexity."""
    refined = "".join(
        f" `+{name}`: the mask of the score is then improved by {spec_of(name).title}."
        for name in NAMES
        if any(f"+{name}" in row.subject for row in rows)
    )
    refined += "".join(
        f" `+{name}`: kept weights are updated by {update_of(name).title}."
        for name in UPDATES
        if any(f"+{name}+" in row.subject for row in rows)
    )
    lines = [f"Published scores with an allocation, perplexity on the search split (dense {dense:.2f}).{refined}"]
    for row in rows:
        parameters = parameters_of(row)
        best = next(other for other in rows if other.league == row.league)
        mark = f" <- {TO_BEAT[row.league]} {densities(row, layers)}" * (row is best)
        lines.append(f"- {row.name}: {row.perplexity:.2f}{f' ({parameters})' * bool(parameters)}{_costs(row)}{mark}")
    return "\n".join(lines)


def _costs(row: Measurement) -> str:
    """The reconstruction error, by which candidates are stopped early, and the time for masks that were made now."""
    error, seconds = row.reconstruction, row.seconds.get("mask", 0.0)
    weighted = f", weighted reconstruction error {error:.3g} x Wanda's" if error is not None else ""
    return weighted + (f", masks in {seconds:.0f} s" if seconds >= 1 else "")


def densities(row: Measurement, layers: Sequence[LayerInfo]) -> str:
    """The density of each role by third of the depth, and of the blocks at the ends, after the projection onto the
    budget."""
    sparsity = {layer.name: layer.sparsity for layer in row.layers}
    measured = [layer for layer in layers if layer.name in sparsity]

    def density(group: Sequence[LayerInfo]) -> str:
        zeros = sum(sparsity[layer.name] * layer.size for layer in group)
        return f"{1 - zeros / sum(layer.size for layer in group):.3f}"

    parts = []
    for role in dict.fromkeys(layer.role for layer in measured):
        thirds = ([layer for layer in measured if (layer.role, layer.third) == (role, third)] for third in THIRDS)
        parts.append(f"{role} {'/'.join(density(group) for group in thirds if group)}")
    ends = end_blocks(measured)
    by_block = [density([layer for layer in measured if layer.block == block]) for block in ends]
    blocks = f"; blocks {'/'.join(map(str, ends))}: {'/'.join(by_block)}" if ends else ""
    return f"It keeps, by third of the depth: {', '.join(parts)}{blocks}." if parts else ""


def effects_as_text(effects: Sequence[DensityEffect], of: str) -> str:
    """The effects of density on the loss, one line per role. `of`: the baseline whose masks were measured."""
    by_role: dict[str, list[str]] = {}
    for effect in effects:
        error = f" ± {1000 * effect.error:.1f}" if effect.error is not None else ""
        text = f"{effect.third} {1000 * effect.change:+.1f}{error} ({100 * effect.share:.1f} % of all weights)"
        by_role.setdefault(effect.role, []).append(text)
    head = (
        f"[{EFFECTS}] Change of the loss, in thousandths of a nat per token, when these layers keep {100 * STEP:g} "
        f"points less and the others what they kept; after ± its standard error (measured once on few windows, with "
        f"the masks of {of}):"
    )
    return "\n".join([head, *(f"- {role}: {'; '.join(parts)}" for role, parts in by_role.items())])
