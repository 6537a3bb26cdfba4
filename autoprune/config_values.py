"""Values in the settings that are more than a word or a number: lists of names, N:M patterns, a database."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from autoprune.pruning.allocation.table import ALLOCATIONS, STATIC

SEXAGESIMAL = 60


def _everything(kind: Any) -> BeforeValidator:
    """Read the word `all` as the list of everything that a Literal allows."""
    return BeforeValidator(lambda value: list(get_args(kind)) if value == "all" else value)


def _once(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _static(name: str) -> str:
    names = [spec.name for spec in ALLOCATIONS.values() if spec.stage == "statistics"]
    if name not in names:
        raise ValueError(f"it should be one of {', '.join(names)}")
    return name


def _unread(value: Any) -> Any:
    """YAML takes 2:4 without quotes for a number to the base 60: back to what was written."""
    known = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return f"{value // SEXAGESIMAL}:{value % SEXAGESIMAL}" if known else value


def _pattern(text: str) -> str:
    match = re.fullmatch(r"0*(\d+):0*(\d+)", text)
    if not match or not 0 < int(match[1]) < int(match[2]):
        raise ValueError("a pattern is of the form N:M with 0 < N < M, for example 2:4")
    return f"{match[1]}:{match[2]}"


Score = Literal["magnitude", "wanda", "ria", "gblm", "pruner-zero"]
Profile = Literal["strong", "small"]
"""Which prompts a chat model gets: for one that can design a whole algorithm, or for one that is led by the hand."""
Refinement = Literal["none", "swaps"]
SWAP_ROUNDS = 16
"""Rounds of the refinement `swaps`: beyond these little more is gained (`benchmarks/exchanges.py`)."""
Operator = Literal["initialise", "explore", "structure", "constants", "simplify", "cross", "allocation", "repair"]
Once = AfterValidator(_once)

Scores = Annotated[list[Score], Field(min_length=1), _everything(Score), Once]
Allocation = Annotated[str, AfterValidator(_static)]
Allocations = Annotated[
    list[Allocation],
    Field(min_length=1),
    BeforeValidator(lambda value: list(STATIC) if value == "all" else value),
    Once,
]
"""Of those that follow from unit statistics alone."""
Refinements = Annotated[list[Refinement], Field(min_length=1), _everything(Refinement), Once]
Operators = Annotated[list[Operator], Field(min_length=1), Once]
Patterns = Annotated[list[Annotated[str, BeforeValidator(_unread), AfterValidator(_pattern)]], Once]
"""Under N:M, of every M neighbours along the inputs N are kept."""


@dataclass(frozen=True)
class Database:
    """A PostgreSQL database. The password, if its URL had one, is known to this process alone: what is written, shown
    or compared is the URL without it."""

    url: str
    password: str | None = field(default=None, repr=False, compare=False)


_HOST = r"(?:\[[^][\s]*\]|[^][:,/@?#\s]*)(?::\d*)?"
_URL = re.compile(
    r"(?P<scheme>postgres(?:ql)?://)(?:(?P<user>[^:/@?#\s]*)(?::(?P<password>[^:/@?#\s]*))?@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:[/?][^@\s]*)?)"
)


def _database(value: Any) -> Database | None:
    if value is None or isinstance(value, Database):
        return value
    parts = _URL.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise ValueError("a database is a URL like postgresql://user@host/name, special letters written as %40")
    user, password, place = parts["user"], parts["password"], parts["place"]
    if "password=" in place:
        raise ValueError("a password is written in front of the @, or given by PGPASSWORD or ~/.pgpass")
    url = parts["scheme"] + (f"{user}@" if user is not None else "") + place
    return Database(url, unquote(password) if password else None)


MaybeDatabase = Annotated[
    Database | None,
    PlainValidator(_database),
    PlainSerializer(lambda database: database and database.url, return_type=str | None),
]


def without_user(url: str | None) -> str | None:
    """An address without the user and the password that stand in front of its host."""
    return url and re.sub(r"(?<=://)[^/?#@]*(?:@[^/?#@]*)*@", "", url)


def check_address(url: str) -> str:
    """Raises ValueError for what is no address of an endpoint."""
    try:
        parts = urlsplit(url)
        valid = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("an endpoint's address is a URL like http://localhost:8000/v1")
    return url


Address = Annotated[str, AfterValidator(check_address), PlainSerializer(without_user, when_used="json")]
"""The address of an endpoint. User and password, if it has any, are known to this process alone, as a database's is."""
