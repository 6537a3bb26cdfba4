"""What was measured once is found again; a file that cannot be used costs one line, not the search."""

import multiprocessing
import sqlite3
from dataclasses import replace

import pytest

from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement import LayerDiagnostic, Measurement, StoppedEarly
from autoprune.evaluation.measurement_cache import MeasurementCache, measurement_key
from autoprune.evaluation.racing import Race

LOSSES = [4.0 + place / 10 for place in range(8)]
LAYERS = [LayerDiagnostic("layers.0.q", 0.5, 0.25)]
FULL = Measurement("search", 77.25, LOSSES, 0.5, 10, 20, 48, 8, LAYERS, b"\x00\xff", {"eval": 1.5})
PARTIAL = FULL.cut(LOSSES[:4])
FACTS = {"repeats": True, "diagnostics": "hello"}


class Told(list):
    def __call__(self, line):
        self.append(line)


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "measurements.sqlite"


@pytest.fixture
def cache(path, told):
    return MeasurementCache(path, told)


def never():
    raise AssertionError("measured again")


def test_what_was_measured_is_found_again_bit_by_bit_with_no_seconds_and_says_so(cache, path, told):
    assert cache.measure_once("k", EVERYTHING, lambda: (FULL, FACTS)) == (FULL, FACTS)
    found, facts = MeasurementCache(path, told).measure_once("k", EVERYTHING, never)
    assert found == replace(FULL, seconds={})
    assert facts == {**FACTS, "cached": True}
    assert told == []


def test_another_key_is_another_measurement(cache):
    cache.put("k", FULL, FACTS)
    assert cache.get("other") is None


def test_an_empty_cache_makes_no_file_until_there_is_something_to_keep(cache, path):
    assert cache.get("k") is None
    assert not path.exists()


def test_a_candidate_that_gives_something_else_each_time_is_not_kept(cache):
    cache.put("k", FULL, {**FACTS, "repeats": False})
    assert cache.get("k") is None


def losing():
    return Ladder(race=Race.against("rival", [loss - 1.0 for loss in LOSSES], 0.05))


def stop():
    stopped = StoppedEarly("measure", "raced-out", "raced out", PARTIAL, 80.0)
    stopped.facts = FACTS
    raise stopped


def test_one_that_was_stopped_is_stopped_again_without_measuring(cache):
    for measure in (stop, never):
        with pytest.raises(StoppedEarly):
            cache.measure_once("k", losing(), measure)


def test_one_that_was_stopped_is_measured_to_the_end_when_nothing_stops_it(cache):
    with pytest.raises(StoppedEarly):
        cache.measure_once("k", losing(), stop)
    assert cache.measure_once("k", EVERYTHING, lambda: (FULL, FACTS))[0] == FULL
    assert cache.measure_once("k", EVERYTHING, never)[0].full


def test_a_full_measurement_is_not_replaced_by_a_shorter_one(cache):
    cache.put("k", FULL, FACTS)
    cache.put("k", PARTIAL, FACTS)
    assert cache.get("k")[0] == FULL


def test_a_full_measurement_that_is_found_is_raced_as_if_it_were_measured_now(cache):
    cache.put("k", FULL, FACTS)
    with pytest.raises(StoppedEarly) as caught:
        cache.measure_once("k", losing(), never)
    assert caught.value.facts["cached"]
    assert caught.value.partial.seconds == {}


@pytest.mark.parametrize("damage", ["no database", "cut", "record", "schema", "table"])
def test_a_damaged_file_is_one_line_and_a_fresh_one(cache, path, told, damage):
    for number in range(200):
        cache.put(f"k{number}", FULL, FACTS)
    spoil(path, damage)
    assert cache.get("k7") is None
    assert len(told) == 1
    assert "damaged" in told[0]
    assert "\n" not in told[0]
    cache.put("k", FULL, FACTS)
    assert cache.get("k")[0] == FULL
    assert len(told) == 1


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


def test_where_nothing_can_be_written_it_is_done_without_and_said_once(tmp_path, told):
    (tmp_path / "file").write_text("")
    cache = MeasurementCache(tmp_path / "file" / "measurements.sqlite", told)
    for _ in range(2):
        assert cache.measure_once("k", EVERYTHING, lambda: (FULL, FACTS)) == (FULL, FACTS)
    assert len(told) == 1
    assert "not cached" in told[0]


def write(path, first):
    cache = MeasurementCache(path, print)
    for number in range(first, first + 40):
        cache.put(f"k{number}", FULL, FACTS)


def test_several_processes_write_at_once_and_lose_nothing(path, cache, told):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write, args=(path, first)) for first in (0, 20, 40)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert all(cache.get(f"k{number}") for number in range(80))
    assert told == []


def test_the_key_depends_on_every_fact_and_on_nothing_else():
    assert measurement_key(subject="a", split="search") == measurement_key(split="search", subject="a")
    assert measurement_key(subject="a") != measurement_key(subject="b")
