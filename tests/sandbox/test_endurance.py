"""Many candidates leave nothing behind, and neither does a search that is killed at its worst moment."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from autoprune.errors import CandidateFailure
from autoprune.sandbox import engine
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.docker import DockerSandbox
from tests.sandbox.candidates import WANDA, score_all
from tests.sandbox.conftest import SETTINGS

LOCAL_CANDIDATES = 200
DOCKER_CANDIDATES = int(os.environ.get("AUTOPRUNE_DOCKER_CANDIDATES", "6"))
PATIENCE = 180
"""Seconds until something that should happen counts as never happening, on a machine as busy as may be."""

# A search that says on its standard output when the moment has come to kill it.
SEARCH = """
import sys, time
from pathlib import Path
from autoprune.config_sections import SandboxSettings
settings = SandboxSettings(seconds=600)
if sys.argv[1] == "local":
    from autoprune.sandbox.local import LocalSandbox
    sandbox = LocalSandbox(settings)
else:
    from autoprune.sandbox.docker import DockerSandbox
    sandbox = DockerSandbox(settings)
def score(body, moment):
    with sandbox.open(f"def score(layer):\\n    {body}\\n", Path(sys.argv[2])) as session:
        if sys.argv[3] == moment:
            print("now", flush=True)
        list(session.scores({"layers.0.q": 0.5}, ["layers.0.q"]))
if sys.argv[3] == "warming":
    print("now", flush=True)
    time.sleep(600)
if sys.argv[3] == "interrupted":
    import os
    from autoprune.sandbox.leftovers import remove_own
    sandbox.wait_until_warm()
    remove_own()
    print("now", flush=True)
    os._exit(130)
if sys.argv[3] == "refilling":
    score("return layer.weight", "")
    print("now", flush=True)  # the worker that it took is being removed, and replaced
    time.sleep(600)
score("while True: print('x')", "running")
"""
MOMENTS = ["warming", "running", "refilling"]


def test_many_local_candidates_leave_nothing(local: Sandbox, bundle: Path) -> None:
    for _ in range(10):
        endure(local, bundle)
    me = psutil.Process()
    zygote = next(child for child in me.children() if "autoprune.sandbox.inside.zygote" in child.cmdline())
    before = [
        (process.num_fds(), len(process.children()), process.memory_info().rss, process.num_threads())
        for process in (me, zygote)
    ]
    for _ in range(LOCAL_CANDIDATES // 2):
        endure(local, bundle)
    for process, (descriptors, children, memory, threads) in zip((me, zygote), before, strict=True):
        # A leak would show a hundred times; a few come and go with what else this test process holds.
        assert process.num_fds() < descriptors + 10
        assert len(process.children()) < children + 3
        assert process.num_threads() < threads + 10
        assert process.memory_info().rss < memory + 8 * 2**20


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_many_containers_leave_nothing(docker: DockerSandbox, bundle: Path) -> None:
    for _ in range(2):
        endure(docker, bundle)
    settle(docker)
    me = psutil.Process()
    descriptors, memory = me.num_fds(), me.memory_info().rss
    for _ in range(DOCKER_CANDIDATES // 2):
        endure(docker, bundle)
    settle(docker)
    assert me.num_fds() <= descriptors + 2  # a pooled connection to the engine more or less
    assert me.memory_info().rss < memory + 8 * 2**20


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_search_takes_its_local_processes_along(bundle: Path, moment: str) -> None:
    search = start_search("local", bundle, moment)
    if moment == "running":
        assert len(psutil.Process(search.pid).children(recursive=True)) == 2  # the warm process and the candidate
    kill(search)
    deadline = time.monotonic() + PATIENCE
    while workers_of(search) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers_of(search) == []


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.xdist_group("docker")
@pytest.mark.usefixtures("docker")  # the image is there
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_start_removes_the_containers_of_a_killed_search(bundle: Path, moment: str) -> None:
    search = start_search("docker", bundle, moment)
    client, _ = engine.connect()
    if moment == "running":
        assert owned_by(client, search.pid) >= 1
    kill(search)
    following = DockerSandbox(SETTINGS)
    following.wait_until_warm()
    assert owned_by(client, search.pid) == 0
    assert not list(Path(tempfile.gettempdir()).glob(f"autoprune-{search.pid}-*"))
    following.close()
    client.close()


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_a_process_that_ends_at_once_can_remove_its_containers(docker: DockerSandbox, bundle: Path) -> None:
    docker.wait_until_warm()
    search = start_search("docker", bundle, "interrupted")
    client, _ = engine.connect()
    assert owned_by(client, search.pid) == 0
    assert owned_by(client, os.getpid()) >= 1  # those of others stay
    assert search.wait(PATIENCE) == 130
    kill(search)
    client.close()


def endure(sandbox: Sandbox, bundle: Path) -> None:
    """A good candidate and one that dies."""
    score_all(sandbox, WANDA, bundle)
    with pytest.raises(CandidateFailure):
        score_all(sandbox, "import torch\ndef score(layer):\n    torch.os._exit(3)\n", bundle)


def settle(docker: DockerSandbox) -> None:
    """Until the spare container is there and every other one has gone; an engine may take its time for that."""
    docker.wait_until_warm()
    client, _ = engine.connect()
    deadline = time.monotonic() + PATIENCE
    while owned_by(client, os.getpid()) > 1:
        assert time.monotonic() < deadline, "containers were left"
        time.sleep(0.1)
    client.close()


def owned_by(client: object, pid: int) -> int:
    labels = [container.labels for container in client.containers.list(all=True, ignore_removed=True)]  # type: ignore[attr-defined]
    return sum(f"/{pid}/" in value for label in labels for value in label.values())


def workers_of(search: subprocess.Popen[str]) -> list[psutil.Process]:
    """Warm processes that a search has started, and their forks: dead or alive, it is in their command line. One that
    it was starting when it was killed still has the search's own."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (line := process.info["cmdline"] or []) == search.args
        or ("autoprune.sandbox.inside.zygote" in line and line[-1] == str(search.pid))
    ]


def kill(search: subprocess.Popen[str]) -> None:
    search.kill()
    search.communicate()


def start_search(kind: str, bundle: Path, moment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SEARCH, kind, str(bundle), moment]
    search = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert search.stdout is not None
    while "now" not in search.stdout.readline():
        assert search.poll() is None
    return search
