"""Everyone and everything that works on one run; handed to the nodes of the state machine as their context."""

import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from autoprune.agents.analyst import Analyst
from autoprune.agents.approval import Approver
from autoprune.agents.briefing import Briefing
from autoprune.agents.critic import Critic
from autoprune.agents.population import Population, load_population, seed_scores
from autoprune.agents.proposer import Proposer
from autoprune.agents.siblings import Siblings
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
    """The agents, their tools' workbench, and the run's record. `proposers` maps an engine's name to its proposer;
    `briefing` is what a strong model is told, None where there is none."""

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
    briefing: Briefing | None = None
    session: str = field(default_factory=new_session)
    started: float = field(default_factory=time.monotonic)
    _populations: dict[int, Population] = field(default_factory=dict, init=False)
    _graphs: dict[int, GCoT] = field(default_factory=dict, init=False)
    """Of the generation that was asked for last."""

    def __post_init__(self) -> None:
        self.siblings = Siblings(self.archive)

    def random(self, *place: object) -> Random:
        """A generator that depends on the run's seed and a place in the run, and on nothing else."""
        return Random("/".join(str(part) for part in (self.config.seed, *place)))

    def spent(self) -> Spent:
        """What the run has used over all its sessions, this one included; also keeps this session's clock."""
        seconds = self.tick()
        usage = sum(self.usage().values(), start=Usage())
        return Spent(
            candidates=len(self.archive.outcomes()),
            seconds=seconds + self.archive.seconds(but=self.session),
            tokens=usage.tokens_in + usage.tokens_out,
            usd=usage.usd,
        )

    def unrecorded(self) -> str | None:
        """While a recording is replayed: the line that says which proposal it lacks, if one was needed."""
        if self.config.llm.provider != "replay":
            return None
        origin = self.run.settings()[1].get("origin")
        found = origin.get("generation") if isinstance(origin, dict) else None
        copied = found if isinstance(found, int) else 0  # generations of the run that this is a fork of
        ends = [outcome for outcome in self.archive.outcomes() if outcome.reason == NotRecorded.reason]
        return next((outcome.message for outcome in ends if outcome.generation > copied), None)

    def tick(self) -> float:
        """Keep this session's clock, for the sessions after it, and say what it shows, in seconds."""
        seconds = time.monotonic() - self.started
        self.archive.tick(self.session, seconds)
        return seconds

    def usage(self) -> dict[str, Usage]:
        """What each agent's calls have used over all sessions of the run."""
        return recorded_usage(self.archive.calls().values())

    def costs(self) -> dict[str, Any]:
        """The same as plain data, for events."""
        return {role: usage.model_dump() for role, usage in sorted(self.usage().items())}

    def population(self, before: int) -> Population:
        """The seeds and the candidates of earlier generations. These have ended, so one reading serves a generation."""
        found = self._populations.get(before)
        if found is None:
            seeds = {score: row.perplexity for score, row in self.seeds().items()}
            found = load_population(self.archive, self.run, seeds, before)
            self._populations = {before: found}
        return found

    def seeds(self) -> dict[str, Measurement]:
        """The published scores that the search starts from, as candidates would be measured on the search split."""
        scores = seed_scores(self.config.baselines.scores)
        return {score: self.workbench.seed(score, "search") for score in scores}

    def gcot(self, before: int) -> GCoT:
        """The reasoning graph as it stood when a generation began; read once, too."""
        found = self._graphs.get(before)
        if found is None:
            nodes = [node for node in self.archive.nodes() if node.generation < before]
            edges = [edge for edge in self.archive.edges() if edge.generation < before]
            found = GCoT(nodes, edges, credited=self.config.agents.gcot != "no-credit")
            self._graphs = {before: found}
        return found
