"""Drafts are tried on a few layers of the tiny model in the real local sandbox."""

import math
import threading

import pytest

from autoprune.candidates.library import library
from autoprune.errors import CandidateFailure
from autoprune.measuring import layer_trials
from autoprune.measuring.layer_trials import LayerTrials, tried_layers
from autoprune.pruning.layers import LayerInfo

WANDA = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
MAGNITUDE = "def score(layer):\n    return layer.weight.abs()\n"
ALLOCATES = f"{WANDA}\n\ndef allocate(units, sparsity):\n    return [0.3 + 0.4 * unit.depth for unit in units]\n"
FREE = 'PARAMS = {"power": (0.5, 1.5)}\n\n\n' + WANDA.replace("input_norm", 'input_norm.pow(PARAMS["power"])')
REFINES = f"{WANDA}\n\ndef refine(layer, mask):\n    return mask\n"
FAILS = "def score(layer):\n    return layer.weight / layer.unknown\n"
SHAPE = "def score(layer):\n    return layer.weight[:1]\n"
SLOW = "def score(layer):\n    x = layer.weight\n    while x is not None:\n        x = x + 1\n    return x\n"
FORBIDDEN = "import os\n\n\ndef score(layer):\n    return layer.weight.abs()\n"
UPDATES = f"{WANDA}\n\ndef update(layer, mask):\n    return layer.weight * mask\n"


@pytest.fixture
def trials(new_workbench):
    def of(parent=None, found=None, **groups):
        return LayerTrials(new_workbench(**groups), parent, found or {})

    return of


def by_loops(bench, layer):
    """sum_r s_r d_r H d_r^T over the same of W, for Wanda's mask with so many zeros in each row, in plain loops."""
    sample = bench.reconstruction()
    weight, norm = bench.target.weight(layer.name).double(), bench.readable().statistic(layer.name, "input_norm")
    hessian = sample._bundle.hessian(layer.name).double()
    sensitivity = sample._bundle.output_sensitivity(layer.name).double()
    rows, columns = weight.shape
    lost = whole = 0.0
    for row in range(rows):
        zeros = layer.zeros // rows + (row < layer.zeros % rows)
        scores = [(float(weight[row, column].abs()) * float(norm[column]), column) for column in range(columns)]
        pruned = {column for _, column in sorted(scores)[:zeros]}
        for a in range(columns):
            for b in range(columns):
                term = float(sensitivity[row] * weight[row, a] * hessian[a, b] * weight[row, b])
                whole += term
                lost += term * (a in pruned and b in pruned)
    return lost / whole


def test_errors_are_those_of_the_formula_beside_wanda_and_the_parent(trials):
    of = trials(parent=MAGNITUDE)
    trial = of.try_draft(WANDA)
    assert [layer.error for layer in trial.layers] == [layer.wanda for layer in trial.layers]
    key = next(layer for layer in trial.layers if "k_proj" in layer.name)
    assert key.error == pytest.approx(by_loops(of.workbench.bench, key), rel=1e-3)
    turned = LayerTrials(of.workbench, WANDA).try_draft(MAGNITUDE)
    assert [layer.error for layer in turned.layers] == [layer.parent for layer in trial.layers]
    assert [layer.parent for layer in turned.layers] == [layer.wanda for layer in turned.layers]
    assert trial.parent_problem == ""


def test_all_have_as_many_zeros_in_a_layer_as_the_draft_allocates(trials):
    of = trials(parent=MAGNITUDE)
    plain, spread = of.try_draft(WANDA), of.try_draft(ALLOCATES)
    assert [layer.zeros for layer in plain.layers] != [layer.zeros for layer in spread.layers]
    assert [layer.error for layer in spread.layers] == [layer.wanda for layer in spread.layers]
    assert [layer.parent for layer in plain.layers] != [layer.parent for layer in spread.layers]


def test_seconds_are_those_of_the_layers_for_all_weights(trials, monkeypatch):
    of = trials()
    monkeypatch.setattr(layer_trials.Seconds, "score", property(lambda self: 2.0, lambda self, value: None))
    trial, target = of.try_draft(WANDA), of.workbench.bench.target
    assert trial.seconds == pytest.approx(2.0 * target.weights / sum(layer.size for layer in trial.layers))


@pytest.mark.parametrize("source", [FREE, REFINES])
def test_free_parameters_have_the_middles_of_their_ranges_and_edits_are_applied(trials, source):
    of = trials()
    assert [layer.error for layer in of.try_draft(source).layers] == [
        layer.error for layer in of.try_draft(WANDA).layers
    ]


