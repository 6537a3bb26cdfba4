"""The context of the state machine's nodes: a run's agents, workbench, archive and events."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from autoprune.agents.analyst import Analyst
from autoprune.agents.approval import Approver
from autoprune.agents.briefing import Briefing
from autoprune.agents.critic import Critic
from autoprune.agents.population import Population, load_population, seeds_of
from autoprune.agents.proposer import Proposer, SlotPlan
from autoprune.agents.siblings import Siblings
from autoprune.candidates.library import FoundFunction
from autoprune.config import Config
from autoprune.errors import NotRecorded
from autoprune.gcot.graph import GCoT
from autoprune.llm.reply import Usage, recorded_usage
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Archive, new_session
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.runs.measurement import Measurement
from autoprune.search.budget import Budget, Spent


@dataclass
class SearchContext:
    """A run's agents, workbench and records. `proposers`: engine -> proposer. `models`: the proposer of each of several
    chat models, by its name. `briefing`: renders the prompts of a
    strong model; None for other models. `found`: the found functions that candidates may use. `recorded`: the slots of
    a replay for which there is a proposer's reply. `expected`: seconds by phase of the resource plan, if it was
    made."""

    config: Config
    run: RunDirectory
    archive: Archive
    events: EventLog
    workbench: Workbench
    proposers: dict[str, Proposer]
    critic: Critic
    analyst: Analyst
    approver: Approver
    budget: Budget
    models: dict[str, Proposer] = field(default_factory=dict)
    briefing: Briefing | None = None
    found: Mapping[str, FoundFunction] = field(default_factory=dict)
    recorded: frozenset[str] | None = None
    expected: dict[str, float] = field(default_factory=dict)
    session: str = field(default_factory=new_session)
    started: float = field(default_factory=time.monotonic)
    _populations: dict[int, Population] = field(default_factory=dict, init=False)
    _graphs: dict[int, GCoT] = field(default_factory=dict, init=False)
    """Caches of the last requested generation."""

    def __post_init__(self) -> None:
        self.siblings = Siblings(self.archive)

    def proposer(self, plan: SlotPlan) -> Proposer:
        """That of a slot. Without the model of its plan, which a later session may lack, that of its engine."""
        return self.models.get(plan.get("model", ""), self.proposers[plan["engine"]])

    @property
    def made(self) -> int:
        """The number of measurements that this session has made, instead of looking them up."""
        return self.workbench.measurer.store.made

    def random(self, *place: object) -> Random:
        """A generator that depends only on the run's seed and a place in the run."""
        return Random("/".join(str(part) for part in (self.config.seed, *place)))

    def spent(self) -> Spent:
        """The budget used over all sessions of the run; also stores this session's clock."""
        seconds = self.tick()
        usage = sum(self.usage().values(), start=Usage())
        return Spent(
            candidates=len(self.archive.outcomes()),
            seconds=seconds + self.archive.seconds(but=self.session),
            tokens=usage.tokens_in + usage.tokens_out,
            usd=usage.usd,
        )

    def unrecorded(self) -> str | None:
        """When a recording is replayed: the message about a proposal that it lacks, if there is one."""
        if self.config.llm.provider != "replay":
            return None
        origin = self.run.settings()[1].get("origin")
        generation = origin.get("generation") if isinstance(origin, dict) else None
        copied = generation if isinstance(generation, int) else 0  # generations that a fork has copied
        missing = [outcome for outcome in self.archive.outcomes() if outcome.reason == NotRecorded.reason]
        return next((outcome.message for outcome in missing if outcome.generation > copied), None)

    def tick(self) -> float:
        """Store the seconds of this session for later sessions, and return them."""
        seconds = time.monotonic() - self.started
        self.archive.tick(self.session, seconds)
        return seconds

    def usage(self) -> dict[str, Usage]:
        """The usage of each agent's calls over all sessions of the run."""
        return recorded_usage(self.archive.calls().values())

    def costs(self) -> dict[str, Any]:
        """The same as plain data, for events."""
        return {role: usage.model_dump() for role, usage in sorted(self.usage().items())}

    def population(self, before: int) -> Population:
        """The seeds and the candidates of earlier generations. They do not change during a generation."""
        population = self._populations.get(before)
        if population is None:
            measured = {score: row.perplexity for score, row in self.seeds().items()}
            population = load_population(self.archive, self.run, seeds_of(self.config), measured, before)
            self._populations = {before: population}
        return population

    def seeds(self) -> dict[str, Measurement]:
        """The published scores that the search starts from, measured like candidates on the search split."""
        return {score: self.workbench.seed(score, "search") for score in seeds_of(self.config)}

    def gcot(self, before: int) -> GCoT:
        """The reasoning graph at the beginning of a generation."""
        graph = self._graphs.get(before)
        if graph is None:
            nodes = [node for node in self.archive.nodes() if node.generation < before]
            edges = [edge for edge in self.archive.edges() if edge.generation < before]
            graph = GCoT(nodes, edges, credited=self.config.agents.gcot != "no-credit")
            self._graphs = {before: graph}
        return graph
