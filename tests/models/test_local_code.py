"""No code comes from the hub, whatever a model's configuration asks for and whatever packages are installed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoprune.errors import UsageError
from autoprune.models.loading import empty_model, load_model, stored_dtype


@pytest.fixture
def asking(tiny_model: Path, tmp_path: Path):
    """The tiny model with more in its configuration."""

    def make(**more: object) -> str:
        shutil.copytree(tiny_model, tmp_path / "model")
        file = tmp_path / "model" / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | more))
        return str(tmp_path / "model")

    return make


@pytest.mark.parametrize(
    "more",
    [
        {"attn_implementation": "kernels-community/flash-attn"},
        {"_attn_implementation": "evil/kernel@main:function"},
        {"attn_implementation": {"": "evil/kernel"}},
        {"attn_implementation": {"text_config": "paged|evil/kernel"}},
        {"experts_implementation": "evil/kernel"},
        {"text_config": {"attn_implementation": "evil/kernel"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("load", [load_model, empty_model, stored_dtype])
def test_a_configuration_that_names_code_on_the_hub_is_one_line(asking, load, more):
    name = asking(**more)
    with pytest.raises(UsageError, match=r"asks for code from the hub .*, which is never run; remove ") as raised:
        load(name, "auto") if load is load_model else load(name)
    assert "\n" not in str(raised.value)


def test_the_package_that_fetches_code_is_out_of_reach(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("fetched = True\n")
    code = "import autoprune.cli, importlib.util; print(importlib.util.find_spec('kernels')); import kernels"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "None\n"
    assert "ModuleNotFoundError" in done.stderr
