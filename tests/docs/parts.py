"""The real parts behind what the documentation's commands name; tests/docs/small.py says which is in whose place."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoprune.errors import SandboxUnavailable
from tests.docs.hub import lay_out
from tests.docs.programs import Shell
from tests.llm.faulty_server import ChatServer
from tests.postgres_server import USER, PostgresServer, binaries
from tests.search.test_search import scripted


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a chat model, which llama.cpp really serves."""
    from tests.gguf_models import write_gguf

    return write_gguf(tiny_model, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def chat_url() -> Iterator[str]:
    """A chat endpoint that answers as each agent would."""
    with ChatServer(scripted) as server:
        yield server.base_url
    assert server.requests, "nobody asked the endpoint anything"


@pytest.fixture
def collector_url() -> Iterator[str]:
    """A collector of OpenTelemetry."""
    from tests.cli.collector_server import CollectorServer

    with CollectorServer() as server:
        yield server.url
    assert server.spans, "nobody sent the collector anything"


@pytest.fixture
def database_server(postgres: PostgresServer, shell: Shell) -> str:
    """The URL of a PostgreSQL server, without a database and without the password, which the shell knows; so it does
    the server's programs."""
    address = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": USER, "PGPASSWORD": postgres.password}
    for name, value in {**address, "PATH": f"{binaries()}{os.pathsep}{os.environ['PATH']}"}.items():
        shell.export(name, value)
    return postgres.url("").rstrip("/")


@pytest.fixture
def ray_head(tmp_path: Path) -> Iterator[str]:
    """The address of a Ray cluster of one node."""
    from tests.executors.ray_cluster import ray_cluster

    with ray_cluster(nodes=1, cache=tmp_path / "node") as address:
        yield address


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders in place of data sets, beside the page; what `datasets` makes of them stays here too."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    lay_out(tmp_path)
    return tmp_path


@pytest.fixture
def engine(shell: Shell, tmp_path: Path) -> Iterator[Any]:
    """A Docker engine that answers, which scripts/docker-engine will find and leave as it is. Skipped without one, but
    not in CI, which must have one."""
    from autoprune.sandbox import engine

    try:
        client, address = engine.connect()
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"what comes before has passed; from here on: {error}")
    shell.export("DOCKER_HOST", address)
    shell.export("AUTOPRUNE_DOCKER_ROOT", str(tmp_path / "engine"))
    yield client
    client.close()


@contextlib.contextmanager
def _own_image(engine: Any, made_from: str) -> Iterator[str]:
    """A name for an image of the sandbox, and not the one that other tests use."""
    from docker.errors import ImageNotFound

    name = f"autoprune-docs-{made_from}:{os.getpid()}"
    yield name
    with contextlib.suppress(ImageNotFound):
        engine.images.remove(name)


@pytest.fixture
def image(engine: Any) -> Iterator[str]:
    with _own_image(engine, "host") as name:
        yield name


@pytest.fixture
def image_of_rootfs(engine: Any) -> Iterator[str]:
    with _own_image(engine, "rootfs") as name:
        yield name


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A small Linux of this machine's libc."""
    from autoprune.sandbox import runtime
    from autoprune.sandbox.image import _tarball

    file = tmp_path / "rootfs.tar"
    file.write_bytes(_tarball(runtime.shared_libraries()))
    return file
