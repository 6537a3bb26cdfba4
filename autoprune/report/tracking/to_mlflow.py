"""Logging to MLflow (extra `mlflow`): an SQLite file in the run directory, or the store of `tracking.uri`."""

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from autoprune.config_sections import TrackingSettings
from autoprune.errors import UsageError
from autoprune.report.tracking.metrics import ALWAYS, Metrics
from autoprune.report.tracking.tracker import Ending, TrackedRun
from autoprune.runs.files import refuse_links

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

URI = "MLFLOW_TRACKING_URI"
IDENTITY = "autoprune.identity"
DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""Variables of MLflow that the user's environment may set otherwise. Its own would retry for minutes."""


class MLflowTracker:
    """A run of an MLflow experiment. A run in the store with the same identity is continued."""

    def __init__(self, settings: TrackingSettings) -> None:
        self._settings = settings
        self._uri = settings.uri or os.environ.get(URI)
        self._logged: set[int] = set()

    @property
    def server(self) -> str | None:
        return self._uri if self._uri and self._uri.startswith(("http://", "https://")) else None

    def begin(self, run: TrackedRun) -> str:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        uri, place = self._uri, None
        if uri is None:
            folder = run.folder / "mlflow"
            folder.mkdir(exist_ok=True)
            refuse_links(folder)
            uri, place = f"sqlite:///{folder.resolve()}/mlflow.db", f"{folder.resolve().as_uri()}/artifacts"
        self._client: MlflowClient = mlflow.MlflowClient(uri)
        number = self._experiment(place)
        tracked = self._former(number, run.identity)
        if tracked is None:
            tags = {**run.tags, IDENTITY: run.identity}
            tracked = self._client.create_run(number, run_name=run.name, tags=tags)
        else:
            self._client.update_run(tracked.info.run_id, status="RUNNING")
        if place is not None and not _is_within(str(tracked.info.artifact_uri), place):
            raise UsageError(f"its store would write files outside of the run, to {tracked.info.artifact_uri}")
        self._id = tracked.info.run_id
        self._log_parameters(run, tracked)
        self._logged = {metric.step for metric in self._client.get_metric_history(self._id, ALWAYS)}
        return f"MLflow, run {self._id} of the experiment {self._settings.project} in {uri}"

    def log(self, metrics: Metrics) -> None:
        """In one request, so that a step is there as a whole or not at all."""
        if metrics.step in self._logged:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [Metric(name, value, now, metrics.step) for name, value in metrics.values.items()]
        self._client.log_batch(self._id, metrics=values)

    def end(self, ending: Ending | None) -> None:
        if ending is None:
            self._client.set_terminated(self._id, status="KILLED")
            return
        for name, value in ending.figures.items():
            self._client.log_metric(self._id, name, value, step=ending.step)
        self._client.set_tag(self._id, "autoprune.conclusion", ending.conclusion)
        for file in ending.files:
            self._client.log_artifact(self._id, str(file))
        self._client.set_terminated(self._id)

    def _experiment(self, artifacts: str | None) -> str:
        """The id of the experiment, made if it is missing. `artifacts`: None for the place that the store chooses."""
        name = self._settings.project
        experiment = self._client.get_experiment_by_name(name)
        return experiment.experiment_id if experiment else self._client.create_experiment(name, artifacts)

    def _former(self, experiment: str, identity: str) -> "Run | None":
        """The tracked run of an earlier session."""
        found = self._client.search_runs([experiment], f"tags.`{IDENTITY}` = '{identity}'", max_results=1)
        return found[0] if found else None

    def _log_parameters(self, run: TrackedRun, tracked: "Run") -> None:
        """Those that the tracked run lacks: MLflow never changes a parameter."""
        from mlflow.entities import Param

        missing = [Param(name, str(value)) for name, value in run.parameters.items() if name not in tracked.data.params]
        for start in range(0, len(missing), 100):  # the most in one request
            self._client.log_batch(tracked.info.run_id, params=missing[start : start + 100])


def _is_within(uri: str, place: str) -> bool:
    """Whether a file URI names a path below another one, whatever its dots and escapes say."""
    path, folder = (Path(unquote(urlsplit(each).path)).resolve() for each in (uri, place))
    return urlsplit(uri).scheme == "file" and path.is_relative_to(folder)
