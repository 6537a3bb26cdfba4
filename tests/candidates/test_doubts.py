"""What a source's text shows to be wrong or slow, and that the text of good candidates raises no doubt."""

import json
import re
import time
from importlib.resources import files

import pytest

from autoprune.agents.symbolic.expression import SEEDS
from autoprune.agents.symbolic.source import source as symbolic_source
from autoprune.candidates.doubts import doubts
from autoprune.llm.code_blocks import fenced_code


def shipped(package, ending):
    """The names of the files of a package with this ending."""
    return sorted(path.name for path in files(package).iterdir() if path.name.endswith(ending))


DISCOVERED = shipped("autoprune.candidates.discovered", ".py")
RECORDINGS = shipped("autoprune.recordings", ".jsonl")


def scoring(body, more=""):
    return f"import torch\nfrom autoprune import kit\n\n\ndef score(layer):\n    W = layer.weight.abs()\n{body}{more}"


LOOPS = {
    "both dimensions": """    rows, columns = W.shape
    for i in range(rows):
        for j in range(columns):
            W[i, j] = W[i, j].item() ** 2
    return W
""",
    "numel": "    for place in range(W.numel()):\n        W.view(-1)[place] += 1\n    return W\n",
    "flattened": "    return torch.tensor([abs(w) for w in layer.weight.flatten().tolist()]).view(W.shape)\n",
    "a product": "    n = W.shape[0] * W.shape[1]\n    return W * sum(1 for _ in range(n))\n",
    "nonzero": "    for i, j in (W > 1).nonzero().tolist():\n        W[i, j] = 1.0\n    return W\n",
    "a literal": "    for _ in range(10**6):\n        W = W * 1.0\n    return W\n",
    "a helper": "    for i in range(W.size(0)):\n        row(W)\n    return W\n",
    "a comprehension": """    rows, columns = W.shape
    return torch.tensor([[float(W[i, j]) for j in range(columns)] for i in range(rows)])
""",
}
HELPER = "\n\ndef row(W):\n    for j in range(W.shape[1] - 1, -1, -1):\n        W[0, j] += 1\n"


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
def test_a_loop_over_single_weights_is_doubted(body):
    (doubt,) = doubts(scoring(body, HELPER))
    assert re.match(r"line \d+: in Python about [\d,]+ steps for each matrix of 512 x 512, which takes seconds", doubt)


SHORT = {
    "columns": "    for j in range(W.shape[1]):\n        W[:, j] *= 2\n    return W\n",
    "rounds": "    for t in range(200):\n        W = W + W.amin(1, keepdim=True)\n    return W\n",
    "blocks": """    for i in range(0, W.shape[0], 64):
        for j in range(0, W.shape[1], 64):
            W[i : i + 64, j : j + 64] *= 2
    return W
""",
    "a part": """    n = min(32, W.shape[1])
    for i in range(W.shape[0]):
        for j in range(n):
            W[i, j] = 1
    return W
""",
    "an early end": """    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            if W[i, j] > 0:
                break
    return W
""",
}


@pytest.mark.parametrize("body", SHORT.values(), ids=SHORT)
def test_a_loop_over_rows_rounds_or_blocks_is_not(body):
    assert doubts(scoring(body)) == ()


def test_an_inverse_for_each_row_is_doubted_and_one_before_the_loop_is_not():
    each = "    for i in range(W.shape[0]):\n        W[i] /= torch.linalg.inv(layer.hessian).diagonal()\n    return W\n"
    (doubt,) = doubts(scoring(each))
    assert "line 8: inv is called about 512 times for each matrix; factor once before the loop" in doubt
    once = (
        "    V = torch.linalg.inv(layer.hessian)\n    for i in range(W.shape[0]):\n        W[i] /= V[i]\n    return W\n"
    )
    assert doubts(scoring(once)) == ()
    kit = each.replace("torch.linalg.inv(", "kit.inverse_hessian(")
    assert "inverse_hessian is called about 512 times" in doubts(scoring(kit))[0]


