"""What a language model wrote can be a part of a formula."""

import pytest
import torch

from autoprune.agents.symbolic.code_leaf import can_embed
from autoprune.agents.symbolic.source import source
from tests.agents.symbolic.test_expression import BY_AN_LLM, layer, load


def test_the_score_of_other_code_is_kept_inside_a_formula():
    view = layer()
    expected = load(BY_AN_LLM)["score"](view) * view.hessian_diag
    text = source(("mul", ("code", BY_AN_LLM), "H"), "matrix")
    names = load(text)
    torch.testing.assert_close(names["score"](view), expected)
    assert names["GROUP"] == "matrix"


def test_helpers_of_both_sides_live_side_by_side():
    theirs = "def minmax(x):\n    return -x\n\n\ndef score(layer):\n    return minmax(layer.weight)\n"
    view = layer()
    scores = load(source(("minmax", ("code", theirs)), "row"))["score"](view)
    assert float(scores.min()) == 0.0
    torch.testing.assert_close(scores.argmin(), (-view.weight).argmin())


def test_its_allocation_and_unit_are_left_behind():
    theirs = (
        'UNIT = "module"\n\n\ndef score(layer):\n    return layer.weight\n\n\ndef allocate(units, s):\n    return []\n'
    )
    names = load(source(("abs", ("code", theirs)), "row"))
    assert "allocate" not in names
    assert "UNIT" not in names


@pytest.mark.parametrize(
    "text",
    ["def score(:", "x = 1", "EPS = 1\n\n\ndef f(EPS):\n    return EPS\n\n\ndef score(layer):\n    return f(layer)\n"],
)
def test_what_cannot_be_a_part_is_said_to_be_so(text):
    assert not can_embed(text)
