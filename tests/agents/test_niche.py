"""The kind of a candidate, read off its source."""

import pytest

from autoprune.agents.niche import ALLOCATES, INPUTS, niche_of
from autoprune.agents.symbolic.expression import SEEDS
from autoprune.agents.symbolic.source import source
from autoprune.candidates.contract import EXPENSIVE_FIELDS, LAYER_FIELDS
from autoprune.runs.quality import Niche

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"


def scoring(body, head=""):
    return f"{head}\n\ndef score(layer):\n    w = layer.weight\n    return {body}\n"


def test_the_seeds_have_cells_of_their_own():
    cells = {name: niche_of(source(*seed)) for name, seed in SEEDS.items()}
    assert cells["magnitude"] == Niche((), "light", "matrix")
    assert cells["wanda"] == Niche(("norm",), "light", "row")
    assert len(set(cells.values())) == len(SEEDS)


def test_every_field_of_the_contract_is_an_input_but_the_weight_and_the_name():
    fields = {field.name for field in (*LAYER_FIELDS, *EXPENSIVE_FIELDS)}
    assert set(INPUTS) == fields - {"weight", "name"}
    for field, label in INPUTS.items():
        assert niche_of(scoring(f"w * layer.{field}")).inputs == (label,)


def test_inputs_have_one_order_whatever_the_order_in_the_source():
    one, other = scoring("w * layer.input_norm + layer.hessian"), scoring("layer.hessian * w + layer.input_norm")
    assert niche_of(one) == niche_of(other)
    assert niche_of(one).inputs == ("norm", "hessian")


def test_an_allocation_of_its_own_is_said_and_what_it_reads_of_units_is_no_input_of_the_score():
    allocate = "def allocate(units, sparsity):\n    return sorted(unit.depth * unit.input_norm for unit in units)\n"
    assert niche_of(scoring("w.abs()", allocate)) == Niche((ALLOCATES,), "light", "row")


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ("w.abs() * layer.input_norm", "light"),
        ("w.abs() * float(max(1, 2)) * (2 * 3)", "light"),
        ("w.abs().sqrt().log1p().tanh().square().exp() * layer.input_norm", "medium"),
        ("w @ layer.hessian", "heavy"),
        ("torch.linalg.inv(layer.hessian).diagonal() * w", "heavy"),
        ("w.sort(dim=-1).values", "heavy"),
        ("torch.stack([row.abs() for row in w])", "heavy"),
        ("w.abs() / torch.linalg.norm(w)", "light"),
    ],
)
def test_cost_is_read_off_the_operations(body, cost):
    assert niche_of(scoring(body)).cost == cost


@pytest.mark.parametrize(
    ("head", "group"),
    [
        ("", "row"),
        ('GROUP = "matrix"', "matrix"),
        ('GROUP: str = "matrix"', "matrix"),
        ('GROUP = "row"\nGROUP = "matrix"', "matrix"),
        ('GROUP = "column"', "row"),
        ("GROUP = str(1)", "row"),
    ],
)
def test_the_group_is_the_literal_that_the_source_sets(head, group):
    assert niche_of(scoring("w", head)).group == group


@pytest.mark.parametrize("text", ["", "def score(", "\x00", "(" * 5000, "x" + ".y" * 20000])
def test_any_text_has_a_cell(text):
    assert niche_of(text).inputs == ()