PLAIN = "    return W * layer.input_norm\n"
FAULTS = {
    "a name": (scoring("    return W * norms\n"), "line 7: nothing defines the name norms"),
    "a field": (
        scoring("    return helper(layer)\n", "\n\ndef helper(layer):\n    return layer.weights\n"),
        "line 11: layer has no attribute 'weights'; it has depth, gradient, hessian, ",
    ),
    "a unit's field": (
        scoring(PLAIN, "\n\ndef allocate(units, sparsity):\n    return [unit.index for unit in units]\n"),
        "line 11: a unit has no attribute 'index'; it has depth, input_norm, ",
    ),
    "a numbered unit's field": (
        scoring(PLAIN, "\n\ndef allocate(units, sparsity):\n    return [i + u.block for i, u in enumerate(units)]\n"),
        "line 11: a unit has no attribute 'block'",
    ),
    "an unread parameter": (
        'PARAMS = {"a": (0.1, 1.0), "b": (0.1, 0.5)}\n' + scoring('    return W ** PARAMS["a"]\n'),
        'PARAMS["b"] is never read, so that its trials are wasted',
    ),
    "a parameter without a range": (
        'PARAMS = {"a": (0.1, 1.0)}\n' + scoring('    return W ** PARAMS["a"] * PARAMS["c"]\n'),
        'line 8: PARAMS has no "c"',
    ),
    "units without an allocation": ('UNIT = "module"\n' + scoring(PLAIN), "line 1: UNIT is that of `allocate`"),
    "an update without the mask": (
        scoring(PLAIN, "\n\ndef update(layer, mask):\n    return layer.weight\n"),
        "line 10: update never reads its mask, although the result must be 0 where it is False",
    ),
    "a refinement without the mask": (
        scoring(PLAIN, "\n\ndef refine(layer, mask):\n    return layer.weight > 0\n"),
        "line 10: refine never reads its mask, although the result must keep as many weights as it does",
    ),
    "the whole matrix within rows": (
        scoring("    return kit.matrix_mask(W, 10).float()\n"),
        'line 7: kit.matrix_mask keeps more weights in some rows than in others, but GROUP is "row"',
    ),
}


@pytest.mark.parametrize(("source", "doubt"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_meant_is_doubted_with_its_line(source, doubt):
    (found,) = doubts(source)
    assert found.startswith(doubt)


def test_what_may_be_meant_is_not_doubted():
    assert doubts(FAULTS["the whole matrix within rows"][0].replace("\n\n\n", '\n\nGROUP = "matrix"\n\n\n')) == ()
    assert doubts('PARAMS = {"a": (0.1, 1.0)}\n' + scoring("    return W ** sum(PARAMS.values())\n")) == ()
    assert doubts(scoring("    return W * max(layer.depth, 0.1) + len(__name__)\n")) == ()
    assert doubts("from torch import *\n\n\ndef score(layer):\n    return sqrt(layer.weight.abs())\n") == ()


@pytest.mark.parametrize("source", ["def score(layer:\n", "x" * 70_000, "x = 1\n"])
def test_what_is_no_candidate_raises_no_doubt_here(source):
    assert doubts(source) == () or "nothing defines" in doubts(source)[0]


def test_of_structures_only_the_names_are_examined():
    source = 'STRUCTURE = "channel"\n\n\ndef score(structures):\n    return structures.consumer.weight.sum(PLACES)\n'
    assert doubts(source) == ("line 5: nothing defines the name PLACES",)


def test_a_hostile_source_takes_no_time():
    squares = "".join(f"    n{place + 1} = n{place} * n{place}\n" for place in range(60))
    (grown,) = doubts(scoring(f"    n0 = 10**9\n{squares}    return W * sum(1 for _ in range(n60))\n"))
    assert "about 1,000,000,000 steps" in grown
    calls = ""
    for depth in range(10):
        loops = "".join(f"    [f{depth + 1}(W) for _ in range({times})]\n" for times in range(2, 40))
        calls += f"\n\ndef f{depth}(W):\n{loops}    return {'-' * 80}f{depth + 1}(W)\n"
    started = time.process_time()
    doubts(scoring("    return f0(W)\n", calls))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("name", DISCOVERED)
def test_the_shipped_discoveries_raise_no_doubt(name):
    assert doubts(files("autoprune.candidates.discovered").joinpath(name).read_text()) == ()


@pytest.mark.parametrize("name", SEEDS)
def test_the_symbolic_engine_raises_no_doubt(name):
    for expression in (SEEDS[name][0], ("exchange", ("mul", "W", "X"), 2.0)):
        assert doubts(symbolic_source(expression, SEEDS[name][1])) == ()


def recorded(name):
    """The sources that a recording's proposer wrote, by slot, the revisions of each in order."""
    sources = {}
    for line in files("autoprune.recordings").joinpath(name).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        source = fenced_code(entry.get("reply", {}).get("text", "")) if ".propose." in entry.get("key", "") else None
        if source is not None and "def score" in source:
            sources.setdefault(entry["key"].partition(".propose.")[0], []).append(source)
    return sources


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_last_revisions_of_a_strong_model_raise_no_doubt(name):
    last = [sources[-1] for sources in recorded(name).values()]
    assert len(last) > 3
    assert {found for source in last if (found := doubts(source))} == set()


def test_a_name_that_a_strong_model_forgot_is_found_before_the_sandbox_finds_it():
    first, second = recorded("smollm2-135m-70-seed1.jsonl")["g9.c2"]
    assert doubts(first) == ("line 202: nothing defines the name _min",)
    assert doubts(second) == ()
