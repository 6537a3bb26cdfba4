"""Targets from GGUF files, built-in or the user's own, which are converted to safetensors once."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from autoprune.downloads import cache_dir, staging_for
from autoprune.errors import UsageError
from autoprune.file_modes import give_usual_modes
from autoprune.models.checkpoint import check_complete
from autoprune.models.gguf_files import KNOWN, sha256_of
from autoprune.models.gguf_header import check_gguf
from autoprune.models.silence import silence_transformers
from autoprune.progress import progress

logger = logging.getLogger(__name__)
SUFFIX = ".gguf"
LARGE = 500_000_000
"""Bytes above which a file is converted to bfloat16; smaller files are converted to float32 without loss."""
GROWTH = {"float32": 7, "bfloat16": 4}
"""Upper bound of the growth, from a file of 4 bits per weight."""


def is_gguf_target(name: str) -> bool:
    """Whether a target is built in or a GGUF file."""
    return name in KNOWN or name.lower().endswith(SUFFIX)


def gguf_target(name: str) -> Path:
    """The directory of the converted model in the cache, created on first use (a minute or two).

    Raises DownloadError when the download fails or the disk is full, UsageError for a file that is not GGUF and for a
    conversion that belongs to another user and cannot be read.
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
            # One step to dequantise each tensor, one to load it into the model.
            with progress(f"converting {gguf.stem}", 2 * tensors, "steps") as advance:
                _convert(gguf, staging / "model", dtype, advance)
            give_usual_modes(staging / "model")
            os.rename(staging / "model", folder)
    return folder


def _check_readable(folder: Path) -> None:
    """Raises UsageError for files without read permission, which safetensors reports as missing."""
    for file in folder.iterdir():
        if not os.access(file, os.R_OK):
            raise UsageError(f"{file} is another user's and cannot be read; set AUTOPRUNE_CACHE to another directory")


def _convert(gguf: Path, into: Path, dtype: str, advance: Callable[[int], None]) -> None:
    """Dequantise a file and save it as a Hugging Face directory; one copy of the weights in `dtype` is in memory."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    with silence_transformers(advance):
        model, loading = AutoModelForCausalLM.from_pretrained(
            **where, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True
        )
        check_complete(str(gguf), model, loading)
        # Models loaded from a GGUF file refuse to be saved.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(into)
        AutoTokenizer.from_pretrained(**where).save_pretrained(into)
