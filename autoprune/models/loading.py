"""Loading a causal language model from any source, and choosing its device and dtype."""

import logging
import os
import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn

from autoprune.downloads import hub_answers
from autoprune.errors import UsageError, first_line, message_of
from autoprune.models.checkpoint import check_complete, check_files, refuse_foreign_code, refuse_quantised
from autoprune.models.gguf_files import KNOWN
from autoprune.models.gguf_origin import ORIGIN_FILE, origin_dtype, origin_file
from autoprune.models.gguf_target import gguf_target, is_gguf_target
from autoprune.models.malloc import keep_freed_memory
from autoprune.models.silence import silence_transformers
from autoprune.pruning.threads import one_thread

logger = logging.getLogger(__name__)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BALANCED = "balanced"
"""The device setting with which accelerate spreads the model over all GPUs."""
PROBE_TOKENS = 256
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
"""What transformers raises for a model that is missing or damaged, or has an invalid configuration."""
PLACE = "pretrained_model_name_or_path"
WANTED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")
OTHER = ("consolidated*", "original/*")
"""The files of a model on the hub that an export needs, and the same weights in another form."""


def load_model(
    name: str, dtype: torch.dtype | str, device_map: str | dict[str, Any] | None = None, folder: Path | None = None
) -> tuple[nn.Module, Any]:
    """Load a causal language model and its tokenizer from a directory, the hub (or its cache), a GGUF file, or by a
    built-in name.

    `dtype` "auto" keeps that of the files. `device_map`: see accelerate; weights on disk that must be converted are
    written to `folder`. Code that comes with a model is never run. Raises UsageError if the model is missing,
    unreadable or incomplete.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    keep_freed_memory()
    spread = {"device_map": device_map, "offload_folder": folder} if device_map else {}
    how = {"dtype": dtype, "output_loading_info": True, "ignore_mismatched_sizes": True, **spread}
    with _explained(name), silence_transformers():
        where = _where(name)
        model, loading = AutoModelForCausalLM.from_pretrained(**where, **how)
        check_complete(name, model, loading)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    return model.eval().requires_grad_(False), tokenizer


def empty_model(name: str) -> nn.Module:
    """The model without values, on torch's device "meta", from its configuration. Raises UsageError."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with _explained(name), silence_transformers():
        where = _where(name)  # converts a GGUF file first
        if Path(where[PLACE]).is_dir():
            check_files(name, Path(where[PLACE]))
        config = AutoConfig.from_pretrained(**where)
        with no_init_weights(), init_empty_weights(include_buffers=False):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    model.tie_weights()  # tied parameters are separate while weights are empty
    empty: nn.Module = model
    return empty.eval().requires_grad_(False)


def weight_files(name: str) -> list[Path]:
    """The local files of a model's weights; empty for a model of the hub that is not downloaded."""
    from transformers.utils import cached_file

    with _explained(name), silence_transformers():
        where = _where(name)[PLACE]
        config = cached_file(where, "config.json", local_files_only=True)
    folder = Path(config).parent
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def model_folder(name: str) -> Path:
    """The directory of a model's files, which are downloaded for a model of the hub. Raises UsageError."""
    from huggingface_hub import snapshot_download

    with _explained(name), silence_transformers():
        where = _where(name)
        if Path(where[PLACE]).is_dir():
            folder = Path(where[PLACE])
        else:
            local = where["local_files_only"]
            folder = Path(
                snapshot_download(where[PLACE], allow_patterns=WANTED, ignore_patterns=OTHER, local_files_only=local)
            )
        check_files(name, folder)
    return folder


def load_parts(name: str) -> tuple[Any, Any]:
    """A model's configuration and tokenizer. Raises UsageError."""
    from transformers import AutoConfig, AutoTokenizer

    with _explained(name), silence_transformers():
        where = _where(name)
        return AutoConfig.from_pretrained(**where), AutoTokenizer.from_pretrained(**where)


def source_dtype(name: str) -> torch.dtype:
    """The dtype that a model came in: that of its GGUF file, bfloat16 for a quantised one, else `stored_dtype`."""
    stored = stored_dtype(name)  # converts a GGUF file first
    return origin_dtype(name) or stored


