"""The sandbox `docker`: what the engine really enforces, and how its own failures are told."""

import io
import os
import sys
import tarfile
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from docker import errors

from autoprune.errors import AutoPruneError, CandidateFailure, SandboxUnavailable
from autoprune.sandbox import engine, image, runtime
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.docker import DockerSandbox
from tests.sandbox.candidates import WANDA, score_all
from tests.sandbox.conftest import ON_DOCKER, SETTINGS

pytestmark = ON_DOCKER


@pytest.fixture
def client(docker: Sandbox) -> Any:
    connected, _ = engine.connect()
    yield connected
    connected.close()


def test_scores_are_those_of_the_local_sandbox(docker: Sandbox, local: Sandbox, bundle: Path) -> None:
    contained, jailed = score_all(docker, WANDA, bundle), score_all(local, WANDA, bundle)
    assert all(torch.equal(contained[name], jailed[name]) for name in jailed)


def test_a_long_name_of_the_folder_for_temporary_files_does_no_harm(
    docker: Sandbox, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    sandbox = DockerSandbox(SETTINGS, spares=0)
    try:
        assert score_all(sandbox, WANDA, bundle)
    finally:
        sandbox.close()


def test_container_has_every_promised_setting(docker: DockerSandbox, client: Any, bundle: Path) -> None:
    with docker.open(WANDA, bundle):
        containers = client.containers.list(filters={"label": f"autoprune.sandbox.id={docker._id}"})
        assert containers
        attributes = containers[0].attrs
    host, config = attributes["HostConfig"], attributes["Config"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["Init"]
    assert host["IpcMode"] == "none"
    assert host["PidsLimit"] == 512
    assert 0 < host["Memory"] == host["MemorySwap"] < 2 * 2**30
    assert host["NanoCpus"] == 10**9
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert any(option.startswith("seccomp={") for option in host["SecurityOpt"])
    assert config["User"] == "65534:65534"
    assert all(not mount["RW"] for mount in attributes["Mounts"])
    assert not any("secret" in line.lower() for line in config["Env"])


def test_engine_answers_while_another_thread_changes_the_environment(client: Any) -> None:
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            os.environ["AUTOPRUNE_TEST_COMES_AND_GOES"] = "1"
            del os.environ["AUTOPRUNE_TEST_COMES_AND_GOES"]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        try:
            for _ in range(100):
                assert client.ping()
        finally:
            over.set()
            sys.setswitchinterval(interval)
        changing.result()


def test_nothing_in_the_container_is_writable(docker: Sandbox, bundle: Path) -> None:
    source = """
import torch
os = torch.os
def score(layer):
    places = [root for root, _, _ in os.walk("/") if os.access(root, os.W_OK)]
    raise ValueError(f"writable: {places}, user {os.getuid()}, pids {os.getpid()}")
"""
    with pytest.raises(CandidateFailure, match="writable: \\[\\], user 65534"):
        score_all(docker, source, bundle)


def test_memory_beyond_the_container_is_told_from_a_timeout(docker: Sandbox, bundle: Path) -> None:
    body = {"memory": "return layer.weight.new_ones(2**32)", "timeout": "while True: pass"}
    for reason, code in body.items():
        with pytest.raises(CandidateFailure) as caught:
            score_all(docker, f"def score(layer):\n    {code}\n", bundle)
        assert caught.value.reason == reason


def test_a_spare_that_died_while_waiting_is_not_blamed_on_a_candidate(
    docker: DockerSandbox, client: Any, bundle: Path
) -> None:
    with docker.open(WANDA, bundle):
        pass
    docker._pool._ready[0].result()
    for container in client.containers.list(
        filters={"label": f"autoprune.sandbox.id={docker._id}"}, ignore_removed=True
    ):
        container.kill()
    assert score_all(docker, WANDA, bundle)


def test_a_bundle_that_others_may_not_read_is_opened_all_the_same(docker: Sandbox, bundle: Path) -> None:
    files = [bundle, *bundle.iterdir()]
    for path in files:
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert score_all(docker, WANDA, bundle)


def test_a_worker_is_frozen_while_others_measure_and_the_next_one_warms_up(
    docker: DockerSandbox, client: Any, bundle: Path
) -> None:
    mine = {"label": f"autoprune.sandbox.id={docker._id}"}
    with docker.open(WANDA, bundle) as session:
        first = dict(session.scores({"layers.0.q": 0.5}, ["layers.0.q"]))
        deadline = time.monotonic() + 60
        while not client.containers.list(filters={**mine, "status": "paused"}) and time.monotonic() < deadline:
            time.sleep(0.05)
        docker.wait_until_warm()
        assert len(client.containers.list(filters={**mine, "status": "paused"})) == 1
        assert len(client.containers.list(filters={**mine, "status": "running"})) == 1
        again = dict(session.scores({"layers.0.q": 0.5}, ["layers.0.q"]))
    assert torch.equal(first["layers.0.q"], again["layers.0.q"])


def test_an_image_without_python_is_refused_with_its_own_words(client: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty.tar"
    with tarfile.open(empty, "w") as tar:
        folder = tarfile.TarInfo("opt")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    name = f"autoprune-test-empty:{os.getpid()}"
    image.build_image(client, name, empty)
    sandbox = DockerSandbox(SETTINGS.model_copy(update={"image": name}), spares=0)
    try:
        with pytest.raises(SandboxUnavailable, match="did not start"), sandbox.open(WANDA, tmp_path):
            pass
    finally:
        sandbox.close()
        client.images.remove(name)


def test_an_image_is_made_when_there_is_none(client: Any, bundle: Path, logged: list[str]) -> None:
    name = f"autoprune-test-fresh:{os.getpid()}"
    sandbox = DockerSandbox(SETTINGS.model_copy(update={"image": name}), spares=0)
    try:
        assert score_all(sandbox, WANDA, bundle)
        assert logged == [f"making the image {name} from this machine's libraries (a second, once)"]
    finally:
        sandbox.close()
        client.images.remove(name)


def test_candidates_run_on_a_rootfs_tarball(client: Any, bundle: Path, tmp_path: Path) -> None:
    rootfs = tmp_path / "rootfs.tar"
    rootfs.write_bytes(image._tarball(runtime.shared_libraries()))  # a small Linux of this machine's libc
    name = f"autoprune-test-rootfs:{os.getpid()}"
    image.build_image(client, name, rootfs)
    sandbox = DockerSandbox(SETTINGS.model_copy(update={"image": name}), spares=0)
    try:
        assert score_all(sandbox, WANDA, bundle)
    finally:
        sandbox.close()
        client.images.remove(name)


def test_an_image_that_lost_its_name_goes_unless_it_has_another(client: Any, tmp_path: Path) -> None:
    name, tarballs = "autoprune-test-replaced", [tmp_path / f"{number}.tar" for number in range(3)]
    for number, tarball in enumerate(tarballs):
        with tarfile.open(tarball, "w") as rootfs:
            rootfs.addfile(tarfile.TarInfo(f"number-{number}"))
    first = image.build_image(client, name, tarballs[0])
    second = image.build_image(client, name, tarballs[1])
    try:
        with pytest.raises(errors.ImageNotFound):
            client.images.get(first)
        client.images.get(second).tag(f"{name}-kept")
        assert image.build_image(client, name, tarballs[2]) != second
        assert client.images.get(second).tags == [f"{name}-kept:latest"]
    finally:
        client.images.remove(name)
        client.images.remove(f"{name}-kept")


def test_every_folder_of_the_image_of_this_machine_is_named_and_open(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.touch()
    with tarfile.open(fileobj=io.BytesIO(image._tarball([library]))) as tar:
        modes = {entry.name: entry.mode for entry in tar if entry.isdir()}
    assert {str(folder).lstrip("/") for folder in library.parents} - {""} <= modes.keys()
    assert all(mode & 0o5 == 0o5 for mode in modes.values())


def test_a_tarball_that_is_not_there_is_one_clear_line(client: Any) -> None:
    with pytest.raises(AutoPruneError, match=r"cannot read /nowhere/rootfs\.tar"):
        image.build_image(client, "autoprune-test-none", Path("/nowhere/rootfs.tar"))


def test_closing_one_sandbox_leaves_another_of_the_same_process_alone(docker: DockerSandbox, bundle: Path) -> None:
    other = DockerSandbox(SETTINGS)
    with docker.open(WANDA, bundle) as session:
        other.close()
        assert dict(session.scores({"layers.0.q": 0.5}, ["layers.0.q"]))
