"""The node `confirm`: the best candidates and all baselines on the report split, which the search never saw.

Each is measured with several calibration samples, if wanted also at other sparsities, under N:M patterns and on a
second model. What is tuned is tuned anew at each sparsity and on each model, on the search split there. Every
measurement is kept in the archive under its own settings, so that a confirmation that is run again makes none twice.
"""

from collections.abc import Iterator
from contextlib import suppress
from math import nan
from typing import Any

from langgraph.runtime import Runtime

from autoprune.agents.conclusion import Condition, comparisons, conclude
from autoprune.agents.crew import Crew
from autoprune.agents.entrants import Entrant, Standing, entrants, under_a_pattern
from autoprune.agents.explain import explain_best
from autoprune.agents.prepare import measure_baselines, tell_own_allocation
from autoprune.agents.state import SearchState
from autoprune.errors import CandidateFailure, DownloadError, UsageError
from autoprune.evaluation.confirmation import ALPHA, RESAMPLES
from autoprune.evaluation.tuning import parameters_of
from autoprune.runs.measurement import Measurement
from autoprune.runs.verdicts import Comparison, place
from autoprune.tools.baselines import baselines
from autoprune.tools.workbench import Workbench


def confirm(state: SearchState, runtime: Runtime[Crew]) -> SearchState:
    """Measure once on the report split, and say whether a finalist was shown to be better than every baseline."""
    crew = runtime.context
    measure_baselines(crew)  # those that a fork, or a later version of the package, has added
    taking_part = entrants(crew)
    crew.events.emit("notice", "confirming", text=_announcement(crew, taking_part))
    conditions = _on_model(crew, crew.workbench, taking_part)
    crew.workbench.verify()
    conditions += _on_second_model(crew, taking_part)
    compared = comparisons(conditions)
    own = conditions[0]
    rows = [_dense_row(crew.workbench.dense("search"), crew.workbench.dense("report")), *_rows(own)]
    crew.events.emit(
        "confirmed",
        "confirmed",
        rows=rows,
        comparisons=compared,
        elsewhere=[_elsewhere(crew, condition) for condition in conditions[1:]],
        protocol=_protocol(crew, compared),
    )
    explain_best(crew, rows, taking_part)
    of_own = [each for each in compared if place(each) == place(vars(own))]
    spent = crew.spent()
    crew.events.emit(
        "run-ended",
        "run-ended",
        stop=state["stop"],
        conclusion=conclude(rows, of_own),
        **vars(spent),
        agents=crew.costs(),
    )
    return {}


def _announcement(crew: Crew, taking_part: list[Entrant]) -> str:
    candidates = sum(entrant.kind == "candidate" for entrant in taking_part)
    seeds, sparsities = crew.config.search.confirm_seeds, _sparsities(crew)
    text = f"measuring the dense model, {len(taking_part) - candidates} baselines and {candidates} candidates on the "
    text += f"report split, with up to {seeds} calibration sample{'s' * (seeds > 1)}"
    if len(sparsities) > 1:
        text += f", at sparsities {', '.join(f'{sparsity:g}' for sparsity in sparsities)}"
    if patterns := crew.config.search.confirm_patterns:
        text += f", under the pattern{'s' * (len(patterns) > 1)} {', '.join(patterns)}"
    return text + (f", also on {crew.config.search.transfer_model}" if crew.config.search.transfer_model else "")


def _sparsities(crew: Crew) -> list[float]:
    """The run's own first."""
    return list(dict.fromkeys([crew.config.sparsity, *crew.config.search.confirm_sparsities]))


def _on_model(crew: Crew, workbench: Workbench, taking_part: list[Entrant]) -> list[Condition]:
    """Everybody at every sparsity and under every pattern: seed by seed, for a seed's statistics serve all of them."""
    conditions = _conditions(crew, workbench, taking_part)
    for condition in conditions:
        _tell_tuning(crew, workbench, condition)
    for seed, calibrated in _samples(crew, workbench):
        for condition in conditions:
            for standing in condition.standings:
                if seed < standing.entrant.seeds and not standing.problem:
                    if standing.entrant.slot:
                        crew.events.emit("working", slot=standing.entrant.slot, agent="confirmation")
                    standing.take(_placed(calibrated, condition), seed)
                    _tell_progress(crew, condition, standing, seed)
    return conditions


def _where(condition: Condition) -> str:
    under = f"under {condition.pattern}" if condition.pattern != "none" else f"at sparsity {condition.sparsity:g}"
    return f"{condition.model} {under}"


def _tell_progress(crew: Crew, condition: Condition, standing: Standing, seed: int) -> None:
    """A line for each on a second model, which may be large: there one measurement can take minutes."""
    if condition.model == crew.config.model:
        return
    name, where = standing.name, _where(condition)
    known = standing.measured.get(seed)
    found = f"perplexity {known.perplexity:.2f} on the report split" if known else standing.problem
    text = f"{where}: {name}{f', calibration seed {seed}' * (seed > 0)}: {found}"
    crew.events.emit("notice", f"confirming/{where}/{name}/{seed}", text=text)


