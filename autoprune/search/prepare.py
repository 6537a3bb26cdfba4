"""The node `prepare`: measures the dense target and the baselines, and adds them to the reasoning graph."""

from collections import Counter
from typing import Any

from langgraph.runtime import Runtime

from autoprune.agents.population import seed_name, seeds_of
from autoprune.evaluation.tuning import parameters_of
from autoprune.measuring.baselines import (
    Baseline,
    all_baselines,
    phase_of,
    phases_to_come,
    refined_scores,
    refinement_titles,
)
from autoprune.phases import BASELINE, REFINED, UPDATED
from autoprune.progress import Bar, steps
from autoprune.runs.archive import Edge, Node
from autoprune.runs.measurement import Measurement
from autoprune.runs.names import node_id
from autoprune.search.context import SearchContext
from autoprune.search.state import SearchState
from autoprune.tools.inspect import TargetReport, inspect_target, layers_of_units


def prepare(state: SearchState, runtime: Runtime[SearchContext]) -> SearchState:
    """Measure what proposals start from. After a crash only missing measurements are made."""
    context = runtime.context
    target = inspect_target(context.workbench)
    members = layers_of_units(context.workbench)
    units = [{**unit.model_dump(), "layers": members[unit.name]} for unit in target.units]
    context.events.emit("target", "target", unit=context.config.allocation.unit, weights=target.weights, units=units)
    dense = context.workbench.dense("search")
    context.events.emit("dense", "dense", perplexity=target.dense_perplexity, **_origin(dense))
    measure_baselines(context)
    context.archive.add_thoughts(*_opening(context, target))
    return {"generation": 0, "plans": []}


def measure_baselines(context: SearchContext) -> None:
    """Measure all baselines on the search split that are not in the archive, with an event for each."""
    if tuned := context.workbench.tuned_allocations:
        text = (
            f"the parameters of {', '.join(tuned)} are tuned on the search split for every score that is not far behind"
        )
        context.events.emit("notice", "tuning", text=text)
    left = phases_to_come(context.workbench)
    with steps("baselines", left, expected=_expected(context)) as bar:
        _measure_each(context, bar)


def _measure_each(context: SearchContext, bar: Bar) -> None:
    refined = False
    for place, baseline in enumerate(all_baselines(context.workbench)):
        if isinstance(baseline, Baseline) and baseline.refinement != "none" and not refined:
            refined = True
            rest = all_baselines(context.workbench)[place:]  # now it is known which scores are refined
            bar.expect(Counter(each.phase(context.workbench) for each in rest))
            scores = ", ".join(refined_scores(context.workbench))
            titles = ", or ".join(refinement_titles(context.config.baselines).values())
            text = f"masks of {scores} are refined too: {titles}"
            context.events.emit("notice", "refinement", text=text)
        before = context.made
        measured = baseline.measured(context.workbench, "search")
        name = measured.name
        facts: dict[str, Any] = {"perplexity": measured.perplexity, "sparsity": measured.sparsity}
        if parameters := parameters_of(measured):
            facts |= {"parameters": parameters}
        if tuning := measured.tuning:
            facts |= {"tuning": tuning}
        context.events.emit("baseline", f"baseline/{name}", name=name, **facts, **_origin(measured))
        bar.advance(baseline.phase(context.workbench), timed=context.made > before)
        context.tick()  # tuning takes long, and counts even if the search is killed


def _expected(context: SearchContext) -> dict[str, float]:
    """Seconds by phase: as known so far, and of tuning by its trials."""
    expected, workbench = dict(context.expected), context.workbench
    dense = workbench.dense("search")
    for allocation in workbench.tuned_allocations:
        settings, windows = workbench.tuner.trials(allocation)
        trials = {BASELINE: dense.seconds.get("eval", 0.0) / max(dense.windows, 1) * windows}
        for kind in (REFINED, UPDATED):  # half of the settings in half the work, as a guess, and two in full
            trials[kind] = expected.get(kind, 0.0) * (1 + settings / 4)
        for kind, seconds in trials.items():
            if kind in expected:
                expected.setdefault(phase_of(kind, allocation, workbench), seconds + expected[kind])
    return expected


def _origin(measured: Measurement) -> dict[str, bool]:
    """A flag for a measurement that comes from the cache, not from this run."""
    return {"cached": True} if measured.cached else {}


def _opening(context: SearchContext, target: TargetReport) -> tuple[list[Node], list[Edge]]:
    nodes = [Node(name, "observation", 0, text) for name, text in _observations(target).items()]
    edges = []
    seeds = seeds_of(context.config)
    for score, measured in context.seeds().items():
        name = seed_name(score)
        design, evidence = node_id(name, "design"), node_id(name, "evidence")
        text = f"{score}: {seeds[score].text}"
        worst = f"; most damaged: {', '.join(measured.worst_layers)}" * bool(measured.worst_layers)
        finding = f"perplexity {measured.perplexity:.2f}{worst}"
        nodes += [
            Node(design, "design", 0, f"published {text}", {"ground": evidence}),
            Node(name, "algorithm", 0, text),
            Node(evidence, "evidence", 0, finding, {"gain": None, "status": "measured"}),
        ]
        edges += [Edge(design, name, "implements", 0), Edge(name, evidence, "tests", 0)]
    return nodes, edges


def _observations(target: TargetReport) -> dict[str, str]:
    """Three facts about the dense target from its unit statistics."""
    by_skew = sorted(target.units, key=lambda unit: unit.skewness)
    by_input = sorted(target.units, key=lambda unit: unit.input_norm)
    by_outliers = sorted(target.units, key=lambda unit: unit.outlier_share)
    return {
        "obs.skew": f"|weight| is most skewed in {by_skew[-1].name} (skewness {by_skew[-1].skewness:.2f}) and least in "
        f"{by_skew[0].name} ({by_skew[0].skewness:.2f}): in a skewed layer, a few large weights dominate",
        "obs.inputs": f"layer inputs are largest in {by_input[-1].name} (root mean square "
        f"{by_input[-1].input_norm:.2f}) and smallest in {by_input[0].name} ({by_input[0].input_norm:.2f})",
        "obs.outliers": f"{by_outliers[-1].name} has the largest share of outlier scores "
        f"({100 * by_outliers[-1].outlier_share:.2f} %), {by_outliers[0].name} the smallest "
        f"({100 * by_outliers[0].outlier_share:.2f} %)",
    }
