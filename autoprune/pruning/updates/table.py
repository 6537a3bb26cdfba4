"""All updates by name. The names come from the files beside this one, so that nothing here imports torch."""

from autoprune.pruning.named_files import load_spec, names_beside
from autoprune.pruning.updates.spec import UpdateSpec

NONE = "none"
NAMES = names_beside(__file__)
"""Without `none`, which leaves the kept weights as they are."""
CHOICES = (NONE, *NAMES)


def spec_of(name: str) -> UpdateSpec:
    """The update of that name. Raises UsageError for an unknown one."""
    return load_spec(UpdateSpec, __package__, "update", name, NAMES)
