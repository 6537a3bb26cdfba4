"""The groups of settings, each with its defaults, bounds and descriptions."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from autoprune.config_values import (
    FROM_STATISTICS,
    Allocation,
    Allocations,
    BosSetting,
    ExecutorKind,
    Patterns,
    Refinements,
    SandboxEngine,
    Scores,
    StoreAddress,
    TrackerName,
    Updates,
)
from autoprune.leagues import COMPENSATED, STRUCTURED, League
from autoprune.pruning.allocation.table import STATIC
from autoprune.pruning.fields import Unit
from autoprune.pruning.published import EXPRESSIONS
from autoprune.pruning.refinements.spec import SWAP_ROUNDS
from autoprune.pruning.shapes import STRUCTURES
from autoprune.pruning.updates.table import NAMES as UPDATES

HUGE = 2**62
"""Upper bound of counts, within the range of integers in torch, SQLite and PostgreSQL."""
Positive = Annotated[int, Field(gt=0, le=HUGE)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """A node of the tree of settings: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(Settings):
    """Sources and sizes of texts. Lengths in tokens."""

    source: str = Field(
        "builtin", description="search and report text: builtin, wikitext2, c4, hf:NAME, or a file of rows or text"
    )
    calibration: str = Field("builtin", description="calibration text; the same choices")
    calibration_samples: Positive = Field(16, description="number of calibration sequences of seqlen tokens")
    seqlen: Annotated[int, Field(ge=8)] = Field(512, description="window length in tokens")
    search_windows: Positive = Field(16, description="windows of the search split (fitness)")
    report_windows: Positive = Field(24, description="windows of the report split (measured once, at the end)")
    bos: BosSetting = Field(
        "auto",
        description="BOS token before every window; auto: if the tokenizer begins texts with it and "
        "it improves the dense model by 0.1 nats per token on two windows",
    )


class AllocationSettings(Settings):
    """The distribution of sparsity over units for candidates without their own `allocate`."""

    name: Allocation = Field(
        "sdsa",
        description=f"the allocation ({', '.join(FROM_STATISTICS)}); sdsa-paper: uses the skewness itself, not its log",
    )
    unit: Unit = Field("block", description="the unit that has its own sparsity")


class SandboxSettings(Settings):
    """Limits on one candidate. Memory in MiB, time in seconds of wall clock."""

    engine: SandboxEngine = Field(
        "auto", description="a container, or processes on this machine; auto: docker if an engine is available"
    )
    seconds: Annotated[float, Field(gt=0)] = Field(120.0, description="wall clock time for the whole candidate")
    memory_mb: Positive = Field(
        4096, description="memory of a candidate (local: of each of its processes), shared target excluded"
    )
    image: str = Field("autoprune-sandbox:latest", description="docker: image name")
    gpu: bool = Field(False, description="docker: give candidates the engine's GPU (and access to its driver)")


class ExecutorSettings(Settings):
    """Where candidates are scored and measured, and how many in parallel."""

    kind: ExecutorKind = Field(
        "here", description="here: one at a time in this process; processes: on this machine; ray: on a cluster"
    )
    workers: Positive | None = Field(
        None,
        description="number of parallel workers; default: as many as a generation has candidates, if there is room; "
        "more than the number of GPUs share them",
    )
    address: str | None = Field(
        None,
        description="ray: HOST:PORT, auto (the cluster on this machine) or local (a new one); default: an existing "
        "one, or local",
    )


