"""Comparisons of finalists and baselines with verdicts, and a conclusion in one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoprune.evaluation.confirmation import decide, paired
from autoprune.leagues import MASK_ONLY, SHOWN, League
from autoprune.runs.verdicts import Comparison, interval, percent
from autoprune.search.contenders import ContenderResult

Row = dict[str, Any]


@dataclass(frozen=True)
class Condition:
    """A condition of the confirmation: model, sparsity, and pattern N:M if there is one. The run's own comes first.

    `problem`: why nothing could be measured.
    """

    model: str
    sparsity: float
    dense: float
    results: list[ContenderResult]
    pattern: str = "none"
    problem: str = ""


def comparisons(conditions: Sequence[Condition]) -> list[Comparison]:
    """Every candidate against every baseline under every condition, corrected together by Holm's method.

    Failed contenders are excluded. Differences are of log-perplexities (nats per token), with their 95 % interval.
    """
    pairs, tests = [], []
    for condition in conditions:
        for candidate in _of("candidate", condition):
            for baseline in _of("baseline", condition):
                if candidate.losses is not None and baseline.losses is not None:
                    pairs.append((condition, candidate.name, baseline.name))
                    tests.append(paired(candidate.losses, baseline.losses))
    return [
        Comparison(
            model=condition.model,
            sparsity=condition.sparsity,
            pattern=condition.pattern,
            candidate=candidate,
            baseline=baseline,
            difference=decision.paired.difference,
            low=decision.paired.low,
            high=decision.paired.high,
            p=decision.paired.p,
            p_holm=decision.p_holm,
            verdict=decision.verdict,
            windows=decision.paired.windows,
            seeds=list(decision.paired.seeds),
        )
        for (condition, candidate, baseline), decision in zip(pairs, decide(tests), strict=True)
    ]


def _of(kind: str, condition: Condition) -> list[ContenderResult]:
    return [result for result in condition.results if result.contender.kind == kind]


def conclude(rows: Sequence[Row], compared: Sequence[Comparison]) -> str:
    """One line: whether a finalist is significantly better than every baseline of its league on the report split.

    `rows` and `compared`: of the run's own condition. It names the first such finalist by the search split's order;
    without one, the first finalist and its verdicts. Where no baseline is of a finalist's league, it is held against
    the others, and the line says so.
    """
    candidates = sorted((row for row in rows if row["kind"] == "candidate"), key=lambda row: row["search"])
    baselines = [row for row in rows if row["kind"] == "baseline" and row["report"] is not None]
    measured = [row for row in candidates if row["report"] is not None]
    if not measured or not baselines:
        kind = "candidate" if not measured else "baseline"
        return f"No candidate was shown to be better than every baseline on the report split: no {kind} was measured."
    by_candidate: dict[str, list[Comparison]] = {row["name"]: [] for row in measured}
    for comparison in compared:
        by_candidate.setdefault(comparison["candidate"], []).append(comparison)
    failed = [row["name"] for row in rows if row["kind"] == "baseline" and row["report"] is None]
    missing = f" Not measured: {', '.join(failed)}." if failed else ""
    winners = [row for row in measured if _won(by_candidate[row["name"]], _peers(row, baselines))]
    chosen = (winners or measured)[0]
    peers = _peers(chosen, baselines)
    best = min(peers, key=lambda row: row["report"])
    names = {row["name"] for row in peers}
    own = [comparison for comparison in by_candidate[chosen["name"]] if comparison["baseline"] in names]
    every, missing = f"every baseline{_among(chosen, baselines)}", missing + _other_league(chosen, peers)
    against = next(comparison for comparison in own if comparison["baseline"] == best["name"])
    figures = f"{chosen['report']:.2f} against {best['report']:.2f} of the best, {best['name']}: {_margin(against)}"
    if winners:
        doubt = " It is better than the dense model, which is suspect." if _beats_dense(rows, chosen) else ""
        return f"{chosen['name']} is better than {every} on the report split, {figures}.{doubt}{missing}"
    verdicts = [comparison["verdict"] for comparison in own]
    counts = ", ".join(
        f"{verdicts.count(word)} {word}" for word in ("better", "no difference shown", "worse") if word in verdicts
    )
    return (
        f"No candidate was shown to be better than {every} on the report split; {chosen['name']} against "
        f"{len(verdicts)} baseline{'s' * (len(verdicts) > 1)}: {counts}; {figures}.{missing}"
    )


def _league(row: Row) -> League:
    league: League = row.get("league", MASK_ONLY)
    return league


def _peers(candidate: Row, baselines: Sequence[Row]) -> Sequence[Row]:
    """The baselines of a candidate's league; all of them if there is none."""
    return [row for row in baselines if _league(row) == _league(candidate)] or baselines


def _among(candidate: Row, baselines: Sequence[Row]) -> str:
    """The candidate's league, where there are baselines of several."""
    mixed = len({_league(row) for row in baselines}) > 1
    return f" of its league ({SHOWN[_league(candidate)]})" * mixed


def _other_league(candidate: Row, peers: Sequence[Row]) -> str:
    """A sentence for a candidate that is held against baselines of another league."""
    own, theirs = _league(candidate), _league(peers[0])
    if own == theirs:
        return ""
    return (
        f" It is in the league '{SHOWN[own]}', these baselines are in '{SHOWN[theirs]}', so the comparison crosses "
        "leagues."
    )


def _margin(compared: Comparison) -> str:
    """The change of perplexity with its interval, and the number of calibration seeds."""
    count = len(compared["seeds"])
    seeds = f"{count} calibration seed{'s' * (count > 1)}"
    bounds = f"95 % interval {interval(compared)} %, " if interval(compared) else ""
    return f"{percent(compared['difference'])} % ({bounds}{seeds})"


def _won(compared: Sequence[Comparison], baselines: Sequence[Row]) -> bool:
    better = {comparison["baseline"] for comparison in compared if comparison["verdict"] == "better"}
    return all(baseline["name"] in better for baseline in baselines)


def _beats_dense(rows: Sequence[Row], chosen: Row) -> bool:
    return any(chosen["report"] < row["report"] for row in rows if row["kind"] == "dense")
