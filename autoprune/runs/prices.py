"""Prices of tokens, from a dated price file. An unknown price is None, never 0."""

import datetime
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


@dataclass(frozen=True)
class PriceList:
    """US dollars per million tokens, (read, written) by model, with the date and source of the prices."""

    as_of: datetime.date
    source: str
    models: dict[str, tuple[float, float]]

    def cost(self, model: str, tokens_in: int, tokens_out: int) -> float | None:
        """US dollars for one call; None = unknown. Dated snapshots (gpt-4o-2024-08-06) have their model's price."""
        price = self.models.get(model) or self.models.get(_SNAPSHOT.sub("", model))
        if price is None:
            return None
        return (tokens_in * price[0] + tokens_out * price[1]) / 1e6


@cache
def prices() -> PriceList:
    """The price file that comes with the package."""
    tree = yaml.safe_load(files(__package__).joinpath("prices.yaml").read_text(encoding="utf-8"))
    models = {name: (float(read), float(written)) for name, (read, written) in tree["models"].items()}
    return PriceList(tree["as_of"], tree["source"], models)


def cost(model: str, tokens_in: int, tokens_out: int) -> float | None:
    """US dollars for one call to a vendor's model; None = unknown."""
    return prices().cost(model, tokens_in, tokens_out)


def free(model: str, tokens_in: int, tokens_out: int) -> float:
    """The price of a model that runs on this machine."""
    return 0.0
