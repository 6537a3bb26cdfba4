"""How good a run's proposals were: which were valid, and which were new.

    python benchmarks/proposals.py RUN

A proposal is valid when its candidate was measured (or turned out a duplicate, or was stopped early), new when its
masks agree on less than 99 % of the sampled weights with every baseline and every candidate before it (one that was
stopped in a race: with every baseline and candidate of earlier generations). Of one that was stopped before the first
window no masks are known.
"""

import math
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
            shared = outcome.data.get("agreement")  # None where it was stopped before it had all its masks
            nearest, share = outcome.data["nearest"], float("nan") if shared is None else shared
        valid, new = outcome.status in ("measured", "stopped", "duplicate"), share < NEW
        total = counts.setdefault(engines.get(outcome.slot, "?"), [0, 0, 0, 0])
        total[0] += 1
        total[1] += valid
        total[2] += new
        total[3] += not math.isnan(share)
        value = f"{row.perplexity:10.2f}" if row is not None else f"{'-':>10}"
        print(
            f"{outcome.slot:8} {engines.get(outcome.slot, '?'):9} {outcome.status:10} {value} {share:9.4f}  {nearest}"
        )
    for engine, (proposed, valid, new, known) in sorted(counts.items()):
        share_valid = f"{valid} valid ({100 * valid / proposed:.0f} %)"
        print(f"{engine}: {proposed} proposed, {share_valid}, {new} new of {known} whose masks are known")
    archive.close()


if __name__ == "__main__":
    main()
