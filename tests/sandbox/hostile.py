"""The candidates of hostile.yaml, and whole sources that never get as far as a score."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.absurd import HIDING, UNBOUNDED

PRELUDE = """
import torch
sys = torch._utils.traceback.sys
modules = sys.modules
os = modules["os"]
ctypes = modules["ctypes"]
libc = ctypes.CDLL(None, use_errno=True)

def number(x86_64, aarch64):
    return x86_64 if os.uname().machine == "x86_64" else aarch64

def syscall(*arguments):
    result = libc.syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def message(body):
    return b"APS\\x01" + len(body).to_bytes(4, "big") + body

def speak(data):  # to every descriptor that takes it: one of them is the channel
    for descriptor in range(3, 32):
        try:
            os.write(descriptor, data)
        except OSError:
            pass

def asked():  # the number of the question that is being answered, from the worker's own loop
    return sys._getframe(3).f_locals["question"]["id"]

def forge(body):  # from now on the worker's answers are what `body` makes of them
    modules["autoprune.sandbox.protocol"].encode = lambda answer: message(body(answer))

def as_json(answer):
    return modules["json"].dumps(answer).encode()

def score(layer):
    w = layer.weight
    if layer.sparsity == 0.25:
        return w.abs() * layer.input_norm
"""


@dataclass(frozen=True)
class Hostile:
    """A name, what it harms, the body of its score function, and the ends that are right for it.

    At sparsity 0.25 each is Wanda: so that every container also shows what the candidate before it has left.
    """

    name: str
    group: str
    body: str
    ends: list[str]

    def source(self, **paths: str) -> str:
        """The whole source, with the test's paths filled in."""
        return PRELUDE + _indented(_filled(self.body, paths))


def at_once(cases: list[Hostile], **paths: str) -> str:
    """One source that does what each of them does, and prints a line for each: name, how it ended, what it saw."""
    attempts = [f"def attempt_{n}(layer, w):\n{_indented(_filled(case.body, paths))}" for n, case in enumerate(cases)]
    names = {case.name: f"attempt_{n}" for n, case in enumerate(cases)}
    listed = ", ".join(f"{name!r}: {attempt}" for name, attempt in names.items())
    return PRELUDE + _indented(_TRY_ALL) + "\n".join([*attempts, f"ATTEMPTS = {{{listed}}}\n"])


def _filled(body: str, paths: dict[str, str]) -> str:
    for key, path in paths.items():
        body = body.replace("{" + key + "}", path)
    return body


def _indented(body: str) -> str:
    return "".join(f"    {line}\n" for line in body.splitlines())


_TRY_ALL = """
for name, attempt in ATTEMPTS.items():
    try:
        attempt(layer, w)
        end, saw = "ok", ""
    except BaseException as error:
        failure = modules["autoprune.sandbox.inside.candidate"].failure("score", error, "")
        end, saw = f"score/{failure['reason']}", failure["message"][:1000]
    print(modules["json"].dumps([name, end, saw]))
raise ValueError("all were tried")
"""
_GROUPS = yaml.safe_load(Path(__file__).with_name("hostile.yaml").read_text(encoding="utf-8"))
HOSTILE = [Hostile(group=group, **case) for group, cases in _GROUPS.items() for case in cases]

# A container takes four seconds to start. What reads answers, checks scores and screens sources is one program on this
# side of the wall, whatever is on the other, and `local` shows it all of its cases. So a container of its own has only
# what ends by what the engine itself does, or by the worker's death, which the engine tells, and one or two cases of
# every other kind.
IN_DOCKER = (
    *("endless loop", "sleep", "ignores every signal it can, then loops", "endless printing"),
    *("50 GB at once", "memory piece by piece", "memory of Python objects", "anonymous shared memory"),
    *("thread bomb", "recursion without a limit", "output flood past Python's own stream"),
    *("writes the weights in memory", "writes through the weights' pointer", "scores that change after return"),
    *("one NaN at the end", "transposed shape", "a list"),
    *("exit code 0", "exit code 137", "segmentation fault", "abort", "unloads everything"),
    *("closes everything, then loops", "threads left behind"),
    *("forged answer with the right number", "half a message", "a message of 4 GB", "text that spoils terminals"),
)
SOURCES_IN_DOCKER = (
    *("disallowed import", "unknown group, computed", "loops while loading", "raises while loading"),
    "forges 'id': 0",
)
# What the kernel or the container's walls refuse, and the candidate outlives: one container sees all of it.
REFUSED = [
    case
    for case in HOSTILE
    if case.group in ("memory", "files", "reading", "network", "other processes")
    and {*case.ends} <= {"score/forbidden", "score/exception"}
    and "output flood" not in case.name  # after which nothing more can be printed
]

_SCORE = "def score(layer):\n    return layer.weight\n"
_FORGED = PRELUDE + "    return w\n\nforge(lambda answer: as_json({}))\n"
_FORGED_FACTS = (
    *("'group': 7", "'group': None", "'group': ['row']", "'group': 'row' * 9**5", "'group': '\\ud800'"),
    *("'unit': 'world'", "'unit': 10**400", "'unit': True", "'allocate': 1", "'allocate': 'yes'"),
    *("'id': True", "'id': 0", "'id': -1", "'id': 1.0", "'id': '1'", "'more': 0", "'\\ud800' * 99: 0"),
)
# Whole sources, refused before anything runs or while they are loaded.
SOURCES = {
    "huge source": (_SCORE + "#" * 70_000, "screen/contract"),
    "source that is not UTF-8": (_SCORE + "# \ud800", "screen/contract"),
    "source with NUL": (_SCORE + "\0", "screen/contract"),
    "source too deep to parse": (_SCORE + "x = " + "(" * 5000 + ")" * 5000, "screen/contract"),
    "syntax error": (_SCORE.replace(":", ""), "screen/contract"),
    "no entry point": (_SCORE.replace("score", "scores"), "screen/contract"),
    "two arguments": (_SCORE.replace("layer)", "layer, other)"), "screen/contract"),
    "unknown group": (_SCORE + "GROUP = 'world'", "screen/contract"),
    "disallowed import": (_SCORE + "import os", "screen/forbidden"),
    "disallowed import from": (_SCORE + "from socket import socket", "screen/forbidden"),
    "unknown group, computed": (_SCORE + "GROUP = 'ro' + 'ad'", "load/contract"),
    "entry point deleted": (_SCORE + "del score", "load/contract"),
    "loops while loading": (_SCORE + "while True: pass", "load/timeout"),
    "raises while loading": (_SCORE + "1 / 0", "load/exception"),
    **{f"forges {what}": (_FORGED.format("{**answer, " + what + "}"), "load/protocol") for what in _FORGED_FACTS},
    "forges an answer without a group": (_FORGED.format("{'id': answer['id']}"), "load/protocol"),
    "forges a group of 20,000 digits": (
        _FORGED.replace("as_json({})", "b'{\"id\": 1, \"group\": ' + b'1' * 20_000 + b'}'"),
        "load/protocol",
    ),
    **{f"absurd: {name}": (source, "screen/contract") for name, source in {**UNBOUNDED, **HIDING}.items()},
}
