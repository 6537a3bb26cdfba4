"""A search that is logged to MLflow or W&B, each by its real library and offline, and read back by it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoprune.api import tracking
from autoprune.api.tracking import tracked
from autoprune.config import load_config
from autoprune.config_sections import TrackingSettings
from autoprune.errors import UsageError
from autoprune.report.tracking.metrics import SearchMetrics, confirmed_figures
from autoprune.report.tracking.tracker import check_server, open_tracker
from autoprune.runs.contacts import confirm, contacts
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events
from autoprune.secrets import masked
from tests.report.html.made_up import MadeUp
from tests.report.tracking.wandb_file import OfflineRun

TRACKERS = ("mlflow", "wandb")
SECONDS = 60


@pytest.fixture(autouse=True)
def no_keys(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))


@pytest.fixture
def made(tmp_path):
    """A run of eight candidates that has ended, with the settings of a tracker."""

    def make(*words, name="run", candidates=8):
        run = MadeUp(tmp_path / name, candidates, blocks=2).run
        config = load_config(None, ["model=smollm2-135m", *words])
        run.write_settings(config, run.settings()[1])
        confirm(run.path, contacts(config))
        (run.path / "report.html").write_text("<p>the report</p>")
        return run

    return make


def track(run, lines=None, fresh=False):
    """Log what the run's events are, or the first `lines` of them, as a search does that ends with them."""
    whole = run.events_file.read_bytes().splitlines(keepends=True)
    if lines is not None:
        run.events_file.write_bytes(b"".join(whole[:lines]))
    events = EventLog(run.events_file)
    try:
        with tracked(run, run.settings()[0], events, fresh):
            pass
    finally:
        events.close()
    return b"".join(whole[lines:]) if lines is not None else b""


def notices(run):
    return [event.data["text"] for event in read_events(run.events_file) if event.kind == "notice"]


def expected(run):
    metrics = SearchMetrics()
    steps = [step for event in read_events(run.events_file) if (step := metrics.take(event))]
    return steps, confirmed_figures(metrics.picture)


