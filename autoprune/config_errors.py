"""The message about a setting that is not valid: as what it was given, where, and what may have been meant."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from autoprune.errors import message_of
from autoprune.keywords import MEANT, did_you_mean
from autoprune.yaml_text import line_of

SHOWN = 200
"""Maximum characters of an invalid value in a message."""
LEAST_PER_CENT = 5
"""What is below this is rather a mistake than per cent."""
SHARES = ("sparsity", "confirmation.sparsities")


def problem_of(
    error: ValidationError,
    keys: Sequence[str],
    path: Path | None,
    text: str,
    words: Collection[str],
    typed: Mapping[str, str],
) -> str:
    """One line on the first problem. `keys`: all settings; `text`: of the file `path`; `words`: keys that `key=value`
    words set; `typed`: key -> the option or keyword by which the user gave it."""
    problem = error.errors()[0]
    place = [part for part in problem["loc"] if part != "[key]"]  # for an invalid key of a mapping
    key = ".".join(map(str, place))
    where = _where(key, place, path, text, words, typed)
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {key!r}{where}; `autoprune config` lists them{meant_key(key, keys)}"
    value = "" if key == "database" else f" = {repr(problem['input'])[:SHOWN]}"  # which can contain a password
    name = next((label for given, label in typed.items() if key == given or key.startswith(f"{given}.")), key)
    message = "it is a group of settings" if problem["type"] == "model_type" else problem["msg"].lower()
    return f"{name}{value}{where}: {message.removeprefix('value error, ')}{_meant_value(key, problem)}"


def meant_key(key: str, keys: Sequence[str]) -> str:
    """`; did you mean X?` for a setting of the same last name, or of a similar one in the same group, or an empty
    string."""
    group, _, last = key.rpartition(".")
    alike = [known for known in keys if known.rpartition(".")[2] == last]
    if len(alike) == 1:
        return f"{MEANT}{alike[0]}?"
    if group:
        return did_you_mean(key, [known for known in keys if known.rpartition(".")[0] == group], within=f"{group}.")
    by_last = {known.rpartition(".")[2]: known for known in keys} | {known.partition(".")[0]: "" for known in keys}
    similar = did_you_mean(key, by_last)
    name = similar.removeprefix(MEANT).rstrip("?")
    return f"{MEANT}{by_last[name] or name}?" if similar else ""


def share_meant(value: float) -> str:
    """`; did you mean 0.6?` for a share that was given in per cent, or an empty string."""
    return f"{MEANT}{value / 100:g}?" if LEAST_PER_CENT <= value < 100 else ""


def yaml_problem(path: Path, error: yaml.YAMLError) -> str:
    """One line on a file that is not YAML, with the line and column of the problem."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"{path} is not YAML: {message_of(error)}"
    problem = getattr(error, "problem", None) or getattr(error, "context", None) or "invalid"
    return f"{path} is not YAML: line {mark.line + 1}, column {mark.column + 1}: {message_of(ValueError(problem))}"


def _where(
    key: str, place: Sequence[str | int], path: Path | None, text: str, words: Collection[str], typed: Mapping[str, str]
) -> str:
    """Where the value stands, if there is a file; an option says it by its name."""
    if path is None or any(key == given or key.startswith(f"{given}.") for given in typed):
        return ""
    if any(key == word or key.startswith(f"{word}.") or word.startswith(f"{key}.") for word in words):
        return " (on the command line)"
    line = line_of(text, place)
    return f" (in {path}, line {line})" if line else f" (in {path})"


def _meant_value(key: str, problem: Any) -> str:
    value, context = problem["input"], problem.get("ctx", {})
    if isinstance(value, int | float) and any(key == share or key.startswith(f"{share}.") for share in SHARES):
        return share_meant(value) if problem["type"] == "less_than" else ""
    if not isinstance(value, str):
        return ""
    choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    _, one_of, names = problem["msg"].partition("one of ")
    return did_you_mean(value, choices or (names.split(", ") if one_of else []))
