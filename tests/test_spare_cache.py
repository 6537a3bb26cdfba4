"""A cache that cannot be written costs one line and the reuse of what would have been kept, never the work."""

import errno
import os
import pwd
import shutil
import stat
from pathlib import Path

import pytest

from autoprune.cache import SPARE, spare_cache, writable_cache
from autoprune.config_sections import DataSettings
from autoprune.downloads import cache_dir, staging_for
from autoprune.errors import DownloadError
from autoprune.evaluation.measurement_cache import user_cache
from autoprune.evaluation.statistics_cache import PLACE, StatisticsCache
from autoprune.evaluation.texts import Windows, load_splits
from autoprune.executors.files import digest_of, statistics_root
from autoprune.models import bundle as bundles
from autoprune.models.bundle import Bundle
from tests.conftest import DATA


@pytest.fixture(autouse=True)
def no_spare(monkeypatch):
    """The one of a test goes with it."""
    monkeypatch.setenv(SPARE, "")
    yield
    if spare := spare_cache():
        shutil.rmtree(spare)


@pytest.fixture
def windows(tiny_target) -> Windows:
    return load_splits(DataSettings(**DATA), tiny_target.tokenizer)["calibration"]


def below_a_file(root: Path) -> Path:
    (root / "file").write_text("")
    return root / "file" / "cache"


def a_file(root: Path) -> Path:
    (root / "cache").write_text("")
    return root / "cache"


def a_link_to_nowhere(root: Path) -> Path:
    (root / "cache").symlink_to(root / "no" / "where")
    return root / "cache"


def where_nothing_can_be_made(root: Path) -> Path:
    return Path("/proc/autoprune")


UNUSABLE = [below_a_file, a_file, a_link_to_nowhere, where_nothing_can_be_made]


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_statistics_go_to_a_temporary_directory_with_one_notice(
    tiny_target, windows, tmp_path, monkeypatch, unusable, logged
):
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(unusable(tmp_path)))
    cache = StatisticsCache(tiny_target, windows, cache_dir() / PLACE)
    base, wide = cache.bundle(), cache.bundle(("gradient",))
    assert Bundle(wide).layers == Bundle(base).layers
    assert {path.parent for path in (base, wide)} == {spare_cache() / PLACE}
    assert StatisticsCache(tiny_target, windows, cache_dir() / PLACE).bundle() == base
    assert user_cache().get("key") is None
    notices = [line for line in logged if "collecting" not in line]
    assert len(notices) == 1
    assert f"the cache {cache_dir()} cannot be written (" in notices[0]
    assert statistics_root(base.name, digest_of(base)) == base.parent


def test_what_a_cache_holds_is_used_though_it_cannot_be_written(tiny_target, windows, cache, monkeypatch, logged):
    kept = StatisticsCache(tiny_target, windows, cache / PLACE).bundle()
    monkeypatch.setattr("autoprune.cache.tempfile.TemporaryFile", read_only)
    again = StatisticsCache(tiny_target, windows, cache / PLACE)
    assert again.bundle() == kept
    assert spare_cache() is None
    assert again.bundle(("gradient",)).parent == spare_cache() / PLACE
    assert sum("Read-only" in line for line in logged) == 1


def read_only(**where: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_cache_that_fills_up_while_it_is_written_is_left(tiny_target, windows, cache, monkeypatch, logged):
    real = bundles.save_file

    def save(tensors: object, path: Path) -> None:
        if path.is_relative_to(cache):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path)

    monkeypatch.setattr(bundles, "save_file", save)
    made = StatisticsCache(tiny_target, windows, cache / PLACE).bundle()
    assert made.parent == spare_cache() / PLACE
    assert sum("No space left on device" in line for line in logged) == 1
    assert not list((cache / PLACE).iterdir())


def test_a_user_without_a_home_has_no_cache_and_nothing_is_made_in_its_place(tmp_path, monkeypatch, logged):
    def nobody(number: int) -> None:
        raise KeyError(number)

    for name in ("AUTOPRUNE_CACHE", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.chdir(tmp_path)
    assert writable_cache() == spare_cache()
    assert len(logged) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("unusable", UNUSABLE)
def test_a_download_that_must_be_kept_is_one_line(tmp_path, monkeypatch, unusable):
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(unusable(tmp_path)))
    with (
        pytest.raises(DownloadError, match="set AUTOPRUNE_CACHE to another directory") as raised,
        staging_for(cache_dir() / "models" / "a", 10),
    ):
        pass
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_of_the_cache_have_the_mode_that_the_umask_gives(tiny_target, windows, cache, umask, mode):
    before = os.umask(umask)
    try:
        StatisticsCache(tiny_target, windows, cache / PLACE).bundle()
        user_cache()._do(lambda file: None)
    finally:
        os.umask(before)
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {mode}
    assert {stat.S_IMODE(path.stat().st_mode) for path in cache.rglob("*") if path.is_dir()} == {0o777 & ~umask}
