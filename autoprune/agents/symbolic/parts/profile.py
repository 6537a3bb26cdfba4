UNIT, KNOTS, ROLES = "module", [0.1, -0.1], {"v": 0.1}


def allocate(units, sparsity):
    """The mean density times 1 + a change: straight lines between KNOTS over depth, and something for a role."""
    density, last = 1.0 - sparsity, len(KNOTS) - 1
    raw = []
    for unit in units:
        place = unit.depth * last
        left = min(int(place), last - 1)
        change = KNOTS[left] + (place - left) * (KNOTS[left + 1] - KNOTS[left])
        raw.append(density * (1.0 + change + ROLES.get(unit.role, 0.0)))
    return raw
