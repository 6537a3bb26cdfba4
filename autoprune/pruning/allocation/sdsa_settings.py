"""SDSA's parameters and variants as allocations: static, staged and online."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

from autoprune.pruning.allocation.dynamic import staged_zeros
from autoprune.pruning.allocation.sdsa import SDSA
from autoprune.pruning.allocation.spec import AllocationSpec, Made, Parameters, Setting

# (kappa, tau, delta) of the tuning grid, from nearly uniform to strongly non-uniform.
STRENGTHS = ((0.1, 1.0, 0.15), (0.25, 1.0, 0.15), (0.5, 1.0, 0.15), (0.5, 0.5, 0.15), (1.0, 1.0, 0.3))
STRENGTHS_STAGED = ((0.1, 1.0, 0.15), (0.25, 1.0, 0.15), (0.5, 1.0, 0.15))
STAGED = "staged"


def parameters(constants: SDSA, signal: str = "skewness", mode: str = "static") -> Parameters:
    """The parameters of a setting. `signal`: one of `signals.SIGNALS`; `mode`: static or staged."""
    skew = "compressed" if constants.compress else "raw"
    numbers: Parameters = {"kappa": constants.kappa, "tau": constants.tau, "delta": constants.delta}
    return {"signal": signal, "skew": skew, **numbers, "mode": mode}


def _densities(constants: SDSA, signal: str, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
    return constants.densities([unit[signal] for unit in units], [unit["size"] for unit in units], sparsity)


def _make(values: Parameters) -> Made:
    values = parameters(SDSA()) | values
    kappa, tau, delta = (float(values[name]) for name in ("kappa", "tau", "delta"))
    constants, signal = SDSA(kappa, tau, delta, compress=values["skew"] == "compressed"), str(values["signal"])
    if values["mode"] == STAGED:
        return Made(zeros=partial(staged_zeros, constants))
    return Made(partial(_densities, constants, signal), (signal,))


def _grid(default: Setting, units: Sequence[Mapping[str, Any]], sparsity: float) -> Iterator[Setting]:
    def setting(unit: str, signal: str, strength: tuple[float, float, float], mode: str) -> Setting:
        constants = SDSA(*strength, compress=default.parameters["skew"] == "compressed")
        return Setting("sdsa", unit, parameters(constants, signal, mode))

    for choice in product(("block", "module"), ("skewness", "score_skewness"), STRENGTHS):
        yield setting(*choice, "static")
    for strength in STRENGTHS_STAGED:
        yield setting("block", "skewness", strength, STAGED)


SPECS = (
    AllocationSpec("sdsa", _make, grid=_grid, default=lambda units, sparsity: parameters(SDSA())),
    AllocationSpec("sdsa-paper", lambda values: _make({"skew": "raw"}), variant_of="sdsa"),
    AllocationSpec("sdsa-staged", lambda values: _make({"mode": STAGED}), "scores"),
    AllocationSpec("sdsa-online", lambda values: Made(online=SDSA()), "walk"),
)
