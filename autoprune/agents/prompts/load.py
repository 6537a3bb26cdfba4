"""Reading the prompt files, and what they take from the candidate's contract."""

from functools import cache
from importlib.resources import files
from random import Random
from string import Template
from typing import Any

import yaml

from autoprune.pruning.contract import LAYER_FIELDS, UNIT_FIELDS


@cache
def _template(name: str) -> Template:
    return Template(files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8").strip())


def render(name: str, **values: object) -> str:
    """The prompt file `name`.md with its placeholders filled in; `$fields` is what a candidate may read.

    Raises KeyError naming a placeholder that got no value.
    """
    return _template(name).substitute({"fields": _fields()} | {key: str(value) for key, value in values.items()})


def operator_task(operator: str, random: Random) -> str:
    """What the proposer is asked for by an operator: one bounded change, around a randomly drawn ingredient.

    Left alone, a small model writes Wanda over and over; the ingredient is what makes it go elsewhere.
    """
    pieces = _operators()
    return Template(pieces["operators"][operator]).substitute(
        ingredient=random.choice(pieces["ingredients"]), unit_fields=", ".join(field.name for field in UNIT_FIELDS)
    )


@cache
def _operators() -> dict[str, Any]:
    pieces: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("operators.yaml").read_text(encoding="utf-8"))
    return pieces


@cache
def _fields() -> str:
    return "\n".join(f"- `layer.{field.name}`: {field.shape}, {field.meaning}" for field in LAYER_FIELDS)
