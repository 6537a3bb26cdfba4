"""Functions of a source as text: their parts, renaming, and whether they depend only on their arguments.

Sources are parsed and never run. Texts are changed in place, so that comments and layout stay; a change is compared
with the same change of the tree, which is written out instead where they differ.
"""

import ast
import builtins
import symtable
from collections.abc import Iterator, Mapping

from autoprune.candidates.contract import EDITS, import_allowed
from autoprune.candidates.parameters import NAME as PARAMS
from autoprune.candidates.source_text import Edit, Text
from autoprune.syntax import NotPython, parse

ENTRY_POINTS = ("score", *EDITS, "allocate")
"""Functions of a candidate that trusted code calls."""
RESERVED = frozenset({*ENTRY_POINTS, "GROUP", "UNIT", "STRUCTURE", PARAMS})
"""Names with a meaning at the top level of a candidate."""
BUILTINS = frozenset(
    {"abs", "all", "any", "bool", "dict", "divmod", "enumerate", "filter", "float", "int", "isinstance", "len", "list"}
    | {"map", "max", "min", "pow", "range", "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple", "zip"}
    | {"ArithmeticError", "IndexError", "RuntimeError", "ValueError"}
)
"""Builtins that a pure function may use."""
_IMPORTS = (ast.Import, ast.ImportFrom)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_READING = ("get", "items", "keys", "values")
"""Methods of a dictionary that do not change it."""


class NotPure(ValueError):
    """A function that cannot be distilled, with the reason in one line."""


