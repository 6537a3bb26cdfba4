"""A small bundle and one sandbox of each kind for all tests of this room."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from autoprune.config_sections import SandboxSettings
from autoprune.errors import SandboxUnavailable
from autoprune.models.bundle import write_bundle
from autoprune.pruning.layers import LayerInfo
from autoprune.sandbox import local as local_sandbox
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.docker import DockerSandbox
from autoprune.sandbox.local import LocalSandbox
from tests.warm_zygotes import NEW

SETTINGS = SandboxSettings(seconds=2.0, memory_mb=512)
PATIENT = SETTINGS.model_copy(update={"seconds": 60.0})
"""For candidates that end by themselves, however slow the machine is."""
ON_DOCKER = [pytest.mark.docker, pytest.mark.xdist_group("docker")]
"""The marks of a test that needs the engine: one worker has a sandbox with warm containers for all of them."""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two decoder blocks of three matrices, bfloat16."""
    path = tmp_path_factory.mktemp("sandbox") / "bundle"
    generator = torch.Generator().manual_seed(1)
    layers, weights, statistics = [], {}, {}
    for block in range(2):
        for role, shape in {"q": (32, 32), "up": (64, 32), "down": (32, 64)}.items():
            name = f"layers.{block}.{role}"
            layers.append(LayerInfo(name, role, block, float(block), shape, f"block.{block}"))
            weights[name] = torch.randn(shape, generator=generator).bfloat16()
            norm = torch.rand(shape[1], generator=generator) + 0.1
            statistics[name] = {
                "input_norm": norm,
                "input_mean": norm / 2,
                "input_var": norm + 1,
                "hessian_diag": norm**2,
            }
    write_bundle(path, layers, weights.__getitem__, statistics)
    return path


@pytest.fixture(scope="package", autouse=True)
def new_zygotes() -> Iterator[None]:
    """The sandboxes of these modules start their warm processes as those of a user do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_sandbox, "Zygote", NEW)
        yield


@pytest.fixture(scope="session")
def docker() -> Iterator[Sandbox]:
    """Skipped where no engine answers, but not in CI, which must have one."""
    try:
        sandbox = DockerSandbox(SETTINGS)
    except SandboxUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session")
def local() -> Iterator[Sandbox]:
    os.environ["AUTOPRUNE_TEST_SECRET"] = "secret-in-the-environment"
    sandbox = LocalSandbox(SETTINGS)
    yield sandbox
    sandbox.close()
    del os.environ["AUTOPRUNE_TEST_SECRET"]
