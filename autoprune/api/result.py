"""What a search found, as plain data."""

from dataclasses import dataclass, field
from typing import Any

from autoprune.report.picture import Picture
from autoprune.runs.directory import RunDirectory
from autoprune.runs.verdicts import Comparison


@dataclass(frozen=True)
class SearchResult:
    """The confirmation of a search, with the fields of `autoprune search --json`.

    Args:
        run: the path of the run directory.
        rows: dense model, baselines and finalists, with perplexities on the search and the report split.
        comparisons: each finalist against each baseline, with interval, p-value and verdict.
        elsewhere: the same rows at other sparsities, under patterns, and on a second model.
        protocol: the statistical protocol of the verdicts.
        conclusion: one sentence.
    """

    run: str
    rows: list[dict[str, Any]] = field(repr=False)
    comparisons: list[Comparison] = field(repr=False)
    elsewhere: list[dict[str, Any]] = field(repr=False)
    protocol: dict[str, Any] = field(repr=False)
    conclusion: str

    @classmethod
    def of(cls, run: RunDirectory, picture: Picture) -> "SearchResult":
        return cls(
            str(run.path), picture.rows, picture.comparisons, picture.elsewhere, picture.protocol, picture.conclusion
        )
