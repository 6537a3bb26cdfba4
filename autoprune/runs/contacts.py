"""What a run's settings would have this program contact: confirmed once by the user, outside the run directory.

A run directory may come from someone else, and its settings with it: a database, an endpoint or a cluster that they
name gets the user's passwords and keys, or sends back what this process unpickles. A run that this user makes is
confirmed as it is made; of another, each place is confirmed by naming it. The record is a small file for each run and
place in the user's data directory.
"""

import hashlib
import json
import re
from pathlib import Path
from shlex import quote

import platformdirs

from autoprune.config import Config
from autoprune.config_sections import LLMSettings
from autoprune.downloads import user_dir
from autoprune.errors import UsageError

LOCAL_CLUSTERS = (None, "auto", "local")
"""Addresses of Ray that lead nowhere but where this machine or its user's environment says."""
_CONFIRMED: set[Path] = set()
"""In this process, which may be unable to keep it."""


def data_dir() -> Path:
    """Where the user's decisions are kept: $AUTOPRUNE_DATA, else the user's data directory."""
    return user_dir("AUTOPRUNE_DATA", platformdirs.user_data_dir)


def contacts(config: Config, unused: bool = False) -> list[str]:
    """What a search with these settings contacts, without passwords: database, endpoints of chat models, Ray cluster.

    `unused`: also what they name beside that, which other settings may put to use (a provider, a kind of executor).
    """
    found: list[str] = []
    if config.database is not None:
        found.append(config.database.url)
    if unused or config.llm.provider not in ("symbolic", "replay"):
        for url in (config.llm.base_url, *(own.base_url for own in config.llm.roles.values())):
            if url is not None:
                found.append(re.sub(r"//[^/?#]*@", "//", url))
    if (unused or config.executor.kind == "ray") and config.executor.address not in LOCAL_CLUSTERS:
        found.append(str(config.executor.address))
    return list(dict.fromkeys(found))


def without_contacts(config: Config) -> Config:
    """The same settings, which name nothing to contact."""
    llm = config.llm.model_dump() | {"base_url": None}
    llm["roles"] = {role: {**own, "base_url": None} for role, own in llm["roles"].items()}
    executor = config.executor.model_copy(update={"address": None})
    changed = {"database": None, "llm": LLMSettings.model_validate(llm), "executor": executor}
    return config.model_copy(update=changed)


def confirm(run: Path, places: list[str]) -> None:
    """Remember that this user lets the run contact these; in this process alone where nothing can be kept."""
    for place in places:
        record = _record(run, place)
        _CONFIRMED.add(record)
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps({"run": str(run.resolve()), "contact": place}) + "\n", encoding="utf-8")
        except OSError:  # the next command on the run asks again, and says why
            continue


def unconfirmed(run: Path, places: list[str]) -> list[str]:
    """Those of the places that the user has not confirmed for this run."""
    return [place for place in places if (record := _record(run, place)) not in _CONFIRMED and not record.is_file()]


def check(run: Path, places: list[str]) -> None:
    """Raises UsageError for a place that is not confirmed, with what to pass."""
    if missing := unconfirmed(run, places):
        raise UsageError(
            f"the settings of {run} name {missing[0]}, which was not confirmed on this machine; nothing was sent "
            "there. "
            f"If you know it, confirm it once: autoprune trace {quote(str(run))} --trust {quote(missing[0])}"
        )


def admit(run: Path, own: Config, given: Config) -> None:
    """Let a run contact what the user's settings name beyond its own; what its own name must be confirmed."""
    theirs, wanted = contacts(own, unused=True), contacts(given)
    check(run, [place for place in wanted if place in theirs])
    confirm(run, [place for place in wanted if place not in theirs])


def _record(run: Path, place: str) -> Path:
    key = hashlib.sha256(f"{run.resolve()}\n{place}".encode()).hexdigest()
    return data_dir() / "confirmed" / key
