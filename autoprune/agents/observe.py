"""What a strong model is told beside candidates: measured once a run, when the first of its proposals is planned.

So a fork of a run that a recording or the symbolic engine began measures it, too.
"""

from autoprune.agents.briefing import EFFECTS, SPEED
from autoprune.agents.crew import Crew
from autoprune.evaluation.density_effects import STEP, density_effects
from autoprune.evaluation.machine_speed import machine_speed
from autoprune.runs.archive import Node
from autoprune.tools.baselines import baselines


def observe(crew: Crew) -> None:
    """Measure what is wanted and not known yet."""
    _measure_speed(crew)
    _measure_effects(crew)


def _wanted(crew: Crew, observation: str) -> bool:
    """Whether a strong model is to be told of it: once a run, and not where a recording's words are fixed already."""
    told = crew.briefing is not None and crew.config.llm.provider != "replay"
    return told and not any(node.id == observation for node in crew.archive.nodes())


def _measure_speed(crew: Crew) -> None:
    """What a matrix product and an elementwise step take."""
    if not _wanted(crew, SPEED):
        return
    with crew.workbench.measurer.turn:
        speed = machine_speed(crew.workbench.bench.layers, crew.workbench.bench.target.device)
    text = (
        f"On this machine one product of every weight [out, in] with a matrix [in, in] takes {speed.product:.2g} "
        f"seconds for all layers together, one elementwise multiply-add over all weights {speed.element:.2g} seconds."
    )
    crew.archive.add_thoughts([Node(SPEED, "observation", 0, text, vars(speed))], [])


def _measure_effects(crew: Crew) -> None:
    """What density is worth."""
    bench = crew.workbench.bench
    if not _wanted(crew, EFFECTS):
        return
    if bench.target.offloaded:
        text = (
            "what density is worth is not measured: the target's blocks are offloaded, so that it would take too long"
        )
        crew.events.emit("notice", EFFECTS, text=text)
        return
    rows = {baseline: baseline.measured(crew.workbench, "search") for baseline in baselines(crew.workbench)}
    best = min(rows, key=lambda baseline: rows[baseline].perplexity)
    name = rows[best].name
    text = f"measuring what density is worth, by role and depth, with the masks of {name}"
    crew.events.emit("notice", EFFECTS, text=text)
    sizes = {layer.name: layer.size for layer in bench.layers}
    zeros = {layer.name: round(layer.sparsity * sizes[layer.name]) for layer in rows[best].layers}
    with crew.workbench.measurer.turn:
        found = density_effects(bench, best.score, zeros, best.refinement)
    crew.tick()
    if found:
        most = max(found, key=lambda each: each.change / each.share)
        text = (
            f"of all layers, {most.role} in the {most.third} suffer most, for their number of weights, from a lower "
            f"density: {100 * STEP:g} points cost {most.change:+.4f} nats per token"
        )
        data = {"of": name, "effects": [vars(each) for each in found]}
        crew.archive.add_thoughts([Node(EFFECTS, "observation", 0, text, data)], [])
