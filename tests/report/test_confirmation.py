"""The tables of a confirmation."""

from autoprune.report.confirmation import measured_table
from autoprune.report.picture import Picture
from autoprune.report.tables import final_table
from tests.report.test_report import EXPLAINED, HOSTILE, ended, event, shown, story


def compared(candidate, baseline, verdict, difference, sparsity=0.6, low=-0.2, high=0.1):
    facts = {"model": "m", "sparsity": sparsity, "p": 0.01, "p_holm": 0.02, "windows": 24, "seeds": [0, 1, 2]}
    names = {"candidate": candidate, "baseline": baseline, "verdict": verdict}
    return {**facts, **names, "difference": difference, "low": low, "high": high}


def confirmed(**more):
    rows = [
        {"name": "dense", "kind": "dense", "search": 1.0, "report": 1.0, "sparsity": 0.0},
        {"name": "wanda+uniform", "kind": "baseline", "search": 2.0, "report": 9.0, "sparsity": 0.6},
        {"name": "g1.c1 abc", "kind": "candidate", "search": 1.0, "report": 8.0, "sparsity": 0.6, "candidate": "abc"},
        {"name": "g1.c2 def", "kind": "candidate", "search": 3.0, "report": None, "problem": "score: gone"},
    ]
    for row in rows[1:3]:
        row |= {"seeds": [0, 1, 2], "by_seed": [row["report"] - 0.5, row["report"], row["report"] + 0.5]}
    protocol = {"test": "a test", "alpha": 0.05, "comparisons": 2, "windows": 24, "seqlen": 512}
    return event("confirmed", rows=rows, protocol=protocol, **more)


def test_every_candidate_has_its_verdict_against_each_baseline_with_interval_and_seeds():
    clear, open_end = compared("g1.c1 abc", "wanda+uniform", "better", -0.1), compared("g1.c1 abc", "x", "worse", 9.0)
    told = confirmed(comparisons=[clear, {**open_end, "low": None, "high": None}], elsewhere=[])
    text = shown(final_table(Picture.of([*story(), told])), width=100)
    line = next(line for line in text.splitlines() if "better" in line and "wanda" in line).split()
    assert line == ["g1.c1", "abc", "wanda+uniform", "3", "-9.5", "-18.1", "to", "+10.5", "0.0200", "better"]
    assert "8.50 to 9.50" in text
    assert "score: gone" in text
    assert "a test (24 windows of 512 tokens)" in text
    assert max(map(len, text.splitlines())) <= 100


def test_green_is_only_a_candidate_that_was_shown_to_be_better_than_every_baseline_of_its_league():
    def colours(*comparisons, **league):
        told = confirmed(comparisons=list(comparisons), elsewhere=[])
        told.data["rows"][1] |= league
        table = measured_table(told.data["rows"], "t", list(comparisons))
        names = [str(cell) for cell in table.columns[0].cells]
        return {name: str(row.style) for name, row in zip(names, table.rows, strict=True)}

    better = compared("g1.c1 abc", "wanda+uniform", "better", -0.1)
    assert colours(better)["g1.c1 abc"] == "green"
    assert colours({**better, "verdict": "no difference shown"})["g1.c1 abc"] == ""
    assert colours()["g1.c1 abc"] == ""
    assert colours(better)["wanda+uniform"] == ""
    other = {"name": "sparsegpt+obs", "kind": "baseline", "report": 5.0, "league": "update"}
    rows = [*confirmed(comparisons=[better]).data["rows"], {**other, "search": None}]
    worse = compared("g1.c1 abc", "sparsegpt+obs", "worse", 0.3)
    assert "green" in [str(row.style) for row in measured_table(rows, "t", [better, worse]).rows]


def test_the_finalist_is_the_one_that_the_conclusion_names():
    picture = Picture.of([*story(), confirmed(comparisons=[])])
    assert picture.finalist["name"] == "g1.c1 abc"
    picture.rows.append({**picture.rows[2], "name": "g2.c1 123", "report": 8.5})
    picture.conclusion = "g2.c1 123 is better than every baseline"
    assert picture.finalist["name"] == "g2.c1 123"


def test_what_was_found_is_the_finalist_even_if_another_candidate_is_better_on_the_search_split():
    told = [*story(), ended(perplexity=60.0, gain=0.1), confirmed(comparisons=[]), event("explained", **EXPLAINED)]
    picture = Picture.of(told)
    assert (picture.found, picture.explanation.sentence) == ("g1.c1", EXPLAINED["text"])
    picture.rows.append({**picture.rows[2], "name": "g2.c1 123", "report": 8.5})
    picture.conclusion = "g2.c1 123 is better than every baseline"
    assert picture.best.slot == "g1.c1"
    assert (picture.found, picture.explanation) == ("g2.c1", None)
    assert "What was found" not in shown(final_table(picture), width=100)


def test_other_conditions_stand_under_their_own_heading():
    place = {"model": "m", "sparsity": 0.7}
    rows = [{"name": "wanda+uniform", "kind": "baseline", "search": None, "report": 77.0, "sparsity": 0.7}]
    gone = {"model": HOSTILE, "sparsity": 0.6, "rows": [], "problem": HOSTILE}
    both = [compared("a", "b", "better", -0.1), compared("a", "b", "no difference shown", 0.1, sparsity=0.7)]
    told = confirmed(comparisons=both, elsewhere=[{**place, "rows": rows}, gone])
    text = shown(final_table(Picture.of([*story(), told])), width=100)
    own, _, elsewhere = text.partition("m at sparsity 0.7")
    assert "better" in own
    assert "no difference shown" not in own
    assert own.endswith("Perplexity of ")
    assert "77.00" in elsewhere
    assert "no difference shown" in elsewhere
    assert "not measured: " in " ".join(elsewhere.split())
    assert "\x1b" not in text


def test_a_pattern_stands_beside_its_sparsity_and_tuned_parameters_beside_their_baseline():
    row = {"name": "wanda+owl tuned", "kind": "baseline", "search": None, "report": 77.0, "sparsity": 0.5}
    place = {"model": "m", "sparsity": 0.5}
    tables = [
        {**place, "pattern": "none", "rows": [{**row, "parameters": "block, lambda 0.05, M 3"}]},
        {**place, "pattern": "2:4", "rows": [{**row, "name": "wanda"}]},
    ]
    free = compared("a", "b", "better", -0.1, sparsity=0.5)
    both = [{**free, "pattern": "none"}, {**free, "pattern": "2:4", "verdict": "worse"}]
    text = shown(final_table(Picture.of([*story(), confirmed(comparisons=both, elsewhere=tables)])), width=100)
    free, _, bound = text.partition("m with pattern 2:4")
    assert "wanda+owl tuned (block, lambda 0.05, M 3)" in free
    assert "better" in free.partition("m at sparsity 0.5")[2]
    assert "worse" not in free
    assert "worse" in bound
