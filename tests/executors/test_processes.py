"""Workers as processes: a search finds with them what it finds without, though one is killed in the middle."""

import os
import signal
import threading

import psutil
import pytest

from autoprune.errors import CandidateFailure
from autoprune.evaluation.recipe import Recipe
from autoprune.executors.base import Job
from autoprune.executors.in_process import InProcessExecutor
from autoprune.executors.make import make_executor, share_of_gpus
from autoprune.executors.processes import environment, gpu_of
from autoprune.sandbox.local import LocalSandbox
from tests.conftest import DATA
from tests.executors.conftest import archived, differences, killing_log, notices

GOOD = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"
BY_GRADIENT = "def score(layer):\n    return (layer.weight * layer.gradient).abs()\n"
WRONG = "def score(layer):\n    print('about to fail')\n    return layer.weight[:1]\n"


@pytest.mark.long
@pytest.mark.xdist_group("executors")
def test_a_search_of_sixteen_candidates_survives_kill_9_and_finds_what_it_finds_here(searched, reference):
    run = searched("processes", "executor.kind=processes", "executor.workers=2", log=killing_log(6))
    lost = [line for line in notices(run) if "was lost" in line]
    assert len(lost) == 1
    assert "was lost (killed by SIGKILL) while it measured candidate" in lost[0]
    found = archived(run)
    assert len(found["outcomes"]) == 16
    assert found["rows"] == len(found["measurements"])
    assert differences(found, reference) == []


@pytest.fixture
def workers(request, open_tiny_bench, tiny_model):
    """So many worker processes on the tiny bench, and the same in this process."""
    from autoprune.config import Config

    tree = {"model": str(tiny_model), "device": "cpu", "dtype": "float32", "sparsity": 0.5, "data": DATA}
    executor = {"kind": "processes", "workers": request.param}
    tree |= {"sandbox": {"engine": "local"}, "executor": executor}
    config = Config.model_validate(tree)
    bench = open_tiny_bench(**{key: tree[key] for key in ("sparsity", "sandbox")})
    here = InProcessExecutor(bench, LocalSandbox(config.sandbox))
    pool = make_executor(config, bench, "local", threading.RLock())
    yield pool, here
    pool.close()
    here.close()


@pytest.mark.parametrize("workers", [1], indirect=True)
def test_a_worker_measures_and_fails_as_this_process_does(workers):
    pool, here = workers
    for source in (GOOD, BY_GRADIENT):
        job = Job("name", source, Recipe(0.5), "search")
        far, near = pool.measure(job), here.measure(job)
        assert far.window_losses == near.window_losses
        assert far.signature == near.signature
        assert far.repeats is near.repeats is True
    failures = []
    for executor in (pool, here):
        with pytest.raises(CandidateFailure) as caught:
            executor.measure(Job("name", WRONG, Recipe(0.5), "search"))
        failures.append((str(caught.value), caught.value.diagnostics.splitlines()[0]))
    assert failures[0] == failures[1]
    assert failures[0][1] == "about to fail"
    pool.verify()


@pytest.mark.long
@pytest.mark.parametrize("workers", [2], indirect=True)
def test_workers_and_their_sandboxes_end_with_the_pool_and_after_kill_9(workers):
    pool, _ = workers
    pool.measure(Job("name", GOOD, Recipe(0.5), "search"))
    mine = [p for p in psutil.Process().children(recursive=True) if "autoprune.executors.serve" in p.cmdline()]
    below = [sandbox for worker in mine for sandbox in worker.children(recursive=True)]
    os.kill(mine[0].pid, signal.SIGKILL)
    pool.close()
    _, alive = psutil.wait_procs([*mine, *below], timeout=60)
    assert len(mine) == 2
    assert alive == []


def test_every_worker_sees_a_gpu_of_its_own_or_its_share_of_one():
    assert [gpu_of(place, 1.0, ["4", "5"]) for place in range(2)] == ["4", "5"]
    assert [gpu_of(place, 0.5, ["4", "5"]) for place in range(4)] == ["4", "4", "5", "5"]
    assert environment(3, "5")["CUDA_VISIBLE_DEVICES"] == "5"
    assert environment(3, None)["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("workers", "gpus", "share"), [(1, 2, 1.0), (2, 2, 1.0), (3, 2, 0.5), (4, 2, 0.5)])
def test_workers_beyond_the_number_of_gpus_share_them(workers, gpus, share):
    assert share_of_gpus(workers, gpus) == share
    assert workers <= int(gpus / share)
