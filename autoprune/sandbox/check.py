"""Trying a sandbox on this machine: one good candidate, and a few that must fail in the right way."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from autoprune.errors import CandidateFailure
from autoprune.sandbox.base import Sandbox

# What a candidate can reach without importing anything that the screen would notice.
_PRELUDE = "import torch\nmodules = torch._utils.traceback.sys.modules\nos = modules['os']\ndef score(layer):\n    "

_PROBES = {
    "a plain score is computed": ("return layer.weight.abs() * layer.input_norm", ("ok",)),
    "no network": ("modules['socket'].socket()", ("forbidden",)),
    "no other files": ("open('{secret}').read()", ("forbidden", "exception")),
    "no writing": ("open('/tmp/autoprune-probe', 'w')", ("forbidden", "exception")),
    "no new processes": ("os.fork()", ("forbidden",)),
    "no other programs": ("os.execv('/bin/true', ['true'])", ("forbidden",)),
    "no signals to others": ("os.kill(os.getppid(), 9)", ("forbidden",)),
    "memory is limited": ("return layer.weight.new_ones(2**40)", ("memory",)),
    "scores must be finite": ("return layer.weight * float('nan')", ("not-finite",)),
    "a crash is noticed": ("modules['ctypes'].string_at(0)", ("crashed",)),
    "an endless loop is ended": ("while True: pass", ("timeout",)),
}


@dataclass(frozen=True)
class Probe:
    """One thing that was tried: what should hold, how it ended ("ok" or the failure's reason), and its message."""

    name: str
    outcome: str
    passed: bool
    message: str


def check(sandbox: Sandbox) -> list[Probe]:
    """Run all probes; the endless loop takes as long as the sandbox's settings give a candidate."""
    with tempfile.TemporaryDirectory(prefix="autoprune-check-") as folder:
        secret = Path(folder, "secret.txt")
        secret.write_text("not for candidates", encoding="utf-8")
        bundle = _small_bundle(Path(folder, "bundle"))
        probes = []
        for name, (body, expected) in _PROBES.items():
            outcome, message = _run(sandbox, _PRELUDE + body.replace("{secret}", str(secret)) + "\n", bundle)
            probes.append(Probe(name, outcome, outcome in expected, message))
        return probes


def _run(sandbox: Sandbox, source: str, bundle: Path) -> tuple[str, str]:
    try:
        with sandbox.open(source, bundle) as session:
            for _ in session.scores({"layer": 0.5}):
                pass
    except CandidateFailure as failure:
        return failure.reason, failure.message
    return "ok", ""


def _small_bundle(path: Path) -> Path:
    import torch

    from autoprune.pruning.bundle import STATISTICS, LayerInfo, write_bundle

    layer = LayerInfo("layer", "q", 0, 0.0, (8, 8), "block.0")
    statistics = {name: torch.ones(8) * (index + 1) for index, name in enumerate(STATISTICS)}
    write_bundle(path, [layer], {"layer": torch.eye(8)}, {"layer": statistics})
    return path
