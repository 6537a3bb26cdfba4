"""The data of a run from which its report is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.report.candidate import Spending
from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive, Outcome, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event, read_events
from autoprune.runs.measurement import Measurement
from autoprune.runs.quality import Placed


@dataclass(frozen=True)
class Material:
    """The present state of a run.

    graph: by `GCoT.described`; spending: by slot; placed: the measured candidates; measured: subject -> its first
    measurement on the search split, which is the run's own; sources: content hash -> source, None if the file is
    missing or was changed.
    """

    name: str
    config: Config
    record: dict[str, Any]
    events: list[Event]
    picture: Picture
    proposals: list[Proposal]
    outcomes: list[Outcome]
    measured: dict[str, Measurement]
    sources: dict[str, str | None]
    graph: "nx.MultiDiGraph[str]"
    placed: Sequence[Placed]
    spending: dict[str, Spending]

    @classmethod
    def read(
        cls,
        run: RunDirectory,
        archive: Archive,
        graph: "nx.MultiDiGraph[str]",
        placed: Sequence[Placed],
        spending: dict[str, Spending],
    ) -> "Material":
        """Read a run directory. Raises UsageError for unreadable settings."""
        config, record = run.settings()
        events = list(read_events(run.events_file))
        proposals = archive.proposals()
        measured: dict[str, Measurement] = {}
        for measurement in archive.measurements("search"):
            measured.setdefault(measurement.subject, measurement)
        named = dict.fromkeys(proposal.candidate for proposal in proposals if proposal.candidate)
        return cls(
            name=run.path.resolve().name,
            config=config,
            record=record,
            events=events,
            picture=Picture.of(events),
            proposals=proposals,
            outcomes=archive.outcomes(),
            measured=measured,
            sources={name: _source(run, name) for name in named},
            graph=graph,
            placed=placed,
            spending=spending,
        )


def _source(run: RunDirectory, name: str) -> str | None:
    try:
        return run.source(name)
    except AutoPruneError:  # the report shows a message instead of the code
        return None
