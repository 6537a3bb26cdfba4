"""The page as text: bounded in size, safe with anything that an LLM or a candidate may write, and self-contained."""

import base64
import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from autoprune.report.html.document import LIMIT
from autoprune.report.html.safe import escaped, to_json
from autoprune.report.picture import Picture
from autoprune.runs.archive import Archive
from autoprune.runs.events import EventLog, read_events
from tests.report.html.conftest import MOST, drawn
from tests.report.html.made_up import HOSTILE, MadeUp
from tests.report.html.reading import Reader
from tests.report.html.strong import FORMULA, SENTENCE, SOURCE, make_strong


def test_two_hundred_candidates_are_all_there_whole_and_below_8_megabytes(made_up):
    data = made_up(200).data
    assert len(data["candidates"]["all"]) == 200
    assert data["longest"] == 20_000
    assert len(data["curve"]["best"]) == 200
    assert len(data["layers"]["subjects"]) == 164
    assert len(data["reasoning"]["nodes"]) == 853


def test_two_hundred_candidates_of_long_texts_stay_below_8_megabytes_and_say_what_is_cut(made_up):
    data = made_up(200, said="<" * 30_000).data
    assert data["longest"] < 20_000
    assert len(escaped(to_json(data)).encode()) <= LIMIT
    idea = dict(data["candidates"]["all"][0]["thought"])["idea"]
    assert idea.endswith(f"[cut: {data['longest']:,} of 30,000 characters are shown]")


def test_only_a_small_models_chain_is_said_to_have_been_in_the_prompt(tmp_path):
    run = MadeUp(tmp_path / "run", 4, blocks=1).run
    archive = Archive(run.archive_file)
    for key in ("g1.c1.propose.0.thought", "g1.c1.propose.0.code", "g1.c2.propose.0.draft"):
        archive.put(key, {"request": "0123abcd", "role": "proposer"})
    archive.close()
    titles = {each["slot"]: each["chain_title"] for each in Reader(drawn(run)).data["candidates"]["all"]}
    assert titles.pop("g1.c1") == "chain of thought in the prompt"
    assert set(titles.values()) == {"path in the reasoning graph"}


def test_hostile_text_is_text_everywhere(made_up):
    hostile = made_up(8, said=HOSTILE)
    assert hostile.tags.count("script") == 3
    assert not set(hostile.tags) & {"img", "iframe", "a-b", "b", "svg"}
    assert not [names for _, names in hostile.elements if any(name.startswith("on") for name in names)]
    assert "<script>alert(1)</script>" in hostile.text
    assert "{{ 7*7 }}" in hostile.text
    candidate = hostile.data["candidates"]["all"][0]
    shown = [dict(candidate["thought"])["idea"], candidate["diagnostics"], candidate["said"][0]]
    shown += [hostile.data["reasoning"]["nodes"][-1]["text"], *hostile.data["candidates"]["code"].values()]
    for text in shown:
        assert "<script>alert(1)</script>" in text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_five_megabytes_of_output_are_cut(made_up):
    data = made_up(2, said=HOSTILE + "x" * 5_000_000).data
    assert "characters are shown]" in data["candidates"]["all"][0]["diagnostics"]
    assert len(escaped(to_json(data))) < 1_000_000


def test_a_page_lets_its_own_scripts_run_and_nothing_be_fetched(made_up):
    page = made_up(4)
    policy = next(names["content"] for tag, names in page.elements if tag == "meta" and "http-equiv" in names)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]
    for script in page.scripts[1:]:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    for tag, names in page.elements:
        assert "src" not in names, tag
        assert names.get("href", "#").startswith("#")


def test_own_scripts_put_no_markup_into_the_page():
    folder = files("autoprune.report.html").joinpath("page")
    scripts = [file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".js")]
    assert len(scripts) == 14
    for script in scripts:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|fetch\(", script
        )


def test_a_run_that_goes_on_says_so_and_one_that_has_just_begun_is_drawn(made_up):
    page = made_up(6, ends=False)
    assert "unfinished" in page.text
    assert "Nothing has been measured on the report split yet." in page.text
    assert len(page.data["candidates"]["all"]) == 6


def test_a_run_without_candidates_is_drawn(made_up):
    data = made_up(0, ends=False).data
    assert (data["best"], data["candidates"]["all"], data["lineage"]["line"]) == (None, [], [])


@pytest.fixture
def strong(tmp_path: Path) -> Callable[..., tuple[Reader, str, str]]:
    """A run in which a strong model wrote two candidates: its page, the best of them, and a child of that."""

    def make(**more: str) -> tuple[Reader, str, str]:
        run = MadeUp(tmp_path / "run", 8, blocks=2).run
        best, child = make_strong(run, **more)
        page = drawn(run)
        assert len(page.encode()) < MOST
        return Reader(page), best, child

    return make


def candidate_of(page: Reader, slot: str) -> dict[str, Any]:
    return next(each for each in page.data["candidates"]["all"] if each["slot"] == slot)


