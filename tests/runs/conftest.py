"""An archive in either kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoprune.config import Config
from autoprune.runs.archive import Archive
from autoprune.runs.postgres import Schema
from tests.postgres_server import ENGINES


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | Schema:
    """A file, or a new schema on a real server."""
    if request.param == "sqlite":
        return tmp_path / "archive.sqlite"
    database = Config.model_validate({"database": request.getfixturevalue("database")}).database
    assert database is not None
    return Schema.create(database, "a run")


@pytest.fixture
def archive(place: Path | Schema) -> Iterator[Archive]:
    archive = Archive(place)
    yield archive
    archive.close()
