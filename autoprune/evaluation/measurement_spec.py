"""All that a measurement depends on, from which the keys of archive and cache are computed."""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from autoprune.evaluation.bench import Bench
from autoprune.evaluation.code_fingerprint import code_fingerprint
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.structured_recipe import StructuredRecipe
from autoprune.evaluation.texts import Split
from autoprune.runs.measurement import DENSE

DIGITS = 16
"""Length of a key in the archive."""
_code = cache(code_fingerprint)


class MeasurementSpec(BaseModel):
    """All that a measurement depends on, as plain data; equal specs give equal measurements.

    `subject`: a baseline's name, the content hash of a candidate, or `dense`. `recipe`, `calibration`: None for the
    dense model. `layer_errors`: whether errors of sampled layers are measured. `bench`: fingerprints of target and
    versions.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    split: Split
    recipe: dict[str, Any] | None
    text: dict[str, str]
    calibration: dict[str, str] | None
    seqlen: int
    layer_errors: bool
    bench: dict[str, Any]

    @classmethod
    def of(
        cls, bench: Bench, subject: str, split: Split, recipe: Recipe | StructuredRecipe | None
    ) -> "MeasurementSpec":
        """The spec of a measurement on a bench."""
        prints = bench.fingerprints()
        texts = prints.pop("texts")
        return cls(
            subject=subject,
            split=split,
            recipe=asdict(recipe) if recipe else None,
            text=texts[split],
            calibration=None if subject == DENSE else texts["calibration"],
            seqlen=bench.windows(split).seqlen,
            layer_errors=bench.samples(split) and subject != DENSE,
            bench=prints,
        )

    def key(self) -> str:
        """The key in the archive of a run."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:DIGITS]

    def cache_key(self, **conditions: Any) -> str:
        """The key in the cache of all runs, which also depends on the measuring code and on `conditions`."""
        whole = {"spec": self.model_dump(mode="json"), **conditions, "code": _code()}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
