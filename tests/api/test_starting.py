"""A run that cannot start is removed, whatever the reason; one that has begun, or can be resumed, is kept."""

import pytest

from autoprune.api.starting import CannotWrite, gone_unless_begun
from autoprune.config import Config
from autoprune.errors import RunPaused, UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog

CONFIG = Config.model_validate({"llm": {"provider": "symbolic"}})


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create(tmp_path / "runs" / "run", CONFIG)


def start(run, error, fresh=True, begins=False):
    """A start, or a search, that ends with an error."""
    with run.locked(), gone_unless_begun(run, CONFIG, fresh) as begin:
        EventLog(run.events_file).close()
        (run.tracking / "mlflow").mkdir(parents=True, exist_ok=True)
        (run.tracking / "mlflow" / "mlflow.db").write_text("")
        if begins:
            begin()
        raise error


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), OSError(5, "no"), UsageError("key")], ids=repr)
def test_a_start_that_fails_leaves_nothing(run, tmp_path, error):
    with pytest.raises(type(error)):
        start(run, error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [RunPaused("an approval is missing"), CannotWrite("the disk is full")], ids=repr)
def test_a_run_that_can_be_resumed_stays(run, error):
    with pytest.raises(type(error)):
        start(run, error)
    assert run.settings_file.is_file()
    assert run.tracking.is_dir()


def test_a_run_that_has_begun_stays(run):
    with pytest.raises(RuntimeError):
        start(run, RuntimeError("CUDA out of memory"), begins=True)
    assert run.settings_file.is_file()


def test_a_run_of_an_earlier_session_stays(run):
    with pytest.raises(RuntimeError):
        start(RunDirectory.open(run.path), RuntimeError("CUDA out of memory"), fresh=False)
    assert run.settings_file.is_file()


def test_a_trackers_files_that_were_there_before_stay(tmp_path):
    mine = tmp_path / "mine" / "tracking" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    run = RunDirectory.create(tmp_path / "mine", CONFIG)
    with pytest.raises(UsageError):
        start(run, UsageError("no key"))
    assert mine.is_file()
    assert not run.settings_file.exists()
