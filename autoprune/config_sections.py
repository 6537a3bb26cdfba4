"""The groups of settings, each with its defaults, bounds and descriptions."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from autoprune.config_values import (
    SWAP_ROUNDS,
    Address,
    Allocation,
    Allocations,
    Operators,
    Patterns,
    Refinements,
    Scores,
)

HUGE = 2**62
"""Beyond any count that is meant, and within what torch, SQLite and PostgreSQL take for an integer."""
Positive = Annotated[int, Field(gt=0, le=HUGE)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """A node of the tree: frozen, closed, and validated."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(Settings):
    """Texts: where they come from and how they are cut. Lengths in tokens."""

    source: str = Field(
        "builtin", description="search and report text: builtin, wikitext2, c4, hf:NAME, a file of rows or of text"
    )
    calibration: str = Field("builtin", description="calibration text, the same choices")
    calibration_samples: Positive = Field(16, description="calibration sequences of seqlen tokens")
    seqlen: Annotated[int, Field(ge=8)] = Field(512, description="window length in tokens")
    search_windows: Positive = Field(16, description="windows of the search split (fitness)")
    report_windows: Positive = Field(24, description="windows of the report split (measured once, at the end)")
    bos: Literal["auto", "always", "never"] = Field(
        "auto",
        description="the tokenizer's BOS in front of every window; auto: where the tokenizer begins texts with it and "
        "the dense model is clearly better with it (by 0.1 nats per token on two windows)",
    )


class AllocationSettings(Settings):
    """How sparsity is spread over units when a candidate does not bring its own `allocate`."""

    name: Allocation = "sdsa"
    unit: Literal["block", "module", "projection"] = Field("block", description="what gets a sparsity of its own")
    preset: Literal["default", "paper"] = "default"
    kappa: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="SDSA: share of the budget re-weighted")
    tau: Annotated[float, Field(gt=0)] | None = Field(None, description="SDSA: softmax temperature")
    delta: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="SDSA: largest deviation from sparsity")
    tune: bool = Field(False, description="SDSA: choose its parameters on the search split, with the Wanda score")

    @model_validator(mode="after")
    def _only_sdsa_is_tuned(self) -> "AllocationSettings":
        if self.tune and self.name != "sdsa":
            raise ValueError(f"tune chooses SDSA's parameters; the allocation {self.name} does not fit it")
        return self


class SandboxSettings(Settings):
    """Limits on one candidate. Memory in MiB, time in seconds of wall clock."""

    engine: Literal["auto", "docker", "local"] = "auto"
    seconds: Annotated[float, Field(gt=0)] = Field(120.0, description="wall clock for the whole candidate")
    memory_mb: Positive = Field(
        4096, description="memory of a candidate (local: of each of its processes), shared target excluded"
    )
    output_kb: Positive = Field(64, description="how much of what a candidate prints is kept")
    threads: Annotated[int, Field(ge=0)] = Field(0, description="CPU threads for a candidate; 0 = all")
    processes: Annotated[int, Field(ge=0)] = Field(
        0, description="local: processes that share a candidate's layers and threads; 0 = two, of two threads or more"
    )
    image: str = Field("autoprune-sandbox:latest", description="docker: image name")
    gpu: bool = Field(
        False, description="docker: let candidates compute on the engine's GPU (its driver is then in reach)"
    )


class ExecutorSettings(Settings):
    """Where candidates are scored and measured, and how many at a time."""

    kind: Literal["here", "processes", "ray"] = Field(
        "here", description="here: one at a time, in this process; processes: on this machine; ray: on a cluster"
    )
    workers: Positive | None = Field(
        None, description="side by side; default: a generation's candidates, as far as there is room"
    )
    address: str | None = Field(
        None,
        description="ray: HOST:PORT, auto (the cluster of this machine) or local (a new one); default: what there is",
    )
    cores_per_worker: Positive | None = Field(
        None, description="CPU threads of a worker; default: processes share the cores evenly, on ray 1"
    )
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = Field(
        None, description="GPUs of a worker, which may share one (0.5); default: 1 where the target is on a GPU"
    )


