"""Parsing untrusted YAML as data, with bounds on size, depth and expansion, and without duplicate keys."""

from collections.abc import Hashable, Sequence
from typing import Any

import yaml

LARGEST = 1 << 20
"""Maximum characters of a document."""
DEEPEST = 50
LARGEST_INTEGER = 1 << 64
MOST = 100_000
"""Maximum number of values after expanding aliases, which can multiply to billions."""
_LibYAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast as PyYAML's own parser; PyYAML's wheels have it."""
_Base: Any = object


def read_yaml(text: str) -> Any:
    """Parse a text to YAML's plain types.

    Raises yaml.YAMLError for invalid YAML, and ValueError for a document that exceeds the bounds.
    """
    if len(text) > LARGEST:
        raise ValueError(f"has {len(text):,} characters, more than {LARGEST:,}")
    try:
        return _read(text, _FastLoader)
    except (yaml.YAMLError, UnicodeError):
        return _read(text, _Loader)  # whose errors say more, with the exact place


def _read(text: str, loader: Any) -> Any:
    _check(text, loader)
    try:
        return yaml.load(text, loader)  # a SafeLoader
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:  # of constructors
        raise ValueError(f"holds a value that cannot be read: {error}") from None


def line_of(text: str, place: Sequence[str | int]) -> int | None:
    """The line, from 1, of the deepest part of `place` (keys and indices) that a YAML text has; None if it has none.

    The text must have been read by `read_yaml` before, which bounds it.
    """
    node, line = _composed(text), None
    for part in place:
        inner = None
        if isinstance(node, yaml.MappingNode):
            inner = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            inner = node.value[part], node.value[part]
        if inner is None:
            break
        line, node = inner[0].start_mark.line + 1, inner[1]
    return line


def _composed(text: str) -> Any:
    try:
        return yaml.compose(text, _FastLoader)
    except (yaml.YAMLError, UnicodeError):
        return yaml.compose(text, _Loader)


def _check(text: str, loader: Any) -> None:
    """Check depth and size on the stream of events, without recursion."""
    sizes: dict[str, int] = {}
    open_nodes: list[list[Any]] = []
    total = 0
    for event in yaml.parse(text, loader):
        size = 1
        match event:
            case yaml.CollectionStartEvent():
                open_nodes.append([event.anchor, 1])
                if len(open_nodes) > DEEPEST:
                    raise ValueError(f"is nested more than {DEEPEST} levels deep")
                continue
            case yaml.CollectionEndEvent():
                anchor, size = open_nodes.pop()
            case yaml.AliasEvent():
                if event.anchor in (node[0] for node in open_nodes):
                    raise ValueError(f"holds itself, by the alias *{event.anchor}")
                anchor, size = None, sizes.get(str(event.anchor), 1)
            case yaml.ScalarEvent():
                anchor = event.anchor
            case _:
                continue
        if anchor is not None:
            sizes[anchor] = size
        if open_nodes:
            open_nodes[-1][1] += size
        total = max(total, size, open_nodes[0][1] if open_nodes else 0)
        if total > MOST:
            raise ValueError(f"stands for more than {MOST:,} values")


class _Strict(_Base):
    """Makes a SafeLoader reject duplicate keys, of which YAML's own takes the last, and large integers."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value: int = super().construct_yaml_int(node)
        if abs(value) >= LARGEST_INTEGER:
            raise ValueError("an integer of more than 64 bits")
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            word = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if word in seen and word is not None and key.tag != "tag:yaml.org,2002:merge":
                problem = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(word)
        return super().construct_mapping(node, deep)


class _Loader(_Strict, yaml.SafeLoader):
    """By PyYAML's own parser."""


class _FastLoader(_Strict, _LibYAML):
    """By LibYAML's."""


for _each in (_Loader, _FastLoader):
    _each.add_constructor("tag:yaml.org,2002:int", _Strict.construct_yaml_int)
