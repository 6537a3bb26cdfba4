"""The groups of settings, each with its defaults, bounds and descriptions."""

from typing import Annotated

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
    Updates,
)
from autoprune.leagues import MASK_ONLY, League
from autoprune.pruning.allocation.table import STATIC
from autoprune.pruning.fields import Unit
from autoprune.pruning.published import EXPRESSIONS
from autoprune.pruning.refinements.spec import SWAP_ROUNDS
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
        "builtin", description="search and report text: builtin, wikitext2, c4, hf:NAME, a file of rows or of text"
    )
    calibration: str = Field("builtin", description="calibration text, the same choices")
    calibration_samples: Positive = Field(16, description="calibration sequences of seqlen tokens")
    seqlen: Annotated[int, Field(ge=8)] = Field(512, description="window length in tokens")
    search_windows: Positive = Field(16, description="windows of the search split (fitness)")
    report_windows: Positive = Field(24, description="windows of the report split (measured once, at the end)")
    bos: BosSetting = Field(
        "auto",
        description="the tokenizer's BOS in front of every window; auto: where the tokenizer begins texts with it and "
        "the dense model is clearly better with it (by 0.1 nats per token on two windows)",
    )


class AllocationSettings(Settings):
    """The distribution of sparsity over units for candidates without their own `allocate`."""

    name: Allocation = Field(
        "sdsa",
        description=f"the allocation ({', '.join(FROM_STATISTICS)}); sdsa-paper: by the skewness itself, not its log",
    )
    unit: Unit = Field("block", description="what has a sparsity of its own")


class SandboxSettings(Settings):
    """Limits on one candidate. Memory in MiB, time in seconds of wall clock."""

    engine: SandboxEngine = Field(
        "auto", description="a container, or processes of this machine; auto: docker where an engine answers"
    )
    seconds: Annotated[float, Field(gt=0)] = Field(120.0, description="wall clock for the whole candidate")
    memory_mb: Positive = Field(
        4096, description="memory of a candidate (local: of each of its processes), shared target excluded"
    )
    image: str = Field("autoprune-sandbox:latest", description="docker: image name")
    gpu: bool = Field(
        False, description="docker: let candidates compute on the engine's GPU (its driver is then in reach)"
    )


class ExecutorSettings(Settings):
    """Where candidates are scored and measured, and how many in parallel."""

    kind: ExecutorKind = Field(
        "here", description="here: one at a time, in this process; processes: on this machine; ray: on a cluster"
    )
    workers: Positive | None = Field(
        None,
        description="side by side; default: a generation's candidates, as far as there is room; more than there are "
        "GPUs share them",
    )
    address: str | None = Field(
        None,
        description="ray: HOST:PORT, auto (the cluster of this machine) or local (a new one); default: what there is",
    )


class SearchSettings(Settings):
    """Limits of the search, of which the first one that is reached ends the run, and what may be proposed."""

    max_candidates: Positive = Field(12, description="candidates in all")
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(None, description="minutes of wall clock")
    max_tokens: Positive | None = Field(None, description="tokens of the chat model, read and written")
    max_usd: Annotated[float, Field(gt=0)] | None = Field(
        None, description="US dollars; the model's price must be known"
    )
    generation_size: Positive = Field(3, description="candidates between two choices of parents")
    league: League = Field(
        MASK_ONLY,
        description="mask: candidates choose masks only; update: they may also update the weights that are kept, and "
        "published scores with such an update are among the baselines",
    )


class BaselineSettings(Settings):
    """Published algorithms with which candidates are compared: each score with each allocation."""

    scores: Scores = Field(["magnitude", "wanda"], description=f"published scores ({', '.join(EXPRESSIONS)}), or all")
    allocations: Allocations = Field(
        ["uniform", "sdsa"],
        description=f"allocations ({', '.join(STATIC)}), each with every one of these scores, or all",
    )
    refinements: Refinements = Field(
        ["none", "swaps"],
        description="refinements of the masks of Wanda and of the score that is best with uniform allocation: none, "
        f"dsnot (DSnoT), swaps ({SWAP_ROUNDS} rounds, needs full Hessians), or all",
    )
    updates: Updates = Field(
        ["obs"],
        description=f"search.league=update: updates of the kept weights ({', '.join(UPDATES)}), or all; with masks of "
        "their own (obs: SparseGPT) and, where they can, with the refined masks",
    )
    tune: bool = Field(
        False, description="choose the free parameters of these allocations on the search split, score by score"
    )


class ConfirmationSettings(Settings):
    """The conditions under which finalists and baselines are measured on the report split after the search."""

    finalists: Positive = Field(2, description="best candidates measured on the report split")
    seeds: Positive = Field(1, description="calibration samples that the finalists are confirmed with")
    baselines: Annotated[int, Field(ge=0)] = Field(
        3, description="baselines, best on the search split, that get all these samples; the others get the first"
    )
    sparsities: list[Share] = Field([], description="other sparsities at which the finalists are confirmed")
    patterns: Patterns = Field([], description="N:M patterns, 2:4 say, under which the finalists are confirmed too")
    tune_elsewhere: bool = Field(
        True,
        description="choose tuned parameters anew at other sparsities and on a second model, or keep the run's own "
        "there",
    )
    transfer_model: str | None = Field(None, description="a second model on which the finalists are confirmed")
    transfer_windows: Annotated[int, Field(ge=2)] | None = Field(
        None, description="windows of each split there, where the run's own number takes too long on a large model"
    )


class AdvancedSettings(Settings):
    """Settings that few searches need to change."""

    memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        None, description="host memory that offload=auto may count on, in GiB; default: what is free"
    )
    cache: bool = Field(True, description="keep measurements in the user's cache, for all runs")
    racing: bool = Field(
        True, description="stop a candidate that paired tests show to be worse than the worst of the elite"
    )
    layer_error: Annotated[float, Field(gt=0)] | None = Field(
        1.2,
        description="stop a candidate whose weighted reconstruction error on a few decoder blocks, relative to Wanda's "
        "with as many zeros per layer, exceeds this multiple of the largest in the elite; null: no such stop",
    )
    deepen: Annotated[int, Field(ge=0)] = Field(
        1,
        description="how many of the best candidates get more rounds of exchanges, or of their own, at the end; 0: the "
        "operator deepen is not drawn either",
    )
    polish: Annotated[int, Field(ge=0)] = Field(
        6,
        description="generations of trials that improve the allocation of the best candidate at the end; 0: the "
        "operator polish is not drawn either",
    )
    parameter_trials: Annotated[int, Field(ge=0)] = Field(
        12,
        description="trials in each of the two stages that tune the free parameters (PARAMS) of a candidate; 0: use "
        "the middles of their ranges",
    )
    revisions: Annotated[int, Field(ge=0, le=2)] = Field(
        2, description="revisions of a candidate that the critic or the sandbox may ask for"
    )
    symbolic_first: bool | None = Field(
        None,
        description="whether the symbolic engine's share comes first, as far as it fills a generation; default: beside "
        "a model on this machine, which may need minutes for its first proposal",
    )
