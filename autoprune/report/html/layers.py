"""The sparsity and error of each layer under each allocation, and the signals of its unit."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from autoprune.report.html.material import Material
from autoprune.report.html.safe import number
from autoprune.runs.measurement import Measurement

NUMBERS = 40_000
"""Maximum number of layer errors in a page; the worst candidates are omitted."""
OLD = "The skewness of units was not recorded by this older run."


def layers(material: Material) -> dict[str, Any]:
    """`rows` (roles) and `columns` (blocks) of the heat maps, and the places of the layers; `subjects`: measured
    baselines, then candidates, best first; `units`: their signals."""
    subjects = _subjects(material)
    names = [layer.name for layer in subjects[0][2].layers] if subjects else []
    if names:
        subjects = subjects[: max(1, NUMBERS // len(names))]
    blocks, roles = _places(names)
    allocations: dict[tuple[float | None, ...], int] = {}
    described = []
    for key, label, measured in subjects:
        by_name = {layer.name: layer for layer in measured.layers}
        ordered = [by_name.get(name) for name in names]
        sparsity = tuple(number(layer and layer.sparsity, 4) for layer in ordered)
        described.append(
            {
                "key": key,
                "label": label,
                "perplexity": number(measured.perplexity),
                "allocation": allocations.setdefault(sparsity, len(allocations)),
                "errors": [number(layer and layer.relative_error, 3) for layer in ordered],
            }
        )
    units, kind = _units(material, names)
    return {
        "names": names,
        "rows": list(dict.fromkeys(roles)),
        "columns": list(dict.fromkeys(blocks)),
        "roles": roles,
        "blocks": blocks,
        "subjects": described,
        "allocations": [list(allocation) for allocation in allocations],
        "kind": kind,
        "units": units,
        "unknown": "" if units else OLD,
    }


def _subjects(material: Material) -> list[tuple[str, str, Measurement]]:
    """Key (slot or name), label and measurement of all subjects with facts on layers."""
    slots = {placed.candidate: placed.slot for placed in material.placed}
    baselines, candidates = [], []
    for subject, measured in material.measured.items():
        if not measured.layers:
            continue
        if subject.startswith("baseline:"):
            name = subject.removeprefix("baseline:")
            baselines.append((name, name, measured))
        elif subject in slots:
            candidates.append((slots[subject], f"{slots[subject]} {subject[:8]}", measured))
    return [*_best_first(baselines), *_best_first(candidates)]


def _best_first(subjects: list[tuple[str, str, Measurement]]) -> list[tuple[str, str, Measurement]]:
    return sorted(subjects, key=lambda subject: subject[2].perplexity)


def _places(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The block and the role of each layer, from the parts before and after the first number in its name."""
    parts = [re.match(r"(?:.*?\.)??(\d+)\.(.+)", name) for name in names]
    blocks = [part[1] if part else "" for part in parts]
    rests = [part[2] if part else name for part, name in zip(parts, names, strict=True)]
    short = {rest: rest.rsplit(".", 1)[-1] for rest in rests}
    shared = Counter(short[rest] for rest in dict.fromkeys(rests))
    return blocks, [short[rest] if shared[short[rest]] == 1 else rest for rest in rests]


def _units(material: Material, names: list[str]) -> tuple[list[dict[str, Any]], str]:
    """The units with the places of their layers in `names`, if the run recorded them, and their kind."""
    place = {name: index for index, name in enumerate(names)}
    for event in material.events:
        if event.kind == "target":
            units = [
                {
                    "name": unit["name"],
                    **{key: number(unit.get(key)) for key in ("size", "skewness", "outlier_share", "input_norm")},
                    "layers": [place[name] for name in unit["layers"] if name in place],
                }
                for unit in event.data["units"]
            ]
            return units, event.data["unit"]
    return [], material.config.allocation.unit
