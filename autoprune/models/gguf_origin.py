"""The metadata of the GGUF file that a model came from, kept beside the model as a GGUF file without tensors.

General facts and the tokenizer of an export are those of the file, not what a conversion made of them.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

from autoprune.downloads import cache_dir
from autoprune.errors import UsageError, first_line
from autoprune.models.gguf_files import KNOWN
from autoprune.models.gguf_header import check_gguf

ORIGIN_FILE = "origin.gguf-header"
"""In a model's directory. Its suffix is not .gguf, which would make it look like a model of its own."""
CARRIED = ("general.", "tokenizer.")
OF_THE_FILE = (
    "general.architecture",
    "general.alignment",
    "general.description",
    "general.file_type",
    "general.quantization_version",
    "general.quantized_by",
    "general.repo_url",
    "general.size_label",
    "general.url",
    "general.uuid",
)
"""Keys about a file and its weights that hold for no other one."""
_PLAIN = {
    GGMLQuantizationType.F32: torch.float32,
    GGMLQuantizationType.F16: torch.float16,
    GGMLQuantizationType.BF16: torch.bfloat16,
}
DTYPE_KEY = "autoprune.dtype"
SOURCES = ("general.source.huggingface.repository", "general.source.repo_url", "general.source.url")
"""Keys of the repository that a file was converted from. `general.base_model` is an ancestor of that."""


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


_NAMED = {_name(dtype): dtype for dtype in _PLAIN.values()}


@dataclass(frozen=True)
class Field:
    """A value of the metadata with its type, and for an array that of its elements."""

    value: Any
    kind: GGUFValueType
    inner: GGUFValueType | None


def origin_file(model: str) -> Path | None:
    """The GGUF file, or its kept metadata, of a built-in model, a GGUF file, or a directory that came from one."""
    if model in KNOWN:
        known = cache_dir() / KNOWN[model].folder / KNOWN[model].name
        return known if known.exists() else None
    path = Path(model).expanduser()
    if path.suffix.lower() == ".gguf" and path.is_file():
        return path
    return path / ORIGIN_FILE if (path / ORIGIN_FILE).is_file() else None


def read_origin(model: str) -> dict[str, Field]:
    """The metadata to carry over by key; empty for a model that came from no GGUF file. Raises UsageError for a
    damaged file."""
    path = origin_file(model)
    if path is None:
        return {}
    return {
        key: Field(field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
        for key, field in _read(path).fields.items()
        if key.startswith(CARRIED) and key not in OF_THE_FILE
    }


def _read(path: Path) -> GGUFReader:
    check_gguf(path, f"the metadata {path}")
    try:
        reader = GGUFReader(path)
        reader.fields["general.architecture"].contents()
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UsageError(f"the metadata {path} cannot be read: {first_line(error)}") from None
    return reader


def add_fields(writer: GGUFWriter, fields: Mapping[str, Field]) -> None:
    for key, field in fields.items():
        writer.add_key_value(key, field.value, field.kind, field.inner)


def keep_origin(model: str, folder: Path) -> None:
    """Write the metadata of the GGUF file that `model` came from into a directory; nothing for another model."""
    path = origin_file(model)
    if path is None:
        return
    if path.name == ORIGIN_FILE:
        shutil.copy(path, folder / ORIGIN_FILE)
        return
    reader = _read(path)
    writer = GGUFWriter(folder / ORIGIN_FILE, reader.fields["general.architecture"].contents())
    add_fields(writer, read_origin(model))
    dtype = quantised_dtype(reader)
    if dtype is not None:
        writer.add_string(DTYPE_KEY, _name(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def origin_dtype(model: str) -> torch.dtype | None:
    """The dtype of the GGUF file that a model came from, bfloat16 for quantised weights; None for another model."""
    path = origin_file(model)
    if path is None:
        return None
    reader = _read(path)
    kept = reader.fields.get(DTYPE_KEY)
    return _NAMED.get(str(kept.contents())) if kept is not None else quantised_dtype(reader)


def source_repository(model: str) -> str | None:
    """The repository that the GGUF file of a model was converted from, as its metadata name it: id or address."""
    path = origin_file(model)
    if path is None:
        return None
    fields = _read(path).fields
    return next((str(fields[key].contents()) for key in SOURCES if key in fields), None)


def quantised_dtype(reader: GGUFReader) -> torch.dtype | None:
    """The dtype of most weights of a file, bfloat16 for quantised ones; None for a file without tensors."""
    counts: dict[GGMLQuantizationType, int] = {}
    for tensor in reader.tensors:
        counts[tensor.tensor_type] = counts.get(tensor.tensor_type, 0) + int(tensor.n_elements)
    if not counts:
        return None
    return _PLAIN.get(max(counts, key=counts.__getitem__), torch.bfloat16)
