"""How good a run's proposals were: which were valid, and which were new.

    python benchmarks/proposals.py RUN

A proposal is valid when its candidate was measured (or turned out a duplicate, or was stopped early), new when its
masks agree on less than 99 % of the sampled weights with every baseline and every candidate before it (one that was
stopped: with every baseline and candidate of earlier generations).
"""

import sys
from pathlib import Path

from autoprune.evaluation.signature import agreement
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory

NEW = 0.99


def main() -> None:
    run = RunDirectory.open(Path(sys.argv[1]))
    archive = Archive.of(run)
    engines = {proposal.slot: proposal.engine for proposal in archive.proposals()}
    measured = {row.subject: row for row in archive.measurements("search")}
    seen = {name: row.signature for name, row in measured.items() if name.startswith("baseline:")}
    counts: dict[str, list[int]] = {}
    print(f"{'slot':8} {'engine':9} {'status':10} {'perplexity':>10} {'agreement':>9}  nearest")
    for outcome in archive.outcomes():
        row = measured.get(outcome.candidate or "") if outcome.status == "measured" else None
        nearest, share = "", float("nan")
        if row is not None:
            shares = {name: agreement(row.signature, other) for name, other in seen.items() if name != row.subject}
            nearest = max(shares, key=lambda name: shares[name])
            share = 1.0 if row.subject in seen else shares[nearest]
            seen[row.subject] = row.signature
        elif outcome.status == "stopped":
            nearest, share = outcome.data["nearest"], outcome.data.get("agreement", 0.0)
        valid, new = outcome.status in ("measured", "stopped", "duplicate"), share < NEW
        total = counts.setdefault(engines.get(outcome.slot, "?"), [0, 0, 0])
        total[0] += 1
        total[1] += valid
        total[2] += new
        value = f"{row.perplexity:10.2f}" if row is not None else f"{'-':>10}"
        print(
            f"{outcome.slot:8} {engines.get(outcome.slot, '?'):9} {outcome.status:10} {value} {share:9.4f}  {nearest}"
        )
    for engine, (proposed, valid, new) in sorted(counts.items()):
        print(f"{engine}: {proposed} proposed, {valid} valid ({100 * valid / proposed:.0f} %), {new} new")
    archive.close()


if __name__ == "__main__":
    main()
