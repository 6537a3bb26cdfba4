"""One real candidate: the real local LLM proposes, criticises and reflects; the real built-in target is pruned."""

import json

import pytest

from autoprune.runs.archive import Archive

SHORT = (
    "data.seqlen=128",
    "data.calibration_samples=4",
    "data.search_windows=4",
    "data.report_windows=4",
    "search.max_candidates=1",
    "agents.symbolic_share=0",
    "sandbox.engine=local",
    "baselines.allocations=[uniform]",
    "baselines.refinements=[none]",
    # Not the trials that end a search, hundreds of measurements: tests/search has them on a tiny model.
    "advanced.deepen=0",
    "advanced.polish=0",
    # Bounded work, for a machine on which other tests run: few calls, short replies, and time for each.
    "advanced.revisions=0",
    "llm.max_reply_tokens=500",
    "llm.timeout=900",
)
SECONDS = 1800


@pytest.mark.long
@pytest.mark.llm
@pytest.mark.model
@pytest.mark.xdist_group("heavy")
def test_a_candidate_of_the_local_llm_goes_all_the_way(autoprune, built_in_model, tmp_path):
    cache = str(built_in_model.parent.parent)
    done = autoprune(
        "search", "--llm", "local", "--run-dir", "r", "--json", *SHORT, seconds=SECONDS, AUTOPRUNE_CACHE=cache
    )
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["dense"]["report"] < rows["wanda+uniform"]["report"] < rows["magnitude+uniform"]["report"]
    archive = Archive(tmp_path / "r" / "archive.sqlite")
    [outcome], proposals, calls = archive.outcomes(), archive.proposals(), archive.calls()
    archive.close()
    assert outcome.status in ("measured", "stopped", "duplicate", "failed", "rejected"), outcome
    assert proposals[0].engine == "llm"
    assert proposals[0].candidate is not None
    assert proposals[0].thought["idea"]
    assert "g1.c1.propose.0.code" in calls
