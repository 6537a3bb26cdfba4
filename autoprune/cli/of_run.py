"""What the commands that draw a run take from it, beside its events: graph, costs, and the place of each candidate."""

import re
from typing import TYPE_CHECKING

from autoprune.runs.directory import RunDirectory

if TYPE_CHECKING:
    from networkx import MultiDiGraph

    from autoprune.report.candidate import Spending
    from autoprune.runs.archive import Archive
    from autoprune.runs.quality import Placed


def reasoning_graph(directory: RunDirectory, archive: "Archive") -> "MultiDiGraph[str]":
    """The reasoning graph, credited as the run credits it."""
    from autoprune.agents.gcot import GCoT

    credited = directory.settings()[0].agents.gcot != "no-credit"
    return GCoT(archive.nodes(), archive.edges(), credited).described()


def placed_candidates(directory: RunDirectory, archive: "Archive") -> "list[Placed]":
    """The measured candidates with their cells in the map and their costs."""
    from autoprune.agents.cells import cell_of
    from autoprune.runs.quality import place

    return place(directory, archive.outcomes(), cell_of)


def spending_by_slot(archive: "Archive") -> dict[str, "Spending"]:
    """What each slot's calls to chat models used, from the journal of replies; those about a generation (the
    analyst's) stand under its name, as `g1`."""
    from autoprune.agents.chat.reply import Record, recorded_usage
    from autoprune.report.candidate import Spending

    calls: dict[str, list[Record]] = {}
    for key, record in archive.calls().items():
        if named := re.match(r"g\d+(\.c\d+)?(?=\.)", key):
            calls.setdefault(named[0], []).append(Record.model_validate(record))
    return {
        slot: Spending(
            agents={role: used.model_dump() for role, used in sorted(recorded_usage(map(vars, records)).items())},
            models=tuple(dict.fromkeys(turn.model for record in records for turn in record.turns)),
            looked_up=tuple(str(call) for record in records for turn in record.turns for call in turn.calls),
            thinking=tuple(
                f"{record.role}: {turn.thinking}" for record in records for turn in record.turns if turn.thinking
            ),
        )
        for slot, records in calls.items()
    }
