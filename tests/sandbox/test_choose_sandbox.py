"""Which sandbox is taken, what is said about it, and what happens where something is missing."""

from pathlib import Path

import pytest

from autoprune.config_sections import SandboxSettings
from autoprune.errors import SandboxUnavailable
from autoprune.sandbox import engine
from autoprune.sandbox.choose_sandbox import make_sandbox


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("nobody_answers")
def test_auto_takes_local_without_an_engine_and_says_so(logged: list[str]) -> None:
    sandbox = make_sandbox(SandboxSettings(engine="auto"))
    sandbox.close()
    assert sandbox.name == "local"
    assert logged == ["sandbox: local, an own process with rlimits, Landlock and seccomp (no container engine answers)"]


@pytest.mark.usefixtures("nobody_answers")
def test_docker_without_an_engine_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="no container engine answers") as caught:
        make_sandbox(SandboxSettings(engine="docker"))
    message = str(caught.value)
    assert f"unix://{tmp_path}/none.sock (no such file)" in message
    assert "scripts/docker-engine start" in message
    assert "\n" not in message


def test_local_has_no_gpu() -> None:
    with pytest.raises(SandboxUnavailable, match="computes on the CPU"):
        make_sandbox(SandboxSettings(engine="local", gpu=True))


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(SandboxUnavailable, match="not on this machine"):
        engine.connect()


def test_usual_addresses_are_used_without_docker_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman" / "podman.sock").touch()
    assert f"unix://{tmp_path}/podman/podman.sock" in engine.addresses()


@pytest.mark.usefixtures("nobody_answers")
def test_survey_says_of_each_address_why_nothing_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert engine.survey() == [f"unix://{tmp_path}/none.sock (no such file)"]
    monkeypatch.setenv("DOCKER_HOST", "ssh://elsewhere")
    [line] = engine.survey()
    assert line.startswith("DOCKER_HOST=ssh://elsewhere is not on this machine")


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
@pytest.mark.usefixtures("docker")
def test_survey_names_the_engine_that_answers() -> None:
    client, address = engine.connect()
    client.close()
    assert any(f" at {address} (" in line for line in engine.survey())


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
@pytest.mark.usefixtures("docker")
def test_auto_takes_docker_when_an_engine_answers_and_says_so(logged: list[str]) -> None:
    sandbox = make_sandbox(SandboxSettings(engine="auto"))
    sandbox.close()
    assert sandbox.name == "docker"
    assert logged[-1].startswith("sandbox: docker (an engine answers: docker ")
