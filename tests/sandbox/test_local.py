"""The sandbox `local`: what a well-meant candidate gets, and how each kind of failure is told."""

import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from autoprune import kit
from autoprune.errors import CandidateFailure
from autoprune.models.bundle import STATISTICS, Bundle, write_bundle
from autoprune.pruning.layers import LayerInfo
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.channel import PRINTED
from autoprune.sandbox.local import LocalSandbox, LocalWorker
from autoprune.sandbox.protocol import wait_until_ready
from autoprune.sandbox.session import WorkerSession
from tests.sandbox.candidates import WANDA, score_all
from tests.sandbox.conftest import SETTINGS


def failure_of(sandbox: Sandbox, source: str, bundle: Path) -> CandidateFailure:
    with pytest.raises(CandidateFailure) as caught:
        score_all(sandbox, source, bundle)
    return caught.value


def test_scores_equal_the_same_formula_outside(local: Sandbox, bundle: Path) -> None:
    opened = Bundle(bundle)
    scores = score_all(local, WANDA, bundle)
    assert list(scores) == [layer.name for layer in opened.layers]
    for name, tensor in scores.items():
        view = opened.view(name, 0.5)
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, view.weight.abs() * view.input_norm)


def test_view_has_the_contract_and_the_sparsity_asked_for(local: Sandbox, bundle: Path) -> None:
    source = """
def score(layer):
    assert layer.role == "up" and layer.depth == 1.0 and layer.name == "layers.1.up"
    assert layer.input_mean.shape == layer.input_var.shape == layer.hessian_diag.shape == (32,)
    return layer.weight * 0 + layer.sparsity
"""
    with local.open(source, bundle) as session:
        [(name, tensor)] = session.scores({"layers.1.up": 0.75}, ["layers.1.up"])
    assert name == "layers.1.up"
    assert torch.equal(tensor, torch.full((64, 32), 0.75))


def test_group_and_allocate_come_from_the_source(local: Sandbox, bundle: Path) -> None:
    source = (
        WANDA
        + """
GROUP = "matrix"
def allocate(units, sparsity):
    return [unit.size * (1 - sparsity) for unit in units]
"""
    )
    with local.open(source, bundle) as session:
        assert session.group == "matrix"
        assert session.has_allocate
        assert session.allocate([{"size": 4}, {"size": 10}], 0.5) == [2.0, 5.0]
    with local.open(WANDA, bundle) as session:
        assert session.group == "row"
        assert session.unit is None
        assert not session.has_allocate


def test_the_unit_comes_from_the_source_and_must_exist(local: Sandbox, bundle: Path) -> None:
    with local.open(f'UNIT = "module"\n{WANDA}', bundle) as session:
        assert session.unit == "module"
    failure = failure_of(local, f'UNIT = "head"\n{WANDA}', bundle)
    assert (failure.stage, failure.reason) == ("load", "contract")
    assert "'head'" in str(failure)


def test_a_candidate_is_told_the_pattern_of_its_masks(local: Sandbox, bundle: Path) -> None:
    source = "def score(layer):\n    return layer.weight * 0 + {'none': 1, '2:4': 2}[layer.pattern]\n"
    with local.open(source, bundle) as session:
        [(_, free)] = session.scores({"layers.1.up": 0.5}, ["layers.1.up"])
        [(_, bound)] = session.scores({"layers.1.up": 0.5}, ["layers.1.up"], "2:4")
    assert (float(free[0, 0]), float(bound[0, 0])) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return [1.0]", "shape"),
        ("return 'ab'", "dtype"),
        ("return [float('nan')] * 2", "not-finite"),
        ("return ['x', 'y']", "dtype"),
        ("return [units[0].sizes] * 2", "exception"),
        ("while True: pass", "timeout"),
    ],
)
def test_bad_allocations_are_failures(local: Sandbox, bundle: Path, body: str, reason: str) -> None:
    source = WANDA + f"\ndef allocate(units, sparsity):\n    {body}\n"
    with local.open(source, bundle) as session, pytest.raises(CandidateFailure) as caught:
        session.allocate([{"size": 1}, {"size": 2}], 0.5)
    assert (caught.value.stage, caught.value.reason) == ("allocate", reason)


