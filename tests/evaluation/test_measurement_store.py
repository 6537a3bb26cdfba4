"""What was measured is kept, and read from the archive once."""

import pytest

from autoprune.evaluation.ladder import EVERYTHING, StoppedEarly
from autoprune.evaluation.measurement_cache import MeasurementCache
from autoprune.evaluation.measurement_spec import MeasurementSpec
from autoprune.evaluation.measurement_store import MeasurementStore
from autoprune.evaluation.recipe import Recipe
from autoprune.runs.archive import Archive
from autoprune.runs.measurement import Measurement

FOUND = Measurement(subject="abc", split="search", perplexity=12.5, window_losses=[2.5], windows=1, zeros=3)


@pytest.fixture
def store(tmp_path):
    archive = Archive(tmp_path / "archive.sqlite")
    yield MeasurementStore(archive, MeasurementCache(tmp_path / "cache.sqlite"))
    archive.close()


@pytest.fixture
def spec(bench):
    return lambda subject="abc", sparsity=0.5: MeasurementSpec.of(bench, subject, "search", Recipe(sparsity))


def never():
    raise AssertionError("measured again")


def test_what_is_not_there_yet_is_found_once_it_is(store, spec):
    assert store.known(spec()) is None
    store.archive.add_measurement(spec().key(), FOUND)
    assert store.known(spec()) == FOUND
    assert store.known(spec("other")) is None
    assert store.known(spec(sparsity=0.6)) is None


def test_a_measurement_is_read_once(store, spec):
    store.archive.add_measurement(spec().key(), FOUND)
    assert store.known(spec()) is store.known(spec())


def test_what_was_measured_is_in_the_archive_and_for_other_runs_in_the_cache(store, spec, tmp_path):
    assert store.get(spec(), {"threads": 1}, lambda: FOUND) == FOUND
    assert store.get(spec(), {"threads": 1}, never) == FOUND
    other = MeasurementStore(Archive(tmp_path / "other.sqlite"), store.cache)
    assert other.get(spec(), {"threads": 1}, never) == FOUND.model_copy(update={"cached": True})
    assert other.get(spec(sparsity=0.6), {"threads": 2}, lambda: FOUND) == FOUND
    other.archive.close()


def test_what_was_stopped_is_kept_in_the_cache_alone(store, spec):
    partial = FOUND.model_copy(update={"windows": 4})

    def stopped():
        raise StoppedEarly("measure", "raced-out", "lost", partial)

    with pytest.raises(StoppedEarly):
        store.get(spec(), {"threads": 1}, stopped)
    assert store.known(spec()) is None
    assert store.cache.get(spec().cache_key(threads=1)) == partial
    assert store.get(spec(), {"threads": 1}, lambda: FOUND, EVERYTHING) == FOUND
