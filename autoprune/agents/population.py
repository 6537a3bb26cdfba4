"""The algorithms that a generation can build on: the seeds and all earlier candidates, with their measurements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoprune.agents.symbolic.expression import SEEDS
from autoprune.agents.symbolic.source import source
from autoprune.agents.symbolic.structures import IMPORTANCE
from autoprune.agents.symbolic.structures import formula as structure_formula
from autoprune.agents.symbolic.structures import seeds as structure_seeds
from autoprune.agents.symbolic.structures import source as structure_source
from autoprune.config import Config
from autoprune.mathematics import formula
from autoprune.pruning.published import Expression
from autoprune.runs.archive import SEED, Archive, Outcome, Proposal
from autoprune.runs.directory import RunDirectory

ELITE = 2
"""Best candidates so far: the reference for early stopping, and the parents of a strong model."""


@dataclass(frozen=True)
class Algorithm:
    """One individual: its name in the reasoning graph, thought, code, and measured perplexity (None if it failed)."""

    name: str
    title: str
    source: str
    perplexity: float | None
    thought: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    worst_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Population:
    """Individuals that ended before a generation, in order of age."""

    algorithms: list[Algorithm]

    def named(self, name: str) -> Algorithm:
        return next(algorithm for algorithm in self.algorithms if algorithm.name == name)

    def ranked(self) -> list[Algorithm]:
        """Measured algorithms, lowest perplexity first; of several with the same code only the oldest."""
        unique: dict[str, Algorithm] = {}
        for algorithm in self.algorithms:
            if algorithm.perplexity is not None:
                unique.setdefault(algorithm.source, algorithm)
        return sorted(unique.values(), key=lambda algorithm: (algorithm.perplexity or 0.0, algorithm.name))

    def failed(self) -> list[Algorithm]:
        """Algorithms that failed and could be repaired, latest first."""
        return [algorithm for algorithm in reversed(self.algorithms) if algorithm.failure]


def is_seed(name: str) -> bool:
    """Whether an individual is a published score."""
    return name.startswith(SEED)


@dataclass(frozen=True)
class Seed:
    """A published method as a candidate: its formula as text, its thought and its source."""

    text: str
    thought: dict[str, Any]
    source: str


def seeds_of(config: Config) -> dict[str, Seed]:
    """The published methods that the search starts from, by name.

    Of single weights these are the scores of the baselines that the symbolic engine can express; if there is none, all
    that it can express. Of structures all that it can express and that rank what is removed.
    """
    kinds = config.search.kinds
    if kinds:
        return {
            name: Seed(structure_formula(expression), {IMPORTANCE: expression}, structure_source(expression, kinds))
            for name, expression in structure_seeds(kinds).items()
        }
    scores = [score for score in config.baselines.scores if score in SEEDS] or list(SEEDS)
    return {score: _seed(*SEEDS[score]) for score in scores}


def _seed(expression: Expression, group: str) -> Seed:
    text = f"{formula(expression)}, compared within each {group}"
    return Seed(text, {"expression": expression}, source(expression, group))


def seed_name(score: str) -> str:
    """The node of a published score in the reasoning graph."""
    return f"{SEED}{score}"


def load_population(
    archive: Archive, run: RunDirectory, seeds: Mapping[str, Seed], measured: Mapping[str, float], before: int
) -> Population:
    """The seeds (with their measured perplexities) and all candidates of generations before `before`."""
    algorithms = [
        Algorithm(seed_name(name), name, seed.source, measured[name], seed.thought) for name, seed in seeds.items()
    ]
    last = {proposal.slot: proposal for proposal in archive.proposals() if proposal.generation < before}
    for outcome in archive.outcomes():
        proposal = last.get(outcome.slot)
        if proposal is not None and proposal.candidate is not None:
            algorithms.append(_individual(proposal, outcome, run.source(proposal.candidate)))
    return Population(algorithms)


def _individual(proposal: Proposal, outcome: Outcome, source: str) -> Algorithm:
    measured = outcome.status == "measured"
    return Algorithm(
        name=proposal.slot,
        title=str(proposal.thought.get("idea", "")),
        source=source,
        perplexity=outcome.data.get("perplexity") if measured else None,
        thought=proposal.thought,
        failure=f"{outcome.stage}: {outcome.reason}: {outcome.message}" if outcome.status == "failed" else "",
        worst_layers=tuple(outcome.data.get("worst_layers", [])) if measured else (),
    )
