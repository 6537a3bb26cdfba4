"""Checks that a checkpoint is complete and unquantised. transformers would initialise missing weights at random."""

import json
import logging
import pickle
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from autoprune.errors import UsageError

logger = logging.getLogger(__name__)
FORMS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights in the order in which transformers looks for them, each a single file or an index of parts."""
INDEX = ".index.json"
MLX = "quantization"
QUANTISED_KEYS = ("quantization_config", "compression_config", MLX)
"""Keys of a configuration that describe quantisation."""
QUANTISED_FILES = {
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
    "hf_quant_config.json": "modelopt",
    "quanto_qmap.json": "quanto",
    "qmodel.pt": "hqq",
}
"""Files beside a configuration that describe quantisation, and the tools that write them."""
QUANTISED_TENSORS = ("qweight", "weight_packed", "weight_scale", "weight_scale_inv", "absmax", "SCB", "W_q", "_blocks")
"""Endings of the names of quantised tensors."""
NUMBERS = ("F64", "F32", "F16", "BF16", "float64", "float32", "float16", "bfloat16")
"""The dtypes of unquantised weights, as named by safetensors and torch."""
_EXPERT = re.compile(r"(?P<experts>.*\bexperts\.)(?P<number>[0-9]{1,5})(?P<kind>\..*)")
NAMED = 3
"""Tensors that a message names."""


def refuse_quantised(name: str, config: Mapping[str, Any], folder: Path | None) -> None:
    """Raises UsageError for a model that is quantised according to its configuration or a file in its folder."""
    methods = [*_methods(config), *_methods_beside(folder)]
    if methods:
        raise UsageError(f"{name} is quantised ({methods[0]}); give the unquantised model")


def refuse_foreign_code(name: str, config: Mapping[str, Any]) -> None:
    """Raises UsageError for a configuration that names compiled code on the hub.

    With the package `kernels`, whose import `autoprune/__init__.py` blocks, transformers would download and load it.
    """
    for key, value in _texts(config):
        if "implementation" in key and "/" in value:
            raise UsageError(
                f"the configuration of {name} asks for code from the hub ({key}: {value[:100]}), which is never run; "
                f"remove {key} from its config.json to use the code that is installed"
            )


def check_files(name: str, folder: Path) -> None:
    """Check the headers of a folder's files of weights.

    Raises UsageError for a file that is missing, truncated, or holds weights that are not floating-point numbers, and
    for missing tensors of experts, after which transformers would renumber the later experts.
    """
    names: list[str] = []
    for file in checkpoint_files(name, folder):
        try:
            kinds = _dtypes(file)
        except FileNotFoundError:
            raise UsageError(f"{name} lacks {file.name}, which its index names; download it again") from None
        except (SafetensorError, OSError) as error:
            raise UsageError(f"{file} is cut short or damaged ({error}); download it again") from None
        packed = [f"{key} in {kind}" for key, kind in kinds.items() if key.endswith("weight") and kind not in NUMBERS]
        if packed:
            raise UsageError(f"{name} is quantised ({some(packed)}); give the unquantised model")
        names += kinds
    if missing := sorted(_missing_experts(names)):
        raise UsageError(
            f"the checkpoint {name} lacks {len(missing)} tensors of experts: {some(missing)}; download it again"
        )


def check_complete(name: str, model: nn.Module, loading: Mapping[str, Any]) -> None:
    """Raises UsageError for missing weights, which transformers initialised, and logs tensors that the model does not
    use. `loading`: the `output_loading_info` of `from_pretrained`, which excludes tied and optional weights."""
    missing, unexpected = sorted(loading["missing_keys"]), sorted(loading["unexpected_keys"])
    kind = type(model).__name__
    if packed := [key for key in unexpected if key.endswith(QUANTISED_TENSORS)]:
        raise UsageError(f"{name} is quantised ({some(packed)}); give the unquantised model")
    if missing:
        beside = f"; it holds others: {some(unexpected)}" if unexpected else ""
        raise UsageError(
            f"the checkpoint {name} lacks {len(missing)} of the {len(model.state_dict())} tensors of {kind}: "
            f"{some(missing)}{beside}; download or convert it again"
        )
    _check_shapes(name, sorted(loading["mismatched_keys"]))
    if unexpected:
        logger.warning(f"{name}: {len(unexpected)} tensors of the checkpoint are no part of {kind}: {some(unexpected)}")


def check_stored(name: str, model: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Raises UsageError for parameters on disk whose shape is not the model's; transformers checks only those it
    loads."""
    _check_shapes(name, [(key, value.shape, model.get_parameter(key).shape) for key, value in stored.items()])