class RoleSettings(Settings):
    """What one agent's chat model has of its own; the rest is as in `llm`."""

    model: str | None = Field(None, description="model name or GGUF file")
    base_url: Address | None = Field(None, description="an OpenAI-compatible endpoint, beside a local model too")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_reply_tokens: Positive | None = None


class RolesSettings(Settings):
    """Settings for single agents: `llm.roles.critic.model=...`."""

    proposer: RoleSettings = RoleSettings()
    critic: RoleSettings = RoleSettings()
    analyst: RoleSettings = RoleSettings()


class LLMSettings(Settings):
    """Which chat model answers. Keys come from the environment (OPENAI_API_KEY), never from a file."""

    provider: Literal["auto", "openai", "local", "self", "symbolic", "replay"] = Field(
        "auto",
        description="self: the target itself, from the GGUF file of its weights; replay: the replies of a recording",
    )
    model: str | None = Field(None, description="openai: model name; local, self: GGUF file")
    base_url: Address | None = Field(None, description="openai: endpoint; default OPENAI_BASE_URL or the vendor's")
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    profile: Literal["auto", "strong", "small"] = Field(
        "auto",
        description="the prompts: strong for a model that can design a whole algorithm, small for one that is led "
        "by the hand; auto: strong for an endpoint, small for a model on this machine",
    )
    max_reply_tokens: Positive | None = Field(
        None, description="default: 700 with the small profile, 16384 with the strong one"
    )
    timeout: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="seconds for one reply; of a reply that streams, seconds without a token; default: 120 with the "
        "small profile, 600 with the strong one",
    )
    retries: Annotated[int, Field(ge=0)] = Field(4, description="tries again on 429, 5xx, time-outs")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(0, description="local: loopback port; 0 = any free one")
    context: Positive = Field(8192, description="local: context length in tokens")
    threads: Annotated[int, Field(ge=0)] = Field(0, description="local: CPU threads; 0 = all")
    record: bool = Field(False, description="keep every request and reply in the run's recording.jsonl")
    recording: str | None = Field(
        None, description="replay: the file to play, or a recording of this installation by name"
    )
    roles: RolesSettings = RolesSettings()

    @property
    def reply_tokens(self) -> int:
        """The longest reply, in tokens."""
        return self.max_reply_tokens or (16384 if self.profile == "strong" else 700)

    @property
    def reply_seconds(self) -> float:
        """How long a reply, or the silence in one that streams, may last."""
        return self.timeout or (600.0 if self.profile == "strong" else 120.0)

    def for_role(self, role: str) -> "LLMSettings":
        """The settings of one agent's chat model. Equal for agents that can share one."""
        own: RoleSettings = getattr(self.roles, role)
        return self.model_copy(update=own.model_dump(exclude_none=True) | {"roles": RolesSettings()})


