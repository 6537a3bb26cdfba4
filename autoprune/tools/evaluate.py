"""The tool `evaluate_candidate`: a candidate's name goes in, its perplexity or its failure comes out."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from autoprune.errors import CandidateFailure
from autoprune.evaluation.ladder import Ladder, StoppedEarly
from autoprune.evaluation.racing import ERROR_RATE, Race
from autoprune.evaluation.signature import Unlike, nearest
from autoprune.measuring.workbench import Workbench
from autoprune.runs.measurement import Measurement

TOLD = {"sparsity", "zeros", "seconds", "memory_bytes", "cached", "diagnostics"}
"""What a report has of its measurement under the same names."""


class EvaluateCandidate(BaseModel):
    """The tool's input. `against` lists the subjects whose masks a new candidate must differ from, `elite` those whose
    company it must be able to enter, best first; without an elite nothing is stopped early."""

    candidate: str = Field(description="content hash of the candidate's source")
    against: list[str] = Field(default_factory=list)
    elite: list[str] = Field(default_factory=list)


class CandidateReport(BaseModel):
    """The tool's output. Without a perplexity, stage, reason and message say why.

    `agreement` is the largest share of mask bits in common with one of `against`, `nearest` which that is. Of one that
    was stopped: after how many `windows_measured`, with which `partial_perplexity` on these, and the perplexity on all
    windows that may be expected from that (`estimated_perplexity`). `cached`: found, not measured now. `memory_bytes`:
    by how much the candidate's process grew at most, where the sandbox can see that.
    """

    candidate: str
    status: Literal["measured", "stopped", "failed", "duplicate"]
    perplexity: float | None = None
    partial_perplexity: float | None = None
    estimated_perplexity: float | None = None
    windows_measured: int | None = None
    cached: bool = False
    sparsity: float | None = None
    zeros: int | None = None
    worst_layers: list[str] = Field(default_factory=list)
    seconds: dict[str, float] = Field(default_factory=dict)
    memory_bytes: int | None = None
    agreement: float | None = None
    nearest: str = ""
    flags: list[str] = Field(default_factory=list)
    stage: str = ""
    reason: str = ""
    message: str = ""
    diagnostics: str = ""


def evaluate_candidate(workbench: Workbench, request: EvaluateCandidate) -> CandidateReport:
    """Run a candidate in the sandbox and measure its masks on the search split; its failure is a result too."""
    known = {subject: workbench.recorded(subject, "search") for subject in request.against}
    others = {subject: row.signature for subject, row in known.items() if row is not None}
    ladder = Ladder(Unlike(others), *_rungs(workbench, request.elite))
    try:
        measured = workbench.measurer.candidate(request.candidate, workbench.candidates_recipe, "search", ladder)
    except StoppedEarly as stopped:
        return _stopped(request.candidate, stopped, others)
    except CandidateFailure as failure:
        return CandidateReport(
            candidate=request.candidate,
            status="duplicate" if failure.reason == "duplicate" else "failed",
            stage=failure.stage,
            reason=failure.reason,
            message=failure.message,
            diagnostics=failure.diagnostics,
        )
    return _report(measured, others, workbench.dense("search").perplexity)


def _rungs(workbench: Workbench, elite: list[str]) -> tuple[float | None, Race | None]:
    """The largest reconstruction error that is let through, and the race against the worst of the elite; None: no such
    rung."""
    settings = workbench.config.advanced
    rows = [row for subject in elite if (row := workbench.recorded(subject, "search")) is not None]
    if not rows:
        return None, None
    errors = [error for row in rows if (error := row.reconstruction) is not None]
    most = settings.layer_error * max(errors) if errors and settings.layer_error is not None else None
    worst = max(rows, key=lambda row: row.perplexity)
    race = Race.against(worst.short_name, worst.window_losses, ERROR_RATE)
    return most, race if settings.racing else None


def _stopped(candidate: str, stopped: StoppedEarly, others: dict[str, bytes]) -> CandidateReport:
    partial = stopped.partial
    measured = len(partial.window_losses)
    return CandidateReport(
        candidate=candidate,
        status="stopped",
        partial_perplexity=partial.perplexity if measured else None,
        estimated_perplexity=stopped.estimate,
        windows_measured=measured,
        stage=stopped.stage,
        reason=stopped.reason,
        message=stopped.message,
        **_known(partial, others if partial.signature else {}),
    )


def _report(measured: Measurement, others: dict[str, bytes], dense: float) -> CandidateReport:
    suspect = ["better than the dense model: suspect"] if measured.perplexity < dense else []
    return CandidateReport(
        candidate=measured.subject,
        status="measured",
        perplexity=measured.perplexity,
        flags=suspect,
        **_known(measured, others),
    )


def _known(measured: Measurement, others: dict[str, bytes]) -> dict[str, Any]:
    """What is told of a candidate, whether it was measured to the end or stopped."""
    twin, share = nearest(measured.signature, others)
    return {
        **measured.model_dump(include=TOLD),
        "worst_layers": measured.worst_layers,
        "agreement": share if others else None,
        "nearest": twin,
    }
