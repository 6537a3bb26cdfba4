"""The files of a run that a tracker stores: report, best algorithm, and a summary as JSON."""

import json
from pathlib import Path

from autoprune.errors import UsageError
from autoprune.report.picture import Picture
from autoprune.report.tables import run_row
from autoprune.runs.directory import RunDirectory
from autoprune.runs.files import read_bytes
from autoprune.secrets import masked_tree

SUMMARY = "summary.json"
BEST = "best.py"


def own_folder(run: RunDirectory) -> Path:
    """The trackers' folder in the run directory, made if it is missing. Raises UsageError if it is a link."""
    run.tracking.mkdir(exist_ok=True)
    if run.tracking.is_symlink():
        raise UsageError(f"{run.tracking} is a symbolic link, so nothing is written there")
    return run.tracking


def write_files(run: RunDirectory, picture: Picture, report: Path, into: Path) -> list[Path]:
    """Write summary, best algorithm and report (those that there are) into a folder; returns their paths.

    Raises AutoPruneError for a candidate whose file was changed.
    """
    summary = into / SUMMARY
    summary.write_text(json.dumps(masked_tree(_summary(run, picture)), indent=1, default=str), encoding="utf-8")
    files = [summary]
    finalist = picture.finalist
    best = finalist["candidate"] if finalist else picture.best.candidate if picture.best else None
    if best:
        files.append(into / BEST)
        files[-1].write_text(run.source(best), encoding="utf-8", newline="")
    if report.is_file():
        files.append(into / report.name)
        files[-1].write_bytes(read_bytes(report, run.path))
    return files


def _summary(run: RunDirectory, picture: Picture) -> dict[str, object]:
    """The archive in short: each candidate's end, the confirmation, and the conclusion."""
    shown = ("slot", "generation", "operator", "engine", "parents", "candidate", "status", "perplexity", "idea")
    row = run_row(run.name, picture, 0)
    return {
        **{name: row[name] for name in ("run", "started", "model", "sparsity", "engine", "origin")},
        "dense": picture.dense,
        "baselines": picture.baselines,
        "candidates": [{name: getattr(slot, name) for name in shown} for slot in picture.slots.values()],
        "rows": picture.rows,
        "comparisons": picture.comparisons,
        "elsewhere": picture.elsewhere,
        "protocol": picture.protocol,
        "stop": picture.stop,
        "conclusion": picture.conclusion,
    }
