"""The tool `try_layers`: runs a draft on a few layers, and reports their reconstruction errors or the failure.

No perplexity is measured, no text is read, and nothing is stored.
"""

from typing import Literal

from pydantic import BaseModel, Field

from autoprune.errors import CandidateFailure
from autoprune.measuring.layer_trials import LayerTrials


class TryLayers(BaseModel):
    """The tool's input."""

    source: str = Field(description="the Python source of the draft, as it would be submitted")


class LayerReport(BaseModel):
    """A layer with its share of zeros, and the relative weighted reconstruction errors with as many zeros in it: of
    the draft, of Wanda, and of the parent, if there is one."""

    name: str
    sparsity: float
    error: float
    wanda: float
    parent: float | None = None


class TrialReport(BaseModel):
    """The tool's output. Without layers, stage, reason and message say why the draft failed, as for a candidate.

    `of_wanda`, `of_parent`: the sum of the draft's errors as a multiple of theirs. `seconds`: of the draft on all
    `all_layers`, extrapolated; a candidate has `allowed_seconds`, and a draft `trial_seconds`. `parent_problem`: why
    the parent could not be tried.
    """

    status: Literal["tried", "failed"]
    layers: list[LayerReport] = []
    of_wanda: float | None = None
    of_parent: float | None = None
    seconds: float | None = None
    all_layers: int
    allowed_seconds: float
    trial_seconds: float
    parent_problem: str = ""
    stage: str = ""
    reason: str = ""
    message: str = ""


def try_layers(trials: LayerTrials, request: TryLayers) -> TrialReport:
    """Try a draft; its failure is a result too."""
    report = TrialReport(
        status="failed",
        all_layers=len(trials.workbench.bench.layers),
        allowed_seconds=trials.workbench.config.sandbox.seconds,
        trial_seconds=trials.seconds,
    )
    try:
        trial = trials.try_draft(request.source)
    except CandidateFailure as failure:
        message = "; ".join(filter(None, (failure.message, failure.progress)))
        facts = {"stage": failure.stage, "reason": failure.reason, "message": message}
        return report.model_copy(update=facts)
    layers = [
        LayerReport(
            name=layer.name,
            sparsity=layer.zeros / layer.size,
            error=layer.error,
            wanda=layer.wanda,
            parent=layer.parent,
        )
        for layer in trial.layers
    ]
    parents = [layer.parent for layer in trial.layers if layer.parent is not None]
    error = sum(layer.error for layer in trial.layers)
    return report.model_copy(
        update={
            "status": "tried",
            "layers": layers,
            "of_wanda": _multiple(error, sum(layer.wanda for layer in trial.layers)),
            "of_parent": _multiple(error, sum(parents)),
            "seconds": trial.seconds,
            "parent_problem": trial.parent_problem,
        }
    )


def _multiple(error: float, of: float) -> float | None:
    return error / of if of > 0 else None
