"""The leagues: what an algorithm may change. Results are compared within a league."""

from typing import Literal, get_args

League = Literal["mask", "update"]
"""Masks only, or also the values of the weights that are kept."""
LEAGUES: tuple[League, ...] = get_args(League)
MASK_ONLY: League = "mask"
WITH_UPDATE: League = "update"
SHOWN: dict[League, str] = {"mask": "mask only", "update": "with update"}
"""The leagues in words."""
