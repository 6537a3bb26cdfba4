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

from autoprune.errors import CandidateFailure, DownloadError, UsageError
from autoprune.evaluation.confirmation import ALPHA, RESAMPLES
from autoprune.evaluation.tuning import parameters_of
from autoprune.measuring.baselines import baselines
from autoprune.measuring.workbench import Workbench
from autoprune.runs.measurement import Measurement
from autoprune.runs.verdicts import Comparison, place
from autoprune.search.conclusion import Condition, comparisons, conclude
from autoprune.search.contenders import Contender, ContenderResult, contenders, under_a_pattern
from autoprune.search.context import SearchContext
from autoprune.search.explain import explain_best
from autoprune.search.prepare import measure_baselines, tell_own_allocation
from autoprune.search.state import SearchState


def confirm(state: SearchState, runtime: Runtime[SearchContext]) -> SearchState:
    """Measure once on the report split, and say whether a finalist was shown to be better than every baseline."""
    context = runtime.context
    measure_baselines(context)  # those that a fork, or a later version of the package, has added
    taking_part = contenders(context)
    context.events.emit("notice", "confirming", text=_announcement(context, taking_part))
    conditions = _on_model(context, context.workbench, taking_part)
    context.workbench.verify()
    conditions += _on_second_model(context, taking_part)
    compared = comparisons(conditions)
    own = conditions[0]
    rows = [_dense_row(context.workbench.dense("search"), context.workbench.dense("report")), *_rows(own)]
    context.events.emit(
        "confirmed",
        "confirmed",
        rows=rows,
        comparisons=compared,
        elsewhere=[_elsewhere(context, condition) for condition in conditions[1:]],
        protocol=_protocol(context, compared),
    )
    explain_best(context, rows, taking_part)
    of_own = [each for each in compared if place(each) == place(vars(own))]
    spent = context.spent()
    context.events.emit(
        "run-ended",
        "run-ended",
        stop=state["stop"],
        conclusion=conclude(rows, of_own),
        **vars(spent),
        agents=context.costs(),
    )
    return {}


def _announcement(context: SearchContext, taking_part: list[Contender]) -> str:
    candidates = sum(contender.kind == "candidate" for contender in taking_part)
    seeds, sparsities = context.config.confirmation.seeds, _sparsities(context)
    text = f"measuring the dense model, {len(taking_part) - candidates} baselines and {candidates} candidates on the "
    text += f"report split, with up to {seeds} calibration sample{'s' * (seeds > 1)}"
    if len(sparsities) > 1:
        text += f", at sparsities {', '.join(f'{sparsity:g}' for sparsity in sparsities)}"
    if patterns := context.config.confirmation.patterns:
        text += f", under the pattern{'s' * (len(patterns) > 1)} {', '.join(patterns)}"
    if model := context.config.confirmation.transfer_model:
        text += f", also on {model}"
    return text


def _sparsities(context: SearchContext) -> list[float]:
    """The run's own first."""
    return list(dict.fromkeys([context.config.sparsity, *context.config.confirmation.sparsities]))


def _on_model(context: SearchContext, workbench: Workbench, taking_part: list[Contender]) -> list[Condition]:
    """Everybody at every sparsity and under every pattern: seed by seed, for a seed's statistics serve all of them."""
    conditions = _conditions(context, workbench, taking_part)
    for condition in conditions:
        _tell_tuning(context, workbench, condition)
    for seed, calibrated in _samples(context, workbench):
        for condition in conditions:
            for result in condition.results:
                if seed < result.contender.seeds and not result.problem:
                    if result.contender.slot:
                        context.events.emit("working", slot=result.contender.slot, agent="confirmation")
                    result.take(_placed(calibrated, condition), seed)
                    _tell_progress(context, condition, result, seed)
    return conditions


def _where(condition: Condition) -> str:
    under = f"under {condition.pattern}" if condition.pattern != "none" else f"at sparsity {condition.sparsity:g}"
    return f"{condition.model} {under}"


def _tell_progress(context: SearchContext, condition: Condition, result: ContenderResult, seed: int) -> None:
    """A line for each on a second model, which may be large: there one measurement can take minutes."""
    if condition.model == context.config.model:
        return
    name, where = result.name, _where(condition)
    known = result.measured.get(seed)
    found = f"perplexity {known.perplexity:.2f} on the report split" if known else result.problem
    text = f"{where}: {name}{f', calibration seed {seed}' * (seed > 0)}: {found}"
    context.events.emit("notice", f"confirming/{where}/{name}/{seed}", text=text)


