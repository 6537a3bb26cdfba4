"""Opens a workbench: target, texts, statistics, sandbox and executor."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from autoprune.config import Config
from autoprune.evaluation.bench import open_bench
from autoprune.evaluation.measurement_cache import user_cache
from autoprune.evaluation.measurement_store import MeasurementStore
from autoprune.executors.compute_lock import ComputeLock
from autoprune.executors.make import joined, make_executor
from autoprune.measuring.measurer import Measurer
from autoprune.measuring.structured_workbench import StructuredWorkbench
from autoprune.measuring.workbench import Workbench
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.sandbox.choose_sandbox import make_sandbox

logger = logging.getLogger(__name__)
RESOLVED = ("bos", "device", "dtype")
"""Settings whose value `auto` depends on the machine or the model."""


@contextmanager
def open_workbench(config: Config, run: RunDirectory, archive: Archive) -> Iterator[Workbench]:
    """Load the target, texts and statistics, and start the sandbox and the executor, which are closed at the end.

    A cluster is joined before anything is loaded.
    """
    lock = ComputeLock()
    with ExitStack() as stack:
        stack.enter_context(joined(config.executor))
        sandbox = make_sandbox(config.sandbox)
        stack.callback(sandbox.close)
        begun = _as_begun(config, run)
        with lock:
            bench = open_bench(begun, run.path)
        # Also for a second model, except BOS, which depends on the model.
        config = begun.model_copy(update={"dtype": bench.fingerprints()["dtype"], "data": config.data})
        store = MeasurementStore(archive, user_cache() if config.advanced.cache else None)
        executor = make_executor(config, bench, sandbox.name, lock)
        if executor is not None:
            stack.callback(executor.close)
        measurer = Measurer(config, run, store, bench, sandbox, lock, executor)
        kind = Workbench if config.search.structure is None else StructuredWorkbench
        workbench = kind.of(measurer)
        for share in config.confirmation.sparsities:
            workbench.with_sparsity(share)  # raises UsageError now for structures that cannot be removed
        yield workbench


def _as_begun(config: Config, run: RunDirectory) -> Config:
    """The settings with the run's own device, dtype and BOS, since `auto` may now resolve to others."""
    record = run.settings()[1]
    if "texts" in record:  # possibly written by a version without the setting data.bos
        record = {"bos": "never", **record}
    settings = {"device": config.device, "dtype": config.dtype, "bos": config.data.bos}
    begun: dict[str, Any] = {key: record[key] for key in RESOLVED if settings[key] == "auto" and key in record}
    if begun:
        logger.info(f"{', '.join(f'{key} {value}' for key, value in begun.items())}: as the run began")
    if "bos" in begun:
        begun["data"] = config.data.model_copy(update={"bos": begun.pop("bos")})
    return config.model_copy(update=begun)
