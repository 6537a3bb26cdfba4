"""Two candidates composed by their syntax trees: each part behaves as it did in its own source."""

from types import SimpleNamespace

import pytest

from autoprune.candidates.composition import (
    Incompatible,
    algorithm_of,
    allocation_of,
    composed,
    keeps_allocation,
    without_mark,
)
from autoprune.candidates.parameters import ranges
from autoprune.candidates.screen import screen
from autoprune.syntax import NotPython

SCORE = "def score(layer):\n    return layer.weight.abs()\n"
ALGORITHM = '''"""A score with helpers."""

import math

import torch

GROUP = "matrix"
EPS = 2.0
SLOPE = 0.5


def density(x):
    return x * EPS


# What deep blocks lose.
def allocate(units, sparsity):
    return [density(1 - sparsity) - SLOPE * unit.depth for unit in units]


UNIT = "module"


def score(layer):
    return density(layer.weight) + math.sqrt(4.0)
'''
SPREAD = """from math import exp

UNIT, GROUP = "projection", "row"
EPS = 7.0


def density(unit):
    return EPS + exp(0.0) * unit.depth


def allocate(units, sparsity):
    return [density(unit) for unit in units]


def doubled(before):
    def allocate(units, sparsity):
        return [2 * density for density in before(units, sparsity)]

    return allocate


allocate = doubled(allocate)


def score(layer):
    return layer.weight
"""


def run(source):
    names = {}
    exec(source, names)
    return names


def units(count=2):
    return [SimpleNamespace(depth=float(place), role="q") for place in range(count)]


def test_the_algorithm_behaves_as_before_and_the_allocation_as_in_its_own_source():
    source = composed(ALGORITHM, SPREAD)
    names, first, second = run(source), run(ALGORITHM), run(SPREAD)
    assert names["allocate"](units(), 0.5) == second["allocate"](units(), 0.5) == [14.0, 16.0]
    layer = SimpleNamespace(weight=3.0)
    assert names["score"](layer) == first["score"](layer) == 8.0
    assert (names["GROUP"], names["UNIT"]) == ("matrix", "projection")
    assert source.startswith('"""A score with helpers."""\n\nimport math\n')
    assert "What deep blocks lose" not in source
    assert "SLOPE" not in source
    assert not [finding for finding in screen(source) if finding.severity == "error"]


def test_a_composition_can_be_taken_apart_and_composed_again():
    source = composed(ALGORITHM, SPREAD)
    assert algorithm_of(source) == algorithm_of(ALGORITHM)
    bare = f'"""A score."""\n\nGROUP = "row"\n\n\n{SCORE}'
    assert algorithm_of(composed(bare, SPREAD)) == bare
    again = run(composed(composed(source, ALGORITHM), source))
    assert again["allocate"](units(), 0.5) == [14.0, 16.0]
    assert again["score"](SimpleNamespace(weight=3.0)) == 8.0


def test_an_allocation_stands_alone_with_its_imports_and_helpers():
    assert run(allocation_of(SPREAD))["allocate"](units(), 0.5) == [14.0, 16.0]
    assert "def score" not in allocation_of(SPREAD)
    assert allocation_of(SCORE) is None
    assert composed(ALGORITHM, SCORE) == algorithm_of(ALGORITHM)


def test_numbers_that_are_left_open_are_among_those_of_the_algorithm():
    algorithm = f'PARAMS = {{"power": 0.7}}\n\n\n{SCORE}X = PARAMS["power"]\n'
    allocation = 'PARAMS = {"slope": (0.0, 0.3)}\n\n\ndef allocate(units, sparsity):\n    return [PARAMS["slope"]]\n'
    source = composed(algorithm, allocation)
    assert list(ranges(source)) == ["slope"]
    assert run(source)["PARAMS"] == {"power": 0.7, "slope": (0.0, 0.3)}
    tuned = allocation.replace("(0.0, 0.3)", "0.2").replace("slope", "power")
    names = run(composed(algorithm, tuned))
    assert names["allocate"]([None], 0.5) == [0.2]
    assert names["X"] == 0.7


@pytest.mark.parametrize(
    ("algorithm", "allocation", "reason"),
    [
        (f"{SCORE}\nX = allocate\n\ndef allocate(units, sparsity):\n    return []\n", SPREAD, "uses `allocate`"),
        (f"def max(x):\n    return x\n\n\n{SCORE}", "def allocate(units, sparsity):\n    return [max(1, 2)]\n", "max"),
        (f"def exp(x):\n    return x\n\n\n{SCORE}", SPREAD, "imports exp"),
        (
            f'PARAMS = {{"a": (0.0, 1.0)}}\nX = PARAMS\n{SCORE}',
            'PARAMS = {"a": (0.0, 2.0)}\n\ndef allocate(units, sparsity):\n    return [PARAMS["a"]]\n',
            "both name a",
        ),
        (
            f"EPS = 1\n{SCORE}",
            "EPS = 2\n\ndef allocate(units, sparsity):\n    return one(EPS)\n\ndef one(EPS):\n    return [EPS]\n",
            "EPS is at the top level of both",
        ),
    ],
)
def test_what_would_change_one_of_them_is_refused_in_one_line(algorithm, allocation, reason):
    with pytest.raises(Incompatible, match=reason) as refused:
        composed(algorithm, allocation)
    assert "\n" not in str(refused.value)


def test_what_is_not_python_is_refused():
    with pytest.raises(NotPython):
        composed("def score(layer) return 1", SPREAD)


def test_statements_on_one_line_are_told_apart():
    crowded = f"EPS = 1; UNIT = 'module'\n{SCORE}\nB = EPS\ndef allocate(units, sparsity): return [1.0] * len(units)\n"
    assert "UNIT" not in algorithm_of(crowded)
    assert run(algorithm_of(crowded))["B"] == 1


def test_the_mark_of_a_kept_allocation_leaves_no_trace():
    draft = f'ALLOCATION = "parent"\n\n\n{SCORE}'
    assert keeps_allocation(draft)
    assert not keeps_allocation(f"{draft}\n\ndef allocate(units, sparsity):\n    return []\n")
    assert not keeps_allocation(SCORE)
    assert without_mark(draft).strip() == SCORE.strip()


def test_a_source_of_many_statements_takes_no_time():
    chain = "\n".join(f"a{number} = a{number + 1}" for number in range(2500))
    source = f"{chain}\na2500 = 1\n\n\ndef allocate(units, sparsity):\n    return [a0]\n\n\n{SCORE}"
    assert "a1 = a2" in allocation_of(source)
    assert composed(SCORE, source).startswith("def score")
