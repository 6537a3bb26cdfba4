"""Reading the prompt files, and what they take from the candidate's contract.

There are two profiles of one family: `strong/` for a model that can design a whole algorithm, `small/` for the built-in
local one, which is led by the hand. What both share lies beside them.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from random import Random
from string import Template
from typing import Any

import yaml

from autoprune.candidates import contract
from autoprune.candidates.contract import Field
from autoprune.config_values import Profile


@cache
def _template(name: str) -> Template:
    return Template(_read(f"{name}.md"))


def render(name: str, **values: object) -> str:
    """The prompt file `name`.md with its placeholders filled in; those of the contract are known.

    Raises KeyError naming a placeholder that got no value.
    """
    return _template(name).substitute(_contract() | {key: str(value) for key, value in values.items()})


def operator_task(operator: str, random: Random) -> str:
    """What a small model is asked for by an operator: one bounded change, around a randomly drawn ingredient.

    Left alone, it writes Wanda over and over; the ingredient is what makes it go elsewhere.
    """
    pieces = _operators("small")
    return Template(pieces["operators"][operator]).substitute(
        ingredient=random.choice(pieces["ingredients"]),
        unit_names=", ".join(each.name for each in contract.UNIT_FIELDS),
    )


def strong_task(operator: str) -> str:
    """What a strong model is asked for by an operator; what to change, it decides."""
    text: str = _operators("strong")["operators"][operator]
    return text


@cache
def _operators(profile: Profile) -> dict[str, Any]:
    pieces: dict[str, Any] = yaml.safe_load(_read(f"{profile}/operators.yaml"))
    return pieces


def _read(path: str) -> str:
    return files(__package__).joinpath(path).read_text(encoding="utf-8").strip()


@cache
def _contract() -> dict[str, str]:
    return {
        "fields": _listed(contract.LAYER_FIELDS, "layer."),
        "expensive_fields": _listed(contract.EXPENSIVE_FIELDS, "layer."),
        "unit_fields": _listed(contract.UNIT_FIELDS, "unit."),
        "imports": " and ".join(contract.ALLOWED_IMPORTS),
        "groups": " | ".join(f'"{group}"' for group in contract.GROUPS),
        "default_group": contract.DEFAULT_GROUP,
        "units": " | ".join(f'"{unit}"' for unit in contract.UNITS),
    }


def _listed(fields: Iterable[Field], of: str) -> str:
    return "\n".join(f"- `{of}{field.name}`: {field.shape}, {field.meaning}" for field in fields)
