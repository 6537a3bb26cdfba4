"""`autoprune prune --push-to-hub`: the pruned model and its card arrive at a hub."""

import json

import pytest
import yaml

from tests.models.hub_server import hub_server

SMALL = ["--seqlen", "48", "--windows", "3", "--calibration-samples", "4", "--device", "cpu"]


@pytest.mark.long
@pytest.mark.parametrize(("words", "kind"), [((), "sparse"), (("--structure", "width"), "structured-pruning")])
def test_the_pruned_model_arrives_with_its_metadata(autoprune, tiny_model, tmp_path, words, kind):
    with hub_server() as server:
        common = ("prune", "--model", str(tiny_model), *SMALL, "--out", "pruned", "--push-to-hub", "mine", "--json")
        done = autoprune(*common, *words, **server.environment(), HF_HOME=str(tmp_path / "hf"))
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["hub"] == f"{server.url}/ann/mine"
        arrived = server.files["ann/mine"]
    for path in (tmp_path / "pruned").iterdir():
        assert arrived[path.name] == path.read_bytes()
    card = yaml.safe_load(arrived["README.md"].decode().split("---\n")[1])
    results = card["model-index"][0]["results"][0]
    assert [metric["value"] for metric in results["metrics"]] == [said["perplexity"], said["perplexity_dense"]]
    assert card["tags"] == ["pruned", kind, "autoprune"]
    assert "base_model" not in card  # a directory of this machine


def test_what_cannot_be_uploaded_is_refused_before_anything_is_pruned(here, tiny_model, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for words, problem in (
        (("--push-to-hub", "a/b/c"), "is no name of a repository"),
        (("--private",), "--private is about the repository of --push-to-hub"),
    ):
        done = here("prune", "--model", str(tiny_model), "--out", "pruned", *words)
        assert done.returncode == 2
        assert problem in done.stderr
        assert not (tmp_path / "pruned").exists()
