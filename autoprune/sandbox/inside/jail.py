"""Shutting this process in, for good: limits, capabilities, no_new_privs, Landlock, seccomp. Standard library only.

Stops: other files (Landlock, and opening for writing at all), sockets, new processes and programs, signals and tracing
of others, more memory than allowed. Does not stop: using the processor until somebody outside looks at a clock;
learning whether a path exists and how large it is (stat); timing and cache side channels; bugs in the kernel.
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
    """Bounds that the kernel keeps. Sizes in bytes, time in seconds of processor time over all threads."""

    memory: int
    output: int
    processor: int
    open_files: int = 64


def missing() -> list[str]:
    """What this kernel lacks to shut a process in; empty when it has everything."""
    lacks = []
    if landlock.abi() < 1:
        lacks.append("Landlock (Linux 5.13 or newer, with landlock among the active security modules)")
    if not seccomp.supported():
        lacks.append("seccomp filters (CONFIG_SECCOMP_FILTER, on x86_64 or aarch64)")
    return lacks


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends. `parent` is the expected parent's id."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:  # it ended before the call above
        os._exit(1)


def shut(limits: Limits, readable: Iterable[str], need_landlock: bool = True, gpu: bool = False) -> None:
    """Shut the calling process in. It must have one thread. Raises OSError, RuntimeError.

    `need_landlock=False` is for a container, which has no other files to begin with. `gpu` (containers only) leaves out
    what a GPU's driver cannot live with: one thread, Landlock, a limited address space, no device control.
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
        # Address space: what is mapped already (torch, the bundle) is not the candidate's.
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
    """Root without capabilities is an ordinary user who owns root's files; those are Landlock's matter."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused to those who have none to drop
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
