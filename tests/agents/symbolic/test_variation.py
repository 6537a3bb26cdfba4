"""Formulas vary, and what ends them with exchanges stays as it is."""

from random import Random

import pytest

from autoprune.agents.symbolic.allocation import mutate
from autoprune.agents.symbolic.expression import FEW_ROUNDS, MOST_ROUNDS, sound
from autoprune.agents.symbolic.individual import Individual
from autoprune.agents.symbolic.operators import CODE
from autoprune.agents.symbolic.variation import deepened, initialise, mutate_constants, mutate_structure

WANDA = ("mul", "W", ("pow", "X", 0.5))


@pytest.mark.parametrize("seed", range(40))
def test_formulas_that_compete_have_as_many_rounds_of_exchanges_as_each_other(seed):
    drawn = [initialise(Random(seed)), mutate_structure(WANDA, Random(seed))]
    assert all(each[2] == FEW_ROUNDS for each in drawn if each[0] == "exchange")


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("formula", [WANDA, "W", ("mul", "W", "X")])
def test_another_constant_leaves_the_rounds_as_they_are(formula, seed):
    changed = mutate_constants(("exchange", formula, 8.0), Random(seed))
    assert (changed[0], changed[2]) == ("exchange", 8.0)
    assert changed[1] != formula
    assert sound(changed)


@pytest.mark.parametrize("shallow", [WANDA, ("exchange", WANDA, FEW_ROUNDS)])
def test_a_formula_is_deepened_until_it_has_most_rounds(shallow):
    deep = ("exchange", WANDA, MOST_ROUNDS)
    assert deepened(shallow, 2) == ("exchange", WANDA, 2 * FEW_ROUNDS)
    assert deepened(shallow, 16) == deep
    assert deepened(deep, 2) is None


def test_what_is_deepened_keeps_its_group_and_allocation():
    spread = {"family": "profile"}
    shallow = Individual(("exchange", WANDA, FEW_ROUNDS), "matrix", spread)
    assert shallow.deepened(16) == Individual(("exchange", WANDA, MOST_ROUNDS), "matrix", spread)


def test_others_code_is_deepened_with_its_allocation_unless_that_would_lose_what_it_does_else():
    code = 'GROUP = "matrix"\n\n\ndef score(layer):\n    return layer.weight.abs()\n'
    deep = Individual.of({}, code).deepened(16)
    assert deep == Individual(("exchange", (CODE, code), MOST_ROUNDS), "matrix")
    assert "layer.weight.abs()" in deep.source
    spreads = code + "\n\nSLOPE = 2.0\n\n\ndef allocate(units, sparsity):\n    return [SLOPE for unit in units]\n"
    deep = Individual.of({}, spreads).deepened(16)
    assert deep.expression == ("exchange", (CODE, code), MOST_ROUNDS)
    names = {}
    exec(deep.source, names)
    assert names["allocate"]([None, None], 0.5) == [2.0, 2.0]
    refines = code + "\n\ndef refine(layer, mask):\n    return mask\n"
    assert Individual.of({}, refines).deepened(16) is None
    assert Individual.of({}, "def score(layer) return 1").deepened(16) is None


def test_children_of_others_code_keep_its_allocation_and_may_get_another():
    code = "def score(layer):\n    return layer.weight.abs()\n\n\ndef allocate(units, sparsity):\n    return [0.5]\n"
    parent = Individual.of({}, code)
    child = Individual(("mul", parent.expression, "X"), "row", parent.allocation)
    assert "return [0.5]" in child.source
    assert mutate(parent.allocation, Random(0))["family"] in ("sdsa", "profile")
