"""Helpers to run a candidate on the tests' bundle."""

from pathlib import Path

from torch import Tensor

from autoprune.models.bundle import Bundle
from autoprune.sandbox.base import Sandbox

WANDA = """
def score(layer):
    return layer.weight.abs() * layer.input_norm
"""


def score_all(sandbox: Sandbox, source: str, bundle: Path) -> dict[str, Tensor]:
    """All layers' scores at sparsity 0.5. Raises CandidateFailure."""
    names = [layer.name for layer in Bundle(bundle).layers]
    with sandbox.open(source, bundle) as session:
        return dict(session.scores(dict.fromkeys(names, 0.5)))