def _conditions(context: SearchContext, workbench: Workbench, taking_part: list[Contender]) -> list[Condition]:
    """The run's own sparsity first. A pattern that does not fit the model costs its own rows only."""
    model, dense = workbench.config.model, workbench.dense("report").perplexity
    conditions = [
        Condition(model, sparsity, dense, [ContenderResult(contender) for contender in taking_part])
        for sparsity in _sparsities(context)
    ]
    for pattern in context.config.confirmation.patterns:
        results = [ContenderResult(contender) for contender in under_a_pattern(taking_part)]
        try:
            sparsity = workbench.with_pattern(pattern).sparsity
        except UsageError as error:
            context.events.emit("notice", f"confirming/{model}/{pattern}", text=str(error))
            conditions.append(Condition(model, context.config.sparsity, dense, [], pattern, str(error)))
        else:
            conditions.append(Condition(model, sparsity, dense, results, pattern))
    return conditions


def _placed(workbench: Workbench, condition: Condition) -> Workbench:
    """The workbench as a condition wants it."""
    if condition.pattern != "none":
        return workbench.with_pattern(condition.pattern)
    return workbench.with_sparsity(condition.sparsity)


def _tell_tuning(context: SearchContext, workbench: Workbench, condition: Condition) -> None:
    """Tune the baselines where they are to be measured, which takes minutes: a line for each as it ends."""
    own = (context.config.model, context.config.sparsity) == (condition.model, condition.sparsity)
    if own or condition.pattern != "none" or not context.config.confirmation.tune_elsewhere:
        return
    there, where = _placed(workbench, condition), _where(condition)
    for baseline in baselines(context.workbench):
        if baseline.allocation not in there.tuned_allocations:
            continue
        try:
            row = baseline.measured(there, "search")
        except CandidateFailure:
            continue  # said where it is measured on the report split
        name = row.name
        text = f"{where}: {name} ({parameters_of(row)}): perplexity {row.perplexity:.2f} on the search split"
        context.events.emit("notice", f"tuning/{where}/{name}", text=text)
    with suppress(CandidateFailure):
        tell_own_allocation(context, there, f"{where}: ")


def _samples(context: SearchContext, workbench: Workbench) -> Iterator[tuple[int, Workbench]]:
    """A workbench for each calibration seed. What a text too short to draw from repeats is left out."""
    seen: set[str] = set()
    for seed in range(context.config.confirmation.seeds):
        calibrated = workbench.calibrated(seed)
        sample = calibrated.bench.windows("calibration").fingerprint
        if sample in seen:
            text = f"the calibration text is too short for another sample: seed {seed} draws one that was used before"
            context.events.emit("notice", f"confirming/{workbench.config.model}/{seed}", text=text)
            continue
        seen.add(sample)
        yield seed, calibrated


def _on_second_model(context: SearchContext, taking_part: list[Contender]) -> list[Condition]:
    """The same on the transfer model, if there is one. One that cannot be used costs its own rows only."""
    model = context.config.confirmation.transfer_model
    if model is None or model == context.config.model:
        return []
    try:
        workbench = context.workbench.with_model(model)
    except (UsageError, DownloadError) as error:
        context.events.emit("notice", "confirming/transfer", text=f"the transfer model cannot be used: {error}")
        return [Condition(model, context.config.sparsity, nan, [], problem=str(error))]
    conditions = _on_model(context, workbench, taking_part)
    workbench.verify()
    return conditions


def _rows(condition: Condition) -> list[dict[str, Any]]:
    return [result.row() for result in condition.results]


def _elsewhere(context: SearchContext, condition: Condition) -> dict[str, Any]:
    """A condition other than the run's own. Its rows hold no search perplexity: nothing was searched there."""
    facts: dict[str, Any] = {"model": condition.model, "sparsity": condition.sparsity, "pattern": condition.pattern}
    windows = context.config.confirmation.transfer_windows
    if windows is not None and condition.model != context.config.model:
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


def _protocol(context: SearchContext, compared: list[Comparison]) -> dict[str, Any]:
    """How the verdicts came about."""
    windows = context.workbench.bench.windows("report")
    return {
        "test": "paired bootstrap-t over windows, two-sided",
        "resamples": RESAMPLES,
        "alpha": ALPHA,
        "correction": "holm",
        "comparisons": len(compared),
        "windows": len(windows.tokens),
        "seqlen": windows.seqlen,
        "bos": windows.bos.text if windows.bos else None,
        "seeds": context.config.confirmation.seeds,
    }
