"""Exports of a model: complete, and checked by their runtime, or absent."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoprune.errors import AutoPruneError, UsageError
from autoprune.exporting.check import TOLERANCES, Check, check_gguf_export, check_hf_export
from autoprune.exporting.llama_cpp import engine_problem
from autoprune.exporting.reference import measure
from autoprune.file_modes import give_usual_modes, staging_beside
from autoprune.models.gguf_architectures import architecture_of
from autoprune.models.gguf_export import QUANTISATIONS, write_gguf
from autoprune.models.gguf_origin import keep_origin, read_origin
from autoprune.models.gguf_target import SUFFIX
from autoprune.models.loading import DTYPES, load_model, load_parts, model_bytes, model_folder, source_dtype
from autoprune.models.saving import CARD_FILE, RECIPE_FILE
from autoprune.models.silence import silence_transformers
from autoprune.progress import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportedModel:
    """An export. `kind`: its quantisation or dtype. `source_bytes`: of the model's own files of weights. `check`: None
    if it was not checked, for the reason `unchecked`."""

    path: Path
    format: str
    kind: str
    bytes: int
    source_bytes: int
    check: Check | None
    unchecked: str | None = None


def export_gguf(model: str, into: Path, quantisation: str = "f16", tolerance: float | None = None) -> ExportedModel:
    """Write a model as the GGUF file `into` and check it in llama.cpp, if that is installed.

    `quantisation`: a key of QUANTISATIONS. Raises UsageError for a model that llama.cpp has no form of, AutoPruneError
    if the file cannot be written or does not compute what transformers does; then there is no file.
    """
    if quantisation not in QUANTISATIONS:
        raise UsageError(
            f"{quantisation!r} is not one of {', '.join(QUANTISATIONS)}; other types are made of an f16 file by "
            "llama.cpp's own llama-quantize"
        )
    if into.suffix.lower() != SUFFIX:
        raise UsageError(f"{into} must end in {SUFFIX}")
    _check_free(into)
    folder = model_folder(model)
    config, tokenizer = load_parts(model)
    architecture_of(model, config)
    carried = read_origin(model)
    problem = engine_problem()
    with _staged(into) as staging:
        file = staging / into.name
        with progress(f"writing {into.name}", model_bytes(model), "MB", logging.DEBUG) as advance:
            own_tokenizer = write_gguf(model, folder, config, tokenizer, carried, quantisation, file, advance)
        check = None
        if problem is None:
            logger.info(f"checking {into.name} in llama.cpp against transformers")
            allowed = TOLERANCES[quantisation] if tolerance is None else tolerance
            check = check_gguf_export(file, measure(model), allowed, own_tokenizer)
        size = file.stat().st_size
        give_usual_modes(file)
        os.rename(file, into)
    unchecked = f"llama.cpp {problem}" if problem is not None else None
    return ExportedModel(into, "gguf", quantisation, size, model_bytes(model), check, unchecked)


def export_hf(model: str, into: Path, dtype: str = "auto", tolerance: float | None = None) -> ExportedModel:
    """Write a model as the Hugging Face directory `into` and check it by transformers.

    `dtype` auto: that of the model's source, bfloat16 for a dequantised GGUF file. Raises as `export_gguf`.
    """
    _check_free(into)
    kind = source_dtype(model) if dtype == "auto" else DTYPES[dtype]
    name = str(kind).removeprefix("torch.")
    folder = model_folder(model)
    reference = measure(model)
    with _staged(into) as staging:
        written = staging / "model"
        loaded, tokenizer = load_model(model, kind)
        saved: Any = loaded
        with silence_transformers():
            saved.save_pretrained(written)
            tokenizer.save_pretrained(written)
        del loaded, saved
        keep_origin(model, written)
        _copy_facts(folder, written, name)
        allowed = TOLERANCES[name] if tolerance is None else tolerance
        check = check_hf_export(written, reference, allowed)
        give_usual_modes(written)
        if into.exists():
            into.rmdir()
        os.rename(written, into)
    return ExportedModel(into, "hf", name, _size(into), model_bytes(model), check)


def _copy_facts(folder: Path, into: Path, dtype: str) -> None:
    """Keep the model card and the facts of a pruned model."""
    if not (folder / RECIPE_FILE).is_file():
        return
    facts = json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))
    (into / RECIPE_FILE).write_text(json.dumps({**facts, "exported_as": dtype}, indent=2) + "\n", encoding="utf-8")
    if (folder / CARD_FILE).is_file():
        shutil.copy(folder / CARD_FILE, into / CARD_FILE)


@contextmanager
def _staged(into: Path) -> Iterator[Path]:
    try:
        with staging_beside(into) as staging:
            yield staging
    except OSError as error:
        raise AutoPruneError(f"cannot write {into}: {error.strerror or error}") from None


def _check_free(into: Path) -> None:
    if into.exists() and (not into.is_dir() or any(into.iterdir()) or into.suffix.lower() == SUFFIX):
        raise UsageError(f"{into} exists already; name another, or remove it first")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
