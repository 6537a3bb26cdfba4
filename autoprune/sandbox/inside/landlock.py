"""Landlock: restrict this process to reading the given files and folders. ctypes only."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# Number of file-system rights per ABI; other bits would be rejected.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK = 0b11  # ABI 4: TCP bind and connect
_SCOPES = 0b11  # ABI 6: abstract Unix sockets and signals to processes outside


def abi() -> int:
    """The kernel's Landlock version; 0 if it is missing (older than 5.13) or disabled at boot."""
    version = _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION_FLAG))
    return max(version, 0)


def restrict(readable: Iterable[str]) -> None:
    """Deny all access to the file system except reading beneath `readable`; missing paths are skipped.

    Applies to the calling thread and the threads that it starts. Raises OSError.
    """
    version = abi()
    handled = (1 << _RIGHTS[min(version, 5)]) - 1
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", _NETWORK)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = _checked(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    try:
        for path in readable:
            _allow(ruleset, path)
        _checked(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(beneath).st_mode)
        rule = struct.pack("=Qi", _READ_FILE | (_READ_DIR if is_folder else 0), beneath)
        _checked(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(beneath)


def _call(number: int, *arguments: object) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments))


def _checked(number: int, *arguments: object) -> int:
    result = _call(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
