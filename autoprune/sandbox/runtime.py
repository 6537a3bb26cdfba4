"""The mounts of a container: this machine's interpreter, torch and this package, read-only."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import autoprune
from autoprune.sandbox.paths import HIDDEN_MODULES, worker_packages

PACKAGE_PATH = "/opt/autoprune"
PYTHON_PATH = "/opt/python"
PACKAGES_PATH = "/opt/packages"


def package_binds() -> dict[str, str]:
    """The mount of this package: path on this machine -> path in the container."""
    folder = Path(autoprune.__file__).parent
    return {str(folder): f"{PACKAGE_PATH}/{folder.name}"}


def interpreter_binds() -> dict[str, str]:
    """The mounts of the interpreter with its standard library, and of torch with its dependencies."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    binds = {
        os.path.realpath(sys.executable): f"{PYTHON_PATH}/bin/python3",
        str(stdlib): f"{PYTHON_PATH}/lib/{stdlib.name}",
    }
    if library := _shared_library():
        binds[str(library)] = f"{PYTHON_PATH}/lib/{library.name}"
    return binds | {str(path): f"{PACKAGES_PATH}/{path.name}" for path in worker_packages()}


def hidden_folders() -> list[str]:
    """Folders of the mounted standard library that are hidden by empty ones."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    names = sorted(HIDDEN_MODULES | {"site-packages"})
    return [f"{PYTHON_PATH}/lib/{stdlib.name}/{name}" for name in names if (stdlib / name).is_dir()]


def interpreter_environment() -> dict[str, str]:
    """The environment of the mounted interpreter; the image defines the path of libraries (see image.py)."""
    return {"PYTHONHOME": PYTHON_PATH, "PYTHONPATH": f"{PACKAGE_PATH}:{PACKAGES_PATH}"}


def shared_libraries() -> list[Path]:
    """The system libraries that the interpreter, its extension modules and torch are linked with."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    roots = [Path(os.path.realpath(sys.executable)), *(stdlib / "lib-dynload").glob("*.so")]
    for package in worker_packages():
        roots += [path for path in package.rglob("*.so*") if path.is_file()] if package.is_dir() else []
    listing = subprocess.run(["ldd", *map(str, roots)], capture_output=True, text=True, check=False).stdout
    libraries = set()
    for line in listing.splitlines():
        words = line.replace("=>", " ").split()
        paths = [word for word in words if word.startswith("/") and not word.endswith(":")]
        libraries |= {Path(path) for path in paths[-1:] if Path(path).is_file()}
    bound = tuple(map(str, (stdlib, *worker_packages())))
    return sorted(path for path in libraries if not str(path).startswith(bound) and "site-packages" not in path.parts)


def _shared_library() -> Path | None:
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    path = Path(folder or "", name or "")
    return path if path.suffix != ".a" and ".so" in path.name and path.is_file() else None
