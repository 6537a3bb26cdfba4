"""Self-contained sources: the functions of `autoprune.kit` that a candidate uses are inlined, so it needs only torch.

The package's own sources are read as text and not imported. For each function used, directly or not, the
definition is copied under a unique name, without annotations and with one-line docstrings; dataclasses become
plain classes, and code that imports anything but torch and math has a replacement in `portable.py`.
"""

import ast
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from autoprune.candidates.contract import ALLOWED_IMPORTS, KIT
from autoprune.candidates.functions import bindings
from autoprune.candidates.inlining import Block, takes_blocks, with_blocks, without_unused
from autoprune.candidates.uses import uses_of
from autoprune.errors import AutoPruneError
from autoprune.syntax import NotPython, imported_modules, parse

PACKAGE = Path(__file__).parents[2]
TITLE = "# Functions of published algorithms, from autoprune.kit."
PORTABLE = "autoprune.candidates.portable"
STAND_INS = {
    ("autoprune.pruning.masks", "_select_numpy"): "select_highest",
    ("autoprune.pruning.masks", "_rank_in_pairs"): "rank_in_pairs",
    ("autoprune.pruning.masks", "parse_pattern"): "parse_pattern",
    ("autoprune.pruning.swaps", "_least"): "least_of_classes",
    (KIT, "_described"): "as_mappings",
    ("itertools", "pairwise"): "pairwise",
}
"""(Module, name) -> the function of `portable.py` that takes its place."""
BUILTIN = {("autoprune.errors", "UsageError"): "ValueError", ("autoprune.errors", "AutoPruneError"): "RuntimeError"}

Place = tuple[str, str]
"""A module, and a name at its top level."""


def self_contained(source: str) -> str:
    """The source with the functions of the kit that it uses, without an import of the package.

    Unchanged if it uses none. Raises AutoPruneError for a source that uses the kit otherwise than by its functions.
    """
    try:
        tree = parse(source)
    except NotPython as problem:
        raise AutoPruneError(f"the candidate's source cannot be used as Python: {problem}") from None
    uses, published = uses_of(tree, KIT), bindings(_module(KIT))
    names = [name for name in uses.names if isinstance(published.get(name), ast.FunctionDef)]
    if names == uses.names and takes_blocks(tree, uses):
        blocks = [Block(Bundle().of(names), tuple(names), TITLE)] if names else []
        source = without_unused(with_blocks(source, blocks, KIT))
    if "autoprune" in imported_modules(source):
        raise AutoPruneError("the candidate uses autoprune.kit in a way that cannot be inlined; export it without")
    return source


@dataclass
class Bundle:
    """Definitions that were taken over from the package, and their names."""

    names: dict[Place, str] = field(default_factory=dict)
    definitions: dict[Place, list[ast.stmt]] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)

    def of(self, names: list[str]) -> str:
        """A source with these functions of the kit and all that they use."""
        self.names |= {(KIT, name): name for name in names}
        for name in names:
            self.add((KIT, name))
        imports = "\n".join(f"import {module}" for module in sorted(self.imports))
        parts = [ast.unparse(ast.fix_missing_locations(ast.Module(body, []))) for body in self.definitions.values()]
        return "\n\n\n".join([imports, *parts]) + "\n"

    def add(self, place: Place) -> str:
        """The name under which a definition is, or will be, in the bundle. What it uses comes first."""
        if place in STAND_INS:
            place = (PORTABLE, STAND_INS[place])
        module, name = place
        if place not in self.names:
            last = module.rpartition(".")[2]
            taken = set(self.names.values())
            self.names[place] = name if name not in taken else f"{last}_{name.lstrip('_')}"
        if place not in self.definitions:
            self.definitions[place] = []
            changed = _Portable(self, module).visit(deepcopy(bindings(_module(module))[name]))
            del self.definitions[place]
            self.definitions[place] = [changed]
        return self.names[place]


