def spared(before, factors):
    """`before` with every density times a factor: one for each decoder block, on other models straight lines between
    them."""

    def allocate(units, sparsity):
        last = len(factors) - 1
        raw = []
        for unit, density in zip(units, before(units, sparsity), strict=True):
            place = unit.depth * last
            left = min(int(place), max(last - 1, 0))
            factor = factors[left] + (place - left) * (factors[min(left + 1, last)] - factors[left])
            raw.append(density * factor)
        return raw

    return allocate
