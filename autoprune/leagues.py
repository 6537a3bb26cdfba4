"""The leagues: what an algorithm may change. Results are compared within a league."""

from typing import Literal

League = Literal["mask", "update"]
"""Masks only, or also the values of the weights that are kept."""
MASK_ONLY: League = "mask"
WITH_UPDATE: League = "update"
SHOWN: dict[League, str] = {"mask": "mask only", "update": "with update"}
"""The leagues in words."""
