"""The course of the search: the measurements of candidates in order, and the best so far."""

from typing import Any

from autoprune.report.html.material import Material
from autoprune.report.html.safe import number


def curve(material: Material) -> dict[str, Any]:
    """`points`: perplexity, or estimate if stopped early, of each ended slot; `best`: the lowest perplexity after each;
    `baselines`: best first; `dense`."""
    points: list[dict[str, Any]] = []
    best: list[float | None] = []
    lowest: float | None = None
    for event in material.events:
        if event.kind != "ended":
            continue
        data = event.data
        perplexity = number(data.get("perplexity"))
        if perplexity is not None and (lowest is None or perplexity < lowest):
            lowest = perplexity
        best.append(lowest)
        estimate = number(data.get("estimated_perplexity"))
        points.append({"slot": data["slot"], "status": data["status"], "perplexity": perplexity, "estimate": estimate})
    baselines = sorted(material.picture.baselines.items(), key=lambda item: item[1])
    return {
        "points": points,
        "best": best,
        "baselines": [{"name": name, "perplexity": number(perplexity)} for name, perplexity in baselines],
        "dense": number(material.picture.dense),
    }
