"""The jail of a process, which is irreversible: limits, capabilities, no_new_privs, Landlock, seccomp. Standard library
only.

Prevents: access to other files (Landlock) and any opening for writing, sockets, new processes and programs, signals to
and tracing of other processes, and exceeding the memory limit. Does not prevent: using the processor until the time
limit is enforced from outside; learning whether a path exists and its size (stat); timing and cache side channels;
kernel bugs.
"""

import ctypes
import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass

from autoprune.sandbox.inside import landlock, seccomp

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9


@dataclass(frozen=True)
class Limits:
    """Limits that the kernel enforces. Sizes in bytes, processor time in seconds over all threads."""

    memory: int
    output: int
    processor: int
    open_files: int = 64


def missing() -> list[str]:
    """The features for a jail that this kernel lacks."""
    lacks = []
    if landlock.abi() < 1:
        lacks.append("Landlock (Linux 5.13 or newer, with landlock among the active security modules)")
    if not seccomp.supported():
        lacks.append("seccomp filters (CONFIG_SECCOMP_FILTER, on x86_64 or aarch64)")
    return lacks


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends. `parent`: the expected parent's id."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:  # the parent ended before the call above
        os._exit(1)


def shut(limits: Limits, readable: Iterable[str], need_landlock: bool = True, gpu: bool = False) -> None:
    """Jail the calling process, which must have a single thread. Raises OSError, RuntimeError.

    `need_landlock=False` is for containers, which have no other files. `gpu` (containers only) omits the restrictions
    that a GPU's driver does not support: a single thread, Landlock, a limited address space, no device control.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1 and not gpu:
        raise RuntimeError(f"the process has {threads} threads; some of them would stay outside the jail")
    _limit(limits, gpu)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if not gpu and (need_landlock or landlock.abi()):
        landlock.restrict(readable)
    _drop_capabilities()
    seccomp.install(device_control=gpu)


def _limit(limits: Limits, gpu: bool) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    for name, value in (
        # Address space: existing mappings (torch, the bundle) do not count.
        (resource.RLIMIT_AS, resource.RLIM_INFINITY if gpu else mapped + limits.memory),
        (resource.RLIMIT_FSIZE, limits.output),
        (resource.RLIMIT_CPU, limits.processor),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(name)[1]
        if hard != resource.RLIM_INFINITY:
            value = hard if value == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def _drop_capabilities() -> None:
    """Without capabilities, root is an ordinary user who owns root's files, which Landlock denies."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails without capabilities to drop
    libc.prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(ctypes.byref(header), ctypes.byref(nothing)):
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")
