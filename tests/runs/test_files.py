"""The files of a run directory are opened as regular files alone: a planted link, pipe or device is one line."""

import os
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from autoprune.api.run_data import REPORT, write_report
from autoprune.config import Config
from autoprune.errors import AutoPruneError, UsageError
from autoprune.runs import directory
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory, content_hash
from autoprune.runs.events import EventLog, follow_events, read_events
from autoprune.runs.files import open_file, write_atomically
from autoprune.runs.fork import copy_until
from autoprune.search.checkpoints import open_checkpoints

SOURCE = "def score(layer): ...\n"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", Config())


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("a secret\n")
    return path


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def dangling(path: Path, secret: Path) -> None:
    path.symlink_to(secret.with_name("made"))


def hard_link(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


def pipe(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def device(path: Path, secret: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path, secret: Path) -> None:
    path.mkdir()


def unix_socket(path: Path, secret: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # its path may have 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(before)


PLANTED = [link, dangling, hard_link, pipe, device, folder, unix_socket]
READ = [plant for plant in PLANTED if plant is not hard_link]


def lock(run: RunDirectory) -> None:
    with run.locked():
        pass


def archive(run: RunDirectory) -> None:
    Archive.of(run).close()


def checkpoints(run: RunDirectory) -> None:
    with open_checkpoints(run):
        pass


def log(run: RunDirectory) -> None:
    EventLog(run.events_file).emit("notice", text="x")


def report(run: RunDirectory) -> None:
    write_report(run)


WRITTEN = [
    ("lock", lock),
    ("events.jsonl", log),
    *((f"archive.sqlite{suffix}", archive) for suffix in ("", "-wal", "-shm", "-journal")),
    *((f"checkpoints.sqlite{suffix}", checkpoints) for suffix in ("", "-wal", "-journal")),
]


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize(("name", "write"), WRITTEN, ids=lambda value: value if isinstance(value, str) else "")
def test_nothing_is_written_through_what_was_planted_in_the_place_of_a_file(run, secret, name, write, plant):
    plant(run.path / name, secret)
    with pytest.raises(UsageError, match=f"{name} is a") as raised:
        write(run)
    assert "\n" not in str(raised.value)
    assert secret.read_text() == "a secret\n"
    assert not secret.with_name("made").exists()


@pytest.mark.parametrize("plant", READ)
def test_nothing_is_read_through_it_either(run, secret, plant):
    plant(run.events_file, secret)
    with pytest.raises(UsageError, match=r"events\.jsonl is a"):
        list(read_events(run.events_file))
    with pytest.raises(UsageError, match=r"events\.jsonl is a"):
        next(follow_events(run.events_file))
    run.settings_file.rename(run.path / "before.yaml")
    plant(run.settings_file, secret)
    with pytest.raises(UsageError, match=r"config\.yaml"):
        RunDirectory.open(run.path)
    with pytest.raises(UsageError, match=r"config\.yaml"):
        run.settings()
    with pytest.raises(UsageError, match=r"config\.yaml is a"):
        run.write_settings(Config(), {})


@pytest.mark.parametrize("plant", READ)
def test_a_candidate_is_neither_read_nor_saved_nor_copied_through_it(run, secret, plant, tmp_path):
    plant(run.candidates / f"{content_hash(SOURCE)}.py", secret)
    for use in (run.source, lambda _: run.save_source(SOURCE)):
        with pytest.raises(AutoPruneError) as raised:
            use(content_hash(SOURCE))
        assert "a secret" not in str(raised.value)
    into = RunDirectory.create(tmp_path / "fork", Config())
    with (
        pytest.raises(UsageError, match=r"\.py is a"),
        closing(Archive.of(run)) as old,
        closing(Archive.of(into)) as new,
    ):
        copy_until(run, old, into, new, 0, {})
    assert not list(into.candidates.iterdir())
    assert secret.read_text() == "a secret\n"


def test_a_folder_of_candidates_that_is_a_link_is_not_written_to(run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run.candidates.rmdir()
    run.candidates.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="candidates is not a directory of the run"):
        run.save_source(SOURCE)
    (elsewhere / f"{content_hash(SOURCE)}.py").write_text(SOURCE)
    with pytest.raises(AutoPruneError, match="candidates is not a directory of the run"):
        run.source(content_hash(SOURCE))
    assert [path.read_text() for path in elsewhere.iterdir()] == [SOURCE]


@pytest.mark.parametrize("plant", [link, dangling, pipe, device])
def test_a_report_does_not_replace_what_is_no_file(run, secret, plant):
    plant(run.path / REPORT, secret)
    with pytest.raises(UsageError, match=f"{REPORT} is a"):
        report(run)
    assert secret.read_text() == "a secret\n"


def test_a_run_that_the_user_names_by_a_link_works(run, tmp_path):
    (tmp_path / "by-link").symlink_to(run.path)
    linked = RunDirectory.open(tmp_path / "by-link")
    with linked.locked():
        assert linked.source(linked.save_source(SOURCE)) == SOURCE
    for use in (archive, checkpoints, log, report):
        use(linked)
    assert [event.kind for event in read_events(run.events_file)] == ["notice"]


def test_a_lock_keeps_what_its_file_holds(run):
    (run.path / "lock").write_text("notes")
    lock(run)
    assert (run.path / "lock").read_text() == "notes"


def test_a_candidate_under_the_name_of_another_gets_a_longer_one(run, monkeypatch):
    """As two sources made for it would: 16 digits can be made to collide."""
    monkeypatch.setattr(directory, "NAME_DIGITS", 1)
    others = (f"{SOURCE}# {number}\n" for number in range(1000))
    other = next(each for each in others if content_hash(each) == content_hash(SOURCE))
    short, long = run.save_source(SOURCE), run.save_source(other)
    assert (len(short), len(long), long[:1]) == (1, 64, short)
    assert (run.source(short), run.source(long)) == (SOURCE, other)
    assert (run.save_source(SOURCE), run.save_source(other)) == (short, long)


def test_a_name_that_leads_elsewhere_is_no_candidate(run):
    for name in ("../../secret", "", "a" * 15, "\0" * 16):
        with pytest.raises(AutoPruneError, match=r"^candidate|no longer matches its name"):
            run.source(name)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_of_a_run_have_the_mode_that_the_umask_gives(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        run = RunDirectory.create(tmp_path / "run", Config())
        run.save_source(SOURCE)
        for use in (lock, archive, checkpoints, log, report):
            use(run)
        write_atomically(run.path / "twice", "one")
        write_atomically(run.path / "twice", "two")
        with closing(sqlite3.connect(run.archive_file)) as file:
            file.execute("SELECT * FROM calls")
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.path.rglob("*") if path.is_file()}
    finally:
        os.umask(before)
    assert len(found) >= 8
    assert set(found.values()) == {mode}, found
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o777 & ~umask


def test_no_file_of_a_write_that_failed_is_left(run, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(run.path / "new", "text")
    assert sorted(path.name for path in run.path.iterdir()) == ["candidates", "config.yaml"]


def test_a_descriptor_that_was_refused_is_closed(run, secret):
    hard_link(run.path / "lock", secret)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(UsageError, match="hard link"):
            open_file(run.path / "lock", os.O_RDWR)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("what", ["VIEW v AS SELECT 1", "TRIGGER t AFTER INSERT ON kept BEGIN DELETE FROM kept; END"])
@pytest.mark.parametrize("name", ["archive_file", "checkpoints_file"])
def test_a_database_that_runs_something_by_itself_is_refused(run, name, what):
    with closing(sqlite3.connect(getattr(run, name))) as planted, planted:
        planted.execute("CREATE TABLE kept (value)")
        planted.execute(f"CREATE {what}")
    with pytest.raises(UsageError, match="which this program never makes"):
        Archive.of(run) if name == "archive_file" else open_checkpoints(run).__enter__()
