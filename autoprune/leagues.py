"""The leagues: what an algorithm may change. Results are compared within a league."""

from typing import Literal, get_args

League = Literal["mask", "update", "structured", "compensated"]
"""Masks only, or also the values of the weights that are kept; whole structures are removed, or also compensated in
what is left of the layer that read them."""
LEAGUES: tuple[League, ...] = get_args(League)
MASK_ONLY: League = "mask"
WITH_UPDATE: League = "update"
STRUCTURED: League = "structured"
COMPENSATED: League = "compensated"
SHOWN: dict[League, str] = {
    "mask": "mask only",
    "update": "with update",
    "structured": "structured",
    "compensated": "structured, compensated",
}
"""The leagues in words."""
