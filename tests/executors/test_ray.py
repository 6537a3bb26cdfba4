"""Workers on a real Ray cluster of two nodes, whose cache of files is not the coordinator's."""

import shutil
import sys

import pytest

from autoprune.config import load_config
from autoprune.config_sections import ExecutorSettings
from autoprune.errors import UsageError
from autoprune.executors.make import joined
from autoprune.runs.events import EventLog
from tests.executors.conftest import archived, differences, killing_log, notices
from tests.executors.ray_cluster import ray_cluster
from tests.search.lives import live
from tests.small_search import SMALL

pytestmark = pytest.mark.xdist_group("executors")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The cluster's address, and the cache directory of its nodes."""
    cache = tmp_path_factory.mktemp("nodes") / "cache"
    with ray_cluster(nodes=2, cache=cache) as address:
        yield address, cache


def words(cluster):
    return "executor.kind=ray", f"executor.address={cluster[0]}", "executor.workers=2"


@pytest.mark.long
def test_a_search_of_sixteen_candidates_survives_kill_9_and_finds_what_it_finds_here(
    cluster, searched, reference, capfd
):
    run = searched("ray", *words(cluster), log=killing_log(6))
    assert any("2 workers on a Ray cluster, of 2 that have room" in line for line in notices(run))
    lost = [line for line in notices(run) if "was lost" in line]
    assert len(lost) == 1
    assert "while it measured candidate" in lost[0]
    found = archived(run)
    assert len(found["outcomes"]) == 16
    assert found["rows"] == len(found["measurements"])
    assert differences(found, reference) == []
    said = [line for line in "".join(capfd.readouterr()).splitlines() if "A worker died or was killed" not in line]
    assert "ray" not in "\n".join(said).lower(), said  # but for the raylet's own word on the killed worker


@pytest.mark.long
def test_a_node_that_lacks_the_target_and_the_statistics_gets_them_from_the_object_store(
    cluster, searched, tiny_model, tmp_path
):
    model = shutil.copytree(tiny_model, tmp_path / "only-here")

    class ForgettingLog(EventLog):
        """Once the coordinator has loaded the target, there is none on the disk any more."""

        def emit(self, kind, key=None, **data):
            super().emit(kind, key, **data)
            if kind == "notice" and data["text"].startswith("executor: "):
                shutil.rmtree(model)

    small = ("search.max_candidates=2", "search.generation_size=2", "advanced.layer_error=null")
    run = searched("sent", f"model={model}", *words(cluster), *small, log=ForgettingLog)
    assert "measured" in {each["status"] for each in archived(run)["outcomes"]}
    assert any(line.startswith("sending the target to worker") for line in notices(run))
    sent = {path.name.partition("-")[0] for path in (cluster[1] / "sent").iterdir() if path.is_dir()}
    assert sent == {"target", "statistics"}


def join(address=None):
    with joined(ExecutorSettings(kind="ray", address=address)):
        raise AssertionError("there is no such cluster")


def test_a_cluster_that_cannot_be_reached_is_wrong_usage():
    with pytest.raises(UsageError, match=r"no Ray cluster can be reached at 127.0.0.1:9: Connection refused"):
        join("127.0.0.1:9")
    for address in ("nowhere", "ray://head:10001"):
        with pytest.raises(UsageError, match=rf"'{address}' is no address of a Ray cluster; give HOST:PORT"):
            join(address)


def test_a_missing_ray_is_wrong_usage_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"needs Ray, which is not installed: pip install 'autoprune\[ray\]'"):
        join()


@pytest.mark.long
def test_a_search_that_cannot_load_its_target_leaves_the_cluster_it_has_joined(cluster, tmp_path):
    import ray

    with pytest.raises(UsageError, match="there is no model"):
        live(tmp_path / "run", load_config(None, ["model=no/such-model", *SMALL, *words(cluster)]))
    assert not ray.is_initialized()
