"""The origin of a candidate: the data of its run for the files of `autoprune export-algorithm`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoprune.config import Config
from autoprune.report.formulas import formula_of
from autoprune.report.picture import Picture
from autoprune.report.text import one_line
from autoprune.runs.archive import Archive, Outcome, Proposal
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event
from autoprune.runs.lookup import Found


@dataclass(frozen=True)
class Origin:
    """A candidate, its run's settings, and the proposals, outcomes and confirmation there.

    `rows`, `comparisons` and `elsewhere` of the picture contain only this candidate and the baselines.
    """

    run: str
    slot: str
    candidate: str
    source: str
    config: Config
    record: dict[str, Any]
    proposals: dict[str, Proposal]
    outcomes: dict[str, Outcome]
    picture: Picture
    date: str
    """When the candidate was proposed: 2026-11-28."""
    proposed_by: str
    """The chat models that answered for it, or its engine."""
    outdated: Sequence[str] = ()
    """Settings of the run that this version no longer supports."""

    @classmethod
    def of(cls, run: RunDirectory, archive: Archive, events: Sequence[Event], entry: Found) -> "Origin":
        config, record = run.settings()
        return cls(
            run=run.name,
            slot=entry.slot,
            candidate=entry.candidate,
            source=run.source(entry.candidate),
            config=config,
            record=record,
            proposals={proposal.slot: proposal for proposal in archive.proposals()},
            outcomes={outcome.slot: outcome for outcome in archive.outcomes()},
            picture=_of_candidate(Picture.of(events), entry.candidate),
            date=_date(events, entry.slot),
            proposed_by=_proposed_by(events, entry.slot),
            outdated=run.outdated_settings(),
        )

    @property
    def proposal(self) -> Proposal:
        return self.proposals[self.slot]

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the candidate; None for a revision that was not the last of its slot."""
        outcome = self.outcomes.get(self.slot)
        return outcome if outcome is not None and outcome.candidate == self.candidate else None

    @property
    def sentence(self) -> str:
        """The sentence of an agent on the candidate at the end of the run, or empty."""
        explained = self.picture.explained
        return str(explained["text"]) if explained and explained["slot"] == self.slot else ""

    @property
    def formula(self) -> str:
        return formula_of(self.proposal.thought)

    @property
    def confirmed(self) -> dict[str, Any] | None:
        return next((row for row in self.picture.rows if row.get("candidate") == self.candidate), None)

    @property
    def model(self) -> str:
        return without_folder(self.config.model)

    @property
    def made_by(self) -> str:
        """The version, run, slot and operator of the candidate, as a sentence."""
        version = self.record.get("versions", {}).get("autoprune", "?")
        by = f"operator {self.proposal.operator}, engine {self.proposal.engine}"
        return f"Found by autoprune {version} in the run {self.run}: candidate {self.slot}, {self.candidate} ({by})."


def without_folder(name: str) -> str:
    """A name, or the last part of an absolute path, to hide private paths."""
    return Path(name).name if Path(name).is_absolute() else name


def _date(events: Sequence[Event], slot: str) -> str:
    times = [event.time for event in events if event.kind == "proposed" and event.data.get("slot") == slot]
    return times[-1][:10] if times else "unknown"


def _proposed_by(events: Sequence[Event], slot: str) -> str:
    """The models of the proposer's calls for a slot, or else the engine of its last proposal."""
    own = [event for event in events if event.data.get("slot") == slot]
    calls = [event.data for event in own if event.kind == "called" and event.data.get("agent") == "proposer"]
    models = dict.fromkeys(without_folder(str(call.get("answered_by") or call.get("model"))) for call in calls)
    engines = [str(event.data.get("engine")) for event in own if event.kind == "proposed"]
    return one_line(", ".join(models) or f"the engine {engines[-1] if engines else 'unknown'}", 200)


def _of_candidate(picture: Picture, candidate: str) -> Picture:
    """The picture without the rows and comparisons of other candidates."""
    names = [row["name"] for row in picture.rows if row.get("candidate") == candidate]

    def without_others(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if row["kind"] != "candidate" or row.get("candidate") == candidate]

    comparisons = [comparison for comparison in picture.comparisons if comparison["candidate"] in names]
    picture.rows, picture.comparisons = without_others(picture.rows), comparisons
    picture.elsewhere = [
        {**condition, "rows": without_others(condition.get("rows", []))} for condition in picture.elsewhere
    ]
    return picture
