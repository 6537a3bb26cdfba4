"""Inlining of found functions: names, aliases, imports, and what stays as it is."""

import ast

import pytest

from autoprune.candidates.inlining import inlined
from autoprune.candidates.library import FoundFunction, check_function, found_in
from autoprune.candidates.screen import screen

DESCEND = '''import math

import torch
from autoprune import kit

BLOCK = 16


def helper(x):
    return x * BLOCK * math.pi  # half a turn


def descend(weight, keep=8):
    """Descends, a little."""
    return kit.row_mask(helper(weight) + torch.ones(keep), 3)
'''
SHIFT = '''import torch


def helper(x):
    return x + torch.ones(())


def shift(weight):
    """Shifts."""
    return helper(weight)
'''
LIBRARY = {name: FoundFunction(name, text, "somebody") for name, text in (("descend", DESCEND), ("shift", SHIFT))}


def lines_of(source):
    return [line for line in source.splitlines() if line]


def check(source):
    """Nothing is left to inline, and nothing is wrong with it."""
    assert "kit.found." not in source.replace("# kit.found.", "")
    assert not [finding for finding in screen(source) if finding.severity == "error"]
    assert inlined(source, LIBRARY) == source


def test_the_functions_are_those_of_the_library():
    for name, function in LIBRARY.items():
        check_function(function.source, name)
    assert LIBRARY["descend"].signature == "(weight, keep=8)"
    assert LIBRARY["descend"].summary == "Descends, a little."


@pytest.mark.parametrize(
    ("imports", "use"),
    [
        ("from autoprune import kit", "kit.found.descend"),
        ("from autoprune import kit as k", "k.found.descend"),
        ("import autoprune.kit", "autoprune.kit.found.descend"),
        ("import autoprune.kit as k", "k.found.descend"),
        ("from autoprune.kit import found", "found.descend"),
        ("from autoprune.kit import found as f, swaps", "f.descend"),
        ("from autoprune.kit.found import descend", "descend"),
        ("from autoprune.kit.found import descend as d, shift", "d"),
    ],
)
@pytest.mark.parametrize("within", [False, True])
def test_a_function_is_written_into_the_source_under_any_import(imports, use, within):
    head, body = ("", f"    {imports}\n") if within else (f"{imports}\n\n\n", "")
    source = inlined(f"{head}def score(layer):\n{body}    return {use}(layer.weight)  # my comment\n", LIBRARY)
    check(source)
    assert "# my comment" in source
    assert "    return x * BLOCK * math.pi  # half a turn" in source
    tree = ast.parse(source)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert names[-1] == "score"
    assert found_in(source, LIBRARY)[0] == "descend"


def test_names_that_the_candidate_uses_are_left_to_it():
    source = inlined(
        '''"""A candidate."""

import torch as math
from autoprune import kit

BLOCK = 3


def score(layer):
    descend = helper = kit.found.descend(layer.weight)
    return descend + BLOCK * math.ones(helper.shape)
''',
        LIBRARY,
    )
    check(source)
    assert source.startswith('"""A candidate."""\n')
    assert "import math as math_2\n" in source
    assert "return x * BLOCK_2 * math_2.pi  # half a turn" in source
    assert "    descend = helper = descend_2(layer.weight)" in source
    assert "def helper_2(x):" in source
    assert "kit.row_mask(helper_2(weight)" in source


def test_two_functions_with_a_helper_of_the_same_name():
    use = "return kit.found.shift(kit.found.descend(layer.weight))"
    source = inlined(f"from autoprune import kit\n\n\ndef score(layer):\n    {use}\n", LIBRARY)
    check(source)
    assert {"helper", "helper_2"} <= {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    assert found_in(source, LIBRARY) == ["descend", "shift"]


def test_a_helper_with_the_name_of_a_builtin_stays_with_its_function():
    first = 'def round(x):\n    return x\n\n\ndef aa(x):\n    """A."""\n    return round(x)\n'
    second = 'def bb(x):\n    """B."""\n    return round(x)\n'
    functions = {name: FoundFunction(name, text, "a model") for name, text in (("aa", first), ("bb", second))}
    use = "return kit.found.aa(1.4) + kit.found.bb(1.4)"
    space = {}
    exec(inlined(f"from autoprune import kit\n\n\ndef score(layer):\n    {use}\n", functions), space)
    assert space["score"](None) == pytest.approx(2.4)


def test_the_library_may_be_imported_by_its_whole_name():
    for text in ("import autoprune.kit.found", "import autoprune.kit.found as f"):
        name = "f" if " as " in text else "autoprune.kit.found"
        check(inlined(f"{text}\n\n\ndef score(layer):\n    return {name}.shift(layer.weight)\n", LIBRARY))


def test_a_child_of_a_candidate_that_was_inlined_gets_no_second_copy():
    first = inlined(
        "from autoprune import kit\n\n\ndef score(layer):\n    return kit.found.shift(layer.weight)\n", LIBRARY
    )
    assert "import kit" not in first
    child = first.replace("import torch\n", "import torch\nfrom autoprune import kit\n", 1)
    child = child.replace("return shift(layer.weight)", "return kit.found.shift(layer.weight).abs()")
    assert inlined(child, LIBRARY) == first.replace("shift(layer.weight)", "shift(layer.weight).abs()")


def test_a_name_within_a_formatted_string_is_replaced():
    source = "from autoprune import kit\n\n\ndef score(layer):\n    return f'{kit.found.shift(1)}'\n"
    check(inlined(source, LIBRARY))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\n\n\ndef score(layer):\n    return layer.weight.found.descend\n",
        "def score(layer:\n",
        "from autoprune import kit\n\nsum = 1\n\n\ndef score(layer):\n    return kit.found.shift(layer)\n",
        "from torch import *\nfrom autoprune import kit\n\n\ndef score(layer):\n    return kit.found.shift(layer)\n",
        "from autoprune import kit\n\n\ndef score(layer):\n    return kit.found.unknown(kit.found.descend(layer))\n",
        "from autoprune.kit import found\n\n\ndef score(layer):\n    return getattr(found, 'descend')(layer.weight)\n",
        "def shift(w):\n    return w\n\n\ndef score(layer):\n    from autoprune.kit.found import shift\n\n"
        "    return shift(layer)\n",
        "from autoprune.kit import found; import torch\nX = '\\u3164'\n\n\ndef score(layer):\n"
        "    return found.shift(layer)\n",
        "from autoprune.kit.found import *\n\n\ndef score(layer):\n    return descend(layer.weight)\n",
        "from autoprune.kit.found import shift as a, shift as b\n\n\ndef score(layer):\n    return a(b(layer))\n",
    ],
)
def test_what_cannot_be_inlined_stays_and_is_refused_by_the_screen_if_it_names_the_library(source):
    assert inlined(source, LIBRARY) == source
    if "found" in source and "layer.weight.found" not in source:
        problems = [finding for finding in screen(source) if finding.severity == "error"]
        assert problems
        assert all(finding.reason == "forbidden" for finding in problems)