def test_message_names_the_line_the_layer_and_the_shape(local: Sandbox, bundle: Path) -> None:
    source = "def score(layer):\n    scale = layer.input_norm\n    return layer.weight * scale[:, None]\n"
    failure = failure_of(local, source.replace("[:, None]", ".reshape(5, -1)"), bundle)
    assert (failure.stage, failure.reason) == ("score", "exception")
    assert "RuntimeError: shape '[5, -1]' is invalid" in failure.message
    assert "line 3: `return layer.weight * scale.reshape(5, -1)`" in failure.message
    assert "layers.0.q, weight [32, 32]" in failure.message
    assert "\n" not in failure.message


def test_unknown_attribute_is_answered_with_the_ones_there_are(local: Sandbox, bundle: Path) -> None:
    failure = failure_of(local, "def score(layer):\n    return layer.bias\n", bundle)
    assert "it has weight, input_norm" in failure.message


def test_what_a_candidate_prints_is_kept_up_to_the_limit(local: Sandbox, bundle: Path) -> None:
    source = (
        "def score(layer):\n    print('mean', 0.5)\n    print('\\x1b[31m' + 'x' * 100_000)\n    return layer.weight\n"
    )
    with local.open(source, bundle) as session:
        list(session.scores({"layers.0.q": 0.5}, ["layers.0.q"]))
        text = session.diagnostics
    assert text.startswith("mean 0.5\n[31mxxx")
    assert len(text) <= PRINTED


def test_what_was_printed_before_a_crash_is_kept_with_the_line(local: Sandbox, bundle: Path) -> None:
    source = "import torch\ndef score(layer):\n    print('step one')\n"
    source += "    torch._utils.traceback.sys.modules['ctypes'].string_at(0)\n"
    failure = failure_of(local, source, bundle)
    assert failure.reason == "crashed"
    assert failure.diagnostics.startswith("step one\nFatal Python error: Segmentation fault")
    assert 'File "<candidate>", line 4 in score' in failure.diagnostics


def test_random_numbers_are_the_same_every_time(local: Sandbox, bundle: Path) -> None:
    source = "import torch\ndef score(layer):\n    return torch.rand_like(layer.weight)\n"
    first, second = score_all(local, source, bundle), score_all(local, source, bundle)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_memory_is_watched_from_outside_too(bundle: Path) -> None:
    sandbox = LocalSandbox(SETTINGS)
    worker = LocalWorker(sandbox._warm(), memory=2**20)  # less than the limit that the jail sets
    source = "import torch\ndef score(layer):\n    kept = torch.ones(2**22)\n    while True: pass\n"
    try:
        wait_until_ready(worker.channel)
        session = WorkerSession(worker, source, bundle, SETTINGS)
        with pytest.raises(CandidateFailure, match="more than 1 MiB") as caught:
            list(session.scores({"layers.0.q": 0.5}, ["layers.0.q"]))
        assert caught.value.reason == "memory"
        session.close()
    finally:
        worker.close()
        sandbox.close()


def test_scores_can_be_asked_again_after_a_dropped_generator(local: Sandbox, bundle: Path) -> None:
    names = [layer.name for layer in Bundle(bundle).layers]
    with local.open(WANDA, bundle) as session:
        next(iter(session.scores(dict.fromkeys(names, 0.5))))
        again = dict(session.scores(dict.fromkeys(names, 0.5)))
    assert list(again) == names


def test_sessions_of_several_threads_do_not_mix(local: Sandbox, bundle: Path) -> None:
    results: dict[int, torch.Tensor] = {}

    def run(number: int) -> None:
        source = f"def score(layer):\n    return layer.weight * 0 + {number}\n"
        results[number] = score_all(local, source, bundle)["layers.1.down"]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(results[number], torch.full((32, 64), float(number))) for number in range(6))


def test_nothing_runs_while_it_is_not_the_candidates_turn(local: Sandbox, bundle: Path) -> None:
    source = """
import torch
threading = torch._utils.traceback.sys.modules["threading"]
def spin():
    while True: pass
def score(layer):
    threading.Thread(target=spin).start()
    return layer.weight
"""
    me = psutil.Process()
    with local.open(source, bundle) as session:
        list(session.scores({"layers.0.q": 0.5}, ["layers.0.q"]))
        deadline = time.monotonic() + 60
        stopped: list[psutil.Process] = []
        while not stopped and time.monotonic() < deadline:
            stopped = [child for child in me.children(recursive=True) if child.status() == psutil.STATUS_STOPPED]
        [worker] = stopped
        before = None  # on a busy machine its second thread stops a moment after the first
        while before != (before := worker.cpu_times()) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        assert worker.cpu_times() == before
    assert not worker.is_running()


