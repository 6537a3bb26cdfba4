"""Types of settings with their own validation: lists of names, N:M patterns, databases, addresses."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from autoprune.pruning.allocation.table import ALLOCATIONS, STATIC
from autoprune.pruning.published import EXPRESSIONS
from autoprune.pruning.refinements.table import CHOICES as REFINEMENTS
from autoprune.pruning.updates.table import CHOICES as UPDATES
from autoprune.pruning.updates.table import NAMES as UPDATE_NAMES

SEXAGESIMAL = 60


def _all_are(names: Iterable[str]) -> BeforeValidator:
    """Replace the word `all` by the list of these names."""
    return BeforeValidator(lambda value: list(names) if value == "all" else value)


def _one_of(names: Sequence[str]) -> AfterValidator:
    """Accept the names of a table; where there is no table, a Literal is the list."""

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"it should be one of {', '.join(names)}")
        return name

    return AfterValidator(check)


def _once(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _unread(value: Any) -> Any:
    """Restore a pattern such as 2:4, which YAML without quotes reads as a sexagesimal number."""
    is_pattern = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return f"{value // SEXAGESIMAL}:{value % SEXAGESIMAL}" if is_pattern else value


def _pattern(text: str) -> str:
    match = re.fullmatch(r"0*(\d+):0*(\d+)", text)
    if not match or not 0 < int(match[1]) < int(match[2]):
        raise ValueError("a pattern is of the form N:M with 0 < N < M, for example 2:4")
    return f"{match[1]}:{match[2]}"


Approval = Literal["auto", "human", "file"]
BosSetting = Literal["auto", "always", "never"]
ChatProvider = Literal["openai", "local", "self", "symbolic", "replay"]
Provider = Literal["auto", ChatProvider]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
ExecutorKind = Literal["here", "processes", "ray"]
Kit = Literal["published", "all", "off"]
Offload = Literal["auto", "none", "memory", "disk"]
SandboxEngine = Literal["auto", "docker", "local"]
Profile = Literal["strong", "small"]
"""The prompts of a chat model: for one that can design a whole algorithm, or one that needs step-by-step guidance."""
Statistics = Literal["dense", "sequential"]
TrackerName = Literal["none", "mlflow", "wandb"]
Operator = Literal[
    "initialise",
    "explore",
    "structure",
    "constants",
    "simplify",
    "cross",
    "allocation",
    "repair",
    "ablate",
    "recombine",
    "deepen",
    "polish",
]
WITHOUT_MODEL: tuple[Operator, ...] = ("recombine", "deepen", "polish")
"""Operators that need no proposer's model in any slot: they improve measured candidates of any proposer."""
NOT_DRAWN: tuple[Operator, ...] = ("ablate",)
"""Operators that a slot gets for what they tell, and not by the success of earlier draws: they improve nothing."""
Once = AfterValidator(_once)

Score = Annotated[str, _one_of(tuple(EXPRESSIONS))]
Scores = Annotated[list[Score], Field(min_length=1), _all_are(EXPRESSIONS), Once]
FROM_STATISTICS = tuple(spec.name for spec in ALLOCATIONS.values() if spec.stage == "statistics")
Allocation = Annotated[str, _one_of(FROM_STATISTICS)]
Allocations = Annotated[list[Allocation], Field(min_length=1), _all_are(STATIC), Once]
"""Of those that follow from unit statistics alone."""
Refinement = Annotated[str, _one_of(REFINEMENTS)]
Refinements = Annotated[list[Refinement], Field(min_length=1), _all_are(REFINEMENTS), Once]
Update = Annotated[str, _one_of(UPDATES)]
Updates = Annotated[list[Annotated[str, _one_of(UPDATE_NAMES)]], Field(min_length=1), _all_are(UPDATE_NAMES), Once]
Operators = Annotated[list[Operator], Field(min_length=1), Once]
Patterns = Annotated[list[Annotated[str, BeforeValidator(_unread), AfterValidator(_pattern)]], Once]
"""N:M patterns: of every M neighbours along the inputs, N are kept."""


@dataclass(frozen=True)
class Database:
    """A PostgreSQL database. `url` has no password, which is kept in memory only and neither stored nor compared."""

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
    """An address without user and password."""
    return url and re.sub(r"(?<=://)[^/?#@]*(?:@[^/?#@]*)*@", "", url)


def check_address(url: str) -> str:
    """Raises ValueError for an invalid address of an endpoint."""
    try:
        parts = urlsplit(url)
        valid = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("an endpoint's address is a URL like http://localhost:8000/v1")
    return url


Address = Annotated[str, AfterValidator(check_address), PlainSerializer(without_user, when_used="json")]
"""The address of an endpoint. Its user and password are kept in memory only."""


def _check_store(url: str) -> str:
    """Raises ValueError for anything but the URL of a tracking server or a database, without user and password."""
    parts = re.fullmatch(r"(?P<scheme>[a-z][a-z0-9+]*)://(?P<rest>\S+)", url)
    if parts is None:
        raise ValueError("a tracking store is a URL like http://localhost:5000 or sqlite:////home/me/mlflow.db")
    if "@" in parts["rest"].partition("?")[0] or "password=" in parts["rest"]:
        raise ValueError("the key or password of a tracking store comes from the environment, never from a setting")
    return url


StoreAddress = Annotated[str, AfterValidator(_check_store)]
"""The address of an experiment tracker's store."""
