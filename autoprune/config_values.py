"""Values in the settings that are more than a word or a number: lists of names, and N:M patterns."""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

SEXAGESIMAL = 60


def _everything(kind: Any) -> BeforeValidator:
    """Read the word `all` as the list of everything that a Literal allows."""
    return BeforeValidator(lambda value: list(get_args(kind)) if value == "all" else value)


def _once(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


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
Allocation = Literal["uniform", "sdsa", "owl", "dlp", "alphapruning", "atp"]
Operator = Literal["initialise", "explore", "structure", "constants", "simplify", "cross", "allocation", "repair"]
Once = AfterValidator(_once)

Scores = Annotated[list[Score], Field(min_length=1), _everything(Score), Once]
Allocations = Annotated[list[Allocation], Field(min_length=1), _everything(Allocation), Once]
Operators = Annotated[list[Operator], Field(min_length=1), Once]
Patterns = Annotated[list[Annotated[str, BeforeValidator(_unread), AfterValidator(_pattern)]], Once]
"""Under N:M, of every M neighbours along the inputs N are kept."""
