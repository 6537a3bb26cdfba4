"""Settings of the agents: their chat models, how they work, and the approval of what they propose."""

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from autoprune.config_sections import Positive, Settings
from autoprune.config_values import Address, Kit, Once, Operator, Operators, Profile, Provider


class RoleSettings(Settings):
    """Settings of one agent's chat model that differ from `llm`."""

    model: str | None = Field(None, description="model name or GGUF file")
    base_url: Address | None = Field(None, description="an OpenAI-compatible endpoint, also beside a local model")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(None, description="sampling temperature")
    max_reply_tokens: Positive | None = Field(None, description="maximum reply length in tokens")


Role = Literal["proposer", "critic", "analyst"]


class ChatSettings(Settings):
    """The chat model of one agent."""

    provider: Provider = Field(
        "auto",
        description="self: the target itself, from the GGUF file of its weights; replay: the replies of a recording",
    )
    model: str | None = Field(None, description="openai: model name; local, self: GGUF file")
    base_url: Address | None = Field(None, description="openai: endpoint; default: OPENAI_BASE_URL, or the vendor's")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.8, description="sampling temperature")
    profile: Literal["auto", Profile] = Field(
        "auto",
        description="prompts: strong for a model that can design a whole algorithm, small for one that needs "
        "step-by-step guidance; auto: strong for an endpoint, small for a model on this machine",
    )
    max_reply_tokens: Positive | None = Field(
        None,
        description="maximum reply length in tokens, fewer for a slow model on this machine; default: 700 for the "
        "small profile, 16384 for strong",
    )
    timeout: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="time limit of a reply in seconds; for streams, seconds without a token; default: 120 for the "
        "small profile, 600 for strong",
    )
    retries: Annotated[int, Field(ge=0)] = Field(4, description="retries after 429, 5xx and time-outs")
    record: bool = Field(False, description="store all requests and replies in the run's recording.jsonl")
    recording: str | None = Field(None, description="replay: a file, or the name of a shipped recording")

    @property
    def reply_tokens(self) -> int:
        """Maximum length of a reply in tokens."""
        return self.max_reply_tokens or (16384 if self.profile == "strong" else 700)

    @property
    def context_tokens(self) -> int:
        """Context length of a model on this machine, with room for the prompts of the profile and a reply."""
        return 32_768 if self.profile == "strong" else 8192

    @property
    def reply_seconds(self) -> float:
        """Timeout of a reply, or between tokens of one that streams, in seconds."""
        return self.timeout or (600.0 if self.profile == "strong" else 120.0)

    @property
    def patience(self) -> float:
        """Target for the seconds of a whole reply of a model on this machine; a slow one is asked for shorter ones."""
        return 900.0 if self.profile == "strong" else 90.0

    @property
    def fewest_tokens(self) -> int:
        """Lower limit of a reply's length even for a slow model: shorter replies hold no complete candidate."""
        return 4096 if self.profile == "strong" else 400


def _with_own(roles: dict[Role, RoleSettings]) -> dict[Role, RoleSettings]:
    """The roles with settings of their own, in a fixed order."""
    return {role: roles[role] for role in get_args(Role) if roles.get(role, RoleSettings()) != RoleSettings()}


def proposer_named(model: str) -> str:
    """The key of one of several models that propose, beside those of the roles."""
    return f"proposer: {model}"


