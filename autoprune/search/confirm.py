"""The node `confirm`: measures the best candidates and all baselines on the report split, which the search never saw.

Each is measured with several calibration samples, optionally also at other sparsities, under N:M patterns and on a
second model. Allocations are tuned again for each sparsity and model, on its search split. All measurements are stored
in the archive, so that a confirmation that is run again repeats none.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from math import nan
from typing import Any

from langgraph.runtime import Runtime

from autoprune.errors import CandidateFailure, DownloadError, UsageError
from autoprune.evaluation.confirmation import ALPHA, RESAMPLES
from autoprune.evaluation.tuning import parameters_of
from autoprune.leagues import WITH_UPDATE
from autoprune.measuring.baselines import baselines
from autoprune.measuring.workbench import Workbench
from autoprune.progress import progress, steps
from autoprune.runs.measurement import Measurement
from autoprune.runs.verdicts import Comparison, place
from autoprune.search.conclusion import Condition, comparisons, conclude, finalist_of
from autoprune.search.contenders import Contender, ContenderResult, contenders, under_a_pattern
from autoprune.search.context import SearchContext
from autoprune.search.explain import explain
from autoprune.search.models import costs
from autoprune.search.prepare import measure_baselines
from autoprune.search.state import SearchState


def confirm(state: SearchState, runtime: Runtime[SearchContext]) -> SearchState:
    """Measure once on the report split, and decide whether a finalist is better than every baseline."""
    context = runtime.context
    measure_baselines(context)  # including those that a fork or a later version has added
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
    of_own = [comparison for comparison in compared if place(comparison) == place(vars(own))]
    if (finalist := finalist_of(rows, of_own)) is not None:
        explain(context, finalist, taking_part)
    spent = context.spent()
    context.events.emit(
        "run-ended",
        "run-ended",
        stop=state["stop"],
        conclusion=conclude(rows, of_own),
        **vars(spent),
        **costs(context),
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
    """All contenders at every sparsity and under every pattern; seed by seed, since these share a seed's statistics."""
    conditions = _conditions(context, workbench, taking_part)
    for condition in conditions:
        _tune_baselines(context, workbench, condition)
    every = [result.contender for condition in conditions for result in condition.results]
    expected = {contender.name: contender.seconds for contender in every if contender.seconds}
    with steps("confirmation", _left(context, conditions, 0), "measurements", expected) as bar:
        for seed, calibrated in _samples(context, workbench):
            bar.expect(_left(context, conditions, seed))
            for condition, result in _measured_with(conditions, seed):
                if result.contender.slot:
                    context.events.emit("working", slot=result.contender.slot, agent="confirmation")
                before = context.made
                result.take(_placed(calibrated, condition), seed)
                bar.advance(result.contender.name, timed=context.made > before)
                _emit_progress(context, condition, result, seed)
    return conditions


def _measured_with(conditions: list[Condition], seed: int) -> Iterator[tuple[Condition, ContenderResult]]:
    """What is measured with a calibration seed. After a failure nothing more is."""
    for condition in conditions:
        for result in condition.results:
            if seed < result.contender.seeds and not result.problem:
                yield condition, result


def _left(context: SearchContext, conditions: list[Condition], first: int) -> Counter[str]:
    """The number of measurements by contender from a calibration seed on, if none fails."""
    seeds = range(first, context.config.confirmation.seeds)
    results = [result for seed in seeds for _, result in _measured_with(conditions, seed)]
    return Counter(result.contender.name for result in results)


def _name(condition: Condition) -> str:
    under = f"under {condition.pattern}" if condition.pattern != "none" else f"at sparsity {condition.sparsity:g}"
    return f"{condition.model} {under}"


def _emit_progress(context: SearchContext, condition: Condition, result: ContenderResult, seed: int) -> None:
    """A notice for each measurement on a second model, where one can take minutes."""
    if condition.model == context.config.model:
        return
    name, where = result.name, _name(condition)
    measured = result.measured.get(seed)
    finding = f"perplexity {measured.perplexity:.2f} on the report split" if measured else result.problem
    text = f"{where}: {name}{f', calibration seed {seed}' * (seed > 0)}: {finding}"
    context.events.emit("notice", f"confirming/{where}/{name}/{seed}", text=text)


def _conditions(context: SearchContext, workbench: Workbench, taking_part: list[Contender]) -> list[Condition]:
    """The run's own sparsity first. A share or a pattern that does not fit the model only loses its own rows."""
    model, dense = workbench.config.model, workbench.dense("report").perplexity
    conditions = []
    for sparsity in _sparsities(context):
        try:
            workbench.with_sparsity(sparsity)
        except UsageError as error:
            context.events.emit("notice", f"confirming/{model}/{sparsity:g}", text=str(error))
            conditions.append(Condition(model, sparsity, dense, [], problem=str(error)))
        else:
            results = [ContenderResult(contender) for contender in taking_part]
            conditions.append(Condition(model, sparsity, dense, results))
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
    """The workbench at a condition's sparsity or under its pattern."""
    if condition.pattern != "none":
        return workbench.with_pattern(condition.pattern)
    return workbench.with_sparsity(condition.sparsity)


def _tune_baselines(context: SearchContext, workbench: Workbench, condition: Condition) -> None:
    """Tune the baselines for a condition, which takes minutes, with a notice for each."""
    own = (context.config.model, context.config.sparsity) == (condition.model, condition.sparsity)
    if own or condition.pattern != "none" or not context.config.confirmation.tune_elsewhere:
        return
    placed, where = _placed(workbench, condition), _name(condition)
    if not placed.tuned_allocations:
        return
    tuned = [each for each in baselines(context.workbench) if each.allocation in placed.tuned_allocations]
    with progress(f"tuning for {where}", len(tuned), "baselines", logging.DEBUG) as advance:
        for baseline in tuned:
            with suppress(CandidateFailure):  # which its measurement on the report split will report
                row = baseline.measured(placed, "search")
                found = f"({parameters_of(row)}): perplexity {row.perplexity:.2f} on the search split"
                context.events.emit("notice", f"tuning/{where}/{row.name}", text=f"{where}: {row.name} {found}")
            advance(1)


def _samples(context: SearchContext, workbench: Workbench) -> Iterator[tuple[int, Workbench]]:
    """A workbench for each calibration seed, except seeds that repeat a sample because the text is too short."""
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
    """The same on the transfer model, if there is one. A model that cannot be used only loses its own rows."""
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
    """A condition other than the run's own, as data. Its rows have no search perplexity."""
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
    """The statistical protocol of the verdicts."""
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
        "sequential_updates": context.config.search.league == WITH_UPDATE,
    }
