"""Uploads to the hub: what arrives is what is on disk, and what cannot work is refused before anything is computed."""

import json
import os
import subprocess
import sys

import pytest

from tests.models.hub_server import hub_server

SCRIPT = """
import json, sys
from pathlib import Path
from autoprune.errors import AutoPruneError
from autoprune.models.hub import check_upload, upload
name, folder, private = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "private"
try:
    repository = check_upload(name)
    print(json.dumps({"repository": repository, "address": upload(folder, repository, private)}))
except AutoPruneError as error:
    print(json.dumps({"error": str(error), "code": error.exit_code}))
"""


@pytest.fixture
def server():
    with hub_server() as server:
        yield server


@pytest.fixture
def push(tmp_path, server):
    """Upload a small folder in a process of its own, since the hub's client reads its address when it is imported."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlibrary_name: transformers\n---\n# A model\n")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 50)

    def run(name: str, private: bool = False, **variables: str):
        environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), **server.environment(), **variables}
        words = [sys.executable, "-c", SCRIPT, name, str(folder), "private" if private else "public"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_what_arrives_is_what_is_on_disk(push, server, tmp_path):
    for private in (False, True):
        name = f"small-{private}"
        said = push(name, private)
        assert said == {"repository": f"ann/{name}", "address": f"{server.url}/ann/{name}"}
        assert server.private[f"ann/{name}"] == private
        on_disk = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        assert {path: content for path, content in server.files[f"ann/{name}"].items() if path in on_disk} == on_disk
    assert push("ann/small-True")["address"] == f"{server.url}/ann/small-True"  # which is there already
    assert set(server.messages) == {"Pruned with AutoPrune"}


@pytest.mark.parametrize(
    ("name", "variables", "problem", "code"),
    [
        ("a/b/c", {}, "'a/b/c' is no name of a repository on the hub", 2),
        ("small", {"HF_TOKEN": ""}, "needs a token of the hub", 2),
        ("small", {"HF_TOKEN": "hf_bob"}, "the hub refuses the token", 2),
        ("small", {"HF_HUB_OFFLINE": "1"}, "switched off by HF_HUB_OFFLINE", 2),
        ("small", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the hub cannot be reached", 2),
        ("bob/small", {}, "could not be uploaded to bob/small", 1),
    ],
)
def test_what_cannot_work_is_one_line(push, server, name, variables, problem, code):
    said = push(name, **variables)
    assert problem in said["error"]
    assert "\n" not in said["error"]
    assert said["code"] == code
    assert not server.files


def test_an_upload_that_breaks_off_says_that_the_folder_is_complete(push, server):
    server.refuses_commits = True
    assert push("small")["error"].endswith("it is complete on disk")
