"""`autoprune trace` on a real small run by a scripted LLM, while a run goes on, and on a run of an older version."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import get_args

import networkx as nx
import pytest

from autoprune.runs.archive import Archive
from autoprune.runs.events import VERSION, Kind, read_events


def test_a_run_is_drawn_with_reasons_verdicts_reviews_and_costs(here, recorded):
    text = here("trace", recorded).stdout
    for said in ("generation 2", "why: because", "by g1.c1.evidence", "g1.c1 approved by auto at "):
        assert said in text
    assert "scripted: accept: fine" in text
    assert "Cost of the agents" in text
    for role in ("proposer", "critic", "analyst"):
        assert role in text
    assert "unknown" in text


def test_costs_in_the_table_are_those_of_the_journal(here, recorded):
    ended = json.loads(here("trace", recorded, "--json").stdout)[-1]["data"]
    assert ended["tokens"] == sum(use["tokens_in"] + use["tokens_out"] for use in ended["agents"].values())
    assert {role: use["calls"] for role, use in ended["agents"].items()}["analyst"] == 2


def test_map_and_front_stand_under_the_tree_of_the_whole_run_and_alone(here, recorded):
    whole, alone = here("trace", recorded).stdout, here("trace", recorded, "--map").stdout
    assert "Best of each kind" in alone
    assert "Pareto front" in alone
    assert "are on no front" not in alone
    assert alone in whole
    assert whole.index("lesson (") < whole.index(alone) < whole.index("Perplexity (lower is better)")
    assert "Best of each kind" not in here("trace", recorded, "g1").stdout


def test_map_and_front_as_data_are_of_what_was_measured(here, recorded, tmp_path):
    data = json.loads(here("trace", recorded, "--map", "--json").stdout)
    ended = [event.data for event in read_events(Path(recorded) / "events.jsonl") if event.kind == "ended"]
    measured = {end["slot"]: end for end in ended if end["status"] == "measured"}
    assert data["measured"] == len({end["candidate"] for end in measured.values()})
    best = min(end["perplexity"] for end in measured.values())
    assert data["cells"][0]["perplexity"] == data["front"][0]["perplexity"] == best
    for each in data["front"]:
        assert each["memory_bytes"] == measured[each["slot"]]["memory_bytes"] > 0
        assert each["seconds_score"] == measured[each["slot"]]["seconds"]["score"]
    assert here("trace", recorded, "--map", "--svg", "m.svg").returncode == 0
    assert (tmp_path / "m.svg").read_text("utf-8").startswith("<svg")


def test_the_list_of_runs_has_the_cells_of_the_map_and_minds_no_damage_to_archive_or_sources(
    here, environment, old_run, tmp_path
):
    def listed():
        [row] = json.loads(here("runs", str(tmp_path), "--json").stdout)
        return row["cells"]

    cells = json.loads(here("trace", old_run, "--map", "--json").stdout)["cells"]
    assert listed() == len(cells) > 0
    environment["COLUMNS"] = "200"
    assert " cells" in here("runs", str(tmp_path)).stdout
    (Path(old_run) / "archive.sqlite").write_bytes(b"no database" * 100)
    assert listed() == len(cells)
    (Path(old_run) / "archive.sqlite").unlink()
    for source in (Path(old_run) / "candidates").iterdir():
        source.write_text("x = 1\n")
    assert listed() == 0
    assert not (Path(old_run) / "archive.sqlite").exists()


def test_a_generation_is_drawn_alone(here, recorded):
    text = here("trace", recorded, "g2").stdout
    assert "g2.c1" in text
    assert "g1.c1 " not in text
    assert "generation 1" not in text
    events = json.loads(here("trace", recorded, "g2", "--json").stdout)
    assert {event["data"].get("slot", "g2.")[:3] for event in events} == {"g2."}


def test_a_candidate_shows_chain_code_words_and_cost(here, recorded):
    text = here("trace", recorded, "g1.c1").stdout
    for title in ("chain of thought in the prompt", "thought", "candidate ", "who said what", "result"):
        assert f"─ {title}" in text
    assert "by llm (scripted)" in text
    assert "def score(layer)" in text
    assert "(measured: obs.skew)" in text
    assert "tokens written" in text


def test_the_best_is_the_measured_candidate_of_lowest_perplexity(here, recorded):
    ended = [event.data for event in read_events(Path(recorded) / "events.jsonl") if event.kind == "ended"]
    best = min((end for end in ended if end["status"] == "measured"), key=lambda end: end["perplexity"])
    text = here("trace", recorded, "best").stdout
    assert "─ confirmation" in text
    assert text.startswith(f"{best['slot']}: ")
    assert text == here("trace", recorded, best["candidate"][:10]).stdout


def test_a_candidate_shows_what_it_descends_from_its_verdict_and_what_there_is_to_beat(here, recorded):
    archive = Archive(Path(recorded) / "archive.sqlite")
    last = {proposal.slot: proposal for proposal in archive.proposals()}
    archive.close()
    for slot, proposal in last.items():
        text = here("trace", recorded, slot).stdout
        assert f"ed by {slot}.evidence" in text or "(conjecture)" in text
        assert "best baseline " in text
        descends = any(parent in last or parent.startswith("seed.") for parent in proposal.parents)
        assert ("─ line of descent" in text) == descends


def test_what_a_model_thought_before_it_answered_is_shown_and_is_not_its_answer(here, recorded):
    whole = here("trace", recorded).stdout
    assert "thinking: proposer: Where is it dense?" in whole
    assert "idea: " in whole
    assert "thinking of the models" in here("trace", recorded, "g1.c1").stdout


def test_what_a_model_looked_up_is_shown_and_answered_from_earlier_generations(here, recorded):
    text = here("trace", recorded, "g2.c1").stdout
    assert "tool calls" in text
    assert "recall(what=best)" in text
    archive = Archive(Path(recorded) / "archive.sqlite")
    turns = [archive.get(f"{slot}.propose.0.thought")["turns"] for slot in ("g1.c1", "g2.c1")]
    archive.close()
    remembered = [turn[0]["calls"][0]["result"] for turn in turns]
    assert remembered[0] == "nothing yet"
    assert "g1.c1" in remembered[1]
    assert "skewness=" in turns[0][0]["calls"][1]["result"]


def test_a_difference_is_from_a_candidate_and_not_from_a_published_score(here, recorded):
    archive = Archive(Path(recorded) / "archive.sqlite")
    last = {proposal.slot: proposal for proposal in archive.proposals()}
    archive.close()
    for slot, proposal in last.items():
        parent = proposal.parents[0] if proposal.parents else ""
        assert (f"─ difference from {parent} " in here("trace", recorded, slot).stdout) == (parent in last)


@pytest.mark.parametrize("part", [(), ("g1",), ("g2.c1",)])
def test_the_graph_of_a_run_a_generation_or_a_candidate_is_written_to_a_file(here, recorded, tmp_path, part):
    done = here("trace", recorded, *part, "--graph", "graphml", "--out", "g.graphml")
    assert (done.returncode, done.stdout) == (0, "")
    graph = nx.read_graphml(tmp_path / "g.graphml", force_multigraph=True)
    slots = {node for node, data in graph.nodes(data=True) if data["kind"] == "algorithm" and node.startswith("g")}
    assert slots >= {"g1.c1"} if part != ("g2.c1",) else slots >= {"g2.c1"}
    assert (part == ("g1",)) == (not any(node.startswith("g2") for node in graph))
    assert here("trace", recorded, *part, "--graph", "mermaid").stdout.startswith("flowchart LR\n")
    assert "reasoning graph: " in here("trace", recorded, *part, "--graph", "tree").stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["g9"], "its generations are: g1, g2"),
        (["g1.c9"], "its slots are: g1.c1, g1.c2"),
        (["--out", "x"], "--out needs --graph"),
        (["g1", "--map"], "--map shows the whole run"),
        (["--map", "--graph", "json"], "--map shows the whole run"),
        (["g1", "--follow"], "--follow prints the whole run"),
        (["--graph", "png"], "png"),
        (["--whole"], "--whole needs one candidate"),
        (["g1", "--whole"], "g1 is a generation"),
        (["g1.c1", "--whole", "--json"], "--whole needs one candidate"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(here, recorded, words, complaint):
    done = here("trace", recorded, *words)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_file_that_cannot_be_written_is_one_line_and_exit_1(here, recorded):
    done = here("trace", recorded, "--graph", "json", "--out", "no/such/folder/g.json")
    assert done.returncode == 1
    assert done.stderr == "autoprune: cannot write no/such/folder/g.json: No such file or directory\n"


def test_a_run_of_version_1_is_still_read(here, old_run):
    assert {event.version for event in read_events(Path(old_run) / "events.jsonl")} == {1}
    text = here("trace", old_run).stdout
    assert "search on tiny at sparsity 0.5" in text
    assert "g2.c2 aefff679 beat the best baseline" in text
    assert "Best of each kind" in text
    assert "measured candidates are not on the front: their time or memory is unknown" in " ".join(text.split())
    assert "def score(layer)" in here("trace", old_run, "g2.c1").stdout
    assert "search ended" in here("trace", old_run, "--follow").stdout
    assert here("trace", old_run, "--graph", "mermaid").stdout.startswith("flowchart LR")


def test_pictures_have_the_width_of_a_page_whatever_the_terminal_has(here, recorded, tmp_path, environment):
    pictures = []
    for columns in ("60", "300"):
        environment["COLUMNS"] = columns
        assert here("trace", recorded, "g1", "--svg", "t.svg", "--html", "t.html").returncode == 0
        pictures.append(((tmp_path / "t.svg").read_text("utf-8"), (tmp_path / "t.html").read_text("utf-8")))
    assert pictures[0] == pictures[1]
    svg, html = pictures[0]
    assert svg.startswith("<svg")
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    assert len(svg) < 40_000
    assert "generation 1" in html


def documented():
    """Kind -> the fields that its data must and may have, as docs/trace.md says."""
    lines = (Path(__file__).parents[2] / "docs" / "trace.md").read_text(encoding="utf-8")
    lines = lines.partition("\n## Events\n")[2].partition("\n## ")[0].splitlines()
    table = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| `")]
    fields = {kind.strip("`"): re.findall(r"`([\w?]+)`", data) for _, kind, data, *_ in table}
    return {
        kind: ({name for name in names if name[-1] != "?"}, {name.rstrip("?") for name in names})
        for kind, names in fields.items()
    }


def test_every_event_is_as_documented(recorded):
    kinds = documented()
    assert set(kinds) == set(get_args(Kind))
    events = list(read_events(Path(recorded) / "events.jsonl"))
    assert {"planned", "proposed", "reviewed", "ended", "lesson", "spent", "run-ended"} <= {e.kind for e in events}
    for event in events:
        must, may = kinds[event.kind]
        assert must <= set(event.data) <= may, event
        assert event.version == VERSION
        assert datetime.fromisoformat(event.time).tzinfo
