"""`autoprune export`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoprune.cli import complete
from autoprune.cli.common import console, print_json, say
from autoprune.cli.options import DTYPES, MODEL
from autoprune.cli.parse import choice, listed
from autoprune.errors import UsageError
from autoprune.log import log_to
from autoprune.models.gguf_files import KNOWN
from autoprune.report.text import plain

if TYPE_CHECKING:
    from autoprune.exporting.export import ExportedModel

FORMATS = ("gguf", "hf")
QUANTISATIONS = ("f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "bf16", "f32")


@log_to(say)
def export(
    model: Annotated[str, typer.Argument(help=MODEL, autocompletion=complete.of(*KNOWN))],
    out: Annotated[Path, typer.Option(help="The file (gguf) or the directory (hf) to write.")],
    format: Annotated[str, complete.option("gguf, for llama.cpp, or hf, a Hugging Face directory.", *FORMATS)] = "gguf",
    quantise: Annotated[
        str | None, complete.option(f"Of a GGUF file: {listed(QUANTISATIONS)}; default f16.", *QUANTISATIONS)
    ] = None,
    dtype: Annotated[
        str | None, complete.option(f"dtype of a directory: {listed(DTYPES)}; auto keeps the source dtype.", *DTYPES)
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Largest relative difference of the perplexity; default by format (docs/export.md)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print sizes and the check as JSON.")] = False,
) -> None:
    """Write a model for a runtime, load it there again, and compare its perplexity, tokens and a completion.

    Nothing is written if the runtime does not compute what transformers computes.
    """
    from autoprune.exporting.export import export_gguf, export_hf

    if choice(format, FORMATS) == "gguf":
        if dtype is not None:
            raise UsageError("--dtype is for --format hf; a GGUF file has --quantise")
        made = export_gguf(model, out, quantise or "f16", tolerance)
    else:
        if quantise is not None:
            raise UsageError("--quantise is for --format gguf; a directory has --dtype")
        made = export_hf(model, out, choice(dtype or "auto", DTYPES), tolerance)
    if as_json:
        print_json(_facts(made))
    else:
        _show(made)


def _facts(made: "ExportedModel") -> dict[str, Any]:
    check = {**asdict(made.check), "ratio": made.check.ratio} if made.check else None
    return {
        "out": str(made.path),
        "format": made.format,
        "kind": made.kind,
        "bytes": made.bytes,
        "source_bytes": made.source_bytes,
        "check": check,
        "unchecked": made.unchecked,
    }


def _show(made: "ExportedModel") -> None:
    lines = [
        f"{made.path}  {made.bytes / 1e6:,.1f} MB, {made.kind} "
        f"({made.bytes / made.source_bytes:.0%} of the model's own {made.source_bytes / 1e6:,.1f} MB)"
    ]
    if made.check is None:
        lines.append(f"not checked: {made.unchecked}")
    else:
        check = made.check
        lines.append(
            f"perplexity  {check.perplexity:.3f} in {check.runtime}, {check.reference:.3f} in transformers "
            f"({check.ratio - 1:+.2%}, {check.tolerance:.1%} allowed; {check.tokens} tokens)"
        )
        same = check.texts - len(check.differences)
        lines.append(f"tokenizer   the same tokens for {same} of {check.texts} texts")
        if check.differences:
            lines.append(
                f"            it is that of the original GGUF file; transformers splits {check.differences[0]!r} "
                "in another way"
            )
        lines.append(f"completion  {check.prompt!r} -> {check.completion!r}")
    for line in lines:
        console().print(plain(line), soft_wrap=True)
