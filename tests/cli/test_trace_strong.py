"""`autoprune trace` of a strong model's candidates, which are long."""

import re
from pathlib import Path

import pexpect
import pytest

from autoprune.runs.archive import Archive
from tests.cli.approve.waiting import pager
from tests.report.html.made_up import MadeUp
from tests.report.html.strong import FORMULA, REASONING, SENTENCE, make_strong


def test_only_a_small_models_chain_is_said_to_have_been_in_the_prompt(here, recorded, strong):
    archive = Archive(Path(recorded) / "archive.sqlite")
    symbolic = next(proposal.slot for proposal in archive.proposals() if proposal.engine == "symbolic")
    archive.close()
    run, best = strong
    for text in (here("trace", recorded, symbolic).stdout, here("trace", run, best).stdout):
        assert "─ path in the reasoning graph" in text
        assert "in the prompt" not in text


@pytest.fixture
def strong(tmp_path):
    """A run in which a strong model wrote two candidates: its path and the best of them."""
    run = MadeUp(tmp_path / "strong", 8, blocks=1).run
    best, _ = make_strong(run)
    return str(run.path), best


def child_of(run, slot):
    """The slot and the content hash of the candidate whose parent this is."""
    archive = Archive(Path(run) / "archive.sqlite")
    child = next(proposal for proposal in reversed(archive.proposals()) if proposal.parents == [slot])
    archive.close()
    return child.slot, child.candidate


def test_a_candidate_of_a_strong_model_is_folded_and_whole_shows_all_of_it(here, strong):
    run, best = strong
    folded, whole = here("trace", run, best).stdout, here("trace", run, best, "--whole").stdout
    assert "... 25 lines" in folded
    assert "100 of 123 lines are folded: --whole shows everything" in folded
    assert "122 def score(layer):" in folded
    assert re.search(r"\.\.\. 9,\d{3} more characters: --whole", folded)
    assert "folded" not in whole
    assert "more characters" not in whole
    assert whole.count("x = x * 2") == 2 * 4 * 24  # in the code, and in the difference from another algorithm
    code = whole[whole.index("revision 1") :]
    assert code.index("def helper_0") < code.index("def score")
    assert "".join(REASONING.split()) in re.sub(r"[│\s]", "", whole)
    for text in (folded, whole):
        assert f"formula: {FORMULA}" in text
        assert f"{best} explained (analyst): It keeps" in text


def test_of_a_long_candidate_the_difference_from_its_parent_stands_before_its_code(here, strong):
    run, best = strong
    text = here("trace", run, child_of(run, best)[0]).stdout
    difference = text[text.index(f"─ difference from {best} ") : text.index("revision 1")]
    assert "-SWEEPS = 7" in difference
    assert "+SWEEPS = 9" in difference
    assert "def score(layer)" in text[text.index("revision 1") :]
    assert "the code 123: --whole shows both" in here("trace", run, best).stdout


def test_a_parent_whose_source_is_missing_leaves_the_trace_of_its_child(here, strong):
    run, best = strong
    archive = Archive(Path(run) / "archive.sqlite")
    (Path(run) / "candidates" / f"{archive.proposal(best).candidate}.py").unlink()
    archive.close()
    text = here("trace", run, child_of(run, best)[0]).stdout
    assert f"─ difference from {best} " in text
    assert "is missing or unreadable" in text
    assert "SWEEPS = 9" in text


@pytest.mark.parametrize(("height", "paged"), [(40, True), (400, False)])
def test_on_a_terminal_a_candidate_longer_than_the_screen_goes_through_the_pager(
    terminal, strong, tmp_path, height, paged
):
    run, best = strong
    program = pager(tmp_path, "echo paged; cat > paged.txt")
    child = terminal("trace", run, best, height=height, NO_COLOR="1", PAGER=program)
    child.expect_exact("paged" if paged else "def score(layer)")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert (tmp_path / "paged.txt").exists() == paged
    if paged:
        assert "def score(layer)" in (tmp_path / "paged.txt").read_text("utf-8")


def test_a_reasoning_floods_no_list_no_events_and_no_algorithm_file(here, strong, tmp_path):
    run, _ = strong
    assert here("export-algorithm", f"{run}:best", "--out", "best.py").returncode == 0
    texts = [here("trace", run).stdout, here("trace", run, "g1").stdout, here("trace", run, "--follow").stdout]
    for text in (*texts, *((tmp_path / name).read_text("utf-8") for name in ("best.py", "best.md"))):
        assert "depends on the others" not in text
    assert f"Formula: {FORMULA}\n" in (tmp_path / "best.py").read_text("utf-8")


def test_a_run_ends_with_what_was_found(here, strong):
    run, best = strong
    told = here("trace", run).stdout.partition(f"What was found: {best}\n")[2]
    assert " ".join(told.split()).startswith(f"{FORMULA} {SENTENCE} (analyst)")
