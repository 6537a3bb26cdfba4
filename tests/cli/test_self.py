"""`--llm self`: the target is the agents' own chat model, really served from the file that it was made of."""

import json
from pathlib import Path

import pytest

from autoprune.models.gguf_files import KNOWN, sha256_of
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from tests.gguf_models import write_gguf
from tests.small_search import SMALL

pytest.importorskip("xllamacpp")

TALK = (
    "llm.provider=self",
    "llm.max_reply_tokens=40",
    "llm.timeout=600",
    "search.max_candidates=2",
    "agents.symbolic_share=0",
    "advanced.revisions=0",
)


def outcomes_of(run: Path) -> tuple[dict[str, str], list[str]]:
    """Status by slot, and the keys of all questions that were put to the chat model."""
    archive = Archive(run / "archive.sqlite")
    try:
        return {outcome.slot: outcome.status for outcome in archive.outcomes()}, list(archive.calls())
    finally:
        archive.close()


@pytest.mark.long
def test_a_tiny_model_talks_nonsense_about_pruning_itself_and_the_run_ends(autoprune, tiny_model, tmp_path):
    file = write_gguf(tiny_model, tmp_path / "tiny.gguf")
    done = autoprune("search", "--model", "tiny.gguf", "--run-dir", "r", "--json", *SMALL, *TALK)
    assert done.returncode == 0, done.stderr
    statuses, calls = outcomes_of(tmp_path / "r")
    assert set(statuses) == {"g1.c1", "g1.c2"}
    assert set(statuses.values()) <= {"unusable", "failed", "rejected", "measured", "stopped", "duplicate"}
    assert "g1.c1.propose.0.thought" in calls
    _, record = RunDirectory.open(tmp_path / "r").settings()
    assert record["self"]["sha256"] == sha256_of(file)
    traced = autoprune("trace", "r").stdout.replace("\n", " ")
    assert f"agents and target are the same model: tiny.gguf, SHA-256 {sha256_of(file)[:16]}" in traced


@pytest.mark.long
@pytest.mark.model
@pytest.mark.xdist_group("heavy")
def test_smollm2_proposes_how_to_prune_itself(autoprune, built_in_model, tmp_path):
    cache = str(built_in_model.parent.parent)
    small = ("data.seqlen=64", "data.calibration_samples=2", "data.search_windows=2", "data.report_windows=2")
    small += ("baselines.scores=[wanda]", "baselines.allocations=[uniform]", "confirmation.seeds=1")
    words = ("--model", "smollm2-135m", "--run-dir", "r", "--json", *SMALL, *TALK, *small, "search.max_candidates=1")
    done = autoprune("search", *words, "llm.max_reply_tokens=200", AUTOPRUNE_CACHE=cache, seconds=1500)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["dense"]["report"] < rows["wanda+uniform"]["report"]
    statuses, calls = outcomes_of(tmp_path / "r")
    assert len(statuses) == 1
    assert "g1.c1.propose.0.code" in calls
    config, record = RunDirectory.open(tmp_path / "r").settings()
    assert config.llm.provider == "self"
    assert record["self"]["sha256"] == KNOWN["smollm2-135m"].sha256


def test_a_target_that_cannot_be_served_is_one_line_and_exit_2(here, tiny_model):
    done = here("search", "--model", str(tiny_model), "--llm", "self")
    assert done.returncode == 2
    assert "holds no GGUF files" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4
