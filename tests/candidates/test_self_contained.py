"""Self-contained sources: what the kit does, bit by bit, where the package is not installed."""

import ast
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autoprune import kit
from autoprune.candidates.contract import MAX_SOURCE_BYTES
from autoprune.candidates.screen import screen
from autoprune.candidates.self_contained import self_contained
from autoprune.errors import AutoPruneError
from tests.pruning.updates.problems import problem

CALLS = {
    "row_mask": "weight.abs().round(decimals=1), 72",
    "matrix_mask": "weight.abs().round(decimals=1), 72",
    "nm_mask": "weight.round(decimals=1), 2, 4",
    "swaps": "weight, mask, hessian",
    "dsnot": "weight, mask, hessian[0], hessian[1].abs(), hessian.diagonal()",
    "inverse_hessian": "hessian, 0.05",
    "obs": "weight, mask, hessian",
    "admm": "weight, mask, hessian",
    "alps": "weight, mask, hessian",
    "linear_depth": "units, 0.6, 0.3",
    "sdsa": "units, 0.6, kappa=0.8",
    "owl": "units, 0.6",
    "by_role": "units, 0.6, {'down': 1.5}",
}
"""Calls of all functions of the kit; scores have ties."""
MORE = {
    "swaps": ["weight, mask, hessian, None", "weight, nm, hessian, 4, '2:4'", "weight, nm, hessian, None, '2:4'"],
    "dsnot": ["weight, nm, hessian[0], hessian[1].abs(), hessian.diagonal(), pattern='2:4'"],
    "nm_mask": ["weight.repeat(1, 2), 4, 16"],
    "row_mask": ["weight[:1].expand(3, -1), 0", "weight, weight.numel()", "weight.double(), 50"],
    "sdsa": ["units, 0.6, 0.5, 1.0, 0.05"],
}
_RUN = """
import importlib.abc, sys
from types import SimpleNamespace

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("autoprune", "pydantic"):
            raise ImportError(name)

sys.meta_path.insert(0, Nothing())
import torch
names = {}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), names)
torch.save(names["score"](SimpleNamespace(**torch.load(sys.argv[2], weights_only=False))), sys.argv[3])
"""


def layer():
    weight, hessian = problem(1)
    mask = kit.row_mask(weight.abs(), 72)
    units = [
        {"size": 10 + i, "depth": i / 3, "role": role, "skewness": float(i), "outlier_share": i / 100}
        for i, role in enumerate(("q", "down", "q", "up"))
    ]
    facts = {"weight": weight, "hessian": hessian, "mask": mask, "nm": kit.nm_mask(weight.abs(), 2, 4), "units": units}
    return facts


def without_the_package(source: str, facts: dict[str, object], folder: Path) -> object:
    (folder / "file.py").write_text(source, encoding="utf-8")
    torch.save(facts, folder / "in.pt")
    command = [sys.executable, "-c", _RUN, *(str(folder / name) for name in ("file.py", "in.pt", "out.pt"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "out.pt", weights_only=False)


def same(one, other):
    return torch.equal(one, other) and one.dtype == other.dtype if isinstance(one, torch.Tensor) else one == other


def test_every_function_of_the_kit_gives_the_same_bits_without_the_package(tmp_path):
    assert set(CALLS) == set(kit.__all__)
    calls = [f"kit.{name}({arguments})" for name in CALLS for arguments in [CALLS[name], *MORE.get(name, [])]]
    unpacked = "".join(f"    {name} = layer.{name}\n" for name in layer())
    source = f"from autoprune import kit\n\n\ndef score(layer):\n{unpacked}    return [{', '.join(calls)}]\n"
    written = self_contained(source)
    assert len(written.encode()) < MAX_SOURCE_BYTES
    assert not [finding for finding in screen(written) if finding.severity == "error"]
    facts = layer()
    results = without_the_package(written, facts, tmp_path)
    expected = eval(f"[{', '.join(calls)}]", {"kit": kit, **facts})
    assert [call for call, one, other in zip(calls, results, expected, strict=True) if not same(one, other)] == []


@pytest.mark.parametrize("name", kit.__all__)
def test_a_function_brings_what_it_uses_and_torch_or_math_alone(name):
    for text in (
        f"from autoprune import kit as k\n\n\ndef score(layer):\n    return k.{name}(layer.weight)\n",
        f"from autoprune.kit import {name} as other\n\n\ndef score(layer):\n    return other(layer.weight)\n",
        f"def score(layer):\n    import autoprune.kit\n\n    return autoprune.kit.{name}(layer.weight)\n",
    ):
        written = self_contained(text)
        modules = {
            alias.name for node in ast.walk(ast.parse(written)) if isinstance(node, ast.Import) for alias in node.names
        }
        assert modules <= {"torch", "math"}
        assert "autoprune" not in written.replace(", from autoprune.kit.", "")
        assert not [finding for finding in screen(written) if finding.severity == "error"]


def test_names_of_the_candidate_stay_its_own(tmp_path):
    source = """import math as torch
from autoprune import kit

PIECE = 3


def row_mask(score):
    return score * PIECE


def score(layer):
    return kit.row_mask(row_mask(layer.weight), int(torch.sqrt(49)))
"""
    weight = problem(1)[0]
    result = without_the_package(self_contained(source), {"weight": weight}, tmp_path)
    assert torch.equal(result, kit.row_mask(3 * weight, 7))


def test_a_class_of_the_kit_gets_another_name_where_the_candidate_has_one_of_its_own(tmp_path):
    source = """from autoprune import kit

SDSA = 3


def score(layer):
    units = [{"name": name, "size": 10, "depth": depth, "skewness": skew} for name, depth, skew in layer.units]
    return kit.sdsa(units, 0.5)
"""
    facts = {"units": [("a", 0.0, 1.0), ("b", 1.0, 2.0)]}
    space: dict[str, Any] = {}
    exec(source, space)
    layer = SimpleNamespace(**facts)
    assert space["score"](layer) == pytest.approx(list(without_the_package(self_contained(source), facts, tmp_path)))


def test_a_source_without_the_kit_stays_as_it_is():
    source = "import torch\n\n\ndef score(layer):\n    return layer.weight.abs()  # magnitude\n"
    assert self_contained(source) == source


@pytest.mark.parametrize(
    "text", ["from autoprune import kit\nuse = kit\n", "from autoprune import kit\nx = kit.none\n", "import ("]
)
def test_what_cannot_be_inlined_is_one_line(text):
    with pytest.raises(AutoPruneError) as refused:
        self_contained(text + "\n\ndef score(layer):\n    return layer.weight\n")
    assert "\n" not in str(refused.value)
