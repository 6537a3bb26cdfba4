"""Rows of the archive: from a measurement to what is kept of it, and back; and what people read of them."""

from typing import Any

from autoprune.config_values import Refinement
from autoprune.evaluation.measurement import LayerDiagnostic, Measurement
from autoprune.evaluation.tuning import Tuned
from autoprune.runs.archive import Measured

WORST_LAYERS = 3


def shown_name(row: Measured) -> str:
    """A baseline's name as people read it."""
    return row.subject.removeprefix("baseline:")


def refined_name(score: str, refinement: Refinement) -> str:
    """A published score with what becomes of its masks: wanda, wanda+swaps."""
    return score if refinement == "none" else f"{score}+{refinement}"


def short_name(row: Measured) -> str:
    """A baseline's name, or the start of a candidate's hash."""
    name = shown_name(row)
    return name[:8] if name == row.subject else name


def parameters(row: Measured) -> str:
    """With which parameters a baseline's allocation was made, if they were tuned; `untuned` if they might have been."""
    if "tuning" in row.data:
        return str(Tuned(**row.data["tuning"]).setting)
    return "untuned" if row.data.get("untuned") else ""


def worst_layers(measured: Measurement) -> list[str]:
    """The layers that lost most, by relative error."""
    worst = sorted(measured.layers, key=lambda layer: -layer.relative_error)
    return [layer.name for layer in worst[:WORST_LAYERS]]


def row_of(subject: str, settings: str, measured: Measurement, facts: dict[str, Any]) -> Measured:
    """What the archive keeps of a measurement. `facts`: what else is known of its subject."""
    data: dict[str, Any] = {
        "window_losses": measured.window_losses,
        "zeros": measured.zeros,
        "weights": measured.weights,
        "seqlen": measured.seqlen,
        "windows": measured.windows,
        "bos": measured.bos,
        "seconds": measured.seconds,
        "worst_layers": worst_layers(measured),
        "layers": [vars(layer) for layer in measured.layers],
        "layer_errors": measured.layer_errors,
        "sampled_layers": measured.sampled_layers,
        **facts,
    }
    return Measured(subject, measured.split, settings, measured.perplexity, measured.sparsity, data, measured.signature)


def measurement_of(row: Measured) -> Measurement:
    """What a row of the archive was made of."""
    data = row.data
    return Measurement(
        split=row.split,
        perplexity=row.perplexity,
        window_losses=data["window_losses"],
        sparsity=row.sparsity,
        zeros=data["zeros"],
        weights=data["weights"],
        seqlen=data["seqlen"],
        windows=data["windows"],
        layers=[LayerDiagnostic(**layer) for layer in data["layers"]],
        signature=row.signature,
        layer_errors=data.get("layer_errors", []),
        sampled_layers=data.get("sampled_layers", 0),
        bos=data.get("bos"),
    )
