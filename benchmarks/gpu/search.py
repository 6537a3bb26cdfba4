"""A search of five candidates by the symbolic engine on a device, against the same one on the CPU.

Each search may take as long as the check has left; what it then lacks is out of time.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autoprune.api.searching import search
from autoprune.errors import AutoPruneError, first_line
from autoprune.runs.archive import Archive, Outcome
from autoprune.runs.directory import RunDirectory
from benchmarks.gpu.agreement import NEAR, Check
from benchmarks.gpu.clock import OUT_OF_TIME, Clock, OutOfTime
from benchmarks.gpu.models import Size, save_small

CANDIDATES = 5
SETTINGS: dict[str, Any] = {
    "dtype": "float32",
    "sparsity": 0.5,
    "llm": "symbolic",
    "sandbox.engine": "local",
    "search.max_candidates": CANDIDATES,
    "data.seqlen": 64,
    "data.calibration_samples": 8,
    "data.search_windows": 6,
    "data.report_windows": 4,
    "confirmation.baselines": 1,
    "advanced.deepen": 0,
    "advanced.polish": 0,
    "advanced.cache": False,
}


def search_checks(size: Size, device: str, clock: Clock) -> Iterator[Check]:
    """One check for each candidate: the same source, the same verdict, and a perplexity that is near."""
    by_slot: list[dict[str, Outcome]] = []
    with TemporaryDirectory(prefix="gpu-check-") as folder:
        home = Path(folder)
        save_small(home / "model", size)
        before = os.environ.get("AUTOPRUNE_CACHE")
        os.environ["AUTOPRUNE_CACHE"] = str(home / "cache")
        try:
            for name, where in (("reference", "cpu"), ("device", device)):
                clock.check()
                by_slot.append(_outcomes(home, name, where, clock))
        except OutOfTime:
            yield Check("search", "five candidates", None, NEAR, OUT_OF_TIME)
            return
        except (AutoPruneError, RuntimeError) as error:
            yield Check("search", "five candidates", None, NEAR, first_line(error))
            return
        finally:
            if before is None:
                del os.environ["AUTOPRUNE_CACHE"]
            else:
                os.environ["AUTOPRUNE_CACHE"] = before
    slots = sorted(by_slot[0].keys() | by_slot[1].keys())
    for slot in slots:
        yield _check(slot, *(outcomes.get(slot) for outcomes in by_slot), clock)
    if len(slots) < CANDIDATES:
        reason = OUT_OF_TIME if clock.over else f"{len(slots)} of {CANDIDATES} were tried"
        yield Check("search", "candidates", None, NEAR, reason)


def _outcomes(home: Path, name: str, device: str, clock: Clock) -> dict[str, Outcome]:
    """The outcomes by slot of a search that starts no generation once no time is left."""
    limit = {"search.max_minutes": clock.left / 60}
    search(home / "model", device=device, run_dir=home / name, **SETTINGS, **limit).result()
    archive = Archive.of(RunDirectory.open(home / name))
    try:
        return {outcome.slot: outcome for outcome in archive.outcomes()}
    finally:
        archive.close()


def _check(slot: str, here: Outcome | None, there: Outcome | None, clock: Clock) -> Check:
    if here is None or there is None:
        reason = OUT_OF_TIME if clock.over else "tried in one of the two searches only"
        return Check("search", slot, None, NEAR, reason)
    if here.candidate != there.candidate:
        return Check("search", slot, None, NEAR, "another candidate was proposed")
    verdicts = [f"{outcome.status} {outcome.reason}".strip() for outcome in (here, there)]
    if verdicts[0] != verdicts[1]:
        return Check("search", slot, None, NEAR, f"{verdicts[0]} on the CPU, {verdicts[1]} on the device")
    if here.status != "measured":
        return Check("search", slot, 0.0, NEAR, verdicts[0])
    one, other = float(here.data["perplexity"]), float(there.data["perplexity"])
    return Check("search", slot, abs(one - other) / one, NEAR, "measured")
