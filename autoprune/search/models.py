"""Several models that propose in one run: which one has a slot, and what each has cost and gained."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from autoprune.agents.proposer import SlotPlan
from autoprune.config_sections import SearchSettings
from autoprune.llm.reply import Usage, recorded_usage
from autoprune.runs.archive import Archive, Outcome
from autoprune.runs.names import owner_of
from autoprune.search.context import SearchContext

QUESTION = ".propose."
"""Within the keys of a proposer's calls."""


@dataclass(frozen=True)
class ModelRecord:
    """What a model has proposed in a run. `improved`: candidates ahead of their best parent; `gain`: sum over its
    candidates of the log ratio by which they lowered the best perplexity of earlier generations."""

    proposed: int = 0
    measured: int = 0
    improved: int = 0
    gain: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def facts(self) -> dict[str, Any]:
        """As plain data, for events. `gain`: in per cent of perplexity, all gains one after another."""
        counts = {"proposed": self.proposed, "measured": self.measured, "improved": self.improved}
        gain = -100.0 * math.expm1(-self.gain)
        return {**counts, "gain": gain, "tokens": self.usage.tokens_in + self.usage.tokens_out, "usd": self.usage.usd}


def model_records(archive: Archive, models: Sequence[str], before: float = math.inf) -> dict[str, ModelRecord]:
    """The record of each model over the generations before `before`."""
    outcomes = [outcome for outcome in archive.outcomes() if outcome.generation < before]
    proposals = {proposal.slot: proposal for proposal in archive.proposals()}
    calls, records = archive.calls(), {}
    for model in models:
        own = [o for o in outcomes if o.slot in proposals and proposals[o.slot].thought.get("model") == model]
        slots = {outcome.slot for outcome in own}
        asked = [call for key, call in calls.items() if QUESTION in key and owner_of(key) in slots]
        records[model] = ModelRecord(
            proposed=len(own),
            measured=sum(outcome.status == "measured" for outcome in own),
            improved=sum(outcome.data.get("gain", 0.0) > 0 for outcome in own),
            gain=math.fsum(_gain(outcome, outcomes) for outcome in own),
            usage=sum(recorded_usage(asked).values(), start=Usage()),
        )
    return records


def with_models(context: SearchContext, generation: int, plans: list[SlotPlan]) -> list[SlotPlan]:
    """The plans of a generation, each slot of a chat model with the model that proposes there. A replay has none."""
    if not context.models or context.recorded is not None:
        return plans
    records = model_records(context.archive, [*context.models], generation)
    chosen = []
    for place, plan in enumerate(plans, start=1):
        if plan["engine"] == "llm":
            random = context.random(generation, place, "model")
            plan = {**plan, "model": choose_model(records, context.config.search, random)}
        chosen.append(plan)
    return chosen


def choose_model(records: Mapping[str, ModelRecord], limits: SearchSettings, random: Random) -> str:
    """Thompson sampling of the chance to improve on a parent, per share of the run's limits that a proposal takes.

    The shares are of candidates, tokens and money, as far as these are limited; without limits of tokens and money all
    proposals take the same. What a model takes is its mean so far; nothing is known of one that has not proposed.
    """

    def worth(record: ModelRecord) -> float:
        chance = random.betavariate(1 + record.improved, 1 + record.proposed - record.improved)
        return chance / (1 / limits.max_candidates + _share(record, limits))

    draws = {model: worth(record) for model, record in records.items()}
    return max(draws, key=lambda model: draws[model])


def costs(context: SearchContext) -> dict[str, Any]:
    """What the agents have cost, and the record of each of several models that propose, as data of an event."""
    records = model_records(context.archive, [*context.models])
    models = {model: record.facts() for model, record in records.items()}
    return {"agents": context.costs(), **({"models": models} if models else {})}


def _share(record: ModelRecord, limits: SearchSettings) -> float:
    """The share of the limits on tokens and money that a proposal of a model takes."""
    tokens, usd = record.usage.tokens_in + record.usage.tokens_out, record.usage.usd or 0.0
    spent = tokens / limits.max_tokens if limits.max_tokens else 0.0
    spent += usd / limits.max_usd if limits.max_usd else 0.0
    return spent / max(record.proposed, 1)


def _gain(outcome: Outcome, outcomes: Sequence[Outcome]) -> float:
    perplexities = [
        (other.generation, other.data["perplexity"])
        for other in outcomes
        if other.status == "measured" and other.data.get("perplexity")
    ]
    best = min((value for generation, value in perplexities if generation < outcome.generation), default=None)
    own = outcome.data.get("perplexity") if outcome.status == "measured" else None
    return max(math.log(best / own), 0.0) if best and own else 0.0
