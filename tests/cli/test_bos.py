"""BOS as the commands show it: on the screen, in JSON, in a run's record and events."""

import html
import json

import pytest

from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from tests.bos_models import BOS, SEQLEN

SIZE = ["--seqlen", str(SEQLEN), "--windows", "3", "--dtype", "float32", "--device", "cpu"]


@pytest.fixture
def on(bos_models):
    """Options that name the text, for calibration as well."""
    text = str(bos_models.text)
    return [*SIZE, "--data", text], ["--calibration", text, "--calibration-samples", "3", "--sparsity", "0.5"]


def test_evaluate_says_what_stands_before_the_windows(here, bos_models, on):
    done = here("evaluate", str(bos_models.needs), *on[0])
    assert f"3 windows of {SEQLEN} tokens, each preceded by {BOS}" in done.stdout
    assert f"data.bos=auto: {BOS} in front of windows" in done.stderr
    for bos, shown in (("auto", BOS), ("never", None)):
        assert (
            json.loads(here("evaluate", str(bos_models.needs), *on[0], "--bos", bos, "--json").stdout)["bos"] == shown
        )


def test_compare_says_it_in_its_title_and_in_every_row(here, bos_models, on):
    words = ["compare", "--model", str(bos_models.needs), *on[0], *on[1], "--algorithms", "wanda"]
    words += ["--allocations", "uniform"]
    shown = " ".join(here(*words).stdout.split())
    assert f"3 windows of {SEQLEN} tokens, each preceded by {BOS}, report split" in shown
    rows = json.loads(here(*words, "--json").stdout)
    assert [row["bos"] for row in rows] == [BOS] * 2
    plain = json.loads(here(*words, "--json", "--bos", "never").stdout)
    assert [row["bos"] for row in plain] == [None] * 2
    assert plain[0]["perplexity"] > 2 * rows[0]["perplexity"]


def test_prune_says_it_and_the_model_card_too(here, bos_models, on, tmp_path):
    words = ["prune", "--model", str(bos_models.needs), *on[0], *on[1], "--algorithm", "wanda", "--json"]
    made = json.loads(here(*words, "--out", "pruned").stdout)
    assert made["bos"] == BOS
    assert made["perplexity_text"]["seqlen"] == SEQLEN
    assert f"| bos | {BOS} |" in (tmp_path / "pruned" / "README.md").read_text()
    again = json.loads(here("evaluate", "pruned", *on[0], "--json").stdout)
    assert again["perplexity"] == pytest.approx(made["perplexity"], rel=1e-6)


@pytest.mark.parametrize(
    "words", [["evaluate", "MODEL"], ["compare", "--model", "MODEL"], ["prune", "--model", "MODEL", "--out", "p"]]
)
def test_a_tokenizer_without_one_is_refused_in_one_line(here, bos_models, words):
    done = here(*(str(bos_models.lacks) if word == "MODEL" else word for word in words), *SIZE, "--bos", "always")
    assert done.returncode == 2
    assert "has no BOS token; use data.bos=never" in done.stderr.splitlines()[-1]
    assert here(*words, "--bos", "sometimes").returncode == 2


def test_a_run_keeps_its_choice_in_record_events_and_rows(here, bos_models, tmp_path):
    text = bos_models.text
    words = ["sparsity=0.5", f"data.source={text}", f"data.calibration={text}", f"data.seqlen={SEQLEN}"]
    words += ["data.calibration_samples=2", "data.search_windows=3", "data.report_windows=3", "dtype=float32"]
    words += ["llm.provider=symbolic", "sandbox.engine=local", "search.max_candidates=1", "search.generation_size=1"]
    words += ["baselines.scores=[wanda]", "baselines.allocations=[uniform]", "advanced.layer_error=null"]
    done = here(
        "search",
        f"model={bos_models.needs}",
        *words,
        "advanced.deepen=0",
        "advanced.polish=0",
        "--run-dir",
        "run",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["protocol"]["bos"] == BOS
    assert {row["bos"] for row in found["rows"] if row["report"] is not None} == {BOS}
    run = RunDirectory.open(tmp_path / "run")
    record = run.settings()[1]
    assert record["bos"] == "always"
    assert record["texts"]["report"]["bos"] == BOS
    events = list(read_events(run.events_file))
    assert any(f"data.bos=auto: {BOS} in front" in event.data.get("text", "") for event in events)
    assert next(event.data["record"]["bos"] for event in events if event.kind == "run-started") == "always"
    shown = here("trace", "run").stdout
    assert f"each preceded by {BOS}" in " ".join(shown.split())
    assert f"Perplexity (lower is better), windows preceded by {BOS}" in shown
    assert (
        f"(lower is better), windows preceded by {html.escape(BOS)}" in (tmp_path / "run" / "report.html").read_text()
    )
