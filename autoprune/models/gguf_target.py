"""Targets that come as a GGUF file: the built-in ones, and a file of the user's own; each is converted once."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from autoprune.downloads import cache_dir, progress, staging_for
from autoprune.errors import UsageError
from autoprune.file_modes import give_usual_modes
from autoprune.models.checkpoint import check_complete
from autoprune.models.gguf_files import KNOWN, sha256_of
from autoprune.models.gguf_header import check_gguf
from autoprune.models.silence import silence_transformers

logger = logging.getLogger(__name__)
SUFFIX = ".gguf"
LARGE = 500_000_000
"""Bytes of a file that is converted to bfloat16; a smaller one becomes float32, which loses nothing."""
GROWTH = {"float32": 7, "bfloat16": 4}
"""At most, from a file of 4 bits a weight."""


def is_gguf_target(name: str) -> bool:
    """Whether a target's name is built-in or that of a GGUF file."""
    return name in KNOWN or name.lower().endswith(SUFFIX)


def gguf_target(name: str) -> Path:
    """The directory of the converted model, made on first use (a minute or two) in the cache.

    Raises DownloadError when a built-in model cannot be had or the disk is full, UsageError for what is no GGUF file,
    and for what another user converted and keeps to themselves.
    """
    folder = cache_dir() / "models" / name if name in KNOWN else None
    if folder is not None and folder.exists():
        _check_readable(folder)
        return folder
    gguf = KNOWN[name].find() if name in KNOWN else Path(name).expanduser().resolve()
    tensors = check_gguf(gguf, f"the model {gguf}")
    folder = folder or cache_dir() / "models" / f"{gguf.stem}-{sha256_of(gguf)[:16]}"
    size = gguf.stat().st_size
    dtype = "bfloat16" if size > LARGE else "float32"
    with staging_for(folder, GROWTH[dtype] * size) as staging:
        if not folder.exists():
            logger.info(f"converting {gguf.name} to safetensors ({dtype}) in {folder} (once, a minute or two)")
            # Each tensor is dequantised, then put into the model.
            with progress(f"converting {gguf.stem}", 2 * tensors, "steps") as advance:
                _convert(gguf, staging / "model", dtype, advance)
            give_usual_modes(staging / "model")
            os.rename(staging / "model", folder)
    return folder


def _check_readable(folder: Path) -> None:
    """safetensors says of a file that another user keeps to themselves that there is none. Raises UsageError."""
    for file in folder.iterdir():
        if not os.access(file, os.R_OK):
            raise UsageError(f"{file} is another user's and cannot be read; set AUTOPRUNE_CACHE to another directory")


def _convert(gguf: Path, into: Path, dtype: str, advance: Callable[[int], None]) -> None:
    """Dequantise and save what from_pretrained loads; one copy of the weights in `dtype` is in memory."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    with silence_transformers(advance):
        model, loading = AutoModelForCausalLM.from_pretrained(
            **where, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True
        )
        check_complete(str(gguf), model, loading)
        # It is saved as an ordinary model: as one that came from a GGUF file it refuses to be.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(into)
        AutoTokenizer.from_pretrained(**where).save_pretrained(into)