class LLMSettings(ChatSettings):
    """The chat models. API keys are read from the environment (OPENAI_API_KEY), never from a file."""

    roles: Annotated[dict[Role, RoleSettings], AfterValidator(_with_own)] = Field(
        {},
        description="model, base_url, temperature and max_reply_tokens of a single agent: `llm.roles.critic.model=...`",
    )

    models: Annotated[list[Annotated[str, Field(min_length=1)]], Once] = Field(
        [],
        description="openai: models of the endpoint that propose in one run, each slot by the one that promises most "
        "for its share of the limits; the other agents have `model`, or the first of these",
    )

    def of_role(self, role: Role) -> RoleSettings:
        return self.roles.get(role, RoleSettings())

    def for_role(self, role: Role) -> ChatSettings:
        """The complete settings of an agent's chat model, which are equal for agents that can share one."""
        common = {name: getattr(self, name) for name in ChatSettings.model_fields}
        first = {"model": self.models[0]} if self.models and (role == "proposer" or self.model is None) else {}
        return ChatSettings(**common | first | self.of_role(role).model_dump(exclude_none=True))

    def proposers(self) -> dict[str, ChatSettings]:
        """The complete settings of each of several models that propose; empty for a single one."""
        own = self.for_role("proposer")
        return {model: own.model_copy(update={"model": model}) for model in self.models}


def _switch(value: Any) -> Any:
    """Convert booleans, as which YAML reads on and off."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


def _kit(value: Any) -> Any:
    """Convert the former values on and off, also as the booleans that YAML reads."""
    value = _switch(value)
    return "published" if value == "on" else value


class AgentSettings(Settings):
    """The proposer, the critic and the analyst."""

    critic: Literal["auto", "llm", "rules"] = Field(
        "auto",
        description="reviews candidates before they run; auto: the chat model with the strong profile, with self, or "
        "if the critic has its own, else rules",
    )
    analyst: Literal["auto", "llm", "rules"] = Field(
        "auto", description="writes a lesson after each generation; auto: the chat model, if there is one"
    )
    symbolic_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.25, description="share of proposals by the symbolic engine in searches with an LLM"
    )
    tools: Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)] = Field(
        "auto",
        description="allow the proposer to call inspect_target, recall and try_layers; auto: unless its model is local",
    )
    kit: Annotated[Kit, BeforeValidator(_kit)] = Field(
        "published",
        description="what candidates may import as autoprune.kit: functions of published algorithms; all: also "
        "found functions (`autoprune kit list`); off: nothing",
    )
    gcot: Literal["full", "flat", "none", "no-credit"] = Field(
        "full",
        description="the proposer's view of the reasoning graph; flat: only the parents and their measurements; "
        "no-credit: as full, but paths are not weighted by their results",
    )
    parents: Literal["rank", "random", "map"] = Field(
        "rank", description="how parents are drawn; map: the best of each kind of candidate, uniformly by kind"
    )
    operators: Operators | None = Field(
        None, description=f"operators that slots may have ({', '.join(get_args(Operator))}); default: all"
    )
    sections: Literal["bandit", "all"] = Field(
        "bandit", description="parts of the proposer's prompt; bandit: favours those that pay off in this run"
    )


Ruling = Literal["approve", "reject", "ask"]
"""Decisions of a rule on a candidate."""
Answer = Literal["approve", "modify", "reject"]
"""Decisions of a person on a candidate."""


class ApprovalRule(Settings):
    """One rule of an approval policy, which applies to a candidate if all its conditions hold."""

    findings: Literal["none", "any", "warning", "error"] | None = Field(
        None, description="findings of the source screen"
    )
    imports: list[str] | None = Field(None, description="the source imports one of these modules")
    operators: list[str] | None = Field(None, description="it was proposed by one of these operators")
    engines: list[str] | None = Field(
        None, description="it was proposed by one of these engines: llm, symbolic, trials"
    )
    expensive: bool | None = Field(None, description="it needs the gradient or the Hessian (time, memory)")
    longer_than: Annotated[int, Field(ge=0)] | None = Field(None, description="its source is longer, in bytes")
    decision: Ruling
    comment: str = Field("", description="with reject: a comment for the proposer")


class ApprovalPolicy(Settings):
    """For `approval: file`: the first matching rule decides; without one, `otherwise` applies."""

    rules: list[ApprovalRule] = Field([], description="rules in order of precedence")
    otherwise: Ruling = "ask"
