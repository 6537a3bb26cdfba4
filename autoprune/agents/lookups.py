"""Tools of the proposer's model, if it supports tool calls: statistics of the target, earlier candidates, and
trials of a draft on a few layers.

Answers contain only data from before the generation began, so a resumed run gets the same ones. For models without
tool calls the reasoning graph puts the most important facts into the prompt.
"""

import logging
from typing import Literal, Protocol

from pydantic import BaseModel, Field

from autoprune.agents.baseline_table import effects_as_text
from autoprune.agents.drafts import MOST_DRAFTS, NAME, Drafts
from autoprune.agents.proposer import Request
from autoprune.config_agents import AgentSettings
from autoprune.llm.recorded_settings import target_name
from autoprune.llm.tools import Tool, Toolbox
from autoprune.measuring.workbench import Workbench
from autoprune.tools.inspect import inspect_target
from autoprune.tools.recall import Recall, recall

logger = logging.getLogger(__name__)
TOOL_ROUNDS = 3
"""Rounds of tool calls before the model must answer; as many more as it may try drafts."""


class Lookups(Protocol):
    """Gives the toolbox for a question of a generation, or None. `drafted`: the request, if the model may try drafts
    of its answer."""

    def __call__(self, generation: int, drafted: Request | None = None) -> Toolbox | None: ...


def no_lookups(generation: int, drafted: Request | None = None) -> None:
    """No tools."""


class Inspect(BaseModel):
    """Which of the target's units to show."""

    by: Literal["skewness", "weight_norm", "input_norm", "outlier_share"] = "skewness"
    order: Literal["largest", "smallest"] = "largest"
    limit: int = Field(8, ge=1, le=30)


def lookups(workbench: Workbench, settings: AgentSettings, provider: str, drafts: Drafts | None = None) -> Lookups:
    """A function that gives a generation's toolbox, or None if tools are off, as with `auto` for a local model.

    `drafts`: makes `try_layers` for a strong model, where it is available; else the reason is logged.
    """
    enabled = settings.tools == "on" or (settings.tools == "auto" and provider == "openai")
    if enabled and drafts is not None and (reason := drafts.unavailable()):
        logger.info(f"the tool {NAME} is not offered: {reason}")
        drafts = None

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

    def toolbox(generation: int, drafted: Request | None = None) -> Toolbox | None:
        def recall_before(request: Recall) -> str:
            candidates = recall(workbench, request, before=generation)
            lines = [candidate.model_dump_json(exclude={"candidate"}) for candidate in candidates]
            return "\n".join(lines) or "nothing yet"

        tools = (
            Tool("inspect_target", "Statistics of the target model's units; what density is worth.", Inspect, inspect),
            Tool("recall", "What this search has tried: the best candidates, or the failures.", Recall, recall_before),
        )
        if drafts is None or drafted is None:
            return Toolbox(tools, TOOL_ROUNDS)
        return Toolbox((*tools, drafts.tool(drafted)), TOOL_ROUNDS + MOST_DRAFTS)

    return toolbox if enabled else no_lookups