class SearchSettings(Settings):
    """Limits of the search, of which the first one that is reached ends the run, and what may be proposed."""

    max_candidates: Positive = Field(12, description="maximum number of candidates")
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(None, description="maximum wall clock time in minutes")
    max_tokens: Positive | None = Field(None, description="maximum number of chat model tokens, read and written")
    max_usd: Annotated[float, Field(gt=0)] | None = Field(
        None, description="maximum cost in US dollars; the model's price must be known"
    )
    generation_size: Positive = Field(3, description="candidates per generation, between two choices of parents")
    league: Literal["mask", "update"] = Field(
        "mask",
        description="mask: candidates only choose masks; update: they may also update the kept weights, and the "
        "baselines include published updates",
    )
    structure: Literal["width", "heads", "depth", "mix"] | None = Field(
        None,
        description="remove structures instead of single weights: width (FFN channels), heads, depth (decoder blocks), "
        "mix (channels and heads); the sparsity is then the share of the decoder blocks' parameters",
    )
    compensate: Literal["none", "bias", "least-squares"] = Field(
        "none",
        description="with a structure, for candidates without an `update` of their own: what becomes of the layers "
        "that read removed structures; none: candidates only choose structures",
    )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of structures that candidates rank; none in a search of single weights."""
        return STRUCTURES[self.structure] if self.structure else ()

    @property
    def of_league(self) -> League:
        """The league of a run, the widest of its candidates."""
        if self.structure is None:
            return self.league
        return STRUCTURED if self.compensate == "none" else COMPENSATED


class BaselineSettings(Settings):
    """Published algorithms with which candidates are compared: each score with each allocation."""

    scores: Scores = Field(["magnitude", "wanda"], description=f"published scores ({', '.join(EXPRESSIONS)}), or all")
    allocations: Allocations = Field(
        ["uniform", "sdsa"],
        description=f"allocations ({', '.join(STATIC)}), each with every score, or all",
    )
    refinements: Refinements = Field(
        ["none", "swaps"],
        description="mask refinements for Wanda and the best score under uniform allocation: none, "
        f"dsnot (DSnoT), swaps ({SWAP_ROUNDS} rounds, needs full Hessians), or all",
    )
    updates: Updates = Field(
        ["obs"],
        description=f"search.league=update: updates of the kept weights ({', '.join(UPDATES)}), or all; with their "
        "own masks (obs: SparseGPT) and, if possible, with the refined masks",
    )
    tune: bool = Field(
        False, description="tune the free parameters of these allocations on the search split for each score"
    )


class ConfirmationSettings(Settings):
    """The conditions under which finalists and baselines are measured on the report split after the search."""

    finalists: Positive = Field(2, description="number of best candidates measured on the report split")
    seeds: Positive = Field(1, description="number of calibration samples for the confirmation")
    baselines: Annotated[int, Field(ge=0)] = Field(
        3, description="number of baselines, by search perplexity, with all these samples; the others get the first"
    )
    sparsities: list[Share] = Field([], description="other sparsities for the confirmation")
    patterns: Patterns = Field([], description="N:M patterns for the confirmation, for example 2:4")
    tune_elsewhere: bool = Field(
        True,
        description="tune parameters again at other sparsities and on a second model; false: keep those of the run",
    )
    transfer_model: str | None = Field(None, description="a second model for the confirmation")
    transfer_windows: Annotated[int, Field(ge=2)] | None = Field(
        None, description="windows of each split on the second model; default: as many as on the first"
    )


class TrackingSettings(Settings):
    """An experiment tracker to which a search is logged while it runs. Keys are read from the environment."""

    to: TrackerName = Field("none", description="the experiment tracker; it needs the extra of its name")
    uri: StoreAddress | None = Field(
        None,
        description="the tracker's store or server; default: MLFLOW_TRACKING_URI or WANDB_BASE_URL, else for mlflow an "
        "SQLite file in the run directory",
    )
    project: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        "autoprune", description="MLflow's experiment, or W&B's project"
    )


class AdvancedSettings(Settings):
    """Settings that few searches need to change."""

    memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        None, description="host memory that offload=auto may use, in GiB; default: what is free"
    )
    cache: bool = Field(True, description="store measurements in the user's cache, for all runs")
    racing: bool = Field(
        True, description="stop candidates that paired tests show to be worse than the worst of the elite"
    )
    layer_error: Annotated[float, Field(gt=0)] | None = Field(
        1.2,
        description="stop candidates whose weighted reconstruction error on a few decoder blocks, relative to Wanda's "
        "with as many zeros per layer, exceeds this multiple of the largest in the elite; null: off",
    )
    deepen: Annotated[int, Field(ge=0)] = Field(
        1,
        description="number of best candidates tried with more rounds at the end; 0: also disables the operator deepen",
    )
    polish: Annotated[int, Field(ge=0)] = Field(
        6,
        description="generations of trials to improve the best candidate's allocation at the end; 0: also disables the "
        "operator polish",
    )
    parameter_trials: Annotated[int, Field(ge=0)] = Field(
        12,
        description="trials in each of the two stages that tune a candidate's free parameters (PARAMS); 0: use "
        "the middle of each range",
    )
    revisions: Annotated[int, Field(ge=0, le=2)] = Field(
        2, description="maximum number of revisions of a candidate, requested by the critic or the sandbox"
    )
    symbolic_first: bool | None = Field(
        None,
        description="start with the symbolic engine's share of proposals, in whole generations; default: with "
        "a chat model on this machine, which may need minutes for its first proposal",
    )
