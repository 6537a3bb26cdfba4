"""The allow-list of syscalls.py as a classic BPF program, installed with seccomp(2). ctypes only."""

import ctypes
import errno
import os
import platform
import struct

from autoprune.sandbox.inside.syscalls import (
    CHECKED,
    DEVICE_CALLS,
    MACHINES,
    NOT_IMPLEMENTED,
    OWN_PROCESS,
    PLAIN,
    Check,
)

_SECCOMP_NUMBER = {"x86_64": 317, "aarch64": 277}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_SET_MODE_FILTER = 1
_GET_ACTION_AVAIL = 2
_FLAG_TSYNC = 1

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000

_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def supported() -> bool:
    """Whether this kernel filters system calls for this architecture."""
    machine = platform.machine()
    if machine not in MACHINES:
        return False
    action = ctypes.c_uint32(_ERRNO)
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(_SECCOMP_NUMBER[machine])
    return int(libc.syscall(number, ctypes.c_uint(_GET_ACTION_AVAIL), ctypes.c_uint(0), ctypes.byref(action))) == 0


def install(device_control: bool = False) -> None:
    """Install the filter for all threads of this process. Needs no_new_privs. Raises OSError."""
    program = build(platform.machine(), os.getpid(), device_control)
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(_SECCOMP_NUMBER[platform.machine()])
    argument = _Program(len(program) // 8, program)
    failed = libc.syscall(number, ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(_FLAG_TSYNC), ctypes.byref(argument))
    if failed:
        code = ctypes.get_errno() if failed < 0 else errno.EBUSY
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def build(machine: str, pid: int, device_control: bool = False) -> bytes:
    """The program for `machine` (x86_64 or aarch64) and the process `pid`, 8 bytes per instruction.

    `device_control` omits the checks on `ioctl` and on opening for writing, for a GPU's driver.
    """
    column = MACHINES.index(machine)
    code = [
        _op(_LOAD, _ARCH),
        _op(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _op(_RETURN, _KILL_PROCESS),
        _op(_LOAD, _NUMBER),
        _op(_JUMP_AT_LEAST, _X32_BIT, 0, 1),
        _op(_RETURN, _KILL_PROCESS),
    ]
    for numbers in PLAIN.values():
        if (number := numbers[column]) is not None:
            code += [_op(_JUMP_EQUAL, number, 0, 1), _op(_RETURN, _ALLOW)]
    for numbers in NOT_IMPLEMENTED.values():
        if (number := numbers[column]) is not None:
            code += [_op(_JUMP_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    for name, (numbers, checks) in CHECKED.items():
        if (number := numbers[column]) is not None:
            checks = () if device_control and name in DEVICE_CALLS else checks
            body = [op for check in checks for op in _check(check, pid)] + [_op(_RETURN, _ALLOW)]
            code += [_op(_JUMP_EQUAL, number, 0, len(body)), *body]
    code.append(_op(_RETURN, _ERRNO | errno.EPERM))
    return b"".join(code)


def _check(check: Check, pid: int) -> list[bytes]:
    """Instructions that fall through if the argument passes the check, else return EPERM."""
    values = (pid,) if check is OWN_PROCESS else check.values
    low = 16 + 8 * check.argument  # little-endian on both machines
    code = [_op(_LOAD, low)]
    if check.mask != 0xFFFFFFFF:
        code.append(_op(_AND, check.mask))
    for left, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        code.append(_op(_JUMP_EQUAL, value, left + 1, 0))
    code.append(_op(_RETURN, _ERRNO | errno.EPERM))
    if check.whole:
        code += [_op(_LOAD, low + 4), _op(_JUMP_EQUAL, 0, 1, 0), _op(_RETURN, _ERRNO | errno.EPERM)]
    return code


def _op(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
