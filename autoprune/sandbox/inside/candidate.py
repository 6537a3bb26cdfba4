"""Running a candidate's source inside the worker, and reporting failures in one line.

The import check and the messages help well-meant code; the security boundary is the jail around the process.
"""

import builtins
import errno
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from autoprune import kit  # loaded here, since the package cannot be read in the jail
from autoprune.candidates.contract import (
    DEFAULT_GROUP,
    EXPENSIVE_FIELDS,
    GROUPS,
    KIT,
    LAYER_FIELDS,
    UNIT_FIELDS,
    UNITS,
    Field,
    edits_defined,
    import_allowed,
    imports_in_words,
)
from autoprune.candidates.structure_contract import PART_FIELDS, STRUCTURE_FIELDS

FILENAME = "<candidate>"
_MAX_MESSAGE = 600


class Refused(Exception):
    """The candidate violates its contract. `stage` and `reason`: see CandidateFailure."""

    def __init__(self, stage: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.reason = reason


class ForbiddenImport(ImportError):
    """An import that the contract does not allow."""


class Candidate:
    """A loaded source. Every call of its functions may raise any exception."""

    def __init__(self, source: str) -> None:
        namespace: dict[str, Any] = {"__name__": "candidate", "__builtins__": _builtins_with_checked_import()}
        exec(compile(source, FILENAME, "exec"), namespace)
        score = namespace.get("score")
        if not callable(score):
            raise Refused("load", "contract", "the source defines no function score(layer)")
        group = namespace.get("GROUP", DEFAULT_GROUP)
        if group not in GROUPS:
            raise Refused("load", "contract", f"GROUP is {_short(group)}, not one of {', '.join(GROUPS)}")
        unit = namespace.get("UNIT")
        if unit is not None and unit not in UNITS:
            raise Refused("load", "contract", f"UNIT is {_short(unit)}, not one of {', '.join(UNITS)}")
        self._score: Callable[[Any], Any] = score
        allocate = namespace.get("allocate")
        self._allocate: Callable[[Any, float], Any] | None = allocate if callable(allocate) else None
        self.group = str(group)
        self.unit = None if unit is None else str(unit)
        self.has_allocate = self._allocate is not None
        update = namespace.get("update")
        self._update: Callable[[Any, torch.Tensor], Any] | None = update if callable(update) else None
        self._edits: dict[str, Callable[[Any, torch.Tensor], Any]] = {}
        for name in edits_defined(source):
            if not callable(function := namespace.get(name)):
                raise Refused("load", "contract", f"{name} is no longer a function when the source is loaded")
            self._edits[name] = function

    def score(self, view: Any) -> torch.Tensor:
        """The scores of one layer, a dense real tensor of the weight's shape. Raises Refused, and any exception."""
        shape = tuple(view.weight.shape)
        torch.manual_seed(0)  # makes candidates with random numbers repeatable
        with torch.no_grad():
            result = self._score(view)
        return _checked("score", result, shape)

    @property
    def edits(self) -> frozenset[str]:
        """Which of contract.EDITS there are."""
        return frozenset(self._edits)

    def refine(self, view: Any, mask: torch.Tensor) -> torch.Tensor:
        """The refined mask of a layer, bool; the same mask without a `refine`. Raises Refused, and any exception."""
        if "refine" not in self._edits:
            return mask
        result = self._edited("refine", view, mask)
        if result.dtype != torch.bool:
            raise Refused("check", "dtype", f"refine returned a mask of {result.dtype}, not of torch.bool")
        return result

    def update(self, view: Any, mask: torch.Tensor) -> torch.Tensor:
        """The updated weight of a layer, of any floating-point dtype. Raises Refused, and any exception."""
        result = self._edited("update", view, mask)
        if not result.is_floating_point():
            raise Refused("check", "dtype", f"update returned a weight of {result.dtype}, not of floating point")
        return result

    def _edited(self, name: str, view: Any, mask: torch.Tensor) -> torch.Tensor:
        shape = tuple(mask.shape)
        torch.manual_seed(0)
        with torch.no_grad():
            result = self._edits[name](view, mask)
        return _checked(name, result, shape)

    def importances(self, view: Any) -> torch.Tensor:
        """The importances of a view of structures, [count]. Raises Refused, and any exception."""
        count = int(view.count)
        torch.manual_seed(0)
        with torch.no_grad():
            result = self._score(view)
        return _checked("score", result, (count,), f"{count} structures")

    def consumer(self, view: Any, kept: torch.Tensor) -> torch.Tensor:
        """The updated weight of the consumer, [len(kept), size, out]. Raises Refused, and any exception."""
        if self._update is None:
            raise Refused("update", "contract", "update is no longer a function when the source is loaded")
        shape = (len(kept), *view.consumer.weight.shape[1:])
        torch.manual_seed(0)
        with torch.no_grad():
            result = _checked("update", self._update(view, kept), shape, f"{len(kept)} kept structures")
        if not result.is_floating_point():
            raise Refused("check", "dtype", f"update returned a weight of {result.dtype}, not of floating point")
        return result

    def allocate(self, units: Sequence[Mapping[str, Any]], sparsity: float) -> list[float]:
        """One number per unit. Raises Refused, and any exception."""
        if self._allocate is None:
            raise Refused("allocate", "contract", "the source defines no function allocate(units, sparsity)")
        torch.manual_seed(0)
        result = self._allocate([SimpleNamespace(**unit) for unit in units], sparsity)
        if isinstance(result, torch.Tensor):
            result = result.tolist()
        if not isinstance(result, list | tuple):
            raise Refused("allocate", "dtype", f"allocate returned {_a(result)}, not a list of numbers")
        if len(result) != len(units):
            raise Refused("allocate", "shape", f"allocate returned {len(result)} numbers for {len(units)} units")
        try:
            densities = [float(value) for value in result]
        except (TypeError, ValueError):
            raise Refused("allocate", "dtype", "allocate returned a list that does not hold numbers") from None
        if not all(math.isfinite(value) for value in densities):
            raise Refused("allocate", "not-finite", "allocate returned NaN or infinity")
        return densities


def _checked(function: str, result: Any, shape: tuple[int, ...], of: str = "") -> torch.Tensor:
    """The result of a candidate's function, a dense real tensor of a shape. `of`: what has it, by default the weight.
    Raises Refused."""
    if not isinstance(result, torch.Tensor):
        raise Refused("check", "dtype", f"{function} returned {_a(result)}, not a torch.Tensor")
    if result.layout is not torch.strided or result.device.type == "meta" or result.is_complex():
        kind = f"{result.dtype}, {result.layout}, device {result.device}"
        raise Refused("check", "dtype", f"{function} returned a tensor of {kind}; a dense real tensor is needed")
    if tuple(result.shape) != shape:
        wanted = f"{of}, not {list(shape)}" if of else f"a weight of shape {list(shape)}"
        wrong = f"{function} returned shape {list(result.shape)} for {wanted}"
        raise Refused("check", "shape", wrong)
    return result.detach()


def failure(stage: str, error: BaseException, source: str, where: str = "") -> dict[str, str]:
    """The worker's report of a failure: stage, reason, and one line with the candidate's own line of code."""
    if isinstance(error, Refused):
        return {"stage": error.stage, "reason": error.reason, "message": _join(str(error), where)}
    message = f"{type(error).__name__}: {error}".strip().rstrip(":")
    if isinstance(error, AttributeError) and isinstance(getattr(error, "obj", None), SimpleNamespace):
        fields = _fields_of(stage, error.obj)
        message += f"; it has {', '.join(field.name for field in fields)}"
    number = _line_number(error)
    if number is not None:
        lines = source.split("\n")
        code = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        where = f"line {number}: `{_cut(code, 160)}`" + (f", {where}" if where else "")
    return {"stage": stage, "reason": _reason(error), "message": _join(message, where)}


def _fields_of(stage: str, value: Any) -> Sequence[Field]:
    """The fields that an object of the contract has."""
    if stage == "allocate":
        return UNIT_FIELDS
    if hasattr(value, "parts"):
        return STRUCTURE_FIELDS
    return (*LAYER_FIELDS, *EXPENSIVE_FIELDS) if hasattr(value, "sparsity") else PART_FIELDS


def _reason(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "memory"
    if isinstance(error, ForbiddenImport):
        return "forbidden"
    if isinstance(error, OSError):
        if error.errno == errno.ENOMEM:
            return "memory"
        if error.errno in (errno.EPERM, errno.EACCES):
            return "forbidden"
    if isinstance(error, SyntaxError):
        return "contract"
    return "exception"


def _line_number(error: BaseException) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == FILENAME:
        return error.lineno
    numbers = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILENAME]
    return numbers[-1] if numbers else None


def _join(message: str, where: str) -> str:
    message = _cut(" ".join(message.split()), _MAX_MESSAGE)
    whole = f"{message} ({where})" if where else message
    return whole.encode("utf-8", "replace").decode("utf-8")  # replaces surrogates


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _a(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "None"


def _short(value: object) -> str:
    return _cut(repr(value), 60)


def _builtins_with_checked_import() -> dict[str, Any]:
    real_import = builtins.__import__

    package, tools = _kit()

    def checked_import(
        name: str, globals_: Any = None, locals_: Any = None, fromlist: Sequence[str] | None = (), level: int = 0
    ) -> Any:
        if level or not import_allowed(name, fromlist or ()):
            raise ForbiddenImport(f"import of {name!r} is not allowed; a candidate may import {imports_in_words()}")
        if name in (KIT, package.__name__):
            return tools if name == KIT and fromlist else package
        return real_import(name, globals_, locals_, fromlist or (), level)

    return {**vars(builtins), "__import__": checked_import}


def _kit() -> tuple[ModuleType, ModuleType]:
    """A package with nothing but the kit, and the kit with nothing but its functions, as a candidate imports them."""
    name, _, last = KIT.rpartition(".")
    package, tools = ModuleType(name, kit.__doc__), ModuleType(KIT, kit.__doc__)
    vars(tools).update({function: getattr(kit, function) for function in kit.__all__}, __all__=list(kit.__all__))
    setattr(package, last, tools)
    return package, tools