def test_an_update_that_changes_nothing_has_the_error_of_its_mask_and_needs_its_league(trials):
    updated = trials(name="update", search={"league": "update"}).try_draft(UPDATES)
    for layer in updated.layers:
        assert layer.error == pytest.approx(layer.wanda, rel=1e-5)
    with pytest.raises(CandidateFailure, match=r"screen: contract: .*masks only"):
        trials(name="mask").try_draft(UPDATES)


def test_a_found_function_can_be_used_where_the_search_offers_it(trials):
    found = (
        "from autoprune import kit\n\nGROUP = 'matrix'\n\n\ndef score(layer):\n    kept = layer.weight.numel() // 2\n"
    )
    found += (
        "    mask = kit.found.weighted_descent(layer.weight, layer.hessian, kept, layer.output_sensitivity.sqrt())\n"
    )
    found += "    return mask.float()\n"
    of = trials(found=library())
    assert all(math.isfinite(layer.error) for layer in of.try_draft(found).layers)
    with pytest.raises(CandidateFailure, match="no found function"):
        LayerTrials(of.workbench).try_draft(found)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (FAILS, r"score: exception: .*unknown.*line 2"),
        (SHAPE, r"(check|score): shape: "),
        (FORBIDDEN, r"screen: forbidden: import of 'os'.*line 1"),
        ("def score(layer:\n", r"screen: contract: .*line 1"),
    ],
    ids=["raises", "wrong-shape", "refused", "no-python"],
)
def test_a_failure_is_that_of_a_candidate(trials, source, complaint):
    of = trials()
    with pytest.raises(CandidateFailure, match=complaint) as tried:
        of.try_draft(source)
    with pytest.raises(CandidateFailure) as measured:
        of.workbench.candidate(of.workbench.run.save_source(source), "search")
    assert (tried.value.stage, tried.value.reason) == (measured.value.stage, measured.value.reason)


def test_a_draft_has_a_bounded_time(trials, monkeypatch):
    monkeypatch.setattr(layer_trials, "SECONDS", 1.0)
    of = trials()
    assert of.workbench.config.sandbox.seconds > 60
    with pytest.raises(CandidateFailure, match=r"score: timeout: no answer within 1 s ") as late:
        of.try_draft(SLOW)
    assert "0 of 14 layers were done by then" in late.value.message


def test_a_parent_that_fails_leaves_its_errors_out_and_is_run_once(trials):
    of = trials(parent=FAILS)
    first = of.try_draft(WANDA)
    of.parent = WANDA  # the first failure stands
    for trial in (first, of.try_draft(MAGNITUDE)):
        assert {layer.parent for layer in trial.layers} == {None}
        assert trial.parent_problem.startswith("score: exception: ")


def test_a_trial_waits_for_what_holds_the_compute_lock_and_leaves_no_trace(trials):
    of = trials(parent=MAGNITUDE)
    workbench, done = of.workbench, threading.Event()
    sources = sorted(workbench.run.path.rglob("*"))

    def tries():
        of.try_draft(WANDA)
        done.set()

    thread = threading.Thread(target=tries)
    with workbench.measurer.lock:
        thread.start()
        assert not done.wait(1.0)
    thread.join()
    assert done.is_set()
    assert sorted(workbench.run.path.rglob("*")) == sources
    assert workbench.archive.measurements("search") == workbench.archive.measurements("report") == []
    workbench.verify()


def layer(block, role):
    return LayerInfo(f"{block}.{role}", role, block, block / 29, (4, 4), f"block.{block}")


def test_two_layers_of_each_role_show_different_depths():
    roles = ("q", "k", "v", "o", "gate", "up", "down")
    names = tried_layers([layer(block, role) for block in range(30) for role in roles])
    assert len(set(names)) == len(names) == 14
    assert [name.partition(".")[2] for name in names] == [role for role in roles for _ in range(2)]
    assert len({name.partition(".")[0] for name in names}) == 5


def test_roles_that_are_rare_and_models_of_one_block_give_fewer_layers():
    assert tried_layers([layer(0, "q"), layer(0, "k")]) == ["0.q", "0.k"]
    rare = [layer(block, "q") for block in range(30)] + [layer(3, "expert")]
    assert [name for name in tried_layers(rare) if "expert" in name] == ["3.expert"]
    many = [layer(block, f"role{number}") for block in range(2) for number in range(20)]
    assert len(tried_layers(many)) == 2 * layer_trials.MOST_ROLES
