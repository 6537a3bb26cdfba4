"""What the cache holds: its kinds, sizes with files that bundles share, and the removal of what is old."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoprune.cache import DAY, clear, entries, size
from autoprune.errors import AutoPruneError

BYTES = 1 << 16


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of one entry each, and two bundles of statistics that share their weights."""
    root = tmp_path / "cache"
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(root))
    for name in ("statistics/a-dense/weights", "statistics/a-dense-gradient/gradient", "models/m/model.safetensors"):
        write(root / name)
    os.link(root / "statistics/a-dense/weights", root / "statistics/a-dense-gradient/weights")
    for name in ("downloads/packed.gguf", "llm/chat.gguf", "sent/target-1/model", "measurements.sqlite"):
        write(root / name)
    return root


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(range(256)) * (BYTES // 256))


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    for file in (*path.rglob("*"), path):
        os.utime(file, (then, then))


def test_no_cache_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path / "none"))
    assert entries() == []
    assert clear(["statistics"], 0) == ([], 0)


def test_every_kind_is_found_and_locks_are_not(cache: Path) -> None:
    (cache / "llm" / ".chat.gguf.lock").touch()
    (cache / "statistics" / ".staging-x").mkdir()
    (cache / "downloads" / ".packed.gguf.partial").touch()
    (cache / "offload-x").mkdir()
    found = [(each.kind, each.path.name) for each in entries()]
    assert found == [
        ("downloads", "packed.gguf"),
        ("left", ".packed.gguf.partial"),
        ("left", "offload-x"),
        ("left", ".staging-x"),
        ("llm", "chat.gguf"),
        ("measurements", "measurements.sqlite"),
        ("models", "m"),
        ("sent", "target-1"),
        ("statistics", "a-dense"),
        ("statistics", "a-dense-gradient"),
    ]


def test_a_shared_file_counts_once_and_is_free_with_its_last_link(cache: Path) -> None:
    statistics = [each for each in entries() if each.kind == "statistics"]
    assert size(statistics) == 2 * BYTES
    age(cache / "statistics" / "a-dense-gradient", 9)  # the weights with it, for they are one file
    (cache / "statistics" / "a-dense" / "layers.json").touch()
    removed, freed = clear(["statistics"], 7)
    assert [each.path.name for each in removed] == ["a-dense-gradient"]
    assert freed == BYTES
    assert (cache / "statistics" / "a-dense" / "weights").exists()


def test_only_the_kinds_that_are_named_and_only_what_is_old_go(cache: Path) -> None:
    age(cache / "llm" / "chat.gguf", 8)
    age(cache / "downloads" / "packed.gguf", 8)
    assert clear(["llm", "models"], 7)[1] == BYTES
    assert not (cache / "llm" / "chat.gguf").exists()
    assert (cache / "downloads" / "packed.gguf").exists()
    assert (cache / "models" / "m").exists()


def test_a_directory_that_was_just_made_is_not_old_though_it_holds_nothing(cache: Path) -> None:
    (cache / "statistics" / ".staging-x").mkdir()
    assert clear(["left"], 1) == ([], 0)


def test_a_file_that_is_read_counts_as_used(cache: Path) -> None:
    file = cache / "llm" / "chat.gguf"
    now = time.time()
    os.utime(file, (now, now - 30 * DAY))
    assert clear(["llm"], 7) == ([], 0)


@pytest.fixture
def stuck(cache: Path) -> Iterator[Path]:
    """An entry that its user may not remove; root may remove all but where something is mounted."""
    entry = cache / "sent" / "target-1"
    root = os.geteuid() == 0
    if not root:
        entry.parent.chmod(0o500)
    elif subprocess.run(["mount", "-t", "tmpfs", "tmpfs", entry], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a file system")
    yield entry
    if root:
        subprocess.run(["umount", entry], check=True)
    else:
        entry.parent.chmod(0o700)


def test_what_may_not_be_removed_is_told_in_one_line(stuck: Path) -> None:
    with pytest.raises(AutoPruneError, match=rf"^cannot remove {stuck}: [\w ]+$"):
        clear(["sent"], 0)