def test_a_killed_warm_process_is_replaced(bundle: Path) -> None:
    sandbox = LocalSandbox(SETTINGS)
    try:
        first = score_all(sandbox, WANDA, bundle)
        for child in psutil.Process().children():
            if (
                "autoprune.sandbox.inside.zygote" in child.cmdline()
                and child.pid == sandbox._zygote.result()._process.pid
            ):
                child.kill()
                child.wait()
        second = score_all(sandbox, WANDA, bundle)
    finally:
        sandbox.close()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_closing_leaves_no_process(bundle: Path) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sandbox = LocalSandbox(SETTINGS)
    with sandbox.open(WANDA, bundle):
        pass
    sandbox.close()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_products_have_as_many_digits_as_the_weights_where_that_is_faster(local: Sandbox, bundle: Path) -> None:
    source = "def score(layer):\n    return layer.weight @ layer.weight.T @ layer.weight\n"
    tiles = b" amx_bf16" in Path("/proc/cpuinfo").read_bytes()
    for name, scores in score_all(local, source, bundle).items():
        weight = Bundle(bundle).weight(name).double()
        exact = weight @ weight.T @ weight
        error = float((scores - exact).norm() / exact.norm())
        assert 2.0**-12 < error < 2.0**-8 if tiles else error < 2.0**-20


def test_products_of_a_model_in_float32_have_all_digits(local: Sandbox, tmp_path: Path) -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    statistics = {statistic: torch.ones(64) for statistic in STATISTICS}
    layer = LayerInfo("q", "q", 0, 0.0, (64, 64), "block.0")
    write_bundle(tmp_path / "bundle", [layer], lambda name: weight, {"q": statistics})
    scores = score_all(local, "def score(layer):\n    return layer.weight @ layer.weight\n", tmp_path / "bundle")["q"]
    exact = weight.double() @ weight.double()
    assert float((scores - exact).norm() / exact.norm()) < 2.0**-20


def test_a_candidate_computes_with_the_kit_what_the_kit_computes_outside(local: Sandbox, bundle: Path) -> None:
    source = """
from autoprune import kit
from autoprune.kit import row_mask

GROUP = "matrix"


def score(layer):
    mask = row_mask(layer.weight.abs() * layer.input_norm, int(layer.sparsity * layer.weight.numel()))
    moments = layer.input_mean, layer.input_var, layer.hessian_diag
    return kit.dsnot(layer.weight, mask, *moments).float() + kit.admm(layer.weight, mask, layer.hessian_diag.diag())


def allocate(units, sparsity):
    return kit.linear_depth(units, sparsity, 0.2)
"""
    opened = Bundle(bundle)
    with local.open(source, bundle) as session:
        scores = dict(session.scores({layer.name: 0.5 for layer in opened.layers}))
        assert session.allocate([{"size": 4, "depth": 0.0}, {"size": 4, "depth": 1.0}], 0.5) == [0.6, 0.4]
    for name, tensor in scores.items():
        view = opened.view(name, 0.5)
        mask = kit.row_mask(view.weight.abs() * view.input_norm, view.weight.numel() // 2)
        moments = view.input_mean, view.input_var, view.hessian_diag
        updated = kit.admm(view.weight, mask, view.hessian_diag.diag())
        expected = kit.dsnot(view.weight, mask, *moments).float() + updated
        # On a processor with tiles, products in the sandbox have the digits of bfloat16.
        torch.testing.assert_close(tensor, expected, rtol=0.0, atol=0.05)


def test_a_failure_within_the_kit_names_the_candidates_own_line(local: Sandbox, bundle: Path) -> None:
    source = "from autoprune import kit\ndef score(layer):\n    return kit.row_mask(layer.weight, -1).float()\n"
    failure = failure_of(local, source, bundle)
    assert (failure.stage, failure.reason) == ("score", "exception")
    assert "line 3: `return kit.row_mask(" in str(failure)
