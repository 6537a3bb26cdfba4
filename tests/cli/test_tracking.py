"""`autoprune search tracking.to=...`: a whole search of the command is in the tracker when the command ends."""

import pytest

from autoprune.runs.directory import RunDirectory
from tests.api.test_tracking import expected, mlflow_run, wandb_run

pytestmark = pytest.mark.long


@pytest.fixture
def tracked(autoprune, small, tmp_path):
    """A search of two candidates with a tracker, and its output."""

    def search(name):
        done = autoprune("search", *small, "search.max_candidates=2", f"tracking.to={name}", "--run-dir", "r")
        assert done.returncode == 0, done.stderr
        return RunDirectory(tmp_path / "r"), done

    return search


def test_a_search_is_in_the_store_of_its_run_directory_and_the_screen_says_so(tracked):
    run, done = tracked("mlflow")
    client, found = mlflow_run(run)
    assert f"tracked by MLflow, run {found.info.run_id} of the experiment autoprune" in " ".join(done.stdout.split())
    assert found.info.status == "FINISHED"
    steps, figures = expected(run)
    assert len(client.get_metric_history(found.info.run_id, "cost/seconds")) == len(steps) == 2
    assert figures.items() <= found.data.metrics.items()
    assert {file.path for file in client.list_artifacts(found.info.run_id)} >= {"report.html", "summary.json"}
    assert "mlflow" not in done.stderr.lower()


def test_a_search_is_an_offline_run_of_wandb(tracked):
    run, done = tracked("wandb")
    offline = wandb_run(run)
    assert f"tracked by W&B, offline, run {offline.id}" in " ".join(done.stdout.split())
    assert [row["_step"] for row in offline.history] == [1, 2]
    assert {"report.html", "summary.json"} <= offline.files
    assert "wandb" not in done.stderr.lower()
