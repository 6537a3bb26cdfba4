"""The tool `evaluate_candidate`: measures a candidate by name, and reports its perplexity or its failure."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from autoprune.errors import CandidateFailure
from autoprune.evaluation.ladder import Ladder, StoppedEarly
from autoprune.evaluation.racing import ERROR_RATE, Race
from autoprune.evaluation.signature import Unlike, nearest
from autoprune.leagues import MASK_ONLY, League
from autoprune.measuring.workbench import Workbench
from autoprune.runs.measurement import Measurement

COPIED = {"sparsity", "zeros", "seconds", "memory_bytes", "cached", "diagnostics"}
"""Fields that a report takes from its measurement."""


class EvaluateCandidate(BaseModel):
    """The tool's input. `against`: the subjects whose masks a new candidate must differ from. `elite`: the best
    candidates, best first; one that is clearly worse is stopped early, and without an elite none is."""

    candidate: str = Field(description="content hash of the candidate's source")
    against: list[str] = Field(default_factory=list)
    elite: list[str] = Field(default_factory=list)


class CandidateReport(BaseModel):
    """The tool's output. Without a perplexity, stage, reason and message say why.

    `agreement`: the largest share of mask bits in common with one of `against`, which is `nearest`. If the candidate
    was stopped early: `partial_perplexity` on its `windows_measured`, and `estimated_perplexity` on all windows.
    `reconstruction`: the weighted reconstruction error of the sampled layers as a multiple of Wanda's with as many
    zeros in each, if all of them were seen.
    `cached`: taken from the cache. `memory_bytes`: the peak growth of the candidate's process, where the sandbox
    reports it. `league`: unless it is that of masks only. `progress`: of a failure, as in CandidateFailure.
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
    reconstruction: float | None = None
    worst_layers: list[str] = Field(default_factory=list)
    seconds: dict[str, float] = Field(default_factory=dict)
    memory_bytes: int | None = None
    agreement: float | None = None
    league: League | None = None
    nearest: str = ""
    flags: list[str] = Field(default_factory=list)
    stage: str = ""
    reason: str = ""
    message: str = ""
    progress: str = ""
    diagnostics: str = ""


def evaluate_candidate(workbench: Workbench, request: EvaluateCandidate) -> CandidateReport:
    """Run a candidate in the sandbox and measure its masks on the search split; its failure is a result too."""
    rows = {subject: workbench.recorded(subject, "search") for subject in request.against}
    signatures = {subject: row.signature for subject, row in rows.items() if row is not None}
    ladder = Ladder(Unlike(signatures), *_rungs(workbench, request.elite))
    try:
        recipe = workbench.recipe_of_candidate(request.candidate, "search")
        measured = workbench.measurer.candidate(request.candidate, recipe, "search", ladder)
    except StoppedEarly as stopped:
        return _stopped(request.candidate, stopped, signatures)
    except CandidateFailure as failure:
        return CandidateReport(
            candidate=request.candidate,
            status="duplicate" if failure.reason == "duplicate" else "failed",
            stage=failure.stage,
            reason=failure.reason,
            message=failure.message,
            progress=failure.progress,
            diagnostics=failure.diagnostics,
        )
    suspect = measured.perplexity < workbench.dense("search").perplexity
    return CandidateReport(
        candidate=measured.subject,
        status="measured",
        perplexity=measured.perplexity,
        flags=["better than the dense model: suspect"] if suspect else [],
        **_common(measured, signatures),
    )


def _rungs(workbench: Workbench, elite: list[str]) -> tuple[float | None, Race | None]:
    """The limit of the reconstruction error, and the race against the worst of the elite; None for a rung that is
    off."""
    settings = workbench.config.advanced
    rows = [row for subject in elite if (row := workbench.recorded(subject, "search")) is not None]
    if not rows:
        return None, None
    errors = [error for row in rows if (error := row.reconstruction) is not None]
    limit = settings.layer_error * max(errors) if errors and settings.layer_error is not None else None
    worst = max(rows, key=lambda row: row.perplexity)
    race = Race.against(worst.short_name, worst.window_losses, ERROR_RATE)
    return limit, race if settings.racing else None


def _stopped(candidate: str, stopped: StoppedEarly, signatures: dict[str, bytes]) -> CandidateReport:
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
        **_common(partial, signatures if partial.signature else {}),
    )


def _common(measured: Measurement, signatures: dict[str, bytes]) -> dict[str, Any]:
    """Fields of a report on a candidate that was measured in full or stopped early."""
    twin, share = nearest(measured.signature, signatures)
    return {
        **measured.model_dump(include=COPIED),
        "reconstruction": measured.reconstruction,
        "worst_layers": measured.worst_layers,
        "agreement": share if signatures else None,
        "nearest": twin,
        "league": None if measured.league == MASK_ONLY else measured.league,
    }
