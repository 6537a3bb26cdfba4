"""A self-test of a sandbox on this machine: a valid candidate, and hostile ones that must fail for the right reason.

To distinguish a denied file from a missing one, the secret is world-readable and -writable, its content is verified,
and the candidate's error must name it. Some candidates forge messages, numbers and buffers of the worker.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoprune.candidates.structure_contract import is_structured, updates_consumer
from autoprune.errors import CandidateFailure
from autoprune.pruning.layers import Session
from autoprune.sandbox.base import Sandbox

if TYPE_CHECKING:
    from torch import Tensor

# Modules that a candidate can reach without an import that the screen would detect.
_PRELUDE = """import torch
sys = torch._utils.traceback.sys
modules = sys.modules
os, json = modules["os"], modules["json"]
protocol = modules["autoprune.sandbox.protocol"]
encode = protocol.encode


def forge(**facts):  # from now on the worker's answers say this
    protocol.encode = lambda answer: encode({**answer, **facts})


def worker():  # the worker's own loop, and all that it holds
    return sys._getframe(2).f_back.f_locals


def score(layer):
    """

_SECRET = "not for candidates"
_GONE = {"local": ("PermissionError",), "docker": ("PermissionError", "FileNotFoundError", "OSError: [Errno 30]")}
"""The errors for a file outside the sandbox. Without a container the file is visible, and only the jail denies it."""


@dataclass(frozen=True)
class _Try:
    """The body of a score, and the accepted outcomes. `hidden`: whether access to the secret file must be denied."""

    body: str
    ends: tuple[str, ...]
    hidden: bool = False


_STRUCTURES = '\n\nSTRUCTURE = "channel"\n'
_TRIES = {
    "a plain score is computed": _Try("return layer.weight.abs() * layer.input_norm", ("ok",)),
    "its own libraries can be read": _Try("open(torch.__file__, 'rb').read(1); return layer.weight", ("ok",)),
    "no network": _Try("modules['socket'].socket()", ("forbidden",)),
    "no other files": _Try("open('{secret}').read()", ("forbidden", "exception"), hidden=True),
    "no other folders": _Try("os.listdir('{folder}')", ("forbidden", "exception"), hidden=True),
    "no writing": _Try("open('{secret}', 'w')", ("forbidden", "exception"), hidden=True),
    "no new files": _Try("open('{secret}.new', 'w')", ("forbidden", "exception"), hidden=True),
    "no new processes": _Try("os.fork()", ("forbidden",)),
    "no other programs": _Try("os.execv('/bin/true', ['true'])", ("forbidden",)),
    "no signals to others": _Try("os.kill(os.getppid(), 9)", ("forbidden",)),
    "memory is limited": _Try("return layer.weight.new_ones(2**40)", ("memory",)),
    "scores must be finite": _Try("return layer.weight * float('nan')", ("not-finite",)),
    "scores must come back": _Try("return layer.weight + os.urandom(1)[0] + os.urandom(1)[0]", ("not-repeatable",)),
    "a forged shape is noticed": _Try("forge(shape=[1, 1]); return layer.weight", ("shape",)),
    "a forged number of a question is noticed": _Try("forge(id=99); return layer.weight", ("protocol",)),
    "an answer given twice is noticed": _Try(
        "protocol.encode = lambda answer: encode(answer) * 2\n    return layer.weight", ("protocol",)
    ),
    "numbers beyond float are refused": _Try("forge(own=10**400); return layer.weight", ("protocol",)),
    "words for numbers are refused": _Try("forge(processor='none'); return layer.weight", ("protocol",)),
    "claims that nobody asked for are refused": _Try("forge(perplexity=1.0); return layer.weight", ("protocol",)),
    "a forged verdict is refused": _Try(
        "forge(failure={'stage': 'measure', 'reason': 'won', 'message': ''}); return layer.weight", ("protocol",)
    ),
    "what is no message is refused": _Try(
        "protocol.encode = lambda answer: b'measured: 1.0'; return layer.weight", ("protocol",)
    ),
    "scores behind a forged answer are looked at": _Try(
        "held = worker(); [place.fill_(float('nan')) for place in held['places']]\n"
        "    answer = {'id': held['question']['id'], 'shape': [8, 8]}\n"
        "    answer |= {'own': 0.0, 'own_processor': 0.0, 'processor': 0.0}\n"
        "    os.write(held['channel'].fileno(), encode(answer))\n"
        "    while True: pass",
        ("not-finite",),
    ),
    "an update is computed": _Try(
        "return layer.weight\n\ndef update(layer, mask):\n    return layer.weight * mask", ("ok",)
    ),
    "an update of pruned places is noticed": _Try(
        "return layer.weight\n\ndef update(layer, mask):\n    return layer.weight + 1.0", ("contract",)
    ),
    "an update by another mask in the buffer is noticed": _Try(
        "return layer.weight\n\ndef update(layer, mask):\n    held = sys._getframe(3).f_locals\n"
        "    [place.fill_(1) for place in held['masks']]\n    return layer.weight + 1.0",
        ("contract",),
    ),
    "a refined mask that keeps more is noticed": _Try(
        "return layer.weight\n\ndef refine(layer, mask):\n    return torch.ones_like(mask)", ("contract",)
    ),
    "importances of structures are computed": _Try(f"return layer.consumer.weight.sum((1, 2)){_STRUCTURES}", ("ok",)),
    "importances of more structures are noticed": _Try(
        f"forge(shape=[9]); return layer.consumer.weight.sum((1, 2)){_STRUCTURES}", ("shape",)
    ),
    "importances must be finite": _Try(f"return layer.consumer.input_var.sum(1) / 0{_STRUCTURES}", ("not-finite",)),
    "a consumer of another shape is noticed": _Try(
        f"return layer.consumer.weight.sum((1, 2)){_STRUCTURES}\n"
        "def update(structures, kept):\n    return structures.consumer.weight",
        ("shape",),
    ),
    "a crash is noticed": _Try("modules['ctypes'].string_at(0)", ("crashed",)),
    "an endless loop is ended": _Try("while True: pass", ("timeout",)),
}


@dataclass(frozen=True)
class Probe:
    """The result of one test: its name, the outcome ("ok" or the failure's reason), and the message."""

    name: str
    outcome: str
    passed: bool
    message: str


def check(sandbox: Sandbox) -> list[Probe]:
    """Run all probes; the endless loop takes the sandbox's whole time limit."""
    with tempfile.TemporaryDirectory(prefix="autoprune-check-") as made:
        folder = Path(made)
        folder.chmod(0o777)  # only the sandbox denies access
        secret = folder / "secret.txt"
        secret.write_text(_SECRET, encoding="utf-8")
        secret.chmod(0o666)
        bundle = _small_bundle(folder / "bundle")
        probes = []
        for name, tried in _TRIES.items():
            body = tried.body.replace("{secret}", str(secret)).replace("{folder}", made)
            outcome, message = _run(sandbox, f"{_PRELUDE}{body}\n", bundle)
            passed = outcome in tried.ends
            if tried.hidden:
                passed = passed and message.startswith(_GONE[sandbox.name]) and made in message and _is_intact(folder)
            probes.append(Probe(name, outcome, passed, message))
        return probes


def _is_intact(folder: Path) -> bool:
    """Whether the secret is unchanged and no file was added."""
    names = {path.name for path in folder.iterdir()}
    return names == {"bundle", "secret.txt"} and (folder / "secret.txt").read_text(encoding="utf-8") == _SECRET


def _run(sandbox: Sandbox, source: str, bundle: Path) -> tuple[str, str]:
    try:
        with sandbox.open(source, bundle) as session:
            _ask(session, source)
            if session.repeats() is False:
                return "not-repeatable", "a fresh process gave other scores"
    except CandidateFailure as failure:
        return failure.reason, failure.message
    return "ok", ""


def _ask(session: Session, source: str) -> None:
    """Ask a candidate everything that it defines."""
    if is_structured(source):
        from autoprune.pruning.structure_view import StructureSet

        sets = [StructureSet("channel", 0, 8, 4, 0.2, ((name, 0), (name, 1))) for name in _LAYERS]
        for structures, importances in zip(sets, session.importances(sets), strict=True):
            kept = importances.topk(structures.keep).indices.sort().values
        if updates_consumer(source):
            session.consumer(sets[-1], kept)
        return
    sparsity = dict.fromkeys(_LAYERS, 0.5)
    for _ in session.edits(sparsity, _half) if session.edits_defined else session.scores(sparsity):
        pass


def _half(name: str, score: "Tensor") -> "Tensor":
    """A mask [out, in] that keeps the first half of each row."""
    kept = score.new_zeros(score.shape).bool()
    kept[:, : score.shape[1] // 2] = True
    return kept


_LAYERS = ("layer.0", "layer.1", "layer.2", "layer.3")


def _small_bundle(path: Path) -> Path:
    import torch

    from autoprune.models.bundle import STATISTICS, write_bundle
    from autoprune.pruning.layers import LayerInfo

    layers = [LayerInfo(name, "q", 0, 0.0, (8, 8), "block.0") for name in _LAYERS]
    statistics = {
        layer: {name: torch.ones(8) * (index + 1) for index, name in enumerate(STATISTICS)} for layer in _LAYERS
    }
    write_bundle(path, layers, lambda name: torch.eye(8), statistics)
    return path
