"""One setting explained, and all of them as a table."""

import inspect
import math
import textwrap
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from autoprune.config import Config, setting_keys
from autoprune.config_errors import meant_key
from autoprune.config_sections import HUGE, Settings
from autoprune.config_text import WIDTH, Dumper, lines_of
from autoprune.config_values import Database
from autoprune.errors import UsageError


def explained(config: Config, key: str, options: Mapping[str, str]) -> str:
    """A few lines on one setting: its description, its value, default and type, and the option that sets it.

    For a group or a part of one: its settings under their descriptions, as YAML. `options`: setting -> option. Raises
    UsageError for an unknown key.
    """
    field = fields().get(key)
    if field is None:
        return _explained_group(config, key)
    lines = [
        key,
        *textwrap.wrap(str(field.description), WIDTH, initial_indent="  ", subsequent_indent="  "),
        f"  value:   {_yaml(_plain(config, key))}",
        f"  default: {_yaml(_plain(Config(), key))}",
        f"  type:    {described_type(field)}",
    ]
    lines += [f"  option:  {options[key]}"] if key in options else []
    return "\n".join([*lines, ""])


def described(config: Config, key: str) -> dict[str, Any]:
    """The same as data: description, value, default and type. Raises UsageError for an unknown key, and for a group."""
    field = fields().get(key)
    if field is None:
        raise UsageError(f"{key!r} is no single setting; `autoprune config` lists them{meant_key(key, setting_keys())}")
    facts = {"description": field.description, "type": described_type(field)}
    return {**facts, "value": _plain(config, key), "default": _plain(Config(), key)}


def fields() -> dict[str, FieldInfo]:
    """All settings that have a description, by dotted keys, in their order."""
    return dict(_fields(Config, ""))


def settings_table() -> str:
    """All settings as a Markdown table, which the documentation has (`autoprune config --markdown`)."""
    rows = []
    for key, field in fields().items():
        default = _yaml(_plain(Config(), key))
        cells = (f"`{key}`", f"`{default}`", described_type(field), str(field.description))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(["| setting | default | type | what it is |", "| --- | --- | --- | --- |", *rows, ""])


def described_type(field: FieldInfo) -> str:
    """The type of a setting in words: its choices, or a kind of value with its bounds."""
    return " or ".join(dict.fromkeys(_kinds(field.annotation, [*field.metadata])))


def _kinds(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(arguments[0], [*arguments[1:], *metadata])
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from _kinds(argument, metadata)
    elif origin is Literal:
        yield ", ".join(map(str, arguments))
    elif annotation is NoneType:
        yield "null"
    elif origin is list:
        of_words = get_origin(arguments[0]) is Literal
        yield f"a list of {'words' if of_words else _plural(' or '.join(_kinds(arguments[0], [])))}"
    elif annotation in _WORDS:
        yield _WORDS[annotation] + _bounds(metadata)
    else:
        yield _WORDS[dict]


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    dict: "a mapping",
    Database: "a PostgreSQL URL",
}
_SIGNS = (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))


def _plural(kind: str) -> str:
    return {"text": "words", "a number": "numbers"}.get(kind, f"({kind})")


def _bounds(metadata: list[Any]) -> str:
    """The bounds that a field's metadata state, without those of all counts."""
    stated = [part for item in metadata for part in getattr(item, "metadata", None) or [item]]
    found = {sign: value for part in stated for sign, _ in _SIGNS if (value := getattr(part, sign, None)) is not None}
    words = [f"{word} {found[sign]:g}" for sign, word in _SIGNS if sign in found and found[sign] != HUGE]
    return f" {' and '.join(words)}" if words else ""


def _fields(kind: type[Settings], path: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in kind.model_fields.items():
        if field.description is not None:
            yield f"{path}{name}", field
        else:
            yield from _fields(type(field.default), f"{path}{name}.")


def _explained_group(config: Config, key: str) -> str:
    group: Any = config
    for part in key.split("."):
        group = getattr(group, part, None) if isinstance(group, Settings) else None
    if not isinstance(group, Settings):
        raise UsageError(f"unknown setting {key!r}; `autoprune config` lists them{meant_key(key, setting_keys())}")
    about = " ".join(inspect.cleandoc(type(group).__doc__ or "").split())
    return "\n".join([f"# {key}: {about}", *lines_of(group, ""), ""])


def _plain(config: Config, key: str) -> Any:
    """The value of a setting as plain data; of a mapping, all of it."""
    value: Any = config.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]
    return value


def _yaml(value: Any) -> str:
    text = yaml.dump(value, Dumper=Dumper, default_flow_style=True, width=math.inf, sort_keys=False)
    return text.removesuffix("...\n").strip()
