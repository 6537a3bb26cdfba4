"""Tools of the proposer's model, if it supports tool calls: statistics of the target, and earlier candidates.

Answers contain only data from before the generation began, so a resumed run gets the same ones. For models without
tool calls the reasoning graph puts the most important facts into the prompt.
"""

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, Field

from autoprune.agents.briefing import effects_as_text
from autoprune.config_agents import AgentSettings
from autoprune.llm.recorded_settings import target_name
from autoprune.llm.tools import Tool, Toolbox
from autoprune.measuring.workbench import Workbench
from autoprune.tools.inspect import inspect_target
from autoprune.tools.recall import Recall, recall

Lookups = Callable[[int], Toolbox | None]
TOOL_ROUNDS = 3
"""Rounds of tool calls before the model must answer."""


class Inspect(BaseModel):
    """Which of the target's units to show."""

    by: Literal["skewness", "weight_norm", "input_norm", "outlier_share"] = "skewness"
    order: Literal["largest", "smallest"] = "largest"
    limit: int = Field(8, ge=1, le=30)


def lookups(workbench: Workbench, settings: AgentSettings, provider: str) -> Lookups:
    """A function that gives a generation's toolbox, or None if tools are off, as with `auto` for a local model."""
    enabled = settings.tools == "on" or (settings.tools == "auto" and provider == "openai")

    def inspect(request: Inspect) -> str:
        target = inspect_target(workbench)
        units = sorted(target.units, key=lambda unit: getattr(unit, request.by), reverse=request.order == "largest")
        lines = [
            " ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in unit)
            for unit in units[: request.limit]
        ]
        head = f"{target_name(target.name)}: {target.weights} weights in {len(units)} units, dense perplexity "
        effects = [effects_as_text(target.effects, target.effects_of)] if target.effects else []
        return "\n".join([f"{head}{target.dense_perplexity:.2f}; {request.order} {request.by} first", *lines, *effects])

    def toolbox(generation: int) -> Toolbox | None:
        def recall_before(request: Recall) -> str:
            candidates = recall(workbench, request, before=generation)
            lines = [candidate.model_dump_json(exclude={"candidate"}) for candidate in candidates]
            return "\n".join(lines) or "nothing yet"

        tools = (
            Tool("inspect_target", "Statistics of the target model's units; what density is worth.", Inspect, inspect),
            Tool("recall", "What this search has tried: the best candidates, or the failures.", Recall, recall_before),
        )
        return Toolbox(tools, TOOL_ROUNDS)

    return toolbox if enabled else lambda generation: None
