import math

UNIT, KAPPA, TAU, DELTA = "block", 0.5, 1.0, 0.15


def allocate(units, sparsity):
    """SDSA: units whose |weights| are strongly skewed are pruned less. More skew never means less density.

    Standard scores of log(1 + skewness), cut at 3, go through a softmax; KAPPA is the share of the budget that it
    spreads, TAU its temperature, DELTA the largest deviation from the mean density.
    """
    density, weights = 1.0 - sparsity, sum(unit.size for unit in units)
    signal = [math.copysign(math.log1p(abs(unit.skewness)), unit.skewness) for unit in units]
    mean = sum(unit.size * value for unit, value in zip(units, signal, strict=True)) / weights
    spread = (
        math.sqrt(sum(unit.size * (value - mean) ** 2 for unit, value in zip(units, signal, strict=True)) / weights)
        + 1e-9
    )
    powers = [math.exp(min(max((value - mean) / spread, -3.0), 3.0) / TAU) for value in signal]
    middle = sum(unit.size * power for unit, power in zip(units, powers, strict=True)) / weights
    raw = [density * (1.0 - KAPPA + KAPPA * power / middle) for power in powers]

    def held(shift):
        return [min(max(value + shift, density - DELTA), density + DELTA) for value in raw]

    low, high = -1.0, 1.0
    for _ in range(60):
        shift = (low + high) / 2
        used = sum(unit.size * value for unit, value in zip(units, held(shift), strict=True))
        low, high = (shift, high) if used < density * weights else (low, shift)
    return held(low)
