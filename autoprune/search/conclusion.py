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


def finalist_of(rows: Sequence[Row], compared: Sequence[Comparison]) -> Row | None:
    """The finalist that the conclusion is about: the first by the search split's order that is significantly better
    than every baseline of its league, else the first; None if none was measured.

    `rows` and `compared`: of the run's own condition.
    """
    measured = sorted(_measured("candidate", rows), key=lambda row: row["search"])
    baselines = _measured("baseline", rows)
    winners = (row for row in measured if _won(row, _peers(row, baselines), compared))
    return next(winners, measured[0] if measured else None)


def conclude(rows: Sequence[Row], compared: Sequence[Comparison]) -> str:
    """One line: whether a finalist is significantly better than every baseline of its league on the report split.

    `rows` and `compared`: of the run's own condition. Where no baseline is of a finalist's league, it is held against
    the others, and the line says so.
    """
    baselines = _measured("baseline", rows)
    chosen = finalist_of(rows, compared)
    if chosen is None or not baselines:
        kind = "candidate" if chosen is None else "baseline"
        return f"No candidate was shown to be better than every baseline on the report split: no {kind} was measured."
    failed = [row["name"] for row in rows if row["kind"] == "baseline" and row["report"] is None]
    missing = f" Not measured: {', '.join(failed)}." if failed else ""
    peers = _peers(chosen, baselines)
    best = min(peers, key=lambda row: row["report"])
    own = _against(chosen, peers, compared)
    every, missing = f"every baseline{_among(chosen, baselines)}", missing + _other_league(chosen, peers)
    against = next(comparison for comparison in own if comparison["baseline"] == best["name"])
    figures = f"{chosen['report']:.2f} against {best['report']:.2f} of the best, {best['name']}: {_margin(against)}"
    if _won(chosen, peers, compared):
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


def _measured(kind: str, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["kind"] == kind and row["report"] is not None]


def _against(candidate: Row, peers: Sequence[Row], compared: Sequence[Comparison]) -> list[Comparison]:
    names = {row["name"] for row in peers}
    return [one for one in compared if one["candidate"] == candidate["name"] and one["baseline"] in names]


def _won(candidate: Row, peers: Sequence[Row], compared: Sequence[Comparison]) -> bool:
    better = {one["baseline"] for one in _against(candidate, peers, compared) if one["verdict"] == "better"}
    return all(peer["name"] in better for peer in peers)


def _beats_dense(rows: Sequence[Row], chosen: Row) -> bool:
    return any(chosen["report"] < row["report"] for row in rows if row["kind"] == "dense")
