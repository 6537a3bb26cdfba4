"""What a measurement depends on, said once: the key under which archive and cache know it is made of it."""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from autoprune.evaluation.bench import Bench
from autoprune.evaluation.code_fingerprint import code_fingerprint
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split
from autoprune.runs.measurement import DENSE

DIGITS = 16
"""Of a key, as the archive holds it."""
_code = cache(code_fingerprint)


class MeasurementSpec(BaseModel):
    """All that the number depends on, as plain data; equal specs measure the same.

    `subject`: a baseline's name, the content hash of a candidate, or `dense`. `recipe`, `calibration`: None for the
    dense model, of which nothing that is pruned decides. `layer_errors`: whether the errors of sampled layers belong to
    it. `bench`: fingerprints of the target and the versions that compute on it.
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
    def of(cls, bench: Bench, subject: str, split: Split, recipe: Recipe | None) -> "MeasurementSpec":
        """From what measures."""
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
        """For the archive of a run."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:DIGITS]

    def cache_key(self, **conditions: Any) -> str:
        """For the cache of all runs: also by the code that measures, and by where that happens."""
        whole = {"spec": self.model_dump(mode="json"), **conditions, "code": _code()}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
