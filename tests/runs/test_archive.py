import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from autoprune.errors import AutoPruneError, UsageError
from autoprune.runs.archive import Archive, Edge, Node, Outcome, Proposal
from autoprune.runs.files import unwritable
from autoprune.runs.measurement import LayerDiagnostic, Measurement

PROPOSAL = Proposal("g1.c1", 0, 1, "explore", "llm", ["seed.wanda"], {"idea": "x"}, "abc", [{"node": "obs.skew"}])
OUTCOME = Outcome("g1.c1", 1, "abc", "measured", data={"perplexity": 12.5})
MEASURED = Measurement(
    subject="abc",
    split="search",
    perplexity=12.5,
    window_losses=[2.5, 2.6],
    sparsity=0.6,
    zeros=3,
    weights=5,
    seqlen=8,
    windows=2,
    bos="<s>",
    layers=[LayerDiagnostic(name="layers.0.up", sparsity=0.6, relative_error=0.1)],
    signature=b"\x01\x02",
    seconds={"eval": 1.5},
    layer_errors=[0.1],
    reference_errors=[0.2],
    sampled_layers=1,
    repeats=True,
    memory_bytes=1 << 20,
    diagnostics="printed",
    cached=True,
    tuning={"family": "owl", "parameters": {"lambda": 0.05}},
    untuned=True,
    league="update",
    parameters=1 << 27,
)


def test_facts_come_back_as_they_were_written(archive):
    archive.add_proposal(PROPOSAL)
    archive.add_outcome(OUTCOME)
    archive.add_measurement("s1", MEASURED)
    assert archive.proposals() == [PROPOSAL]
    assert archive.outcomes() == [OUTCOME]
    assert archive.measurement("abc", "search", "s1") == MEASURED


def test_every_field_of_a_measurement_was_tried_above():
    assert MEASURED.model_fields_set == set(Measurement.model_fields)
    assert MEASURED.model_dump(exclude_defaults=True).keys() == Measurement.model_fields.keys()


def test_writing_a_fact_again_changes_nothing(archive):
    for perplexity in (12.5, 99.0):
        archive.add_measurement("s1", MEASURED.model_copy(update={"perplexity": perplexity}))
        archive.add_outcome(replace(OUTCOME, data={"perplexity": perplexity}))
    assert archive.measurements("search") == [MEASURED]
    assert archive.outcomes() == [OUTCOME]


def test_measurements_under_other_settings_are_other_facts(archive):
    archive.add_measurement("s1", MEASURED)
    assert archive.measurement("abc", "search", "s2") is None
    assert archive.measurement("abc", "report", "s1") is None


def test_slots_are_ordered_as_people_count(archive):
    for slot in ("g1.c10", "g1.c2", "g1.c1"):
        archive.add_outcome(replace(OUTCOME, slot=slot))
    assert [outcome.slot for outcome in archive.outcomes(1)] == ["g1.c1", "g1.c2", "g1.c10"]


def test_the_last_revision_speaks_for_a_slot(archive):
    archive.add_proposal(PROPOSAL)
    archive.add_proposal(replace(PROPOSAL, revision=1, candidate="def"))
    assert archive.proposal("g1.c1").candidate == "def"
    assert archive.proposal("g9.c9") is None


def test_facts_keep_the_order_in_which_they_were_written(archive):
    for subject in "cab":
        archive.add_measurement("s1", MEASURED.model_copy(update={"subject": subject}))
        archive.put(subject, {"turn": 1})
    archive.put("c", {"turn": 2})
    assert [measured.subject for measured in archive.measurements("search")] == list("cab")
    assert archive.subjects("search") == list("cab")
    assert archive.subjects("report") == []
    assert list(archive.calls()) == list("cab")


def test_thoughts_and_links_are_kept(archive):
    node, edge = Node("obs.skew", "observation", 0, "skewed"), Edge("a", "b", "motivates", 1)
    archive.add_thoughts([node, node], [edge])
    archive.add_thoughts([node], [edge])
    assert (archive.nodes(), archive.edges()) == ([node], [edge])


def test_the_journal_replaces_and_survives_reopening(archive, place):
    archive.put("k", {"turn": 1})
    archive.put("k", {"turn": 2})
    other = Archive(place)
    assert other.get("k") == {"turn": 2}
    assert other.get("unknown") is None
    other.close()


def test_the_clock_adds_up_sessions_but_not_the_present_one(archive):
    archive.tick("one", 5.0)
    archive.tick("one", 7.0)
    archive.tick("two", 1.0)
    assert archive.seconds() == 8.0
    assert archive.seconds(but="two") == 7.0


def test_threads_may_write_at_once(archive):
    def write(number):
        for step in range(10):
            archive.add_outcome(replace(OUTCOME, slot=f"g{number}.c{step}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(archive.outcomes()) == 40


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path):
    (tmp_path / "archive.sqlite").write_text("not a database, but long enough to look at " * 50)
    with pytest.raises(AutoPruneError, match="cannot be used as an archive"):
        Archive(tmp_path / "archive.sqlite")


def test_nan_is_no_measurement(archive):
    with pytest.raises(Exception, match="Out of range float"):
        archive.add_measurement("s1", MEASURED.model_copy(update={"window_losses": [float("nan")]}))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nothing"])
def test_a_file_that_holds_what_is_no_json_is_one_line(tmp_path, text):
    path = tmp_path / "archive.sqlite"
    Archive(path).close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("INSERT INTO calls VALUES ('key', ?)", (text,))
    with closing(Archive(path)) as archive, pytest.raises(UsageError, match="it holds what is no JSON"):
        archive.calls()


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path):
    with closing(sqlite3.connect(tmp_path / "file")) as file:
        file.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            file.execute("CREATE TABLE t (x)")
    assert unwritable(full.value)
    assert not unwritable(sqlite3.DatabaseError("file is not a database"))
