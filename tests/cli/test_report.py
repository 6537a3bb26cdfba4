"""`autoprune report` on a real small run, on one that goes on, and on runs of older versions and in odd states."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoprune.cli.search import _write_report
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import read_events
from tests.report.html.reading import Reader


@pytest.fixture
def page(here, recorded, tmp_path):
    done = here("report", recorded, "--out", "r.html")
    assert (done.returncode, done.stderr) == (0, "")
    return Reader((tmp_path / "r.html").read_text("utf-8"))


@pytest.fixture
def going(recorded, tmp_path):
    """The same run as it was when its first candidate had been measured."""
    run = tmp_path / "going"
    shutil.copytree(recorded, run, ignore=shutil.ignore_patterns("report.html"))
    lines = (run / "events.jsonl").read_bytes().splitlines(keepends=True)
    end = next(place for place, line in enumerate(lines) if b'"kind":"ended"' in line)
    (run / "events.jsonl").write_bytes(b"".join(lines[: end + 1]))
    return run


def test_the_report_goes_into_the_run_unless_told_otherwise_and_says_where(here, recorded, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(recorded, run)
    assert here("report", "run").stdout.startswith("run/report.html: ")
    size = (run / "report.html").stat().st_size
    assert json.loads(here("report", "run", "--json").stdout) == {"path": "run/report.html", "bytes": size}
    assert json.loads(here("report", "run", "--json", "--out", "x.html").stdout)["path"] == "x.html"


def test_a_page_tells_what_the_run_found(page, recorded):
    ended = [event.data for event in read_events(Path(recorded) / "events.jsonl") if event.kind == "ended"]
    told = {each["slot"]: each for each in page.data["candidates"]["all"]}
    assert list(told) == sorted(end["slot"] for end in ended)
    for end in ended:
        assert told[end["slot"]]["status"] == end["status"]
        if end["status"] == "measured":
            assert told[end["slot"]]["perplexity"] == pytest.approx(end["perplexity"], rel=1e-5)
    best = min((end for end in ended if end["status"] == "measured"), key=lambda end: end["perplexity"])
    assert page.data["best"] == best["slot"]
    assert page.data["curve"]["best"][-1] == pytest.approx(best["perplexity"], rel=1e-5)
    for said in ("proposer", "analyst", "Versions and fingerprints", "data.seqlen", "report split"):
        assert said in page.text


def test_a_candidate_is_told_with_thought_chain_code_reviews_and_costs(page):
    candidate = next(each for each in page.data["candidates"]["all"] if each["slot"] == "g1.c1")
    assert dict(candidate["thought"])["why"] == "because"
    assert candidate["chain"][0]["ground"] == "obs.skew"
    assert "def score(layer)" in page.data["candidates"]["code"][candidate["candidate"]]
    assert any("critic (scripted): accept" in line for line in candidate["said"])
    assert "calls" in candidate["cost"]
    assert candidate["models"] == ["scripted"]


def test_sparsity_stands_beside_the_skewness_that_was_recorded(page, recorded):
    layers = page.data["layers"]
    target = next(event.data for event in read_events(Path(recorded) / "events.jsonl") if event.kind == "target")
    assert (layers["kind"], layers["unknown"]) == ("block", "")
    for unit, known in zip(layers["units"], target["units"], strict=True):
        assert unit["skewness"] == pytest.approx(known["skewness"], rel=1e-5)
        assert [layers["names"][layer] for layer in unit["layers"]] == known["layers"]
    archive = Archive(Path(recorded) / "archive.sqlite")
    measured = {each.subject.removeprefix("baseline:"): each.layers for each in archive.measurements("search")}
    archive.close()
    for subject in (each for each in layers["subjects"] if each["key"] in measured):
        sparsity = [layer.sparsity for layer in measured[subject["key"]]]
        assert layers["allocations"][subject["allocation"]] == pytest.approx(sparsity, abs=1e-4)


def test_a_page_names_no_folder_of_its_owner(here, recorded, tmp_path):
    here("report", recorded, "--out", "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert str(Path(recorded).parent) not in text
    assert "pytest-of" not in text


def test_a_run_that_goes_on_says_so(here, going):
    assert here("report", str(going)).returncode == 0
    page = Reader((going / "report.html").read_text("utf-8"))
    assert "unfinished: results so far" in page.text
    assert len(page.data["curve"]["points"]) == 1


def test_a_run_of_version_1_is_drawn_and_says_what_it_did_not_record(here, old_run):
    assert here("report", old_run).returncode == 0
    page = Reader((Path(old_run) / "report.html").read_text("utf-8"))
    assert page.data["layers"]["units"] == []
    assert "not recorded by this older run" in page.data["layers"]["unknown"]
    assert "beat the best baseline" in page.text


def test_sources_that_are_gone_or_changed_are_said_to_be(here, going):
    archive = Archive(going / "archive.sqlite")
    first, second, *_ = dict.fromkeys(each.candidate for each in archive.proposals() if each.candidate)
    archive.close()
    (going / "candidates" / f"{first}.py").unlink()
    (going / "candidates" / f"{second}.py").write_text("import os\n")
    assert here("report", str(going)).returncode == 0
    code = Reader((going / "report.html").read_text("utf-8")).data["candidates"]["code"]
    gone = {name for name, text in code.items() if text.startswith("the source is missing, or has changed")}
    assert gone == {first, second}


def test_wrong_words_are_one_line(here, old_run, tmp_path):
    (Path(old_run) / "archive.sqlite").unlink()
    for words, code, complaint in (
        (["nowhere"], 2, "nowhere is not a run directory"),
        ([old_run], 2, "has no archive"),
    ):
        done = here("report", *words)
        assert (done.returncode, done.stdout) == (code, "")
        assert complaint in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (Path(old_run) / "archive.sqlite").exists()
    (Path(old_run) / "archive.sqlite").write_bytes(b"no database" * 100)
    done = here("report", old_run)
    assert done.returncode == 2
    assert "cannot be used as an archive" in done.stderr


def test_a_file_that_cannot_be_written_is_one_line_and_exit_1(here, recorded):
    done = here("report", recorded, "--out", "no/such/folder/r.html")
    assert (done.returncode, done.stderr) == (
        1,
        "autoprune: cannot write no/such/folder/r.html: No such file or directory\n",
    )


def test_a_search_has_ended_well_without_its_report_and_says_so(recorded, tmp_path, capsys):
    shutil.copytree(recorded, tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))
    (tmp_path / "run" / "report.html").mkdir()
    run = RunDirectory.open(tmp_path / "run")
    _write_report(run, run.settings()[0])
    said = capsys.readouterr().err
    assert said.startswith(f"autoprune: {tmp_path}/run/report.html is a directory; ")
    assert len(said.splitlines()) == 1


def test_drawing_a_report_needs_no_torch_and_help_no_plotly(environment, recorded, tmp_path):
    program = (
        "import sys; sys.argv = ['autoprune', *sys.argv[1:]]\n"
        "from autoprune.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*sorted({'torch', 'plotly', 'jinja2'} & set(sys.modules)))"
    )

    def loaded(*words: str) -> str:
        run = [sys.executable, "-c", program, *words]
        paths = os.pathsep.join(sys.path)
        done = subprocess.run(
            run, env={**environment, "PYTHONPATH": paths}, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()[-1]

    assert loaded("report", recorded, "--out", "r.html") == "jinja2 plotly"
    assert loaded("--help") == ""
