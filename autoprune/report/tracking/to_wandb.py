"""Logging to Weights & Biases (extra `wandb`): online if WANDB_API_KEY is set, else offline in the run directory."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from autoprune.config_sections import TrackingSettings
from autoprune.report.tracking.metrics import Metrics
from autoprune.report.tracking.tracker import Ending, TrackedRun

if TYPE_CHECKING:
    from wandb import Run

URI = "WANDB_BASE_URL"
STEP = "candidate"
DEFAULTS = {"WANDB_DISABLE_WEAVE": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
"""Variables of W&B that the user's environment may set otherwise. Weave would send prompts and replies."""


class WandbTracker:
    """A run of a W&B project, whose id follows from the run's identity.

    An offline run of an earlier session cannot be continued: it is written anew from the first candidate on, and
    replaces the earlier one, so that one directory holds the whole run.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self._settings = settings
        key = os.environ.get("WANDB_API_KEY")
        self._mode = os.environ.get("WANDB_MODE") or ("online" if key else "offline")

    @property
    def server(self) -> str | None:
        return (self._settings.uri or os.environ.get(URI)) if self._mode == "online" else None

    def begin(self, run: TrackedRun) -> str:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        import wandb

        folder = run.folder / "wandb"
        if folder.exists():
            shutil.rmtree(folder)
        options = {"base_url": self._settings.uri} if self._settings.uri else {}
        self._run: Run = wandb.init(
            project=self._settings.project,
            id=run.identity,
            name=run.name,
            resume="allow",
            config={**run.parameters, "tags": run.tags},
            settings=wandb.Settings(
                mode=self._mode,
                root_dir=str(run.folder.resolve()),  # W&B's own process may have another working directory
                console="off",
                silent=True,
                symlink=False,
                disable_code=True,
                disable_git=True,
                save_code=False,
                x_disable_machine_info=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
                x_service_wait=120,  # seconds until its own process must answer, on a crowded machine
                **options,
            ),
        )
        self._run.define_metric("*", step_metric=STEP)
        self._next = self._run.step
        if self._mode == "online":
            return f"W&B, run {run.identity} of the project {self._settings.project} at {self._run.url}"
        return (
            f"W&B, {self._mode}, run {run.identity} of the project {self._settings.project}; to upload it: "
            f"wandb sync {Path(self._run.dir).parent}"
        )

    def log(self, metrics: Metrics) -> None:
        """With the candidate's number as the step, which never decreases: what the server has is left out."""
        if metrics.step >= self._next:
            self._run.log({**metrics.values, STEP: metrics.step}, step=metrics.step)

    def end(self, ending: Ending | None) -> None:
        if ending is None:
            self._run.finish(exit_code=1)
            return
        self._run.summary.update({**ending.figures, "conclusion": ending.conclusion})
        for file in ending.files:
            copied = shutil.copy(file, self._run.dir)  # W&B would make a hard link
            self._run.save(copied, base_path=self._run.dir, policy="now")
        self._run.finish()