def _check_shapes(name: str, shapes: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> None:
    """`shapes`: (name, shape in the checkpoint, shape in the model) of each tensor."""
    other = [f"{key} {list(stored)}, not {list(expected)}" for key, stored, expected in shapes if stored != expected]
    if other:
        raise UsageError(
            f"the checkpoint {name} does not fit its config.json: {len(other)} tensors have another shape: "
            f"{some(other)}"
        )


def _dtypes(file: Path) -> dict[str, str]:
    """The dtype of each tensor of a file; empty for a damaged .bin file, which transformers reports."""
    if file.suffix == ".safetensors":
        with safe_open(file, framework="pt") as opened:
            return {key: opened.get_slice(key).get_dtype() for key in opened.keys()}  # noqa: SIM118 (no mapping)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        return {}
    tensors = content.items() if isinstance(content, Mapping) else ()
    return {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in tensors if isinstance(tensor, Tensor)}


def checkpoint_files(name: str, folder: Path) -> list[Path]:
    """The files of weights that transformers would read, existing or not."""
    for form in FORMS:
        single, index = folder / form, folder / f"{form}{INDEX}"
        if single.exists():
            return [single]
        if index.exists():
            return _parts(name, index)
    return []


def _parts(name: str, index: Path) -> list[Path]:
    try:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [index.parent / part for part in sorted(parts)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{index} of {name} cannot be read: {type(error).__name__}: {error}") from None


def _missing_experts(names: list[str]) -> Iterator[str]:
    """Tensor names that an expert lacks while a later expert of its block has them.

    The last experts may have fewer tensors by design (LongCat's zero experts); else the shapes do not fit.
    """
    present = set(names)
    lasts: dict[tuple[str, str], int] = {}
    for match in filter(None, map(_EXPERT.match, names)):
        kind = match["experts"], match["kind"]
        lasts[kind] = max(lasts.get(kind, 0), int(match["number"]))
    expected = (f"{experts}{number}{kind}" for (experts, kind), last in lasts.items() for number in range(last))
    yield from (name for name in expected if name not in present)


def _methods(config: Mapping[str, Any]) -> Iterator[str]:
    """The quantisation methods in a configuration and its parts."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            if key in QUANTISED_KEYS and value and (key != MLX or "bits" in value):
                yield _method(value)
            else:
                yield from _methods(value)


def _method(quantisation: Mapping[str, Any]) -> str:
    if quantisation.get("load_in_4bit") or quantisation.get("load_in_8bit"):
        return "bitsandbytes"  # early versions do not name the method
    named = quantisation.get("quant_method") or quantisation.get("quant_algo")
    return str(named) if named else f"to {quantisation.get('bits', 'fewer')} bits"


def _methods_beside(folder: Path | None) -> Iterator[str]:
    if folder is not None:
        yield from (method for file, method in QUANTISED_FILES.items() if (folder / file).exists())


def _texts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The dotted keys and values of all strings in a configuration."""
    for key, value in config.items():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", text) for inner, text in _texts(value))


def some(names: Collection[str]) -> str:
    """The first few names, and the number of the others."""
    shown = ", ".join(list(names)[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
