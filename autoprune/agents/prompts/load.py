"""Loading prompt files and filling in the candidate's contract.

There are two profiles: `strong/` for models that can design a whole algorithm, and `small/`, with more guidance, for
the built-in local model. What both share is beside them.
"""

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from random import Random
from string import Template
from typing import Any

import yaml

from autoprune.candidates import contract
from autoprune.candidates.contract import Field
from autoprune.candidates.library import FoundFunction
from autoprune.candidates.parameters import MOST
from autoprune.leagues import MASK_ONLY, WITH_UPDATE, League

KIT_INTRODUCTION = (
    "`from autoprune import kit` has the functions of published algorithms. Masks are bool, True = keep; a function "
    "that improves a mask keeps as many weights per row, or per M neighbours with `pattern=layer.pattern`; allocations "
    "take the units of `allocate` and return densities on the budget:"
)

FOUND_INTRODUCTION = (
    "\n`kit.found` has functions that searches like this one found. A call is replaced by their source, which then "
    "counts as part of your candidate:"
)


@cache
def _template(name: str) -> Template:
    return Template(_read(f"{name}.md"))


def render(name: str, **values: object) -> str:
    """The prompt file `name`.md, filled in. Raises KeyError for a placeholder in neither `values` nor the contract."""
    return _template(name).substitute(_contract() | {key: str(value) for key, value in values.items()})


def operator_task(operator: str, random: Random) -> str:
    """An operator's task for a small model: one bounded change, with a randomly drawn ingredient.

    Without the ingredient, small models propose Wanda again and again.
    """
    pieces = _operators("small/operators")
    return Template(pieces["operators"][operator]).substitute(
        ingredient=random.choice(pieces["ingredients"]),
        unit_names=", ".join(field.name for field in contract.UNIT_FIELDS),
    )


def strong_task(operator: str, of: str = "strong/operators") -> str:
    """An operator's task for a strong model, which decides itself what to change. `of`: the file of tasks."""
    return str(_operators(of)["operators"][operator])


def league_parts(league: League) -> dict[str, str]:
    """Placeholders of a strong model's prompts that depend on the league: `edits`, the optional functions that change
    masks and weights; `kept`, what happens to the weights that are kept."""
    texts = [text for name, text in contract.EDITS_DESCRIBED.items() if name != "update" or league == WITH_UPDATE]
    kept = {
        MASK_ONLY: "the weights that are kept stay as they are.",
        WITH_UPDATE: "the weights that are kept may be updated, to make up for those that are pruned. The final "
        "confirmation compares an algorithm with baselines of its league (with or without update); there, an algorithm "
        "with an update has statistics that are collected behind the blocks already pruned, not the dense model's.",
    }
    return {"edits": "\n".join(f"- {text}" for text in texts), "kept": kept[league]}


@cache
def _operators(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(_read(f"{name}.yaml")))


def _read(path: str) -> str:
    return files(__package__).joinpath(path).read_text(encoding="utf-8").strip()


@cache
def _contract() -> dict[str, str]:
    return {
        "fields": listed_fields(contract.LAYER_FIELDS, "layer."),
        "expensive_fields": listed_fields(contract.EXPENSIVE_FIELDS, "layer."),
        "unit_fields": listed_fields(contract.UNIT_FIELDS, "unit."),
        "imports": contract.imports_in_words(),
        "groups": " | ".join(f'"{group}"' for group in contract.GROUPS),
        "default_group": contract.DEFAULT_GROUP,
        "most_parameters": str(MOST),
        "units": " | ".join(f'"{unit}"' for unit in contract.UNITS),
    }


def kit_section(found: Mapping[str, FoundFunction] | None = None) -> str:
    """The functions of `autoprune.kit` for a prompt: signatures, and the first sentence of each docstring."""
    from autoprune import kit  # imports torch

    lines = []
    for name in kit.__all__:
        function = getattr(kit, name)
        signature = inspect.signature(function)
        parameters = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        plain = signature.replace(parameters=parameters, return_annotation=signature.empty)
        summary = " ".join(inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].split())
        lines.append(f"- `kit.{name}{plain}`: {summary}")
    if found:
        lines += [FOUND_INTRODUCTION, *map(_found_line, found.values())]
    return "\n".join((KIT_INTRODUCTION, *lines))


def _found_line(each: FoundFunction) -> str:
    return f"- `kit.found.{each.name}{each.signature}`: {each.summary} Found by {each.found_by}."


def listed_fields(fields: Iterable[Field], of: str) -> str:
    """One line for each field of a contract."""
    return "\n".join(f"- `{of}{field.name}`: {field.shape}, {field.meaning}" for field in fields)