def bindings(tree: ast.Module) -> dict[str, ast.stmt]:
    """Name -> the statement at the top level that binds it; imports as statements of one name each."""
    bound: dict[str, ast.stmt] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound[name] = node
            case ast.Assign(targets=targets):
                bound |= {target.id: node for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                bound[name] = node
            case ast.Import(names=aliases):
                bound |= {each.asname or each.name.partition(".")[0]: ast.Import([each]) for each in aliases}
            case ast.ImportFrom(module=module, names=aliases, level=level):
                bound |= {each.asname or each.name: ast.ImportFrom(module, [each], level) for each in aliases}
    return bound


def functions_called(source: str, by: str) -> list[str]:
    """The functions at the top level that one of them calls, in the order of their definition."""
    bound = bindings(parse(source))
    used = _uses(source, bound[by]) if by in bound else set()
    return [name for name, node in bound.items() if name in used and isinstance(node, ast.FunctionDef) and name != by]


def distilled(source: str, name: str) -> str:
    """A function with all that it uses, as a source: imports, then constants and functions in their order.

    Raises NotPure if `pure_function` would.
    """
    tree, text = parse(source), Text(source)
    bound, needed, left = bindings(tree), set(), [name]
    while left:
        each = left.pop()
        if each in bound and each not in needed:
            needed.add(each)
            left += _uses(source, bound[each])
    parts = {id(bound[each]): bound[each] for each in bound if each in needed}.values()
    _check_unchanged(tree, needed, {id(node) for node in parts})
    imports = sorted(ast.unparse(node) for node in parts if _is_import(node))
    pieces = [text.of(node) for node in parts if not _is_import(node)]
    constants = [piece for piece in pieces if not piece.startswith(("def ", "@", "async ", "class "))]
    functions = [piece for piece in pieces if piece not in constants]
    groups = ["\n".join(imports), "\n".join(constants)]
    return "\n\n\n".join(["\n\n".join(filter(None, groups)), *functions]).strip() + "\n"


def _check_unchanged(tree: ast.Module, names: set[str], kept: set[int]) -> None:
    """Raises NotPure for a statement that is not taken over and binds or changes one of these names."""
    for node in tree.body:
        if id(node) in kept or isinstance(node, (*_IMPORTS, *_DEFINITIONS)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        plain = isinstance(node, ast.Assign | ast.AnnAssign) and all(isinstance(part, ast.Name) for part in targets)
        parts = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
        if changed := names & {part.id for part in parts if not (plain and isinstance(part.ctx, ast.Load))}:
            raise NotPure(f"line {node.lineno} changes {min(changed)}, or binds it a second time")


def renamed(source: str, names: Mapping[str, str]) -> str:
    """The source with other names of its own at the top level, which are bound nowhere else (`pure_function`)."""
    names = {old: new for old, new in names.items() if old != new}
    if not names:
        return source
    tree, text = parse(source), Text(source)
    edits = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            edits.append(Edit(text.start(node), text.end(node), names[node.id]))
            node.id = names[node.id]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names and node in tree.body:
            place = text.name(node)
            edits.append(Edit(place.start, place.end, names[node.name]))
            node.name = names[node.name]
    return text.edited(edits, tree)


def with_docstring(source: str, name: str, docstring: str) -> str:
    """The source with another docstring of one of its functions."""
    tree, text = parse(source), Text(source)
    function = bindings(tree)[name]
    if not isinstance(function, ast.FunctionDef):
        raise NotPure(f"{name} is not a function")
    first = function.body[0]
    escaped = docstring.replace("\\", "\\\\").replace('"', '\\"')
    node = ast.Expr(ast.Constant(docstring))
    if ast.get_docstring(function, clean=False) is not None:
        edit = Edit(text.start(first), text.end(first), f'"""{escaped}"""')
        function.body[0] = node
    else:
        edit = Edit(text.start(first), text.start(first), f'"""{escaped}"""\n{" " * first.col_offset}')
        function.body.insert(0, node)
    return text.edited([edit], tree)


def pure_function(source: str, name: str, reserved: frozenset[str] = RESERVED) -> ast.FunctionDef:
    """The function of a source that depends on its arguments alone.

    Allowed at the top level are imports, first; constants; functions without decorators. `reserved`: names that the
    source must not bind there. Raises NotPure.
    """
    try:
        tree = parse(source)
        table = symtable.symtable(source, "<function>", "exec")
    except (NotPython, SyntaxError) as problem:
        raise NotPure(str(problem)) from None
    bound = bindings(tree)
    for node in tree.body:
        _check_statement(node, bound)
    order = [_is_import(node) for node in tree.body]
    if order != sorted(order, reverse=True):
        raise NotPure("imports must come first")
    if named := reserved & bound.keys():
        raise NotPure(f"{min(named)} has a meaning of its own in a candidate")
    for function in table.get_children():
        _check_scopes(function, function.get_name(), bound)
    for symbol in table.get_symbols():
        if symbol.is_global() and symbol.get_name() not in {*bound, *BUILTINS}:
            raise NotPure(f"{symbol.get_name()} comes from nowhere")
    for inner in ast.walk(tree):
        _check_node(inner, bound)
    main = bound.get(name)
    if not isinstance(main, ast.FunctionDef):
        raise NotPure(f"there is no function {name}")
    return main


def _uses(source: str, statement: ast.stmt) -> set[str]:
    """Names that a statement at the top level reads from there."""
    if not isinstance(statement, ast.FunctionDef):
        return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    try:
        tables = symtable.symtable(source, "<function>", "exec").get_children()
    except SyntaxError as problem:  # what a parser accepts: two parameters of one name, say
        raise NotPure(str(problem)) from None
    own = next((each for each in reversed(tables) if each.get_name() == statement.name), None)
    if own is None or own.get_type() != "function":
        raise NotPure(f"{statement.name} has type parameters")
    outside = [*statement.decorator_list, statement.args, *filter(None, [statement.returns])]
    return _globals(own) | {node.id for each in outside for node in ast.walk(each) if isinstance(node, ast.Name)}


def _globals(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return names.union(*map(_globals, table.get_children()))


def _check_statement(node: ast.stmt, bound: Mapping[str, ast.stmt]) -> None:
    if _is_import(node):
        return
    if isinstance(node, ast.FunctionDef):
        if node.decorator_list:
            raise NotPure(f"{node.name} has a decorator")
        defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        if not all(_is_constant(default, bound) and not isinstance(default, ast.Dict) for default in defaults):
            raise NotPure(f"{node.name} has a default that is not a constant")
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        if not _is_constant(node.value, bound):
            raise NotPure(f"{node.targets[0].id} is not a constant")
    else:
        raise NotPure(f"line {node.lineno} is neither an import, a constant nor a function")


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, _IMPORTS)


def _is_constant(node: ast.expr, bound: Mapping[str, ast.stmt]) -> bool:
    """Whether a value is made of literals, other constants and names of modules, without lists and calls."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return isinstance(bound.get(name), ast.Assign)
        case ast.Attribute(value=ast.Name(id=name)):
            return isinstance(bound.get(name), ast.Import | ast.ImportFrom)
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant()], keywords=[]):
            return True
        case ast.UnaryOp(operand=operand):
            return _is_constant(operand, bound)
        case ast.BinOp(left=left, right=right):
            return _is_constant(left, bound) and _is_constant(right, bound)
        case ast.Tuple(elts=parts):
            return all(_is_constant(part, bound) for part in parts)
        case ast.Dict(keys=keys, values=values):
            return all(key is not None and _is_constant(key, bound) for key in [*keys, *values])
    return False


def _check_scopes(table: symtable.SymbolTable, function: str, bound: Mapping[str, ast.stmt]) -> None:
    """Names of other origin than arguments, local variables, the top level and BUILTINS; and names of two origins."""
    if table.get_type() == "class":
        raise NotPure(f"{function} defines a class")
    for symbol in table.get_symbols():
        name = symbol.get_name()
        if symbol.is_declared_global() or symbol.is_nonlocal():
            raise NotPure(f"{function} changes {name}, which is not its own")
        if not symbol.is_global():
            if name in bound:
                raise NotPure(f"{function} uses the name {name} for a variable, too")
        elif name not in bound and name not in BUILTINS:
            known = "is not a builtin of pure functions" if hasattr(builtins, name) else "comes from nowhere"
            raise NotPure(f"{function} uses {name}, which {known}")
    for inner in table.get_children():
        _check_scopes(inner, function, bound)


def _check_node(node: ast.AST, bound: Mapping[str, ast.stmt]) -> None:
    for imported in _imported(node):
        if not import_allowed(*imported):
            raise NotPure(f"it imports {imported[0]}")
    if isinstance(node, ast.Import) and any("." in each.name and not each.asname for each in node.names):
        raise NotPure(f"it imports {node.names[0].name} without `as`")
    match node:
        case ast.FunctionDef(body=body):
            if any(_is_import(each) for inner in body for each in ast.walk(inner) if isinstance(each, ast.stmt)):
                raise NotPure(f"{node.name} imports within its body")
        case ast.AsyncFunctionDef() | ast.Yield() | ast.YieldFrom() | ast.Await():
            raise NotPure("generators and coroutines are no pure functions")
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if name in bound:
            raise NotPure(f"it changes the constant {name}")
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if isinstance(bound.get(name), ast.Assign):
            if attr not in _READING:
                raise NotPure(f"it may change the constant {name} by {attr}")
        case ast.Attribute(attr=attr, ctx=ast.Store() | ast.Del()):
            raise NotPure(f"it assigns to the attribute {attr}")


def _imported(node: ast.AST) -> Iterator[tuple[str, list[str]]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, []) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]