def mlflow_run(run, uri=None, project="autoprune"):
    from mlflow import MlflowClient

    client = MlflowClient(uri or f"sqlite:///{run.path}/tracking/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name(project)
    (found,) = client.search_runs([experiment.experiment_id])
    return client, found


def wandb_run(run):
    """The offline run, once W&B's own process has written its end, which it may do after `finish` has returned."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        files = list((run.path / "tracking").rglob("*.wandb"))
        if files and (offline := OfflineRun(files[0])).exit_code is not None:
            break
        time.sleep(0.1)
    assert len(files) == 1, notices(run)
    return offline


def logged(run, name):
    """Step -> metrics, each as often as it was logged."""
    steps, _ = expected(run)
    if name == "wandb":
        rows = wandb_run(run).history
        return [(row["_step"], {key: row[key] for key in row if "/" in key}) for row in rows]
    client, found = mlflow_run(run)
    names = {key for step in steps for key in step.values}
    values = {key: client.get_metric_history(found.info.run_id, key) for key in names}
    by_step = {step.step: {} for step in steps}
    for key, history in values.items():
        assert len({point.step for point in history}) == len(history), f"{key} was logged twice"
        for point in history:
            by_step[point.step][key] = point.value
    return sorted(by_step.items())


@pytest.mark.parametrize("name", TRACKERS)
def test_every_candidate_is_a_step(made, name):
    run = made(f"tracking.to={name}")
    track(run)
    assert logged(run, name) == [(step.step, step.values) for step in expected(run)[0]]
    assert [text for text in notices(run) if text.startswith("tracked by ")]


def test_mlflow_has_settings_tags_confirmation_and_files(made):
    run = made("tracking.to=mlflow", "llm.base_url=https://ann:secret-word@host.example/v1", "seed=7")
    track(run)
    client, found = mlflow_run(run)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert (found.data.params["seed"], found.data.params["data.seqlen"]) == ("7", "512")
    assert "secret-word" not in json.dumps(found.data.to_dictionary())
    assert found.data.tags["autoprune.model_fingerprint"] == "0123abcd"
    assert not [tag for tag in found.data.tags if "git" in tag]
    figures = expected(run)[1]
    assert {key: found.data.metrics[key] for key in figures} == figures
    assert len(figures) == 7
    files = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert files == {"report.html", "best.py", "summary.json"}
    stored = Path(client.download_artifacts(found.info.run_id, ""))
    assert run.path in stored.parents
    summary = json.loads((stored / "summary.json").read_text())
    assert len(summary["candidates"]) == 8
    best = run.source(next(row["candidate"] for row in summary["rows"] if row["kind"] == "candidate"))
    assert (stored / "best.py").read_text() == best


def test_wandb_has_settings_tags_confirmation_and_files_and_is_offline_without_a_key(made):
    run = made("tracking.to=wandb", "llm.base_url=https://ann:secret-word@host.example/v1", "tracking.project=mine")
    track(run)
    offline = wandb_run(run)
    assert (offline.project, offline.exit_code) == ("mine", 0)
    assert offline.config["data.seqlen"] == "512"
    assert offline.config["tags"]["autoprune.model_fingerprint"] == "0123abcd"
    figures = expected(run)[1]
    assert {key: offline.summary[key] for key in figures} == figures
    assert {"report.html", "best.py", "summary.json"} <= offline.files
    content = b"".join(file.read_bytes() for file in (run.path / "tracking").rglob("*") if file.is_file())
    assert b"secret-word" not in content
    (text,) = [text for text in notices(run) if text.startswith("tracked by ")]
    assert text.startswith(f"tracked by W&B, offline, run {offline.id} of the project mine; to upload it: wandb sync ")
    assert Path(text.rpartition("wandb sync ")[2]).is_dir()


@pytest.mark.parametrize("name", TRACKERS)
def test_a_resumed_run_is_the_same_tracked_run_and_nothing_is_logged_twice(made, name):
    run = made(f"tracking.to={name}")
    whole = [(step.step, step.values) for step in expected(run)[0]]
    rest = track(run, lines=25)
    before = logged(run, name)
    assert 0 < len([values for _, values in before if values]) < len(whole)
    with run.events_file.open("ab") as file:
        file.write(rest)
    track(run)
    after = logged(run, name)
    assert [step for step, _ in after] == [step for step, _ in whole]
    best = "search/best_perplexity"
    assert [values.get(best) for _, values in after] == [values.get(best) for _, values in whole]
    assert len([text for text in notices(run) if text.startswith("tracked by MLflow")]) == (name == "mlflow")


DYING = """
import os, signal, sys, time
from pathlib import Path
from autoprune.api.tracking import tracked
from autoprune.runs.directory import RunDirectory
from autoprune.report.tracking.tracker import check_server, open_tracker
from autoprune.runs.contacts import confirm, contacts
from autoprune.runs.events import EventLog, read_events

run = RunDirectory(Path(sys.argv[1]))
with tracked(run, run.settings()[0], EventLog(run.events_file)):
    while not any(event.data.get("text", "").startswith("tracked by") for event in read_events(run.events_file)):
        time.sleep(0.01)
    time.sleep(float(sys.argv[2]))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", TRACKERS)
def test_after_kill_9_the_tracked_run_is_completed_and_nothing_is_logged_twice(made, name):
    run = made(f"tracking.to={name}", candidates=24)
    whole = [(step.step, step.values) for step in expected(run)[0]]
    lines = run.events_file.read_bytes().splitlines(keepends=True)
    run.events_file.write_bytes(b"".join(lines[: len(lines) // 2]))
    died = subprocess.run([sys.executable, "-c", DYING, run.path, "0.05"], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with run.events_file.open("ab") as file:
        file.write(b"".join(lines[len(lines) // 2 :]))
    track(run)
    assert [step for step, _ in logged(run, name)] == [step for step, _ in whole]


def test_the_store_of_the_environment_or_of_the_settings_is_used(made, tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path}/mine.db"
    monkeypatch.chdir(tmp_path)
    run = made("tracking.to=mlflow", f"tracking.uri={store}", "tracking.project=mine")
    track(run)
    assert mlflow_run(run, store, "mine")[1].info.run_name == "run"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    for name in ("first", "second"):
        track(made("tracking.to=mlflow", name=name))
    from mlflow import MlflowClient

    client = MlflowClient(store)
    found = client.search_runs([client.get_experiment_by_name("autoprune").experiment_id])
    assert {each.info.run_name for each in found} == {"first", "second"}


def test_a_store_that_cannot_be_reached_is_one_notice_and_the_search_goes_on(made, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = made("tracking.to=mlflow", "tracking.uri=http://127.0.0.1:9")
    track(run)
    (text,) = [text for text in notices(run) if "tracking" in text]
    assert text.startswith("tracking has failed, and the search goes on without it: ")
    assert "127.0.0.1" in text


@pytest.mark.parametrize("words", [["tracking.uri=http://127.0.0.1:9"], []], ids=["setting", "variable"])
@pytest.mark.parametrize(("name", "variable"), [("mlflow", "MLFLOW_TRACKING_URI"), ("wandb", "WANDB_BASE_URL")])
def test_a_new_search_does_not_start_without_its_server(made, monkeypatch, name, variable, words):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    if not words:
        monkeypatch.setenv(variable, "http://ann:secret@127.0.0.1:9")
    run = made(f"tracking.to={name}", *words)
    with pytest.raises(UsageError, match=r"tracking server http://127\.0\.0\.1:9 cannot be reached: .*refused"):
        track(run, fresh=True)
    assert not (run.path / "tracking").exists()


def test_an_offline_run_of_wandb_needs_no_server(made):
    run = made("tracking.to=wandb", "tracking.uri=http://127.0.0.1:9")
    track(run, fresh=True)
    assert wandb_run(run).exit_code == 0


def test_a_server_that_listens_is_not_refused_and_one_behind_a_proxy_is_not_tried(monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    settings = TrackingSettings(to="mlflow", uri="http://127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        check_server(open_tracker(TrackingSettings(to="mlflow", uri=address)))
        monkeypatch.setenv("http_proxy", address)
        check_server(open_tracker(settings))


def test_a_tracker_that_hangs_does_not_hold_the_end_of_a_search(made, monkeypatch):
    from autoprune.report.tracking.to_mlflow import MLflowTracker

    released = tracking.threading.Event()
    monkeypatch.setattr(MLflowTracker, "begin", lambda self, run: released.wait() and "")
    monkeypatch.setattr(tracking, "CLOSING", 0.2)
    run = made("tracking.to=mlflow")
    track(run)
    released.set()
    assert "the tracker does not answer; after 0.2 seconds the rest is not logged" in notices(run)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_extra_is_one_line_before_anything_else(made, monkeypatch, tmp_path, name):
    run = made(f"tracking.to={name}")
    (tmp_path / "elsewhere" / name).mkdir(parents=True)  # a folder of that name is no library
    monkeypatch.setattr(sys, "path", [str(tmp_path / "elsewhere")])
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(UsageError, match=rf"needs the extra {name}: pip install 'autoprune\[{name}\]'"):
        track(run)
    assert not (run.path / "tracking").exists()


def test_the_store_of_a_run_from_elsewhere_is_not_contacted(made, tmp_path):
    run = made("tracking.to=mlflow", f"tracking.uri=sqlite:///{tmp_path}/mine.db")
    moved = run.path.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="was not confirmed"):
        track(RunDirectory(moved))
    assert not (tmp_path / "mine.db").exists()


def test_links_in_a_run_from_elsewhere_are_not_followed(made, tmp_path):
    run = made("tracking.to=mlflow")
    track(run, lines=25)
    (artifacts,) = (run.path / "tracking" / "mlflow").rglob("mlflow.db")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    artifacts.unlink()
    artifacts.symlink_to(victim)
    track(run)
    assert victim.read_text() == "mine"
    assert "mlflow.db is a symbolic link" in notices(run)[-1]


def test_artifacts_go_nowhere_else_than_into_the_run(made, tmp_path):
    from mlflow import MlflowClient

    run = made("tracking.to=mlflow")
    folder = run.path / "tracking" / "mlflow"
    folder.mkdir(parents=True)
    MlflowClient(f"sqlite:///{folder}/mlflow.db").create_experiment("autoprune", f"file://{tmp_path}/elsewhere")
    track(run)
    assert "outside of the run" in notices(run)[-1]
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("mlflow.db", "a tracking store is a url"),
        ("http://ann:secret@host", "never from a setting"),
        ("postgresql://host/x?password=secret", "never from a setting"),
    ],
)
def test_a_store_is_a_url_without_password(uri, complaint):
    with pytest.raises(UsageError, match=complaint) as refused:
        load_config(None, [f"tracking.uri={uri}"])
    assert "secret@" not in masked(str(refused.value))
