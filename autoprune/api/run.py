"""`autoprune.Run`: a run, while its search goes on or afterwards."""

import html
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoprune.api.background import BackgroundSearch
from autoprune.api.result import SearchResult
from autoprune.api.run_data import REPORT, look_over, write_report
from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.measuring.algorithms import NamedAlgorithm, of_source
from autoprune.report.picture import Picture
from autoprune.report.text import one_line
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import Event, follow_events, read_events
from autoprune.runs.facts import reading_facts
from autoprune.runs.lookup import BEST, find_candidate

if TYPE_CHECKING:
    import pandas

POLL = 0.2
"""Seconds between reads of the events."""
COLUMNS = ("name", "kind", "operator", "status", "search", "report", "sparsity", "note")


@dataclass(frozen=True)
class BestCandidate:
    """The measured candidate with the lowest perplexity on the search split.

    `formula`: as mathematics, empty without one. `algorithm`: for `prune` and `compare`; its `source` is the code.
    """

    slot: str
    perplexity: float
    idea: str
    formula: str
    algorithm: NamedAlgorithm


class Run:
    """A run directory. Iterating yields its events from the first one on, as they come, until the search has ended.

    Made by `search` and `open_run`. What it says about a run comes from its events and its archive, so it can be asked
    at any time, also while another process works on the run. Raises UsageError for a run that cannot be read.
    """

    def __init__(self, directory: RunDirectory, search: BackgroundSearch | None = None) -> None:
        self._directory = directory
        self._search = search

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._directory.path

    @property
    def config(self) -> Config:
        """The settings of the run."""
        return self._directory.settings()[0]

    @property
    def ended(self) -> bool:
        """Whether the search has ended with its confirmation."""
        return any(event.kind == "run-ended" for event in read_events(self._directory.events_file))

    @property
    def running(self) -> bool:
        """Whether this process or another one works on the run."""
        return (self._search is not None and not self._search.done) or self._directory.in_use

    def __iter__(self) -> Iterator[Event]:
        """Yield the events. Ends when nothing works on the run; an error that ended this process's search is raised."""
        quiet = False

        def wait() -> None:
            nonlocal quiet
            if quiet:
                raise _NothingMore
            quiet = not self.running  # what was written before that is read once more
            if not quiet:
                time.sleep(POLL)

        with suppress(_NothingMore):
            yield from follow_events(self._directory.events_file, wait)
        if self._search is not None and self._search.done:
            self._search.result()

    @property
    def best(self) -> BestCandidate | None:
        """The best candidate so far; None before one has been measured."""
        slot = self._picture().best
        if slot is None or slot.perplexity is None:
            return None
        with reading_facts(self._directory), closing(Archive.of(self._directory)) as archive:
            found = find_candidate(archive, BEST)
        algorithm = of_source(f"{self._directory.name}:{found.slot}", self._directory.source(found.candidate))
        return BestCandidate(found.slot, slot.perplexity, one_line(slot.idea), slot.formula, algorithm)

    def table(self) -> "pandas.DataFrame":
        """The dense model, the baselines (best first) and all candidates so far, with perplexities.

        Columns: name, kind (dense, baseline, candidate), operator, status, search and report (perplexities; the report
        split is measured at the end, for baselines and finalists), sparsity, note (why a candidate was not measured).
        """
        import pandas

        with reading_facts(self._directory):
            rows = _rows(self._picture())
        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def result(self) -> SearchResult:
        """Wait for the end of the search, and return its confirmation.

        Raises the error that ended the search: RunPaused if an approval or the endpoint is missing. Raises UsageError
        for a run that has not ended and that nothing works on; `resume` continues it.
        """
        if self._search is not None:
            self._search.result()
        while not self.ended:
            if not self.running:
                raise UsageError(f"{self.path} has not ended, and nothing works on it; continue it by resume()")
            time.sleep(POLL)
        return SearchResult.of(self._directory, self._picture())

    def stop(self) -> None:
        """Ask this process's search to end: no further generation begins, and the best candidates are confirmed."""
        if self._search is None or self._search.done:
            raise UsageError(f"no search of this process works on {self.path}")
        self._search.stop()

    def resume(self) -> "Run":
        """Continue a run that was paused, stopped or killed, in the background. Returns this run."""
        if self.running:
            raise UsageError(f"{self.path} is being worked on already")
        if not self.ended:
            self._directory.check_continuable()
            look_over(self._directory, self.config)
            self._search = BackgroundSearch.begin(self._directory, self.config, fresh=False)
        return self

    def report(self) -> Path:
        """Write the HTML report into the run directory, and return its path."""
        write_report(self._directory)
        return self.path / REPORT

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self._state(self._picture())})"

    def _repr_html_(self) -> str:
        """For notebooks: what was searched, its state, and the table. All text of the run is escaped."""
        picture = self._picture()
        facts = [f"{picture.started.get('model', '?')} at sparsity {picture.started.get('sparsity', '?')}"]
        facts += [self._state(picture)]
        if picture.best_baseline:
            facts.append("best baseline {}: {:.2f}".format(*picture.best_baseline))
        if picture.best and picture.best.perplexity is not None:
            facts.append(f"best candidate {picture.best.slot}: {picture.best.perplexity:.2f}")
        lines = [f"<b>{html.escape(str(self.path))}</b>", html.escape(one_line("; ".join(facts), 1000))]
        if picture.conclusion:
            lines.append(html.escape(one_line(picture.conclusion, 1000)))
        return f"<div><p>{'<br>'.join(lines)}</p>{self.table().to_html(index=False, na_rep='')}</div>"

    def _picture(self) -> Picture:
        with reading_facts(self._directory):
            return Picture.of(read_events(self._directory.events_file))

    def _state(self, picture: Picture) -> str:
        if picture.stop:
            return f"ended: {picture.stop}"
        return "running" if self.running else "unfinished"


class _NothingMore(Exception):
    """Nothing works on the run, and all of its events were read."""


def _rows(picture: Picture) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if picture.dense is not None:
        rows.append({"name": "dense", "kind": "dense", "status": "measured", "search": picture.dense})
    for name, perplexity in sorted(picture.baselines.items(), key=lambda item: item[1]):
        rows.append({"name": name, "kind": "baseline", "status": "measured", "search": perplexity})
    for slot in picture.slots.values():
        facts = {"operator": slot.operator, "status": slot.status or slot.agent, "note": one_line(slot.problem)}
        rows.append({"name": slot.slot, "kind": "candidate", "search": slot.perplexity, **facts})
    by_name = {row["name"]: row for row in rows}
    for final in picture.rows:
        name = _name(final, picture)
        if name not in by_name:
            by_name[name] = {"name": name, "kind": final["kind"], "status": "measured", "search": final["search"]}
            rows.append(by_name[name])
        by_name[name] |= {"report": final.get("report"), "sparsity": final.get("sparsity")}
    return rows


def _name(final: dict[str, Any], picture: Picture) -> str:
    """The name of a row of the confirmation; a candidate that is its slot's own has the slot's."""
    slot = picture.slots.get(str(final["name"]).partition(" ")[0])
    own = slot is not None and final["kind"] == "candidate" and final.get("candidate") == slot.candidate
    return slot.slot if slot is not None and own else str(final["name"])


def open_run(path: str | Path) -> Run:
    """An existing run, by its directory or by its name in the folder of runs ($AUTOPRUNE_RUNS, else ./runs).

    Nothing is started; `Run.resume` continues a search that has not ended. Raises UsageError for anything that is no
    run.
    """
    return Run(RunDirectory.open(Path(path)))