class _Portable(ast.NodeTransformer):
    """Rewrites one definition of a module for a bundle, and adds what it uses."""

    def __init__(self, bundle: Bundle, module: str) -> None:
        self._bundle = bundle
        self._module = module
        self._bound = bindings(_module(module))
        self._local: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer = self._local
        self._local = outer | _locals(node)
        node.returns, node.decorator_list = None, []
        node.body = _with_short_docstring(node)
        if not outer:
            node.name = self._bundle.names[self._module, node.name]
        self.generic_visit(node)
        self._local = outer
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        fields = [(each.target, each.value) for each in node.body if isinstance(each, ast.AnnAssign)]
        name = self._bundle.names[self._module, node.name]
        self._local = {"self"}
        own = [self.visit(each) for each in methods if each.name != "__post_init__"]
        checks = [statement for each in methods if each.name == "__post_init__" for statement in self.visit(each).body]
        if fields:
            values = [self.visit(value) for _, value in fields if value is not None]
            own.insert(0, _constructor([ast.unparse(target) for target, _ in fields], values, checks))
        return ast.ClassDef(name, [], [], own, [])

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if not self._local:
            node.targets = [ast.Name(self._bundle.names[self._module, ast.unparse(node.targets[0])], ast.Store())]
            node.value = self.visit(node.value)
            return node
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return self.visit_Assign(ast.Assign([node.target], node.value)) if node.value else None

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id not in self._local:
            place = self._imported(node.value.id)
            if place is not None and _is_module(".".join(place)):
                return self._added((".".join(place), node.attr))
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._local or node.id not in self._bound:
            return node
        place = self._imported(node.id)
        if place is None:
            return self._added((self._module, node.id))
        module, name = place
        if not module and name in ALLOWED_IMPORTS:
            self._bundle.imports.add(name)
            return node
        if place in BUILTIN:
            return ast.Name(BUILTIN[place], node.ctx)
        if place in STAND_INS or _is_module(module):
            return self._added(place)
        raise AutoPruneError(f"{self._module} uses {module}.{name}, which a self-contained source cannot")

    def _added(self, place: Place) -> ast.Name:
        name = self._bundle.add(place)
        if name in self._local:
            raise AutoPruneError(f"{self._module} has a variable named {name}, as a function that it would use")
        return ast.Name(name, ast.Load())

    def _imported(self, name: str) -> Place | None:
        """Where an imported name comes from; None for one that the module defines."""
        match self._bound.get(name):
            case ast.Import(names=[alias]):
                return "", alias.name
            case ast.ImportFrom(module=str(module), names=[alias]):
                return module, alias.name
        return None


def _constructor(names: list[str], defaults: list[ast.expr], checks: list[ast.stmt]) -> ast.stmt:
    """`__init__` of a dataclass, whose fields become its arguments."""
    arguments = ast.arguments([], [ast.arg("self"), *map(ast.arg, names)], None, [], [], None, defaults)
    body = [statement for name in names for statement in ast.parse(f"self.{name} = {name}").body]
    return ast.FunctionDef("__init__", arguments, [*body, *checks], [])


def _locals(function: ast.FunctionDef) -> set[str]:
    """Names that a function binds, or one within it."""
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    return names | {node.name for node in ast.walk(function) if isinstance(node, ast.FunctionDef) and node != function}


def _with_short_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    """The body with the first paragraph of its docstring, on one line."""
    docstring = ast.get_docstring(function)
    if docstring is None:
        return function.body
    short: ast.stmt = ast.Expr(ast.Constant(" ".join(docstring.split("\n\n")[0].split())))
    return [short, *function.body[1:]]


@cache
def _module(name: str) -> ast.Module:
    return ast.parse(_file(name).read_text(encoding="utf-8"))


def _is_module(name: str) -> bool:
    return name.startswith("autoprune.") and _file(name).is_file()


def _file(name: str) -> Path:
    return PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
