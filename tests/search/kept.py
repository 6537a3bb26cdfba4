"""What a run's archive keeps of measurements, with the keys under which it knows them."""

from sqlalchemy import select

from autoprune.runs import tables
from autoprune.runs.archive import Archive
from autoprune.runs.measurement import Measurement


def kept(archive: Archive, *splits: str) -> list[tuple[str, Measurement]]:
    """(key, measurement) of everything that was measured on these splits, in order."""
    columns = tables.measurements.c
    with archive.engine.connect() as connection:
        rows = connection.execute(
            select(columns.subject, columns.split, columns.settings)
            .where(columns.split.in_(splits))
            .order_by(tables.ORDER)
        )
        places = [(row.subject, row.split, row.settings) for row in rows]
    found = [(key, archive.measurement(subject, split, key)) for subject, split, key in places]
    return [(key, measured) for key, measured in found if measured is not None]
