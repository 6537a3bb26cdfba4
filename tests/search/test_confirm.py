"""The confirmation at the end of a real small search: who is measured with what, and that nothing is measured twice."""

import shutil
from pathlib import Path

import pytest

from autoprune.report.confirmation import heading
from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from tests.search.kept import kept

LITTLE = ("search.max_candidates=2", "advanced.layer_error=null")


def picture(run):
    return Picture.of(read_events(run.events_file))


def tokens(model, text):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)(text, add_special_tokens=False)["input_ids"]


def reported(run):
    """(key, measurement) of all on the report split."""
    archive = Archive(run.archive_file)
    rows = kept(archive, "report")
    archive.close()
    return rows


@pytest.fixture
def other_model(tiny_model, tmp_path):
    """The tiny model with other weights."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    for layer in model.model.layers:
        layer.mlp.up_proj.weight.data *= 1.5
    model.save_pretrained(tmp_path / "other")
    for file in tiny_model.glob("*token*"):
        shutil.copy(file, tmp_path / "other")
    return str(tmp_path / "other")


def test_finalists_and_the_best_baselines_get_every_seed_and_the_rest_the_first(search):
    run = search(*LITTLE, "confirmation.seeds=3", "confirmation.baselines=2")
    drawn = picture(run)
    baselines = [row for row in drawn.rows if row["kind"] == "baseline"]
    assert [row["seeds"] for row in baselines] == [[0, 1, 2], [0, 1, 2], [0], [0]]
    assert [row["search"] for row in baselines] == sorted(row["search"] for row in baselines)
    finalists = [row for row in drawn.rows if row["kind"] == "candidate"]
    assert all(row["seeds"] == [0, 1, 2] and len(set(row["by_seed"])) == 3 for row in finalists)
    assert len(drawn.comparisons) == 4 * len(finalists) == drawn.protocol["comparisons"]
    assert {len(each["seeds"]) for each in drawn.comparisons} == {1, 3}
    rows = reported(run)
    assert len(rows) == len({(row.subject, key) for key, row in rows})
    assert len(rows) == 1 + 2 * 3 + 2 + 3 * len(finalists)


def test_one_seed_is_the_runs_own_sample(search):
    once, more = search(*LITTLE, "confirmation.seeds=1", name="once"), search(*LITTLE, name="more")
    first = {row["name"]: row["by_seed"][0] for row in picture(more).rows if "by_seed" in row}
    assert {row["name"]: row["report"] for row in picture(once).rows if "by_seed" in row} == first


def test_other_sparsities_and_a_second_model_have_rows_and_verdicts_of_their_own(search, other_model):
    run = search(*LITTLE, "confirmation.sparsities=[0.5,0.7]", f"confirmation.transfer_model={other_model}")
    drawn = picture(run)
    model = drawn.started["model"]
    places = [(model, 0.5), (model, 0.7), (other_model, 0.5), (other_model, 0.7)]
    assert [(each["model"], each["sparsity"]) for each in drawn.elsewhere] == places[1:]
    for condition in drawn.elsewhere:
        pruned = [row for row in condition["rows"] if row["kind"] != "dense"]
        assert all(row["zeros"] == round(condition["sparsity"] * row["weights"]) for row in pruned)
    assert list(dict.fromkeys((each["model"], each["sparsity"]) for each in drawn.comparisons)) == places
    dense = [row["report"] for row in drawn.rows + drawn.elsewhere[1]["rows"] if row["kind"] == "dense"]
    assert dense[0] != dense[1]


def test_a_second_model_may_be_measured_on_fewer_windows_and_its_table_says_so(search, other_model):
    words = ("confirmation.transfer_windows=2", "confirmation.seeds=1")
    run = search(*LITTLE, f"confirmation.transfer_model={other_model}", *words)
    (there,) = picture(run).elsewhere
    assert heading(there) == f"{Path(other_model).name} at sparsity 0.5, 2 windows"
    counts = {row.subject: set() for _, row in reported(run)}
    for _, row in reported(run):
        assert row.full
        counts[row.subject].add(len(row.window_losses))
    assert set(map(frozenset, counts.values())) == {frozenset({2, 4})}
    told = [event.data["text"] for event in read_events(run.events_file) if event.kind == "notice"]
    for row in there["rows"][1:]:
        assert (
            f"{other_model} at sparsity 0.5: {row['name']}: perplexity {row['report']:.2f} on the report split" in told
        )


def test_a_pattern_has_rows_of_the_scores_alone_and_one_that_does_not_fit_says_so(search):
    words = ("confirmation.patterns=[2:4,3:5]", "confirmation.seeds=2", "confirmation.baselines=2")
    drawn = picture(search(*LITTLE, *words))
    fits, does_not = drawn.elsewhere
    assert (fits["pattern"], fits["sparsity"]) == ("2:4", 0.5)
    baselines = [row for row in fits["rows"] if row["kind"] == "baseline"]
    assert sorted(row["name"] for row in baselines) == ["magnitude", "wanda"]
    best = next(row["name"] for row in drawn.rows if row["kind"] == "baseline")
    assert next(row for row in baselines if row["name"] == best.partition("+")[0])["seeds"] == [0, 1]
    assert all(2 * row["zeros"] == row["weights"] for row in fits["rows"] if row["kind"] != "dense")
    assert {each["pattern"] for each in drawn.comparisons} == {"none", "2:4"}
    assert (does_not["pattern"], does_not["rows"]) == ("3:5", [])
    assert "does not divide" in does_not["problem"]


def test_tuned_baselines_are_tuned_where_they_are_measured_and_say_to_what(search):
    words = (
        "search.max_candidates=1",
        "baselines.scores=[wanda]",
        "baselines.allocations=[uniform,dlp]",
        "baselines.tune=true",
        "confirmation.sparsities=[0.7]",
    )
    run = search(*words)
    drawn = picture(run)
    assert list(drawn.baselines) == ["wanda+uniform", "wanda+dlp tuned"]
    (other,) = drawn.elsewhere
    for rows in (drawn.rows, other["rows"]):
        assert {row["name"] for row in rows if row["kind"] == "baseline"} == {"wanda+uniform", "wanda+dlp tuned"}
        assert ["width" in row["parameters"] for row in rows if row["name"] == "wanda+dlp tuned"] == [True]
    events = list(read_events(run.events_file))
    told = [event.data for event in events if event.kind == "baseline"]
    assert told[1]["tuning"]["family"] == "dlp"
    said = "\n".join(event.data["text"] for event in events if event.kind == "notice")
    for words_said in ("are tuned on the search split", "at sparsity 0.7: wanda+dlp tuned (block, width"):
        assert words_said in said


def test_a_second_model_that_has_gone_costs_its_own_rows_only(search):
    drawn = picture(search(*LITTLE, "confirmation.transfer_model=/no/such/model"))
    assert drawn.conclusion
    assert [(each["model"], each["rows"]) for each in drawn.elsewhere] == [("/no/such/model", [])]
    assert "/no/such/model" in drawn.elsewhere[0]["problem"]


def test_a_text_too_short_for_other_samples_is_used_once_and_says_so(search, tiny_model, tmp_path):
    words = " ".join(f"word{number % 97} is {number}." for number in range(400))
    length = next(size for size in range(len(words)) if len(tokens(tiny_model, words[:size])) == 2 * 64)
    (tmp_path / "short.txt").write_text(words[: 3 * length])  # a third is calibration text
    run = search(*LITTLE, f"data.calibration={tmp_path / 'short.txt'}", "data.calibration_samples=2")
    said = [event.data["text"] for event in read_events(run.events_file) if event.kind == "notice"]
    assert any("too short for another sample" in text for text in said)
    seeds = [row["seeds"] for row in picture(run).rows if "seeds" in row]
    assert seeds == [[0]] * len(seeds)
    assert seeds


def test_refined_baselines_take_part_and_the_last_line_is_about_them_too(search):
    words = ("baselines.refinements=[none,swaps]", "baselines.scores=[wanda]")
    run = search(*LITTLE, *words, "confirmation.patterns=[2:4]", "confirmation.seeds=1")
    drawn = picture(run)
    expected = {"wanda+uniform", "wanda+sdsa", "wanda+swaps+uniform", "wanda+swaps+sdsa"}
    assert set(drawn.baselines) == {row["name"] for row in drawn.rows if row["kind"] == "baseline"} == expected
    (pattern,) = drawn.elsewhere
    assert {row["name"] for row in pattern["rows"] if row["kind"] == "baseline"} == {"wanda", "wanda+swaps"}
    best = min((row for row in drawn.rows if row["kind"] == "baseline"), key=lambda row: row["report"])
    assert f"of the best, {best['name']}" in drawn.conclusion
    assert {each["baseline"] for each in drawn.comparisons if each["pattern"] == "none"} == expected
    said = [event.data["text"] for event in read_events(run.events_file) if event.kind == "notice"]
    assert "masks of wanda are refined too: 16 rounds of swaps by the full Hessian" in said