def _conditions(crew: Crew, workbench: Workbench, taking_part: list[Entrant]) -> list[Condition]:
    """The run's own sparsity first. A pattern that does not fit the model costs its own rows only."""
    model, dense = workbench.config.model, workbench.dense("report").perplexity
    conditions = [
        Condition(model, sparsity, dense, [Standing(entrant) for entrant in taking_part])
        for sparsity in _sparsities(crew)
    ]
    for pattern in crew.config.search.confirm_patterns:
        standings = [Standing(entrant) for entrant in under_a_pattern(taking_part)]
        try:
            sparsity = workbench.with_pattern(pattern).sparsity
        except UsageError as error:
            crew.events.emit("notice", f"confirming/{model}/{pattern}", text=str(error))
            conditions.append(Condition(model, crew.config.sparsity, dense, [], pattern, str(error)))
        else:
            conditions.append(Condition(model, sparsity, dense, standings, pattern))
    return conditions


def _placed(workbench: Workbench, condition: Condition) -> Workbench:
    """The workbench as a condition wants it."""
    if condition.pattern != "none":
        return workbench.with_pattern(condition.pattern)
    return workbench.with_sparsity(condition.sparsity)


def _tell_tuning(crew: Crew, workbench: Workbench, condition: Condition) -> None:
    """Tune the baselines where they are to be measured, which takes minutes: a line for each as it ends."""
    own = (crew.config.model, crew.config.sparsity) == (condition.model, condition.sparsity)
    if own or condition.pattern != "none" or not crew.config.search.tune_elsewhere:
        return
    there, where = _placed(workbench, condition), _where(condition)
    for baseline in baselines(crew.workbench):
        if baseline.allocation not in there.tuned_allocations:
            continue
        try:
            row = baseline.measured(there, "search")
        except CandidateFailure:
            continue  # said where it is measured on the report split
        name = row.name
        text = f"{where}: {name} ({parameters_of(row)}): perplexity {row.perplexity:.2f} on the search split"
        crew.events.emit("notice", f"tuning/{where}/{name}", text=text)
    with suppress(CandidateFailure):
        tell_own_allocation(crew, there, f"{where}: ")


def _samples(crew: Crew, workbench: Workbench) -> Iterator[tuple[int, Workbench]]:
    """A workbench for each calibration seed. What a text too short to draw from repeats is left out."""
    seen: set[str] = set()
    for seed in range(crew.config.search.confirm_seeds):
        calibrated = workbench.calibrated(seed)
        sample = calibrated.bench.windows("calibration").fingerprint
        if sample in seen:
            text = f"the calibration text is too short for another sample: seed {seed} draws one that was used before"
            crew.events.emit("notice", f"confirming/{workbench.config.model}/{seed}", text=text)
            continue
        seen.add(sample)
        yield seed, calibrated


def _on_second_model(crew: Crew, taking_part: list[Entrant]) -> list[Condition]:
    """The same on the transfer model, if there is one. One that cannot be used costs its own rows only."""
    model = crew.config.search.transfer_model
    if model is None or model == crew.config.model:
        return []
    try:
        workbench = crew.workbench.with_model(model, lambda line: crew.events.emit("notice", text=line))
    except (UsageError, DownloadError) as error:
        crew.events.emit("notice", "confirming/transfer", text=f"the transfer model cannot be used: {error}")
        return [Condition(model, crew.config.sparsity, nan, [], problem=str(error))]
    conditions = _on_model(crew, workbench, taking_part)
    workbench.verify()
    return conditions


def _rows(condition: Condition) -> list[dict[str, Any]]:
    return [standing.row() for standing in condition.standings]


def _elsewhere(crew: Crew, condition: Condition) -> dict[str, Any]:
    """A condition other than the run's own. Its rows hold no search perplexity: nothing was searched there."""
    facts: dict[str, Any] = {"model": condition.model, "sparsity": condition.sparsity, "pattern": condition.pattern}
    windows = crew.config.search.transfer_windows
    if windows is not None and condition.model != crew.config.model:
        facts["windows"] = windows
    if condition.problem:
        return {**facts, "rows": [], "problem": condition.problem}
    rows = [{**row, "search": None} for row in _rows(condition)]
    bos = next((row["bos"] for row in rows if "bos" in row), None)
    dense = {"name": "dense", "kind": "dense", "search": None, "report": condition.dense, "sparsity": 0.0, "bos": bos}
    return {**facts, "rows": [dense, *rows]}


def _dense_row(search: Measurement, report: Measurement) -> dict[str, Any]:
    return {
        "name": "dense",
        "kind": "dense",
        "search": search.perplexity,
        "report": report.perplexity,
        "sparsity": report.sparsity,
        "zeros": report.zeros,
        "weights": report.weights,
        "bos": report.bos,
    }


def _protocol(crew: Crew, compared: list[Comparison]) -> dict[str, Any]:
    """How the verdicts came about."""
    windows = crew.workbench.bench.windows("report")
    return {
        "test": "paired bootstrap-t over windows, two-sided",
        "resamples": RESAMPLES,
        "alpha": ALPHA,
        "correction": "holm",
        "comparisons": len(compared),
        "windows": len(windows.tokens),
        "seqlen": windows.seqlen,
        "bos": windows.bos.text if windows.bos else None,
        "seeds": crew.config.search.confirm_seeds,
    }
