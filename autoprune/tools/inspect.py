"""The tool `inspect_target`: statistics of the dense target by unit."""

from pydantic import BaseModel

from autoprune.measuring.workbench import Workbench


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
    """The target's size, dense perplexity on the search split, and units."""

    name: str
    weights: int
    layers: int
    dense_perplexity: float
    units: list[UnitReport]


def inspect_target(workbench: Workbench) -> TargetReport:
    """Statistics of the dense target; the perplexity is measured once per run."""
    units = [UnitReport.model_validate(unit) for unit in workbench.bench.units]
    return TargetReport(
        name=workbench.bench.target.name,
        weights=sum(unit.size for unit in units),
        layers=len(workbench.bench.layers),
        dense_perplexity=workbench.dense("search").perplexity,
        units=units,
    )


def layers_of_units(workbench: Workbench) -> dict[str, list[str]]:
    units = workbench.bench.units_by(workbench.config.allocation.unit)
    return {name: [layer.name for layer in layers] for name, layers in units.members.items()}
