"""Settings whose `auto` depends on the chat model of a run."""

from autoprune.config import Config
from autoprune.config_agents import RoleSettings
from autoprune.llm.provider import Choice, runs_here


def resolved(config: Config, choice: Choice) -> Config:
    """The settings with `auto` resolved for the chosen chat model. They are not stored, since a later session of the
    run may use another model."""
    first = config.advanced.symbolic_first
    if first is None:
        first = runs_here(config.llm, choice)
    critic = config.agents.critic
    is_small = choice.profile == "small" and choice.provider != "self"  # where all agents are to be the target
    if critic == "auto" and is_small and config.llm.of_role("critic") == RoleSettings():
        critic = "rules"  # static analysis finds what a small model overlooks, and costs none of its time
    return config.model_copy(
        update={
            "llm": config.llm.model_copy(update={"profile": choice.profile}),
            "agents": config.agents.model_copy(update={"critic": critic}),
            "advanced": config.advanced.model_copy(update={"symbolic_first": first}),
        }
    )


def check_agents(config: Config, choice: Choice) -> str | None:
    """An error message for agents by LLM without a chat model, or structures by a small model; else None."""
    settings = config.agents
    if config.search.structure is not None and choice.provider != "symbolic" and choice.profile != "strong":
        return (
            "a search of structures needs the prompts of a strong model: set llm.profile=strong, another llm.provider, "
            "or --llm symbolic"
        )
    for role in ("critic", "analyst"):
        if choice.provider == "symbolic" and getattr(settings, role) == "llm":
            return f"agents.{role}=llm needs a chat model, but llm is symbolic; set it to auto or rules"
    return None
