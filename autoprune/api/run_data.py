"""Data of a run for showing it: reasoning graph, costs, each candidate's cell in the map, and the HTML report."""

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from autoprune.runs.files import write_atomically
from autoprune.runs.names import asks_for_thought, owner_of

if TYPE_CHECKING:
    from networkx import MultiDiGraph

    from autoprune.report.candidate import Spending
    from autoprune.runs.archive import Archive
    from autoprune.runs.quality import Placed

REPORT = "report.html"
"""The report's file in the run directory."""


def look_over(directory: RunDirectory, config: Config) -> None:
    """Read all events and rows of a run before a search continues it, so that invalid ones are found at once.

    `config`: settings that open its database. Raises UsageError.
    """
    from autoprune.report.picture import Picture
    from autoprune.report.tables import final_table, run_row
    from autoprune.runs.archive import Archive
    from autoprune.runs.facts import reading_facts
    from autoprune.runs.quality import as_data

    with reading_facts(directory), closing(Archive.of(directory, config)) as archive:
        picture = Picture.of(read_events(directory.events_file))
        final_table(picture)
        placed = placed_candidates(directory, archive)
        data = [run_row(directory.name, picture, 0), as_data(placed), *map(vars, archive.proposals())]
        json.dumps([*data, *map(vars, archive.outcomes())], allow_nan=False)
        reasoning_graph(directory, archive)
        spending_by_slot(archive)
        archive.seconds()
        archive.approvals.pending()
        archive.approvals.switched()


def reasoning_graph(directory: RunDirectory, archive: "Archive") -> "MultiDiGraph[str]":
    """The reasoning graph, credited as the run credits it."""
    from autoprune.gcot.graph import GCoT

    credited = directory.settings()[0].agents.gcot != "no-credit"
    return GCoT(archive.nodes(), archive.edges(), credited).described()


def placed_candidates(directory: RunDirectory, archive: "Archive") -> "list[Placed]":
    """The measured candidates with their cells in the map and their costs."""
    from autoprune.agents.niche import niche_of
    from autoprune.runs.quality import place

    return place(directory, archive.outcomes(), niche_of)


def spending_by_slot(archive: "Archive") -> dict[str, "Spending"]:
    """Slot -> usage of its calls to chat models, from the journal; calls about a generation (the analyst's) have its
    name, as `g1`."""
    from autoprune.llm.reply import Record, recorded_usage
    from autoprune.report.candidate import Spending

    calls: dict[str, list[Record]] = {}
    journal = archive.calls()
    with_chain = {owner_of(key) for key in journal if asks_for_thought(key)}
    for key, record in journal.items():
        if owner := owner_of(key):
            calls.setdefault(owner, []).append(Record.model_validate(record))
    return {
        slot: Spending(
            agents={role: used.model_dump() for role, used in sorted(recorded_usage(map(vars, records)).items())},
            models=tuple(dict.fromkeys(turn.model for record in records for turn in record.turns)),
            looked_up=tuple(str(call) for record in records for turn in record.turns for call in turn.calls),
            thinking=tuple(
                f"{record.role}: {turn.thinking}" for record in records for turn in record.turns if turn.thinking
            ),
            chain_in_prompt=slot in with_chain,
        )
        for slot, records in calls.items()
    }


def report_page(run: RunDirectory, config: Config | None = None) -> str:
    """The HTML report of a run as it is now. `config`: settings with the database's password."""
    from autoprune.report.html.document import report as drawn
    from autoprune.report.html.material import Material
    from autoprune.runs.archive import Archive
    from autoprune.runs.facts import reading_facts

    with reading_facts(run), closing(Archive.of(run, config)) as archive:
        graph, placed = reasoning_graph(run, archive), placed_candidates(run, archive)
        return drawn(Material.read(run, archive, graph, placed, spending_by_slot(archive)))


def write_report(run: RunDirectory, out: Path | None = None, config: Config | None = None) -> None:
    """Write the report to `out`, or into the run; `config` as in `report_page`.

    Raises AutoPruneError if it cannot be written.
    """
    page = report_page(run, config)
    try:
        if out is None:
            write_atomically(run.path / REPORT, page)
        else:
            out.write_text(page, encoding="utf-8", newline="")
    except OSError as error:
        raise AutoPruneError(f"cannot write {out or run.path / REPORT}: {error.strerror}") from None
