"""Recognises formulas that rank all weights alike without measuring them, by their ranks on three synthetic layers.

Formulas that rank the weights of each row (or matrix) of all three in the same order count as equal.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from autoprune.agents.symbolic.expression import arguments, codes
from autoprune.agents.symbolic.operators import ATTENTION, CODE, OPERATORS, OUTERMOST, TERMINALS, Array
from autoprune.pruning.published import Expression

ROWS, COLUMNS = 8, 24
SEED = 20
LARGEST = 1e30
"""Scores above this may overflow in float32 on a real layer."""


@dataclass(frozen=True)
class Probe:
    """A synthetic layer: its inputs by terminal, and its role."""

    inputs: dict[str, Array]
    role: str


@cache
def _probes() -> tuple[Probe, ...]:
    draw = np.random.default_rng(SEED)
    probes = []
    for role, depth in (("q", 0.1), ("gate", 0.5), ("down", 0.9)):
        inputs: dict[str, Array] = {}
        for name, terminal in TERMINALS.items():
            shape = {"matrix": (ROWS, COLUMNS), "row": (COLUMNS,)}.get(terminal.shape, ())
            inputs[name] = np.exp(draw.normal(size=shape))
        inputs["D"], inputs["S"] = np.array(depth), np.array(0.5 + 0.2 * depth)
        probes.append(Probe(inputs, role))
    return tuple(probes)


def fingerprint(expression: Expression, group: str) -> str | None:
    """Equal for formulas that rank alike and have as many rounds of exchanges; None if a score is not finite."""
    digest = hashlib.sha256(group.encode())
    if isinstance(expression, tuple) and expression[0] in OUTERMOST:
        digest.update(f"{expression[0]} {expression[2]:g}".encode())
    with np.errstate(all="ignore"):
        for probe in _probes():
            scores = np.broadcast_to(_value(expression, probe), (ROWS, COLUMNS))
            if not np.isfinite(scores).all() or np.abs(scores).max() > LARGEST:
                return None
            compared = scores if group == "row" else scores.reshape(1, -1)
            digest.update(np.argsort(compared, axis=1, kind="stable").astype(np.int16).tobytes())
    return digest.hexdigest()


def _value(expression: Expression, probe: Probe) -> Array:
    if isinstance(expression, str):
        return probe.inputs[expression]
    if not isinstance(expression, tuple):
        return np.array(expression)
    if expression[0] == CODE:
        return _of_code(codes(expression)[0], probe.role)
    name, values = expression[0], [_value(argument, probe) for argument in arguments(expression)]
    if name == "attention":
        return values[0] if probe.role in ATTENTION else values[1]
    if OPERATORS[name].guards:
        values[0] = np.abs(values[0])
    return OPERATORS[name].value(*values)


def _of_code(source: str, role: str) -> Array:
    """Pseudo-random numbers in place of a code leaf's score, seeded by the code."""
    seed = hashlib.sha256(f"{role}\0{source}".encode()).digest()
    return np.random.default_rng(list(seed)).normal(size=(ROWS, COLUMNS))
