"""Formulas for structures: what they are as sources, and how the proposer varies them."""

from random import Random

import pytest
import torch

from autoprune.agents.population import Algorithm, seeds_of
from autoprune.agents.proposer import Request
from autoprune.agents.symbolic.expression import size
from autoprune.agents.symbolic.structure_proposer import LARGEST, StructureProposer
from autoprune.agents.symbolic.structures import ELIMINATE, IMPORTANCE, TERMINALS, bare, order, seeds, source, terminals
from autoprune.candidates.screen import Rules, screen
from autoprune.config import load_config
from autoprune.pruning.layers import LayerInfo, LayerView
from autoprune.pruning.structure_view import StructureSet, structure_view
from autoprune.pruning.structures.spec import Part, Structures
from autoprune.pruning.structures.table import spec_of

COUNT, KEEP = 12, 8
KINDS = ("channel", "head")


def layer(name, shape, seed):
    random = torch.Generator().manual_seed(seed)
    inputs = torch.randn(64, shape[1], generator=random) @ torch.randn(shape[1], shape[1], generator=random)
    return LayerView(
        weight=torch.randn(shape, generator=random),
        gradient=torch.rand(shape, generator=random),
        output_sensitivity=torch.rand(shape[0], generator=random),
        hessian=inputs.T @ inputs / 64,
        hessian_diag=inputs.square().mean(0),
        input_norm=inputs.norm(dim=0),
        input_mean=inputs.mean(0),
        input_var=inputs.var(0),
        name=name,
        role=name,
        depth=0.5,
        sparsity=0.0,
        pattern="none",
    )


LAYERS = {"up": layer("up", (2 * COUNT, 10), 1), "down": layer("down", (10, 2 * COUNT), 2)}
INFOS = [LayerInfo(name, name, 0, 0.5, tuple(view.weight.shape), "block.0") for name, view in LAYERS.items()]


def view(kind="head"):
    if kind == "block":
        asked = StructureSet("block", 0, 1, 3, 0.2, (("up", 0), ("down", 0)), influence=0.3)
    else:
        asked = StructureSet("head", 0, COUNT, KEEP, 0.2, (("up", 0), ("down", 1)))
    return structure_view(asked, INFOS, LAYERS.__getitem__)


def scores(expression, kinds=KINDS, kind="head"):
    namespace = {}
    exec(source(expression, kinds), namespace)
    return namespace["score"](view(kind))


@pytest.mark.parametrize("name", ["magnitude", "wanda-sp", "flap", "taylor"])
def test_published_methods_are_formulas_of_the_engine(name):
    parts = [
        Part(LAYERS["up"].weight, 0, lambda field: getattr(LAYERS["up"], field)),
        Part(LAYERS["down"].weight, 1, lambda field: getattr(LAYERS["down"], field)),
    ]
    published = spec_of(name).score(Structures("head", COUNT, parts))
    assert torch.allclose(scores(seeds(KINDS)[name]), published)


@pytest.mark.parametrize("name", TERMINALS)
def test_every_statistic_gives_a_finite_non_negative_number_per_structure(name):
    kinds, kind = (("block",), "block") if TERMINALS[name].of_blocks else (KINDS, "head")
    values = scores(name, kinds, kind)
    assert values.shape == ((1,) if kind == "block" else (COUNT,))
    assert bool(values.isfinite().all() and (values >= 0).all())


def test_unexplained_energy_is_the_error_of_the_output_without_one_input_and_the_best_of_the_others():
    values, down = scores("O", ("channel",)), LAYERS["down"]
    damped = down.hessian + 0.01 * down.hessian.diagonal().mean() * torch.eye(2 * COUNT)
    at = 5
    rest = [place for place in range(2 * COUNT) if place != at]
    predicted = torch.linalg.solve(damped[rest][:, rest], damped[rest, at])
    unexplained = damped[at, at] - damped[at, rest] @ predicted
    energy = down.weight[:, at].square().sum() * unexplained
    assert torch.allclose((values * 0 + energy)[0], energy)
    partner = at - 1
    others = [place for place in range(2 * COUNT) if place != partner]
    other = damped[partner, partner] - damped[partner, others] @ torch.linalg.solve(
        damped[others][:, others], damped[others, partner]
    )
    both = energy + down.weight[:, partner].square().sum() * other
    assert torch.allclose(values[at // 2], both, rtol=1e-3)


def test_elimination_with_one_round_keeps_what_the_formula_keeps_and_more_rounds_keep_as_many():
    plain, once = scores("E"), scores((ELIMINATE, "E", 1.0))
    assert set(plain.topk(KEEP).indices.tolist()) == set(once.topk(KEEP).indices.tolist())
    often = scores((ELIMINATE, ("mul", "O", "T"), 4.0))
    assert often.shape == (COUNT,)
    assert len(often.unique()) == COUNT


def request(operator, parents, slot="g1.c1", known=()):
    plan = {"slot": slot, "generation": 1, "operator": operator, "engine": "symbolic", "parents": []}
    return Request(plan, "0", 0, parents, [*parents, *known], [], frozenset(), [], None)


def parents_of(kinds):
    return [
        Algorithm(f"seed.{name}", name, source(expression, kinds), 10.0, {IMPORTANCE: expression})
        for name, expression in seeds(kinds).items()
    ]


@pytest.mark.parametrize("kinds", [("channel",), KINDS, ("block",)])
@pytest.mark.parametrize("operator", ["initialise", "explore", "structure", "constants", "simplify", "cross", "repair"])
def test_every_operator_gives_a_sound_source_that_ranks_as_no_known_one_does(kinds, operator):
    proposer, parents = StructureProposer(kinds, compensated=True), parents_of(kinds)
    rules = Rules(league="compensated", structures=kinds)
    known = {order(parent.thought[IMPORTANCE]) for parent in parents}
    new = 0
    for number in range(12):
        chosen = Random(number).sample(parents, 2)
        draft = proposer.propose(request(operator, chosen, f"g1.c{number + 1}", parents))
        assert [finding for finding in screen(draft.source, rules) if finding.severity == "error"] == []
        expression = draft.thought[IMPORTANCE]
        assert size(bare(expression)) <= LARGEST
        new += order(expression) not in known
        values = scores(expression, kinds, "block" if kinds == ("block",) else "head")
        assert bool(values.isfinite().all())
    assert new >= 10
    again = proposer.propose(request(operator, parents[:2]))
    assert again == proposer.propose(request(operator, parents[:2]))


def test_without_compensation_nothing_is_solved_for_in_rounds():
    proposer = StructureProposer(("channel",), compensated=False)
    drafts = [proposer.propose(request("explore", [], f"g1.c{number}")) for number in range(30)]
    assert not any("eliminated" in draft.source for draft in drafts)


def test_a_search_of_structures_starts_from_the_published_methods_that_rank_them():
    assert list(seeds_of(load_config(None, ["search.structure=mix"]))) == ["magnitude", "wanda-sp", "flap", "taylor"]
    assert list(seeds_of(load_config(None, ["search.structure=depth"]))) == ["magnitude", "taylor", "shortgpt"]
    assert "B" not in terminals(("channel",))
