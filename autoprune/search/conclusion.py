"""From what was measured to what may be said: comparisons with verdicts, and one line that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoprune.evaluation.confirmation import decide, paired
from autoprune.runs.verdicts import Comparison, interval, percent
from autoprune.search.contenders import ContenderResult

Row = dict[str, Any]


@dataclass(frozen=True)
class Condition:
    """Where the contenders were measured: model, sparsity, and pattern N:M if there is one. The run's own comes first.

    `problem`: why nothing could be measured there.
    """

    model: str
    sparsity: float
    dense: float
    results: list[ContenderResult]
    pattern: str = "none"
    problem: str = ""


def comparisons(conditions: Sequence[Condition]) -> list[Comparison]:
    """Every candidate against every baseline under every condition, decided together: one family for Holm.

    What failed is in no comparison. Differences are of log-perplexities (nats per token), with their 95 % interval.
    """
    places, found = [], []
    for condition in conditions:
        for candidate in _of("candidate", condition):
            for baseline in _of("baseline", condition):
                if candidate.losses is not None and baseline.losses is not None:
                    places.append((condition, candidate.name, baseline.name))
                    found.append(paired(candidate.losses, baseline.losses))
    return [
        Comparison(
            model=condition.model,
            sparsity=condition.sparsity,
            pattern=condition.pattern,
            candidate=candidate,
            baseline=baseline,
            difference=each.paired.difference,
            low=each.paired.low,
            high=each.paired.high,
            p=each.paired.p,
            p_holm=each.p_holm,
            verdict=each.verdict,
            windows=each.paired.windows,
            seeds=list(each.paired.seeds),
        )
        for (condition, candidate, baseline), each in zip(places, decide(found), strict=True)
    ]


def _of(kind: str, condition: Condition) -> list[ContenderResult]:
    return [result for result in condition.results if result.contender.kind == kind]


def conclude(rows: Sequence[Row], compared: Sequence[Comparison]) -> str:
    """One line: was a finalist shown to be better than every baseline on the report split?

    `rows` and `compared`: of the run's own condition. Of several such finalists the one that the search split had put
    first is named; without one, how far that one got.
    """
    candidates = sorted((row for row in rows if row["kind"] == "candidate"), key=lambda row: row["search"])
    baselines = [row for row in rows if row["kind"] == "baseline" and row["report"] is not None]
    measured = [row for row in candidates if row["report"] is not None]
    if not measured or not baselines:
        missing = "candidate" if not measured else "baseline"
        return (
            f"No candidate was shown to be better than every baseline on the report split: no {missing} was measured."
        )
    verdicts = {row["name"]: [each for each in compared if each["candidate"] == row["name"]] for row in measured}
    lost = [row["name"] for row in rows if row["kind"] == "baseline" and row["report"] is None]
    unsaid = f" Not measured: {', '.join(lost)}." if lost else ""
    winners = [row for row in measured if _won(verdicts[row["name"]], baselines)]
    chosen = (winners or measured)[0]
    best = min(baselines, key=lambda row: row["report"])
    against = next(each for each in verdicts[chosen["name"]] if each["baseline"] == best["name"])
    figures = f"{chosen['report']:.2f} against {best['report']:.2f} of the best, {best['name']}: {_margin(against)}"
    if winners:
        doubt = " It is better than the dense model, which is suspect." if _beats_dense(rows, chosen) else ""
        return f"{chosen['name']} is better than every baseline on the report split, {figures}.{doubt}{unsaid}"
    said = [each["verdict"] for each in verdicts[chosen["name"]]]
    counts = ", ".join(
        f"{said.count(word)} {word}" for word in ("better", "no difference shown", "worse") if word in said
    )
    return (
        f"No candidate was shown to be better than every baseline on the report split; {chosen['name']} against "
        f"{len(said)} baseline{'s' * (len(said) > 1)}: {counts}; {figures}.{unsaid}"
    )


def _margin(compared: Comparison) -> str:
    """The change of perplexity with its interval, and over how many seeds it was seen."""
    count = len(compared["seeds"])
    seeds = f"{count} calibration seed{'s' * (count > 1)}"
    bounds = f"95 % interval {interval(compared)} %, " if interval(compared) else ""
    return f"{percent(compared['difference'])} % ({bounds}{seeds})"


def _won(verdicts: Sequence[Comparison], baselines: Sequence[Row]) -> bool:
    better = {each["baseline"] for each in verdicts if each["verdict"] == "better"}
    return all(baseline["name"] in better for baseline in baselines)


def _beats_dense(rows: Sequence[Row], chosen: Row) -> bool:
    return any(chosen["report"] < row["report"] for row in rows if row["kind"] == "dense")