def model_bytes(name: str) -> int:
    """The size of a model's files of weights: of the GGUF file that it is, or of its safetensors."""
    file = origin_file(name)
    files = [file] if file is not None and file.name != ORIGIN_FILE else weight_files(name)
    return sum(path.stat().st_size for path in files)


def stored_dtype(name: str) -> torch.dtype:
    """The dtype in a model's configuration, float32 by default. Raises UsageError."""
    from transformers import AutoConfig

    with _explained(name), silence_transformers():
        stored = AutoConfig.from_pretrained(**_where(name)).dtype
    return stored if isinstance(stored, torch.dtype) else torch.float32


def _where(name: str) -> dict[str, Any]:
    """Arguments of transformers' `from_pretrained` that find a model and disable its code.

    Raises UsageError for a file, a quantised model, and a model that needs code from the hub.
    """
    from transformers import PreTrainedConfig

    path = str(gguf_target(name)) if is_gguf_target(name) else name
    if os.path.isfile(path):
        hint = "give its directory, a GGUF file, or what `autoprune unpack` makes of a packed file"
        raise UsageError(f"{name} is a file, and no model; {hint}")
    folder = Path(path) if Path(path).is_dir() else None
    where = {PLACE: path, "local_files_only": folder is not None or not hub_answers()}
    config = PreTrainedConfig.get_config_dict(**where)[0]
    refuse_foreign_code(name, config)
    refuse_quantised(name, config, folder)
    return {**where, "trust_remote_code": False}


def choose_device(device: str) -> torch.device:
    """`auto`: the first GPU, else the CPU; `balanced`: the first GPU. Raises UsageError for a missing device."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == BALANCED:
        device = "cuda"
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {device!r} cannot be used: {first_line(error)}") from None
    return chosen


def faster_dtype(shapes: Sequence[tuple[int, int]], device: torch.device) -> torch.dtype:
    """bfloat16 if matrix products of these shapes [out, in], those of a decoder block, are clearly faster in it, else
    float32. On a CPU, processor time is compared, which does not depend on the load of the machine."""
    weights = [torch.randn(shape, device=device) for shape in shapes]
    seconds = {}
    for name in ("float32", "bfloat16"):
        matrices = [weight.to(DTYPES[name]) for weight in weights]
        inputs = [
            torch.ones(PROBE_TOKENS, matrix.shape[1], dtype=matrix.dtype, device=matrix.device) for matrix in matrices
        ]
        with one_thread():
            seconds[name] = min(_timed(matrices, inputs) for _ in range(5))
    chosen = "bfloat16" if seconds["bfloat16"] < 0.9 * seconds["float32"] else "float32"
    probe = ", ".join(f"{name} {1000 * duration:.1f} ms" for name, duration in seconds.items())
    logger.info(f"dtype {chosen} (probe, one decoder block and {PROBE_TOKENS} tokens: {probe})")
    return DTYPES[chosen]


def _timed(matrices: list[Tensor], inputs: list[Tensor]) -> float:
    on_cpu = matrices[0].device.type == "cpu"
    clock = time.thread_time if on_cpu else time.perf_counter
    started = clock()
    for matrix, batch in zip(matrices, inputs, strict=True):
        batch @ matrix.T
    if matrices[0].is_cuda:
        torch.cuda.synchronize()
    return clock() - started


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn the errors of transformers for a missing or unreadable model into a UsageError of one line."""
    try:
        yield
    except FAULTS as error:
        if os.path.exists(name) or name in KNOWN:  # unlike Path.exists, it does not raise for very long names
            raise UsageError(f"the model in {name} cannot be loaded: {_reason(error)}") from None
        hub = "the hub has none" if hub_answers() else "the hub cannot be reached and its cache has none"
        raise UsageError(
            f"there is no model {name!r}: it is no directory, no built-in name ({', '.join(KNOWN)}), "
            f"and {hub} ({_reason(error)})"
        ) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError | pickle.UnpicklingError):
        return "a .bin file of it is cut short, damaged, or holds more than tensors; code in it is never run"
    if isinstance(error, StrictDataclassError):
        return f"its config.json is not valid: {message_of(error)}"[:300]
    if isinstance(error, KeyError):
        return f"{error} is unknown"[:300]
    if "automatic conversion of the weights" in str(error):
        return "tensors that make up one of its matrices are missing, or do not fit together"
    return first_line(error)
