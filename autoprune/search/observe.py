"""What a strong model is told beside candidates: measured once a run, when the first of its proposals is planned.

So a fork of a run that a recording or the symbolic engine began measures it, too.
"""

from autoprune.agents.briefing import EFFECTS, SPEED
from autoprune.evaluation.density_effects import STEP, density_effects
from autoprune.evaluation.machine_speed import machine_speed
from autoprune.measuring.baselines import baselines
from autoprune.runs.archive import Node
from autoprune.search.context import SearchContext


def observe(context: SearchContext) -> None:
    """Measure what is wanted and not known yet."""
    _measure_speed(context)
    _measure_effects(context)


def _wanted(context: SearchContext, observation: str) -> bool:
    """Whether a strong model is to be told of it: once a run, and not where a recording's words are fixed already."""
    told = context.briefing is not None and context.config.llm.provider != "replay"
    return told and not any(node.id == observation for node in context.archive.nodes())


def _measure_speed(context: SearchContext) -> None:
    """What a matrix product and an elementwise step take."""
    if not _wanted(context, SPEED):
        return
    with context.workbench.measurer.lock:
        speed = machine_speed(context.workbench.bench.layers, context.workbench.bench.target.device)
    text = (
        f"On this machine one product of every weight [out, in] with a matrix [in, in] takes {speed.product:.2g} "
        f"seconds for all layers together, one elementwise multiply-add over all weights {speed.element:.2g} seconds."
    )
    context.archive.add_thoughts([Node(SPEED, "observation", 0, text, vars(speed))], [])


def _measure_effects(context: SearchContext) -> None:
    """What density is worth."""
    bench = context.workbench.bench
    if not _wanted(context, EFFECTS):
        return
    if bench.target.offloaded:
        text = (
            "what density is worth is not measured: the target's blocks are offloaded, so that it would take too long"
        )
        context.events.emit("notice", EFFECTS, text=text)
        return
    rows = {baseline: baseline.measured(context.workbench, "search") for baseline in baselines(context.workbench)}
    best = min(rows, key=lambda baseline: rows[baseline].perplexity)
    name = rows[best].name
    text = f"measuring what density is worth, by role and depth, with the masks of {name}"
    context.events.emit("notice", EFFECTS, text=text)
    sizes = {layer.name: layer.size for layer in bench.layers}
    zeros = {layer.name: round(layer.sparsity * sizes[layer.name]) for layer in rows[best].layers}
    with context.workbench.measurer.lock:
        found = density_effects(bench, best.score, zeros, best.refinement)
    context.tick()
    if found:
        most = max(found, key=lambda each: each.change / each.share)
        text = (
            f"of all layers, {most.role} in the {most.third} suffer most, for their number of weights, from a lower "
            f"density: {100 * STEP:g} points cost {most.change:+.4f} nats per token"
        )
        data = {"of": name, "effects": [vars(each) for each in found]}
        context.archive.add_thoughts([Node(EFFECTS, "observation", 0, text, data)], [])
