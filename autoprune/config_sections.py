"""The groups of settings, each with its defaults, bounds and descriptions."""

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from autoprune.config_values import (
    FROM_STATISTICS,
    SWAP_ROUNDS,
    Address,
    Allocation,
    Allocations,
    BosSetting,
    ExecutorKind,
    Operator,
    Operators,
    Patterns,
    Profile,
    Provider,
    Refinements,
    SandboxEngine,
    Scores,
)
from autoprune.pruning.allocation.table import STATIC
from autoprune.pruning.fields import Unit
from autoprune.pruning.published import EXPRESSIONS

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

    engine: SandboxEngine = Field(
        "auto", description="a container, or processes of this machine; auto: docker where an engine answers"
    )
    seconds: Annotated[float, Field(gt=0)] = Field(120.0, description="wall clock for the whole candidate")
    memory_mb: Positive = Field(
        4096, description="memory of a candidate (local: of each of its processes), shared target excluded"
    )
    threads: Annotated[int, Field(ge=0)] = Field(0, description="CPU threads for a candidate; 0 = all")
    processes: Annotated[int, Field(ge=0)] = Field(
        0, description="local: processes that share a candidate's layers and threads; 0 = two, of two threads or more"
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
    """Settings of one agent's chat model that differ from `llm`."""

    model: str | None = Field(None, description="model name or GGUF file")
    base_url: Address | None = Field(None, description="an OpenAI-compatible endpoint, beside a local model too")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="sampling temperature")
    max_reply_tokens: Positive | None = Field(None, description="longest reply in tokens")


Role = Literal["proposer", "critic", "analyst"]


class ChatSettings(Settings):
    """The chat model of one agent."""

    provider: Provider = Field(
        "auto",
        description="self: the target itself, from the GGUF file of its weights; replay: the replies of a recording",
    )
    model: str | None = Field(None, description="openai: model name; local, self: GGUF file")
    base_url: Address | None = Field(None, description="openai: endpoint; default OPENAI_BASE_URL or the vendor's")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.8, description="sampling temperature")
    profile: Literal["auto", Profile] = Field(
        "auto",
        description="the prompts: strong for a model that can design a whole algorithm, small for one that needs "
        "step-by-step guidance; auto: strong for an endpoint, small for a model on this machine",
    )
    max_reply_tokens: Positive | None = Field(
        None, description="longest reply in tokens; default: 700 with the small profile, 16384 with the strong one"
    )
    timeout: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="seconds for one reply; of a reply that streams, seconds without a token; default: 120 with the "
        "small profile, 600 with the strong one",
    )
    retries: Annotated[int, Field(ge=0)] = Field(4, description="tries again on 429, 5xx, time-outs")
    context: Positive = Field(8192, description="local: context length in tokens")
    threads: Annotated[int, Field(ge=0)] = Field(0, description="local: CPU threads; 0 = all")
    record: bool = Field(False, description="keep every request and reply in the run's recording.jsonl")
    recording: str | None = Field(
        None, description="replay: the file to play, or a recording of this installation by name"
    )

    @property
    def reply_tokens(self) -> int:
        """Maximum length of a reply in tokens."""
        return self.max_reply_tokens or (16384 if self.profile == "strong" else 700)

    @property
    def reply_seconds(self) -> float:
        """Timeout of a reply, or between tokens of one that streams, in seconds."""
        return self.timeout or (600.0 if self.profile == "strong" else 120.0)


def _with_own(roles: dict[Role, RoleSettings]) -> dict[Role, RoleSettings]:
    """The roles with settings of their own, in a fixed order."""
    return {role: roles[role] for role in get_args(Role) if roles.get(role, RoleSettings()) != RoleSettings()}


class LLMSettings(ChatSettings):
    """The chat models. API keys are read from the environment (OPENAI_API_KEY), never from a file."""

    roles: Annotated[dict[Role, RoleSettings], AfterValidator(_with_own)] = Field(
        {},
        description="single agents' own model, base_url, temperature, max_reply_tokens: `llm.roles.critic.model=...`",
    )

    def of_role(self, role: Role) -> RoleSettings:
        """The agent's own settings."""
        return self.roles.get(role, RoleSettings())

    def for_role(self, role: Role) -> ChatSettings:
        """The complete settings of an agent's chat model, which are equal for agents that can share one."""
        common = {name: getattr(self, name) for name in ChatSettings.model_fields}
        return ChatSettings(**common | self.of_role(role).model_dump(exclude_none=True))


