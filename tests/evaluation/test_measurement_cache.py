"""What was measured once is found again; a file that cannot be used costs one line, not the search."""

import multiprocessing
import sqlite3

import pytest

from autoprune.evaluation.ladder import EVERYTHING, Ladder, StoppedEarly
from autoprune.evaluation.measurement_cache import MeasurementCache
from autoprune.evaluation.racing import Race
from autoprune.runs.measurement import LayerDiagnostic, Measurement

LOSSES = [4.0 + place / 10 for place in range(8)]
FULL = Measurement(
    subject="abc",
    split="search",
    perplexity=77.25,
    window_losses=LOSSES,
    sparsity=0.5,
    zeros=10,
    weights=20,
    seqlen=48,
    windows=8,
    layers=[LayerDiagnostic(name="layers.0.q", sparsity=0.5, relative_error=0.25)],
    signature=b"\x00\xff",
    seconds={"eval": 1.5},
    repeats=True,
    diagnostics="hello",
)
PARTIAL = FULL.with_losses(LOSSES[:4])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "measurements.sqlite"


@pytest.fixture
def cache(path):
    return MeasurementCache(path)


def test_what_was_measured_is_found_again_bit_by_bit_with_no_seconds_and_says_so(cache, path, logged):
    cache.put("k", FULL)
    found = MeasurementCache(path).find("k", EVERYTHING)
    assert found == FULL.model_copy(update={"seconds": {}, "cached": True})
    assert logged == []


def test_another_key_is_another_measurement(cache):
    cache.put("k", FULL)
    assert cache.get("other") is None


def test_an_empty_cache_makes_no_file_until_there_is_something_to_keep(cache, path):
    assert cache.get("k") is None
    assert not path.exists()


def test_a_candidate_that_gives_something_else_each_time_is_not_kept(cache):
    cache.put("k", FULL.model_copy(update={"repeats": False}))
    assert cache.get("k") is None


def losing():
    return Ladder(race=Race.against("rival", [loss - 1.0 for loss in LOSSES], 0.05))


def test_one_that_was_stopped_is_stopped_again_and_measured_to_the_end_when_nothing_stops_it(cache):
    cache.put("k", PARTIAL)
    with pytest.raises(StoppedEarly):
        cache.find("k", losing())
    assert cache.find("k", EVERYTHING) is None
    cache.put("k", FULL)
    assert cache.find("k", EVERYTHING).full


def test_a_full_measurement_is_not_replaced_by_a_shorter_one(cache):
    cache.put("k", FULL)
    cache.put("k", PARTIAL)
    assert cache.get("k") == FULL


def test_a_full_measurement_that_is_found_is_raced_as_if_it_were_measured_now(cache):
    cache.put("k", FULL)
    with pytest.raises(StoppedEarly) as caught:
        cache.find("k", losing())
    assert caught.value.partial.cached
    assert caught.value.partial.seconds == {}


@pytest.mark.parametrize("damage", ["no database", "cut", "record", "schema", "table"])
def test_a_damaged_file_is_one_line_and_a_fresh_one(cache, path, logged, damage):
    for number in range(200):
        cache.put(f"k{number}", FULL)
    spoil(path, damage)
    assert cache.get("k7") is None
    assert len(logged) == 1
    assert "damaged" in logged[0]
    assert "\n" not in logged[0]
    cache.put("k", FULL)
    assert cache.get("k") == FULL
    assert len(logged) == 1


def spoil(path, damage):
    if damage == "no database":
        path.write_bytes(b"these are no measurements" * 1000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        statement = {
            "record": "UPDATE measurements SET record = '{}'",
            "schema": "PRAGMA user_version = 99",
            "table": "DROP TABLE measurements",
        }
        with sqlite3.connect(path) as file:
            file.execute(statement[damage])


def test_where_nothing_can_be_written_it_is_done_without_and_said_once(tmp_path, logged):
    (tmp_path / "file").write_text("")
    cache = MeasurementCache(tmp_path / "file" / "measurements.sqlite")
    for _ in range(2):
        cache.put("k", FULL)
        assert cache.find("k", EVERYTHING) is None
    assert len(logged) == 1
    assert "not cached" in logged[0]


def write(path, first):
    cache = MeasurementCache(path)
    for number in range(first, first + 40):
        cache.put(f"k{number}", FULL)


def test_several_processes_write_at_once_and_lose_nothing(path, cache, logged):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write, args=(path, first)) for first in (0, 20, 40)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert all(cache.get(f"k{number}") for number in range(80))
    assert logged == []
