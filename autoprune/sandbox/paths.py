"""The files of this machine that a candidate's process may read: parts of the standard library, and torch."""

import importlib.util
import sysconfig
from pathlib import Path

# Modules of the standard library that a candidate must not read: the built-in texts for measurements.
HIDDEN_MODULES = frozenset({"pydoc_data"})
# torch, its imports at run time, and the imports of the worker.
_PACKAGES = (
    *("torch", "torchgen", "functorch", "numpy", "numpy.libs", "sympy", "mpmath", "typing_extensions.py"),
    *("safetensors", "nvidia", "triton"),
)
_SYSTEM = ("/sys/devices/system/cpu", "/proc/cpuinfo")


def worker_packages() -> list[Path]:
    """The installed packages that the worker needs, as folders or files beside torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent.parent
    return [folder / name for name in _PACKAGES if (folder / name).exists()]


def readable_paths() -> list[str]:
    """All paths that are readable in the jail."""
    paths = list(_SYSTEM)
    for key in ("stdlib", "platstdlib"):
        folder = Path(sysconfig.get_path(key))
        paths += [str(entry) for entry in folder.iterdir() if entry.name not in HIDDEN_MODULES | {"site-packages"}]
    return paths + [str(path) for path in worker_packages()]
