"""Settings as a YAML file for people: every key under its description."""

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from autoprune.config import Config
from autoprune.config_sections import Settings

WIDTH = 100


def commented_yaml(config: Config) -> str:
    """All settings as `load_config` reads them, each under its description and its choices."""
    return "\n".join([*lines_of(config, ""), ""])


def lines_of(settings: Settings, indent: str) -> Iterator[str]:
    """The settings of a group as YAML, each under its description."""
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if field.description is None:  # a group
            yield ""
            yield from _comment(inspect.cleandoc(type(value).__doc__ or ""), indent)
            yield f"{indent}{name}:"
            yield from lines_of(value, f"{indent}  ")
        else:
            yield from _comment(_described(field), indent)
            text = yaml.dump({name: values[name]}, Dumper=Dumper, sort_keys=False, width=WIDTH)
            yield from (f"{indent}{line}" for line in text.splitlines())


def _described(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return f"{field.description} ({', '.join(choices)})" if choices else str(field.description)


def _comment(text: str, indent: str) -> Iterator[str]:
    lines = textwrap.wrap(" ".join(text.split()), WIDTH - len(indent), break_on_hyphens=False)
    return (f"{indent}# {line}" for line in lines)


class Dumper(yaml.SafeDumper):
    """YAML in which a list of words or numbers stands on one line."""


def _list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    nested = any(isinstance(each, dict) for each in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=not nested)


Dumper.add_representer(list, _list)