def test_long_code_has_an_outline_with_score_first_and_helpers_folded(strong):
    page, best, _ = strong()
    outlines = page.data["candidates"]["outline"]
    name = candidate_of(page, best)["revisions"][-1]
    parts, lines = outlines[name], page.data["candidates"]["code"][name].split("\n")
    assert lines[parts[0][0] - 1] == "def score(layer):"
    assert [count - head for _, count, head in parts] == [0, 0, 0, 25, 25, 25, 25]
    assert len(outlines) == 2


def test_the_difference_against_the_first_parent_is_there_where_it_is_shorter_than_the_code(strong):
    page, best, child = strong()
    against = candidate_of(page, child)["against"]
    assert against["parent"] == best
    assert "-SWEEPS = 7\n+SWEEPS = 9" in against["diff"]
    rewritten = candidate_of(page, best)["against"]
    assert (rewritten["diff"], rewritten["lines"] > 100) == ("", True)


def test_of_a_reasoning_the_gist_stands_apart_from_the_rest_and_is_no_line_of_the_thought(strong):
    page, best, _ = strong()
    candidate = candidate_of(page, best)
    head, rest = candidate["reasoning"]
    assert head.endswith("depends on the others.")
    assert len(head) <= 600 < len(rest)
    assert [key for key, _ in candidate["thought"]] == ["formula", "idea", "why", "expected"]


def test_what_was_found_is_a_formula_and_a_sentence(strong):
    page, best, _ = strong()
    told = " ".join(page.text.partition("What was found")[2].partition("Course of the search")[0].split())
    assert told.startswith(f"{best} {FORMULA} {SENTENCE} (analyst)")
    assert f"autoprune prune --model smollm2-135m --algorithm run:{best} --sparsity 0.6 --out pruned" in told


def test_a_formula_in_latex_is_shown_as_unicode_and_a_hostile_one_as_text(strong):
    page, best, _ = strong(formula=r"\min_z \sum_i s_i z_i H z_i^T <script>alert(1)</script>")
    shown = "min_z ∑ᵢ sᵢ zᵢ H zᵢᵀ <script>alert(1)</script>"
    assert f"{best} {shown} {SENTENCE}" in " ".join(page.text.split())
    assert candidate_of(page, best)["thought"][0] == ["formula", shown]


def test_without_formula_and_sentence_there_are_the_code_and_the_commands(made_up):
    told = made_up(8).text.partition("What was found")[2].partition("Course of the search")[0]
    assert "Use it" in told
    assert "def score(layer):" in told


def test_without_a_measured_candidate_nothing_was_found(made_up):
    assert "What was found" not in made_up(0, ends=False).text


def test_the_figures_and_what_was_found_are_of_the_finalist_that_the_conclusion_names(tmp_path):
    run = MadeUp(tmp_path / "run", 8, blocks=2).run
    picture = Picture.of(read_events(run.events_file))
    second = next(slot for slot in picture.slots.values() if slot.perplexity and slot.slot != picture.best.slot)
    row = {**picture.finalist, "name": f"{second.slot} {second.candidate[:8]}", "candidate": second.candidate}
    events = EventLog(run.events_file)
    events.emit("confirmed", "again", rows=[*picture.rows, {**row, "report": 57.5}])
    conclusion = f"{row['name']} is better than every baseline on the report split, 57.50 against 60.10."
    events.emit("run-ended", "ended again", stop=picture.stop, conclusion=conclusion)
    events.close()
    text = Reader(drawn(run)).text
    top = text.partition("JavaScript; the tables do not")[2].partition("What was found")[0]
    assert f"{row['name']}: perplexity, report split" in top
    assert "57.50" in top
    assert f"--algorithm run:{second.slot} " in text
    assert f"run:{picture.best.slot} " not in text


@pytest.mark.parametrize(("ends", "split"), [(False, "search split"), (True, "report split")])
def test_the_figures_at_the_top_are_of_the_report_split_once_it_was_measured(made_up, ends, split):
    text = made_up(8, ends=ends).text
    top = text.partition("JavaScript; the tables do not")[2].partition("What was found")[0]
    assert {name for name in ("search split", "report split") if name in top} == {split}
    assert ("candidate / baseline" in top) == ends


@pytest.mark.parametrize(
    "more",
    [
        {"reasoning": HOSTILE * 700, "formula": HOSTILE, "said": HOSTILE},
        {"reasoning": "x" * 100_000, "formula": "x" * 100_000, "said": "x" * 100_000},
        {"source": "".join(f"def f{number}(): return {number}\n" for number in range(10_000)) + SOURCE},
        {"source": f"# <script>alert(1)</script> \u202e\n{SOURCE}"},
        {"source": f"x = '{'<b>' * 33_000}'\n{SOURCE}"},
    ],
    ids=["markup", "one line of 100 KB", "ten thousand functions", "direction", "a line of code of 100 KB"],
)
def test_whatever_a_strong_model_writes_the_page_is_bounded_and_markup_is_text(strong, more):
    page, best, _ = strong(**more)
    assert page.tags.count("script") == 3
    assert not set(page.tags) & {"img", "b", "svg", "iframe"}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", page.text.partition("JavaScript; the tables do not")[2])
    assert len(escaped(to_json(page.data)).encode()) < 1_000_000
    assert sum(map(len, candidate_of(page, best)["reasoning"])) <= 20_100
    told = page.text.partition("What was found")[2].partition("Its code")[0]
    assert len(told) < 2000
