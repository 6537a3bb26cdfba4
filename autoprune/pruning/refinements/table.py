"""All refinements by name. The names come from the files beside this one, so that nothing here imports torch."""

from collections.abc import Iterable

from autoprune.pruning.named_files import load_spec, names_beside
from autoprune.pruning.refinements.spec import RefinementSpec

NONE = "none"
NAMES = names_beside(__file__)
"""Without `none`, which leaves masks as they are."""
CHOICES = (NONE, *NAMES)


def spec_of(name: str) -> RefinementSpec:
    """The refinement of that name. Raises UsageError for an unknown one."""
    return load_spec(RefinementSpec, __package__, "refinement", name, NAMES)


def any_reads(names: Iterable[str], statistic: str) -> bool:
    """Whether one of these refinements, of which some may be `none`, reads a statistic."""
    return any(name != NONE and statistic in spec_of(name).reads for name in names)
