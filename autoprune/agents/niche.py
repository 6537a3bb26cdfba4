"""The niche of a candidate in a run's MAP-Elites map, by static analysis of its source, so equal on every machine.

- inputs: the fields of `layer` that the source accesses, except the weight; and whether it has its own allocation
- group: the value of GROUP
- cost: `heavy` for matrix products, decompositions, sorting or loops; otherwise `light` up to `LIGHT_OPERATIONS` tensor
  operations in the source, and `medium` above

The body of `allocate` does not count: it is called once, on units. A source that hides its operations (in `getattr`,
say) gets a wrong niche, which does no harm: niches only group candidates for comparison.
"""

import ast
import builtins
from collections.abc import Iterator
from functools import lru_cache

from autoprune.candidates.contract import DEFAULT_GROUP, GROUPS, expensive_fields_named
from autoprune.runs.quality import COSTS, Niche
from autoprune.syntax import NotPython, shared_tree

INPUTS = {
    "input_norm": "norm",
    "input_mean": "mean",
    "input_var": "variance",
    "hessian_diag": "diagonal",
    "gradient": "gradient",
    "hessian": "hessian",
    "output_sensitivity": "output sensitivity",
    "depth": "depth",
    "role": "role",
    "sparsity": "sparsity",
    "pattern": "pattern",
}
"""Field of the contract -> its label in the map, in the map's order."""
ALLOCATES = "own allocation"
LIGHT_OPERATIONS = 6
LIGHT, MEDIUM, HEAVY = COSTS
_PRODUCTS = {"matmul", "mm", "bmm", "mv", "addmm", "einsum", "tensordot", "kron", "cdist", "cov", "corrcoef"}
_DECOMPOSITIONS = {"inv", "pinv", "inverse", "cholesky", "cholesky_inverse", "svd", "eig", "eigh", "qr", "lu"}
_SOLVERS = {"solve", "solve_triangular", "lstsq", "cholesky_solve", "triangular_solve", "matrix_power", "matrix_exp"}
_SORTS = {"sort", "argsort", "msort", "topk", "kthvalue", "quantile", "nanquantile", "median", "unique"}
_HEAVY = _PRODUCTS | _DECOMPOSITIONS | _SOLVERS | _SORTS
_LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@lru_cache(maxsize=4096)
def niche_of(source: str) -> Niche:
    """The niche of a source; a source that is not Python has no inputs."""
    try:
        tree = shared_tree(source)
    except NotPython:
        return Niche((), LIGHT, DEFAULT_GROUP)
    allocates = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == "allocate"]
    rest = [node for part in tree.body if part not in allocates for node in ast.walk(part)]
    named = {node.attr for node in rest if isinstance(node, ast.Attribute)} | set(expensive_fields_named(source))
    inputs = [label for field, label in INPUTS.items() if field in named]
    return Niche(tuple(inputs + [ALLOCATES] * bool(allocates)), _cost(rest), _group(tree))


def _cost(nodes: list[ast.AST]) -> str:
    if any(map(_is_heavy, nodes)):
        return HEAVY
    return LIGHT if sum(1 for _ in _operations(nodes)) <= LIGHT_OPERATIONS else MEDIUM


def _operations(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """Calls, arithmetic and comparisons, except builtins and arithmetic on literal numbers."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name)) if hasattr(builtins, name):
                pass
            case ast.BinOp(left=left, right=right) if _is_number(left) and _is_number(right):
                pass
            case ast.Call() | ast.BinOp() | ast.Compare():
                yield node


def _is_heavy(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in _HEAVY
        case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
            return True
    return isinstance(node, _LOOPS)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and _is_number(node.operand))


def _group(tree: ast.Module) -> str:
    """The last valid literal that is assigned to GROUP at the top level."""
    group = DEFAULT_GROUP
    for part in tree.body:
        match part:
            case (
                ast.Assign(targets=[ast.Name(id="GROUP")], value=ast.Constant(value=str(value)))
                | ast.AnnAssign(target=ast.Name(id="GROUP"), value=ast.Constant(value=str(value)))
            ) if value in GROUPS:
                group = value
    return group
