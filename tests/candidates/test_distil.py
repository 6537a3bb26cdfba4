"""Distilling functions of a candidate, with all that they use."""

import ast
import importlib.util
from pathlib import Path

import pytest
import torch

from autoprune.candidates.discovered import discovered_source
from autoprune.candidates.distil import default_functions, distil, functions_of
from autoprune.candidates.functions import NotPure, renamed
from autoprune.candidates.library import check_function

CANDIDATE = '''"""A candidate."""
import math, torch

from autoprune import kit

GROUP = "row"
POWER = {"q": 0.5}
STEPS = 3  # of the descent
unused = []
PARAMS = {"power": 0.5}


def step(weight, steps=STEPS):
    # One step.
    return weight.abs() ** POWER["q"] * steps


def descend(weight):
    """Descends."""
    return step(weight) + math.pi


def reach(layer):
    return layer.input_norm ** PARAMS["power"]


def impure(weight):
    unused.append(weight)
    return weight


def score(layer):
    return descend(layer.weight) * reach(layer)


def refine(layer, mask):
    return kit.swaps(layer.weight, mask, layer.hessian)
'''


def test_the_default_is_what_the_entry_points_call():
    assert default_functions(CANDIDATE) == ["descend", "reach"]
    assert functions_of(CANDIDATE) == ["step", "descend", "reach", "impure", "score", "refine"]


def test_a_function_comes_with_the_helpers_constants_and_imports_that_it_uses():
    assert (
        distil(CANDIDATE, "descend", "descend", "an idea")
        == '''import math


POWER = {"q": 0.5}
STEPS = 3


def step(weight, steps=STEPS):
    # One step.
    return weight.abs() ** POWER["q"] * steps


def descend(weight):
    """Descends."""
    return step(weight) + math.pi
'''.replace("math\n\n\n", "math\n\n")
    )


def test_it_gets_another_name_and_the_idea_as_its_docstring():
    source = distil(CANDIDATE, "reach", "input_reach", 'Longer "reach"\nby \\ power')
    assert 'input_reach_params = {"power": 0.5}' in source
    assert ast.get_docstring(ast.parse(source).body[-1]) == 'Longer "reach" by \\ power'
    check_function(source, "input_reach")


def test_an_entry_point_can_be_distilled_under_another_name():
    source = distil(CANDIDATE, "refine", "swapped", "Swaps.")
    assert source.startswith("from autoprune import kit\n\n\ndef swapped(layer, mask):\n")


REFUSED = {
    ("impure", CANDIDATE): "unused is not a constant",
    ("score", CANDIDATE): "score has a meaning of its own",
    ("f", "def f(x):\n    global y\n    y = x\n"): "changes y, which is not its own",
    ("f", "TABLE = {1: 2}\n\n\ndef f(x):\n    TABLE[x] = 1\n"): "changes the constant TABLE",
    ("f", "TABLE = {1: 2}\n\n\ndef f(x):\n    TABLE.update(x)\n"): "may change the constant TABLE by update",
    ("f", "def f(x, seen=[]):\n    return x\n"): "has a default that is not a constant",
    ("f", "import functools\n\n\n@functools.cache\ndef f(x):\n    return x\n"): "f has a decorator",
    ("f", "def f(x):\n    return missing(x)\n"): "missing, which comes from nowhere",
    ("f", "class C:\n    pass\n\n\ndef f(x):\n    return C()\n"): "neither an import, a constant nor a function",
    ("f", "def g(x):\n    return x\n\n\ndef f(x):\n    g = 1\n    return [g for g in x]\n\n\n"): "",
    ("f", "import torch\n\n\ndef f(x):\n    return torch.rand(3)\n"): "rand draws random numbers",
    ("f", "def f(layer):\n    layer.seen = 1\n    return layer\n"): "assigns to the attribute seen",
    (
        "f",
        "PARAMS = {'a': (0.0, 1.0)}\n\n\ndef f(x):\n    return x * PARAMS['a']\n",
    ): "whose numbers are not chosen yet",
    ("f", "def f(x):\n    yield x\n"): "generators",
    ("f", "EPS = 1e-8\nEPS *= 10\n\n\ndef f(x):\n    return x + EPS\n"): "line 2 changes EPS",
    ("f", "T = {'q': 1.0}\nT['q'] = 2.0\n\n\ndef f(x):\n    return x * T['q']\n"): "line 2 changes T",
    ("f", "A = 1.0\nB = A\nA = 5.0\n\n\ndef f(x):\n    return x * B\n"): "line 1 changes A, or binds it a second time",
    ("f", "def f(x, x):\n    return x\n"): "duplicate argument",
}


@pytest.mark.parametrize(("case", "complaint"), REFUSED.items(), ids=list(REFUSED.values()))
def test_what_depends_on_anything_but_its_arguments_is_refused(case, complaint):
    function, source = case
    if not complaint:
        assert "def g" not in distil(source, function, function, "An idea.")
        return
    with pytest.raises(NotPure, match=complaint) as refused:
        distil(source, function, function, "An idea.")
    assert "\n" not in str(refused.value)


def test_a_distilled_function_of_a_discovery_has_the_same_statements():
    source = discovered_source("coordinate_descent")
    names = default_functions(source)
    assert len(names) > 3
    for name in names:
        distilled = distil(source, name, f"own_{name}", "An idea.")
        assert _statements(distilled, f"own_{name}") == _statements(source, name)


def _statements(source: str, name: str) -> list[str]:
    """Those of a function, without its docstring."""
    [function] = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name]
    return list(map(ast.dump, function.body[ast.get_docstring(function) is not None :]))


def test_renaming_keeps_comments_and_words_in_strings():
    source = (
        'def helper(x):\n    return x  # helper\n\n\ndef f(x):\n    """Uses helper."""\n    return helper(x.helper)\n'
    )
    assert renamed(source, {"helper": "other"}) == source.replace("def helper", "def other").replace(
        "return helper", "return other"
    )


def _module(path: Path, text: str):
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_compute_the_same(tmp_path):
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    whole = _module(tmp_path / "candidate.py", CANDIDATE)
    own = _module(tmp_path / "own.py", distil(CANDIDATE, "descend", "own", "An idea."))
    assert torch.equal(whole.descend(weight), own.own(weight))
