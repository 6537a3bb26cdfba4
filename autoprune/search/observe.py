"""Observations for a strong model's prompt, measured once per run when its first proposal is planned.

A fork of a run without such proposals measures them as well.
"""

from autoprune.agents.briefing import SPEED
from autoprune.evaluation.density_effects import BLOCKS, EFFECTS, STEP, density_effects
from autoprune.evaluation.machine_speed import machine_speed
from autoprune.measuring.baselines import baselines
from autoprune.runs.archive import Node
from autoprune.search.context import SearchContext


def observe(context: SearchContext) -> None:
    """Measure the observations that are missing, unless a recording is replayed, whose replies are fixed."""
    if context.briefing is None or context.config.llm.provider == "replay":
        return
    stored = {node.id for node in context.archive.nodes()}
    if SPEED not in stored:
        _measure_speed(context)
    if EFFECTS not in stored and context.config.search.structure is None:
        _measure_effects(context)


def _measure_speed(context: SearchContext) -> None:
    """The time of typical operations of candidates."""
    with context.workbench.measurer.lock:
        speed = machine_speed(context.workbench.bench.layers, context.workbench.bench.target.device)
    text = (
        f"On this machine one product of every weight [out, in] with a matrix [in, in] takes {speed.product:.2g} "
        f"seconds for all layers together, one elementwise multiply-add over all weights {speed.element:.2g} "
        f"seconds, one torch.where or masked_fill {speed.selection:.2g} seconds, sorting every row {speed.sort:.2g} "
        "seconds."
    )
    context.archive.add_thoughts([Node(SPEED, "observation", 0, text, vars(speed))], [])


def _measure_effects(context: SearchContext) -> None:
    """The effect of density on the loss, by role and depth."""
    bench = context.workbench.bench
    if bench.target.offloaded:
        text = "the effect of density is not measured: it would take too long with offloaded blocks"
        context.events.emit("notice", EFFECTS, text=text)
        return
    every = [baseline for baseline in baselines(context.workbench) if baseline.update == "none"]
    rows = {baseline: baseline.measured(context.workbench, "search") for baseline in every}
    best = min(rows, key=lambda baseline: rows[baseline].perplexity)
    name = rows[best].name
    text = f"measuring the effect of density by role and depth, with the masks of {name}"
    context.events.emit("notice", EFFECTS, text=text)
    sizes = {layer.name: layer.size for layer in bench.layers}
    zeros = {layer.name: round(layer.sparsity * sizes[layer.name]) for layer in rows[best].layers}
    with context.workbench.measurer.lock:
        effects = density_effects(bench, best.score, zeros, best.refinement)
    context.tick()
    if by_role := [effect for effect in effects if effect.role != BLOCKS]:
        largest = max(by_role, key=lambda effect: effect.change / effect.share)
        text = (
            f"{largest.role} in the {largest.third} are the most sensitive per weight: keeping {100 * STEP:g} points "
            f"less costs {largest.change:+.4f} nats per token"
        )
        data = {"of": name, "effects": [vars(effect) for effect in effects]}
        context.archive.add_thoughts([Node(EFFECTS, "observation", 0, text, data)], [])
