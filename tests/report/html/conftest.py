"""The page of a run that was made up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autoprune.api.run_data import placed_candidates, reasoning_graph, spending_by_slot
from autoprune.report.html.document import report
from autoprune.report.html.material import Material
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from tests.report.html.made_up import MadeUp
from tests.report.html.reading import Reader

MOST = 8_000_000


def drawn(run: RunDirectory) -> str:
    archive = Archive(run.archive_file)
    try:
        graph, where = reasoning_graph(run, archive), placed_candidates(run, archive)
        return report(Material.read(run, archive, graph, where, spending_by_slot(archive)))
    finally:
        archive.close()


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., Reader]:
    def make(candidates: int, **more: object) -> Reader:
        page = drawn(MadeUp(tmp_path / "run", candidates, **more).run)  # type: ignore[arg-type]
        assert len(page.encode()) < MOST
        return Reader(page)

    return make
