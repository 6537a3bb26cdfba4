"""A run in a PostgreSQL database is what it would be in SQLite files, also when it is killed, and forked."""

from contextlib import closing

import pytest
from sqlalchemy import select

from autoprune.config import change_config
from autoprune.config_sections import SandboxSettings
from autoprune.measuring.algorithms import open_algorithms
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from autoprune.runs.fork import COPIED
from autoprune.search.fork import fork_run
from tests.postgres_server import ON_POSTGRES
from tests.search.lives import live, measured_in
from tests.search.test_kill import end

pytestmark = ON_POSTGRES
MEASURED_ANEW = ("time", "seconds", "memory_bytes")


def rows(run):
    """Everything in a run's archive but times and memory, table by table."""
    with closing(Archive.of(run)) as archive, archive.engine.connect() as connection:
        return {
            table.name: sorted(map(repr, (lasting(dict(row)) for row in connection.execute(select(table)).mappings())))
            for table in COPIED
        }


def lasting(facts):
    if isinstance(facts, dict):
        return {name: lasting(fact) for name, fact in facts.items() if name not in MEASURED_ANEW}
    return [lasting(fact) for fact in facts] if isinstance(facts, list) else facts


@pytest.mark.long
def test_a_search_that_is_killed_and_resumed_has_the_archive_of_one_in_sqlite_files(
    nursery, small_config, postgres, database, tmp_path
):
    words = ("search.max_candidates=3", "search.generation_size=2", "approval=human")
    whole, run = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "run")
    end(nursery, whole, small_config(*words))
    config = small_config(*words, f"database={postgres.url(password=postgres.quoted)}")
    deaths = ({"event": 4}, {"event": 9}, {"put": 2}, {"event": 11}, {"put": 3})
    assert [nursery.live(run.path, config, **death) for death in deaths].count("killed") >= 3
    end(nursery, run, config)
    assert rows(run) == rows(whole)
    assert all(
        rows(run)[table] for table in ("proposals", "outcomes", "measurements", "nodes", "edges", "approval_decisions")
    )
    assert len(measured_in(run.path)) == len(set(measured_in(run.path)))
    assert not list(run.path.glob("*.sqlite*"))


@pytest.mark.long
def test_a_fork_goes_from_one_kind_of_database_to_the_other_and_finds_the_same(search, facts, database, tmp_path):
    def fork(origin, name, words):
        config = change_config(origin.settings()[0], [words])
        run = fork_run(origin, 1, config, tmp_path / name)
        live(run.path, config)
        return run

    origin = search(f"database={database}", "search.max_candidates=4")
    in_files = fork(origin, "in files", "database=null")
    back = fork(in_files, "back", f"database={database}")
    beside = fork(back, "beside", "llm.retries=1")
    assert facts(in_files) == facts(back) == facts(beside) == facts(origin)
    schemas = [run.schema().name for run in (origin, back, beside)]
    assert len(set(schemas)) == 3
    assert in_files.schema() is None
    assert "schema" not in in_files.settings()[1]
    with closing(Archive.of(origin)) as archive:
        best = min(
            (each for each in archive.outcomes() if "perplexity" in each.data), key=lambda x: x.data["perplexity"]
        )
    with open_algorithms([f"{origin.path}:best"], SandboxSettings(engine="local")) as (algorithm,):
        assert algorithm.source == origin.source(best.candidate)
