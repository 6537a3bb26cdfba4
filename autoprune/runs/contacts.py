"""Addresses that a run's settings contact, which the user confirms once, outside the run directory.

A run directory, and thus its settings, may come from someone else: their database, endpoint or cluster would receive
the user's passwords and keys, or send data that this process unpickles. A run that the user makes is confirmed
automatically; for others the user confirms each address. Confirmations are small files in the user's data directory.
"""

import hashlib
import json
import re
from pathlib import Path
from shlex import quote

import platformdirs

from autoprune.config import Config, change_config
from autoprune.config_agents import LLMSettings
from autoprune.downloads import user_dir
from autoprune.errors import UsageError

LOCAL_CLUSTERS = (None, "auto", "local")
"""Addresses of Ray that depend only on this machine and the user's environment."""
_CONFIRMED: set[Path] = set()
"""Confirmations in this process, in case they cannot be stored."""


def data_dir() -> Path:
    """The directory of the user's confirmations: $AUTOPRUNE_DATA, else the user's data directory."""
    return user_dir("AUTOPRUNE_DATA", platformdirs.user_data_dir)


def contacts(config: Config, unused: bool = False) -> list[str]:
    """Addresses that a search with these settings contacts, without passwords: database, chat endpoints, Ray cluster,
    and the store of an experiment tracker.

    `unused`: also those that are only contacted under another provider, executor or tracker.
    """
    addresses: list[str] = []
    if config.database is not None:
        addresses.append(config.database.url)
    if unused or config.llm.provider not in ("symbolic", "replay"):
        for url in (config.llm.base_url, *(role.base_url for role in config.llm.roles.values())):
            if url is not None:
                addresses.append(re.sub(r"//[^/?#]*@", "//", url))
    if (unused or config.executor.kind == "ray") and config.executor.address not in LOCAL_CLUSTERS:
        addresses.append(str(config.executor.address))
    if (unused or config.tracking.to != "none") and config.tracking.uri is not None:
        addresses.append(config.tracking.uri)
    return list(dict.fromkeys(addresses))


def without_contacts(config: Config) -> Config:
    """The same settings without addresses."""
    llm = config.llm.model_dump() | {"base_url": None}
    llm["roles"] = {role: {**own, "base_url": None} for role, own in llm["roles"].items()}
    executor = config.executor.model_copy(update={"address": None})
    tracking = config.tracking.model_copy(update={"uri": None})
    changed = {"database": None, "llm": LLMSettings.model_validate(llm), "executor": executor, "tracking": tracking}
    return config.model_copy(update=changed)


def confirm_named(run: Path, stored: Config, words: list[str]) -> None:
    """Confirm the addresses in the user's own `key=value` words for a run with the settings `stored`."""
    confirm(run, contacts(change_config(without_contacts(stored), words)))


def confirm(run: Path, addresses: list[str]) -> None:
    """Store the user's consent that the run contacts these addresses; if it cannot be stored, for this process."""
    for address in addresses:
        record = _record(run, address)
        _CONFIRMED.add(record)
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps({"run": str(run.resolve()), "contact": address}) + "\n", encoding="utf-8")
        except OSError:  # the next command on the run asks again
            continue


def unconfirmed(run: Path, addresses: list[str]) -> list[str]:
    """The addresses that the user has not confirmed for this run."""
    records = {address: _record(run, address) for address in addresses}
    return [address for address, record in records.items() if record not in _CONFIRMED and not record.is_file()]


def check(run: Path, addresses: list[str]) -> None:
    """Raises UsageError for an address that is not confirmed, with the command that confirms it."""
    if missing := unconfirmed(run, addresses):
        raise UsageError(
            f"the settings of {run} name {missing[0]}, which was not confirmed on this machine; nothing was sent "
            f"there. If you know it, confirm it once: autoprune trace {quote(str(run))} --trust {quote(missing[0])}"
        )


def admit(run: Path, stored: Config, config: Config) -> None:
    """Confirm the addresses that only the user's `config` has; those of the run's stored settings must be confirmed.

    Raises UsageError.
    """
    untrusted, addresses = contacts(stored, unused=True), contacts(config)
    check(run, [address for address in addresses if address in untrusted])
    confirm(run, [address for address in addresses if address not in untrusted])


def _record(run: Path, address: str) -> Path:
    key = hashlib.sha256(f"{run.resolve()}\n{address}".encode()).hexdigest()
    return data_dir() / "confirmed" / key
