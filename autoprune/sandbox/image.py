"""Building the image of the sandbox `docker`: from the packaged Dockerfile, from this machine, or from a tarball.

- `dockerfile`: contains interpreter and torch (needs a registry and a package index).
- `host`: contains only the shared libraries of this machine's interpreter and torch, which are mounted read-only when a
  container starts. Nothing is downloaded, and the image has no shell or tools.
- a rootfs tarball: any small Linux with this machine's libc; interpreter and torch are mounted likewise.
"""

import io
import logging
import platform
import sys
import tarfile
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from autoprune.errors import AutoPruneError, UsageError, message_of
from autoprune.log import quiet
from autoprune.sandbox.runtime import PYTHON_PATH, shared_libraries

logger = logging.getLogger(__name__)
RUNTIME_LABEL = "autoprune.runtime"
"""`image`: interpreter and torch are in the image. `bound`: they are mounted from this machine."""
_HOST_LABEL = "autoprune.host"


def ensure_image(client: Any, name: str) -> Any:
    """The image `name`, built from this machine if it is missing or was built from another interpreter.

    Images that were built in another way are not replaced. Raises AutoPruneError.
    """
    import docker

    try:
        image = client.images.get(name)
        stale = (image.labels or {}).get(_HOST_LABEL, _host()) != _host()
    except docker.errors.ImageNotFound:
        stale = True
    except (docker.errors.DockerException, OSError) as error:
        raise AutoPruneError(f"the engine does not answer: {message_of(error)}") from None
    if stale:
        logger.info(f"making the image {name} from this machine's libraries (a second, once)")
        with quiet():
            build_image(client, name, "host")
        image = client.images.get(name)
    return image


def build_image(client: Any, name: str, source: Literal["dockerfile", "host"] | Path) -> str:
    """Build or replace the image `name`, and return its id. Logs a line per step. Raises AutoPruneError.

    The previous image of this name is removed unless it has other names or a container.
    """
    import docker

    try:
        before = _id(client, name)
        built = _build(client, name, source)
        if before not in (None, built):
            _drop(client, before)
        return built
    except docker.errors.DockerException as error:  # first, since some of these are OSErrors
        raise AutoPruneError(f"the engine did not build {name}: {message_of(error)}") from None
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or source}: {error.strerror or error}") from None


def _id(client: Any, name: str) -> str | None:
    import docker

    try:
        return str(client.images.get(name).id)
    except docker.errors.ImageNotFound:
        return None


def _build(client: Any, name: str, source: Literal["dockerfile", "host"] | Path) -> str:
    if source == "dockerfile":
        return _from_dockerfile(client, name)
    if source == "host":
        logger.info("collecting the shared libraries of the interpreter and torch")
        libraries = shared_libraries()
        folders = sorted({str(path.parent) for path in libraries})
        return _import(client, name, _tarball(libraries), folders, {_HOST_LABEL: _host()})
    logger.info(f"importing {source}")
    return _import(client, name, source.read_bytes(), [], {})


def _drop(client: Any, image: str) -> None:
    import docker

    try:
        if not client.images.get(image).tags:
            client.images.remove(image)
    except docker.errors.ImageNotFound:  # the engine removed it together with its name
        return
    except docker.errors.APIError as error:
        logger.warning(f"the image that had the name before is left: {message_of(error)}")


def _from_dockerfile(client: Any, name: str) -> str:
    arguments = {"BASE": f"python:{'.'.join(platform.python_version_tuple()[:2])}-slim"}
    for package in ("torch", "numpy", "safetensors"):
        try:
            arguments[package.upper()] = f"{package}=={version(package).partition('+')[0]}"
        except PackageNotFoundError:
            logger.warning(f"{package} is not installed here: taking the newest")
    with tempfile.TemporaryDirectory() as context:
        Path(context, "Dockerfile").write_bytes(files("autoprune.sandbox").joinpath("Dockerfile").read_bytes())
        error = ""
        for event in client.api.build(path=context, tag=name, buildargs=arguments, rm=True, pull=True, decode=True):
            if line := str(event.get("stream", event.get("status", ""))).strip():
                logger.info(line)
            error = str(event.get("error", error))
    if error:
        raise AutoPruneError(f"the engine did not build {name}: {error}")
    return str(client.images.get(name).id)


def _import(client: Any, name: str, tarball: bytes, folders: list[str], labels: dict[str, str]) -> str:
    changes = [
        *(f'LABEL {key}="{value}"' for key, value in {RUNTIME_LABEL: "bound", **labels}.items()),
        f"ENV LD_LIBRARY_PATH={':'.join([f'{PYTHON_PATH}/lib', *folders])}",
        "USER 65534:65534",
    ]
    client.api.import_image_from_data(tarball, repository=name, changes=changes)
    return str(client.images.get(name).id)


def _tarball(libraries: list[Path]) -> bytes:
    """A root file system with these files at their own paths, and the mount points of an engine.

    Every folder has an entry, since some engines create implied ones without access for other users than root.
    """
    mounted_over = {"proc", "sys", "dev", "etc", "tmp", "opt", "run"}
    parents = {str(folder).lstrip("/") for path in libraries for folder in path.parents} - {""}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in sorted(mounted_over | parents):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for path in libraries:
            data = path.read_bytes()
            entry = tarfile.TarInfo(str(path).lstrip("/"))
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _host() -> str:
    """All that an image of this machine's libraries depends on."""
    return f"{platform.machine()} python {platform.python_version()} torch {version('torch')} at {sys.base_prefix}"
