"""Allocations of the symbolic engine: SDSA with its own constants, a profile over depth and roles, or code.

An allocation is a plain mapping, stored with the thought: {"family": "sdsa", "unit", "kappa", "tau", "delta"}
(`parts/sdsa.py`), {"family": "profile", "unit", "knots": [...], "roles": {...}} (`parts/profile.py`), or
{"family": "code", "source": ...}, which another proposer wrote or trials have polished.
"""

from importlib.resources import files
from random import Random
from typing import Any

Allocation = dict[str, Any]

KNOTS = 6
STEEPEST = 0.5
ROLES = ("q", "k", "v", "o", "gate", "up", "down")
KAPPAS, TAUS, DELTAS = (0.25, 0.5, 0.75, 1.0), (0.5, 1.0, 2.0), (0.1, 0.15, 0.25)
_UNITS = ("block", "module")
CODE = "code"


def draw(random: Random) -> Allocation:
    """A new allocation: SDSA with random constants, or a profile that is linear or quadratic in depth."""
    if random.random() < 0.3:
        return {
            "family": "sdsa",
            "unit": random.choice(_UNITS),
            "kappa": random.choice(KAPPAS),
            "tau": random.choice(TAUS),
            "delta": random.choice(DELTAS),
        }
    slope, bend = random.uniform(0.0, STEEPEST), random.uniform(-0.2, 0.2)
    places = [knot / (KNOTS - 1) for knot in range(KNOTS)]
    knots = [round(slope * (0.5 - place) + bend * (4 * (place - 0.5) ** 2 - 1 / 3), 3) for place in places]
    roles = {role: round(random.gauss(0.0, 0.1), 3) for role in random.sample(ROLES, 2)}
    return {"family": "profile", "unit": "module", "knots": knots, "roles": roles}


def mutate(parent: Allocation | None, random: Random) -> Allocation:
    """The parent with one constant changed; a new allocation without a parent, or in place of code."""
    if parent is None or random.random() < 0.15 or parent["family"] == CODE:
        return draw(random)
    changed: Allocation = {**parent}
    if parent["family"] == "sdsa":
        key = random.choice(("unit", "kappa", "tau", "delta"))
        choices = {"unit": _UNITS, "kappa": KAPPAS, "tau": TAUS, "delta": DELTAS}[key]
        changed[key] = random.choice([choice for choice in choices if choice != parent[key]])
        return changed
    knots, roles = list(parent["knots"]), dict(parent["roles"])
    if random.random() < 0.5:
        index = random.randrange(len(knots))
        knots[index] = round(knots[index] + random.gauss(0.0, 0.12), 3)
    else:
        role = random.choice(ROLES)
        roles[role] = round(roles.get(role, 0.0) + random.gauss(0.0, 0.12), 3)
    return {**changed, "knots": knots, "roles": roles}


def as_code(source: str) -> Allocation:
    """The allocation of another proposer, as its source."""
    return {"family": CODE, "source": source}


def words(allocation: Allocation | None) -> str:
    """A description on one line; empty for None."""
    if allocation is None:
        return ""
    if allocation["family"] == CODE:
        return "with an allocation as code"
    if allocation["family"] == "sdsa":
        return "SDSA over each {unit} (kappa {kappa:g}, tau {tau:g}, delta {delta:g})".format(**allocation)
    knots = ", ".join(f"{knot:+g}" for knot in allocation["knots"])
    roles = "".join(f", {role} {change:+g}" for role, change in sorted(allocation["roles"].items()))
    return f"density over depth {knots}{roles}"


def source(allocation: Allocation) -> str:
    """Source code that defines the constants, UNIT and `allocate`."""
    text = files("autoprune.agents.symbolic").joinpath(f"parts/{allocation['family']}.py").read_text(encoding="utf-8")
    constants = {key.upper(): value for key, value in allocation.items() if key != "family"}
    head = "".join(f"{name} = {_literal(value)}\n" for name, value in constants.items())
    return f"{head}\n\n{text[text.index('def allocate') :]}"


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).replace("'", '"')