def _switch(value: Any) -> Any:
    """YAML reads on and off as truth values."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class AgentSettings(Settings):
    """The proposer, the critic and the analyst."""

    critic: Literal["auto", "llm", "rules"] = "auto"
    analyst: Literal["auto", "llm", "rules"] = "auto"
    revisions: Annotated[int, Field(ge=0, le=2)] = Field(
        2, description="revisions that the critic or the sandbox may ask for"
    )
    veto: bool = Field(False, description="whether a rejection by the LLM critic is final; else measurement decides")
    symbolic_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.25, description="share of proposals made by the symbolic engine beside an LLM"
    )
    symbolic_first: bool | None = Field(
        None,
        description="whether its share comes first, as far as it fills a generation; default: beside a model on this "
        "machine, which may need minutes for its first proposal",
    )
    tools: Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)] = Field(
        "auto", description="whether the proposer's model may call inspect_target and recall; auto: unless it is local"
    )
    tool_rounds: Annotated[int, Field(ge=1, le=8)] = Field(3, description="turns of such calls before it must answer")
    gcot: Literal["full", "flat", "none", "no-credit"] = "full"
    parents: Literal["rank", "random", "map"] = Field(
        "rank", description="how parents are drawn; map: the best of a kind of candidate, each kind as often"
    )
    operators: Operators | None = Field(None, description="operators that may be drawn; default: all")
    sections: Literal["bandit", "all"] = Field(
        "bandit", description="parts of the proposer's prompt: those that pay off in this run, or all"
    )


class SearchSettings(Settings):
    """How much is searched. The first limit reached ends the run."""

    max_candidates: Positive = 12
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    max_tokens: Positive | None = None
    max_usd: Annotated[float, Field(gt=0)] | None = None
    generation_size: Positive = 3
    finalists: Positive = Field(2, description="best candidates measured on the report split")
    baseline_scores: Scores = Field(
        ["magnitude", "wanda"], description="published scores that candidates are held against, or all"
    )
    baseline_allocations: Allocations = Field(
        ["uniform", "sdsa"], description="allocations, each with every one of these scores, or all"
    )
    baseline_refinements: Refinements = Field(
        ["none", "swaps"],
        description=f"what becomes of these scores' masks: nothing, or {SWAP_ROUNDS} rounds of swaps by the full "
        "Hessian, of Wanda and of the score that is best with uniform allocation; or all",
    )
    tune_baselines: bool = Field(
        False, description="choose the free parameters of these allocations on the search split, score by score"
    )
    tune_elsewhere: bool = Field(
        True,
        description="choose them anew at other sparsities and on a second model, or keep the run's own there",
    )
    confirm_seeds: Positive = Field(1, description="calibration samples that the finalists are confirmed with")
    confirm_baselines: Annotated[int, Field(ge=0)] = Field(
        3, description="baselines, best on the search split, that get all these samples; the others get the first"
    )
    confirm_sparsities: list[Share] = Field([], description="other sparsities at which the finalists are confirmed")
    confirm_patterns: Patterns = Field(
        [], description="N:M patterns, 2:4 say, under which the finalists are confirmed too"
    )
    transfer_model: str | None = Field(None, description="a second model on which the finalists are confirmed")
    transfer_windows: Annotated[int, Field(ge=2)] | None = Field(
        None, description="windows of each split there, where the run's own number takes too long on a large model"
    )
    racing: bool = Field(
        True, description="stop a candidate that paired tests show to be worse than the worst of the elite"
    )
    racing_error: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.05, description="racing: largest probability of stopping a candidate that is no worse"
    )
    elite: Positive = Field(2, description="best candidates so far, by which others are stopped early")
    layer_error: Annotated[float, Field(gt=0)] | None = Field(
        1.2,
        description="stop a candidate whose reconstruction error on a few decoder blocks, weighted by the sensitivity "
        "of the loss, is more than so many times the largest of the elite's; null: stop none by it",
    )
    islands: Positive = Field(2, description="populations of the symbolic engine that evolve side by side")
    migration: Positive = Field(4, description="every how many generations the islands mix")
    deepen: Annotated[int, Field(ge=0)] = Field(
        1, description="at the end, how many of the best candidates get as many rounds of exchanges as there may be"
    )
    polish: Annotated[int, Field(ge=0)] = Field(
        0, description="at the end, generations of trials that improve the allocation of the best candidate"
    )
    cache: bool = Field(True, description="keep measurements in the user's cache, for all runs")


Ruling = Literal["approve", "reject", "ask"]


class ApprovalRule(Settings):
    """One rule of an approval policy. It fits a candidate when all the conditions that it gives hold."""

    findings: Literal["none", "any", "warning", "error"] | None = Field(
        None, description="what the source screen found"
    )
    imports: list[str] | None = Field(None, description="the source imports one of these modules")
    operators: list[str] | None = Field(None, description="it was made by one of these operators")
    engines: list[str] | None = Field(None, description="it was proposed by one of these: llm, symbolic")
    expensive: bool | None = Field(None, description="whether it needs the gradient or the Hessian (time, memory)")
    longer_than: Annotated[int, Field(ge=0)] | None = Field(None, description="its source has more bytes")
    decision: Ruling
    comment: str = Field("", description="with reject: what the proposer is told")


class ApprovalPolicy(Settings):
    """For `approval: file`: the first rule that fits decides; without one, `otherwise` does."""

    rules: list[ApprovalRule] = []
    otherwise: Ruling = "ask"
