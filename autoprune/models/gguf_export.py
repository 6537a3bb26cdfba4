"""Writing a model's directory as a GGUF file, tensor by tensor: never more than one tensor is in memory.

The package `gguf` names the tensors, quantises and writes; what is ours are layouts (`gguf_architectures`), the
tokenizer (`gguf_tokenizer`) and the choice of a type per tensor.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, LlamaFileType, get_tensor_name_map
from gguf.constants import MODEL_ARCH, MODEL_ARCH_NAMES
from gguf.quants import quant_shape_to_byte_shape, quantize
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from autoprune.errors import UsageError
from autoprune.models.checkpoint import checkpoint_files
from autoprune.models.gguf_architectures import (
    NOT_STORED,
    ROPE_FREQUENCIES,
    Architecture,
    architecture_of,
    rope_frequencies,
)
from autoprune.models.gguf_origin import Field, add_fields
from autoprune.models.gguf_tokenizer import describe_tokenizer
from autoprune.models.saving import RECIPE_FILE

QUANTISATIONS = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "bf16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q5_1": (GGMLQuantizationType.Q5_1, LlamaFileType.MOSTLY_Q5_1),
    "q5_0": (GGMLQuantizationType.Q5_0, LlamaFileType.MOSTLY_Q5_0),
    "q4_1": (GGMLQuantizationType.Q4_1, LlamaFileType.MOSTLY_Q4_1),
    "q4_0": (GGMLQuantizationType.Q4_0, LlamaFileType.MOSTLY_Q4_0),
}
"""What the package `gguf` quantises to."""
EMBEDDINGS = ("token_embd.weight", "output.weight")
BELOW_8_BITS = ("q5_1", "q5_0", "q4_1", "q4_0")
"""With these, embeddings and head are stored in Q8_0, as llama.cpp itself keeps them at a higher precision."""
HEAD = "output.weight"
SUFFIXES = (".weight", ".bias")
_NUMPY = {GGMLQuantizationType.F32: np.float32, GGMLQuantizationType.F16: np.float16}


@dataclass(frozen=True)
class Planned:
    """A tensor of the file: its name there and in the checkpoint, its shape and type in the file."""

    name: str
    source: str
    shape: list[int]
    kind: GGMLQuantizationType

    @property
    def bytes_shape(self) -> tuple[int, ...]:
        return quant_shape_to_byte_shape(self.shape, self.kind)


def write_gguf(
    model: str,
    folder: Path,
    config: Any,
    tokenizer: Any,
    carried: dict[str, Field],
    quantisation: str,
    into: Path,
    advance: Callable[[int], None] = lambda count: None,
) -> bool:
    """Write the safetensors of `folder` to the file `into`; returns whether the tokenizer is that of `carried`.

    `carried`: the metadata of the GGUF file that the model came from. `advance` is called with the bytes read. Raises
    UsageError for what llama.cpp has no form of, before anything is written.
    """
    architecture = architecture_of(model, config)
    kind, file_type = QUANTISATIONS[quantisation]
    with ExitStack() as stack:
        sources = _open_tensors(model, folder, stack)
        planned = plan(model, sources, architecture, config, quantisation)
        writer = GGUFWriter(into, architecture.name)
        stack.callback(writer.close)
        tokenizer_carried = _describe(writer, model, config, architecture, tokenizer, carried, planned)
        if pruned := pruning_of(folder):
            writer.add_description(pruned)
        writer.add_file_type(file_type)
        if kind in GGML_QUANT_SIZES and GGML_QUANT_SIZES[kind][0] > 1:
            writer.add_quantization_version(2)
        frequencies = rope_frequencies(config)
        if frequencies is not None:
            writer.add_tensor_info(ROPE_FREQUENCIES, frequencies.shape, frequencies.dtype, frequencies.nbytes)
        for tensor in planned:
            _add_info(writer, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if frequencies is not None:
            writer.write_tensor_data(frequencies)
        for tensor in planned:
            read = sources[tensor.source].get_tensor(tensor.source)
            values = architecture.stored(tensor.source, read, config)
            writer.write_tensor_data(quantised(values.numpy(), tensor.kind))
            advance(read.nbytes)
    return tokenizer_carried


def quantised(values: NDArray[np.float32], kind: GGMLQuantizationType) -> NDArray[Any]:
    """float32 values [..., in] in a type of GGUF: floats, or the bytes of its blocks."""
    stored: NDArray[Any] = quantize(values, kind)
    return stored


def plan(
    model: str, sources: dict[str, Any], architecture: Architecture, config: Any, quantisation: str
) -> list[Planned]:
    """The tensors of the file, in the order of the checkpoint's names. Raises UsageError for a tensor that the
    architecture has no place for, and for a missing head."""
    blocks = int(config.num_hidden_layers)
    names = get_tensor_name_map(_constant(architecture), blocks)
    tied = bool(getattr(config, "tie_word_embeddings", False))
    planned = []
    for source in _in_order(sources):
        if source.endswith(NOT_STORED):
            continue
        name = names.get_name(source, try_suffixes=SUFFIXES)
        if name is None:
            raise UsageError(
                f"{model} holds the tensor {source}, which llama.cpp's {architecture.name} has no name for"
            )
        if name == HEAD and tied:
            continue
        shape = architecture.shape(source, list(sources[source].get_slice(source).get_shape()))
        planned.append(Planned(name, source, shape, _kind(name, shape, quantisation)))
    present = {tensor.name for tensor in planned}
    for needed in EMBEDDINGS[: 1 if tied else 2]:
        if needed not in present:
            raise UsageError(f"the checkpoint {model} has no tensor for llama.cpp's {needed}")
    return planned


def pruning_of(folder: Path) -> str | None:
    """One line about how a model was pruned, from the facts that `autoprune prune` wrote; None for another one."""
    try:
        facts = json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))
        return f"pruned by AutoPrune: {float(facts['sparsity']):.2%} zeros, {str(facts['algorithm'])[:200]}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _describe(
    writer: GGUFWriter,
    model: str,
    config: Any,
    architecture: Architecture,
    tokenizer: Any,
    carried: dict[str, Field],
    planned: list[Planned],
) -> bool:
    try:
        architecture.describe(config, writer)
    except UsageError as error:
        raise UsageError(f"{model} is not written as GGUF: {error}") from None
    general = {key: field for key, field in carried.items() if key.startswith("general.")}
    if general:
        add_fields(writer, general)
    else:
        writer.add_type("model")
        writer.add_name(Path(model).name)
    [rows] = [tensor.shape[0] for tensor in planned if tensor.name == EMBEDDINGS[0]]
    return describe_tokenizer(writer, tokenizer, rows, carried, model)


def _kind(name: str, shape: list[int], quantisation: str) -> GGMLQuantizationType:
    """Vectors stay float32, as llama.cpp needs them; rows that are no whole blocks of the type become float16."""
    kind, _ = QUANTISATIONS[quantisation]
    if len(shape) == 1 or name.startswith("position_embd"):
        return GGMLQuantizationType.F32
    if name in EMBEDDINGS and quantisation in BELOW_8_BITS:
        kind = GGMLQuantizationType.Q8_0
    block, _ = GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else GGMLQuantizationType.F16


def _add_info(writer: GGUFWriter, tensor: Planned) -> None:
    bytes_shape = tensor.bytes_shape
    size = int(np.prod(bytes_shape))
    if tensor.kind in _NUMPY:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(_NUMPY[tensor.kind]), size)
    else:
        writer.add_tensor_info(tensor.name, bytes_shape, np.dtype(np.uint8), size, raw_dtype=tensor.kind)


def _constant(architecture: Architecture) -> MODEL_ARCH:
    return next(constant for constant, name in MODEL_ARCH_NAMES.items() if name == architecture.name)


def _open_tensors(model: str, folder: Path, stack: ExitStack) -> dict[str, Any]:
    """The opened file of every tensor, by the tensor's name."""
    files = checkpoint_files(model, folder)
    if not files or any(file.suffix != ".safetensors" for file in files):
        raise UsageError(f"{model} is not stored as safetensors; `autoprune export --format hf` does that")
    sources = {}
    for file in files:
        try:
            opened = stack.enter_context(safe_open(file, framework="pt"))
        except (SafetensorError, OSError) as error:
            raise UsageError(f"{file} is cut short or damaged ({error})") from None
        sources.update(dict.fromkeys(opened.keys(), opened))
    return sources


def _in_order(names: dict[str, Any]) -> Iterator[str]:
    """Names with their numbers in numerical order."""

    def key(name: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]

    return iter(sorted(names, key=key))