def _switch(value: Any) -> Any:
    """Convert booleans, as which YAML reads on and off."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class AgentSettings(Settings):
    """The proposer, the critic and the analyst."""

    critic: Literal["auto", "llm", "rules"] = Field(
        "auto", description="who reviews candidates before they run; auto: the chat model, where there is one"
    )
    analyst: Literal["auto", "llm", "rules"] = Field(
        "auto", description="who draws a lesson from each generation; auto: the chat model, where there is one"
    )
    symbolic_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.25, description="share of proposals made by the symbolic engine beside an LLM"
    )
    tools: Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)] = Field(
        "auto", description="whether the proposer's model may call inspect_target and recall; auto: unless it is local"
    )
    gcot: Literal["full", "flat", "none", "no-credit"] = Field(
        "full",
        description="what of the reasoning graph the proposer sees; flat: only the parents and their measurements; "
        "no-credit: as full, but paths are not weighed by what came of them",
    )
    parents: Literal["rank", "random", "map"] = Field(
        "rank", description="how parents are drawn; map: the best of a kind of candidate, each kind as often"
    )
    operators: Operators | None = Field(
        None, description=f"operators that may be drawn ({', '.join(get_args(Operator))}); default: all"
    )
    sections: Literal["bandit", "all"] = Field(
        "bandit", description="parts of the proposer's prompt: those that pay off in this run, or all"
    )


class SearchSettings(Settings):
    """Limits of the search. The first one that is reached ends the run."""

    max_candidates: Positive = Field(12, description="candidates in all")
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(None, description="minutes of wall clock")
    max_tokens: Positive | None = Field(None, description="tokens of the chat model, read and written")
    max_usd: Annotated[float, Field(gt=0)] | None = Field(
        None, description="US dollars; the model's price must be known"
    )
    generation_size: Positive = Field(3, description="candidates between two choices of parents")


class BaselineSettings(Settings):
    """Published algorithms with which candidates are compared: each score with each allocation."""

    scores: Scores = Field(["magnitude", "wanda"], description=f"published scores ({', '.join(EXPRESSIONS)}), or all")
    allocations: Allocations = Field(
        ["uniform", "sdsa"],
        description=f"allocations ({', '.join(STATIC)}), each with every one of these scores, or all",
    )
    refinements: Refinements = Field(
        ["none", "swaps"],
        description=f"what becomes of these scores' masks: nothing, or {SWAP_ROUNDS} rounds of swaps by the full "
        "Hessian, of Wanda and of the score that is best with uniform allocation; or all",
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
        description="stop a candidate whose reconstruction error on a few decoder blocks, weighted by the sensitivity "
        "of the loss, is more than so many times the largest of the elite's; null: stop none by it",
    )
    deepen: Annotated[int, Field(ge=0)] = Field(
        1, description="at the end, how many of the best candidates get as many rounds of exchanges as there may be"
    )
    polish: Annotated[int, Field(ge=0)] = Field(
        0, description="at the end, generations of trials that improve the allocation of the best candidate"
    )
    revisions: Annotated[int, Field(ge=0, le=2)] = Field(
        2, description="revisions of a candidate that the critic or the sandbox may ask for"
    )
    veto: bool = Field(False, description="whether a rejection by the LLM critic is final; else measurement decides")
    symbolic_first: bool | None = Field(
        None,
        description="whether the symbolic engine's share comes first, as far as it fills a generation; default: beside "
        "a model on this machine, which may need minutes for its first proposal",
    )


Ruling = Literal["approve", "reject", "ask"]
"""What a rule may say about a candidate."""
Answer = Literal["approve", "modify", "reject"]
"""What a person may say."""


class ApprovalRule(Settings):
    """One rule of an approval policy, which applies to a candidate if all its conditions hold."""

    findings: Literal["none", "any", "warning", "error"] | None = Field(
        None, description="what the source screen found"
    )
    imports: list[str] | None = Field(None, description="the source imports one of these modules")
    operators: list[str] | None = Field(None, description="it was made by one of these operators")
    engines: list[str] | None = Field(None, description="it was proposed by one of these: llm, symbolic")
    expensive: bool | None = Field(None, description="whether it needs the gradient or the Hessian (time, memory)")
    longer_than: Annotated[int, Field(ge=0)] | None = Field(None, description="its source has more bytes")
    decision: Ruling
    comment: str = Field("", description="with reject: a comment for the proposer")


class ApprovalPolicy(Settings):
    """For `approval: file`: the first rule that applies decides; without one, `otherwise` does."""

    rules: list[ApprovalRule] = []
    otherwise: Ruling = "ask"
