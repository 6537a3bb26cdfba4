"""The tool `inspect_target`: statistics of the dense target by unit, and the effect of density by role and depth."""

from pydantic import BaseModel, TypeAdapter, ValidationError

from autoprune.evaluation.density_effects import EFFECTS, DensityEffect
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Archive

_STORED = TypeAdapter(list[DensityEffect])


class UnitReport(BaseModel):
    """Statistics of one unit (see `pruning.contract.UNIT_FIELDS`)."""

    name: str
    size: int
    depth: float
    skewness: float
    weight_norm: float
    input_norm: float
    outlier_share: float


class TargetReport(BaseModel):
    """The target's size, dense perplexity on the search split, and units.

    `effects`: of density on the loss with the masks of the baseline `effects_of`; empty where they were not measured.
    """

    name: str
    weights: int
    layers: int
    dense_perplexity: float
    units: list[UnitReport]
    effects: list[DensityEffect] = []
    effects_of: str = ""


def inspect_target(workbench: Workbench) -> TargetReport:
    """Statistics of the dense target; perplexity and effects are measured once per run."""
    effects, of = measured_effects(workbench.archive)
    units = [UnitReport.model_validate(unit) for unit in workbench.bench.units]
    return TargetReport(
        name=workbench.bench.target.name,
        weights=sum(unit.size for unit in units),
        layers=len(workbench.bench.layers),
        dense_perplexity=workbench.dense("search").perplexity,
        units=units,
        effects=effects,
        effects_of=of,
    )


def measured_effects(archive: Archive) -> tuple[list[DensityEffect], str]:
    """The effects of density that a run has measured, and the baseline whose masks they are of; none without them."""
    observation = next((node.data for node in archive.nodes() if node.id == EFFECTS), {})
    try:
        return _STORED.validate_python(observation.get("effects")), str(observation.get("of"))
    except ValidationError:  # not measured, or a run from another source holds something else
        return [], ""


def layers_of_units(workbench: Workbench) -> dict[str, list[str]]:
    units = workbench.bench.units_by(workbench.config.allocation.unit)
    return {name: [layer.name for layer in layers] for name, layers in units.members.items()}
