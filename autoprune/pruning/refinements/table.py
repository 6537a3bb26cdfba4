"""All refinements by name. The names come from the files beside this one, so that nothing here imports torch."""

from collections.abc import Iterable
from importlib import import_module

from autoprune.errors import UsageError
from autoprune.pruning.named_files import names_beside
from autoprune.pruning.refinements.spec import RefinementSpec

NONE = "none"
NAMES = names_beside(__file__)
"""Without `none`, which leaves masks as they are."""
CHOICES = (NONE, *NAMES)


def spec_of(name: str) -> RefinementSpec:
    """The refinement of that name. Raises UsageError for an unknown one."""
    if name not in NAMES:
        raise UsageError(f"unknown refinement {name!r}; there are {', '.join(CHOICES)}")
    spec: RefinementSpec = import_module(f"{__package__}.{name.replace('-', '_')}").SPEC
    return spec


def any_reads(names: Iterable[str], statistic: str) -> bool:
    """Whether one of these refinements, of which some may be `none`, reads a statistic."""
    return any(name != NONE and statistic in spec_of(name).reads for name in names)
