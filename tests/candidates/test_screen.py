"""The source screen: errors for what cannot run, warnings for what should be looked at, silence for plain scores."""

import pytest

from autoprune.candidates.screen import Rules, refuse, screen
from autoprune.errors import CandidateFailure

PLAIN = """
import math
import torch
from torch.nn import functional as F
GROUP = "matrix"

def helper(x):
    while True:
        if x.sum() > 0:
            return x
        x = x + 1

def score(layer, power=0.5):
    w = layer.weight.abs()
    return helper(w / w.sum(dim=0) * layer.input_norm ** power * math.pi * layer.gradient)

def allocate(units, sparsity):
    return [1 - sparsity for unit in units]
"""


def test_plain_score_has_no_findings() -> None:
    assert screen(PLAIN) == []
    refuse(PLAIN)


def test_lambda_and_variable_arguments_are_entry_points() -> None:
    assert screen("score = lambda layer: layer.weight") == []
    assert screen("def score(*layers):\n    return layers[0].weight") == []


KITS = (
    "from autoprune import kit",
    "import autoprune.kit",
    "import autoprune.kit as k",
    "from autoprune.kit import swaps",
)
OTHERS = (
    *(
        "import autoprune",
        "import autoprune.config",
        "from autoprune import config",
        "from autoprune import kit, config",
    ),
    *(
        "from autoprune.pruning import masks",
        "import autoprune.kit.masks",
        "from autoprune import *",
        "from .kit import a",
    ),
)


@pytest.mark.parametrize("line", KITS)
def test_the_kit_may_be_imported_unless_it_is_off(line: str) -> None:
    source = f"{line}\ndef score(layer):\n    return layer.weight\n"
    assert screen(source) == []
    [finding] = screen(source, Rules(kit=False))
    assert (finding.severity, finding.line, finding.reason) == ("error", 1, "forbidden")
    assert finding.message.endswith("a candidate may import torch and math")
    with pytest.raises(CandidateFailure, match="is not allowed"):
        refuse(source, Rules(kit=False))


@pytest.mark.parametrize("line", OTHERS)
def test_nothing_else_of_the_package_may_be_imported(line: str) -> None:
    [finding] = screen(f"{line}\ndef score(layer):\n    return layer.weight\n")
    assert finding.message.endswith("is not allowed; a candidate may import torch, math and autoprune.kit")


@pytest.mark.parametrize(
    ("source", "line", "part"),
    [
        ("x = 1", 1, "no function score"),
        ("\ndef score():\n    return 1", 2, "signature"),
        ("def score(layer, *, power):\n    return 1", 1, "signature"),
        ("async def score(layer):\n    return 1", 1, "plain function"),
        ("class score:\n    pass", 1, "plain function"),
        ("def score(layer):\n    return 1\ndef allocate(units):\n    return []", 3, "allocate(units, sparsity)"),
        ("GROUP: str = 'col'\ndef score(layer):\n    return 1", 1, "row, matrix"),
        ("def score(layer):\n    import numpy as np\n    return np.abs(layer.weight)", 2, "'numpy' is not allowed"),
        ("from . import x\ndef score(layer):\n    return 1", 1, "is not allowed"),
        ("def score(layer):\n  return (", 2, "SyntaxError"),
    ],
)
def test_what_cannot_run_is_an_error_with_its_line(source: str, line: int, part: str) -> None:
    errors = [finding for finding in screen(source) if finding.severity == "error"]
    assert [finding.line for finding in errors] == [line]
    assert part in errors[0].message
    with pytest.raises(CandidateFailure) as caught:
        refuse(source)
    assert caught.value.stage == "screen"
    assert caught.value.reason in ("contract", "forbidden")


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("return torch.rand_like(layer.weight)", "random"),
        ("return layer.weight.normal_()", "random"),
        ("return layer.bias", "no attribute 'bias'"),
        ("return eval('layer.weight')", "eval has no place"),
        ("return ().__class__.__base__", "double underscores"),
        ("return getattr(layer, '__dict__')", "double underscores"),
        ("return torch.load('x')", "load has no place"),
        ("while True: pass", "never end"),
        ("layer.weight.abs()", "never returns"),
    ],
)
def test_what_should_be_looked_at_is_a_warning(body: str, part: str) -> None:
    findings = screen(f"import torch\ndef score(layer):\n    {body}\n")
    assert any(part in finding.message for finding in findings)
    assert {finding.severity for finding in findings} == {"warning"}


@pytest.mark.parametrize("name", ["refine", "update"])
def test_functions_that_change_masks_and_weights_are_entry_points(name: str) -> None:
    score = "def score(layer):\n    return layer.weight\n"
    assert screen(f"{score}def {name}(layer, mask):\n    return mask\n") == []
    [wrong] = screen(f"{score}def {name}(layer, mask, more):\n    return mask\n")
    assert (wrong.severity, f"{name} is called as {name}(layer, mask)" in wrong.message) == ("error", True)
    [helper] = screen(f"{score}def {name}(weight, mask, more):\n    return mask\n")
    assert (helper.severity, f"this {name} is treated as a helper" in helper.message) == ("warning", True)
    [unknown] = screen(f"{score}def {name}(layer, mask):\n    return layer.hesian\n")
    assert "layer has no attribute 'hesian'" in unknown.message


def test_an_update_is_an_error_in_a_search_for_masks_only() -> None:
    source = "def score(layer):\n    return layer.weight\ndef update(layer, mask):\n    return layer.weight * mask\n"
    assert screen(source) == []
    [finding] = screen(source, Rules(league="mask"))
    assert (finding.severity, finding.line) == ("error", 3)
    assert "search.league=mask" in finding.message
