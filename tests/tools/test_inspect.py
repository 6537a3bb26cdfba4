"""The tool `inspect_target` on the tiny model."""

from dataclasses import asdict

from autoprune.agents.lookups import Inspect, lookups
from autoprune.evaluation.density_effects import EFFECTS, DensityEffect
from autoprune.runs.archive import Node
from autoprune.tools.inspect import inspect_target


def test_it_gives_what_density_is_worth_once_that_was_measured(new_workbench):
    workbench = new_workbench()
    before = inspect_target(workbench)
    assert (before.effects, len(before.units) > 1) == ([], True)
    effect = DensityEffect("v", "first third", 0.05, 0.012, 0.001)
    data = {"of": "wanda + sdsa", "effects": [asdict(effect)]}
    workbench.archive.add_thoughts([Node(EFFECTS, "observation", 0, "v matters", data)], [])
    after = inspect_target(workbench)
    assert (after.effects, after.effects_of) == ([effect], "wanda + sdsa")
    toolbox = lookups(workbench, workbench.config.agents, "openai")(1)
    tool = next(tool for tool in toolbox.tools if tool.name == "inspect_target")
    assert "- v: first third +12.0 ± 1.0 (5.0 % of all weights)" in tool.run(Inspect(limit=1))


def test_effects_that_another_program_stored_are_none(new_workbench):
    workbench = new_workbench()
    node = Node(EFFECTS, "observation", 0, "x", {"of": 1, "effects": [{"role": 5}]})
    workbench.archive.add_thoughts([node], [])
    assert inspect_target(workbench).effects == []
