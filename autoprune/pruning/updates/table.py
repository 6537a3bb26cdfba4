"""All updates by name. The names come from the files beside this one, so that nothing here imports torch."""

from importlib import import_module

from autoprune.errors import UsageError
from autoprune.pruning.named_files import names_beside
from autoprune.pruning.updates.spec import UpdateSpec

NONE = "none"
NAMES = names_beside(__file__)
"""Without `none`, which leaves the kept weights as they are."""
CHOICES = (NONE, *NAMES)


def spec_of(name: str) -> UpdateSpec:
    """The update of that name. Raises UsageError for an unknown one."""
    if name not in NAMES:
        raise UsageError(f"unknown update {name!r}; there are {', '.join(CHOICES)}")
    spec: UpdateSpec = import_module(f"{__package__}.{name.replace('-', '_')}").SPEC
    return spec
