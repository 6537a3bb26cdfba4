"""A workbench on the tiny model and the local sandbox, with a run directory and an archive of its own."""

import pytest

from autoprune.config import Config
from autoprune.config_sections import SandboxSettings
from autoprune.evaluation.measurement_cache import user_cache
from autoprune.evaluation.measurement_store import MeasurementStore
from autoprune.measuring.measurer import Measurer
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.sandbox.local import LocalSandbox

DATA = {"seqlen": 48, "calibration_samples": 4, "search_windows": 10, "report_windows": 3}


@pytest.fixture(scope="module")
def sandbox():
    sandbox = LocalSandbox(SandboxSettings())
    yield sandbox
    sandbox.close()


@pytest.fixture
def new_workbench(open_tiny_bench, steady, tmp_path, sandbox):
    """Opens a workbench on a run of its own, with the cache unless told otherwise."""
    opened = []

    def make(name="run", allocation=None, **groups):
        tree = {"model": steady["model"], "device": "cpu", "dtype": "float32", "sparsity": 0.5}
        tree["data"] = DATA | steady["data"]
        tree["allocation"] = allocation or {}
        config = Config.model_validate({**tree, **groups})
        bench = open_tiny_bench(**{key: tree[key] for key in ("model", "sparsity", "data", "allocation")})
        run = RunDirectory.create(tmp_path / name, config)
        opened.append(Archive(run.archive_file))
        store = MeasurementStore(opened[-1], user_cache() if config.advanced.cache else None)
        return Workbench.of(Measurer(config, run, store, bench, sandbox))

    yield make
    for archive in opened:
        archive.close()
