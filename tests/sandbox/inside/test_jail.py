"""The jail's parts that need no jailed process: the filter's program, run by a small interpreter of classic BPF."""

import errno
import os
import struct
import threading

import pytest

from autoprune.sandbox.inside import jail, syscalls
from autoprune.sandbox.inside.seccomp import build

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 1234


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None, gpu: bool = False) -> int:
    """What the filter returns for one system call."""
    data = struct.pack("=IIQ6Q", number, ARCH[machine] if arch is None else arch, 0, *(*arguments, *[0] * 6)[:6])
    program = list(struct.iter_unpack("=HBBI", build(machine, PID, gpu)))
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            [accumulator] = struct.unpack_from("=I", data, operand)
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x15:
            at += if_true if accumulator == operand else if_false
        elif code == 0x35:
            at += if_true if accumulator >= operand else if_false
        else:
            assert code == 0x06
            return operand


@pytest.fixture(params=syscalls.MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def number(machine: str, name: str) -> int:
    found = syscalls.CHECKED[name][0][syscalls.MACHINES.index(machine)]
    assert found is not None
    return found


def test_listed_calls_pass_and_all_others_are_refused(machine: str) -> None:
    column = syscalls.MACHINES.index(machine)
    plain = {numbers[column] for numbers in syscalls.PLAIN.values()}
    later = {numbers[column] for numbers in syscalls.NOT_IMPLEMENTED.values()}
    checked = {numbers[column] for numbers, _ in syscalls.CHECKED.values()}
    for call in range(600):
        if call in plain:
            assert verdict(machine, call) == ALLOW
        elif call in later:
            assert verdict(machine, call) == ERRNO | errno.ENOSYS
        elif call not in checked:
            assert verdict(machine, call) == ERRNO | errno.EPERM


def test_threads_pass_but_processes_and_namespaces_do_not(machine: str) -> None:
    clone = number(machine, "clone")
    threads = 0x3D0F00  # what glibc's pthread_create asks for
    assert verdict(machine, clone, threads) == ALLOW
    assert verdict(machine, clone, 17) == ERRNO | errno.EPERM
    assert verdict(machine, clone, threads | 0x10000000) == ERRNO | errno.EPERM


def test_files_open_for_reading_only(machine: str) -> None:
    openat = number(machine, "openat")
    assert verdict(machine, openat, 0, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOW
    for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC):
        assert verdict(machine, openat, 0, 0, flag) == ERRNO | errno.EPERM


def test_signals_reach_the_own_process_only(machine: str) -> None:
    tgkill = number(machine, "tgkill")
    assert verdict(machine, tgkill, PID, PID, 6) == ALLOW
    assert verdict(machine, tgkill, PID + 1, PID + 1, 6) == ERRNO | errno.EPERM


def test_limits_can_be_read_but_not_set(machine: str) -> None:
    prlimit = number(machine, "prlimit64")
    assert verdict(machine, prlimit, 0, 7, 0, 5000) == ALLOW
    assert verdict(machine, prlimit, PID, 7, 0, 5000) == ERRNO | errno.EPERM
    assert verdict(machine, prlimit, 0, 7, 5000, 0) == ERRNO | errno.EPERM
    assert verdict(machine, prlimit, 0, 7, 1 << 32, 0) == ERRNO | errno.EPERM


def test_other_architectures_are_killed(machine: str) -> None:
    assert verdict(machine, 0, arch=0x40000003) == KILL
    assert verdict("x86_64", 0x40000000) == KILL


def test_a_process_with_threads_is_not_shut_in() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="threads"):
            jail.shut(jail.Limits(1, 1, 1), [])
    finally:
        done.set()
        thread.join()


def test_device_control_is_for_gpu_containers_only(machine: str) -> None:
    ioctl = number(machine, "ioctl")
    assert verdict(machine, ioctl, 3, 0x5412) == ERRNO | errno.EPERM  # TIOCSTI: typing into the user's terminal
    assert verdict(machine, ioctl, 3, 0xC020462A) == ERRNO | errno.EPERM
    assert verdict(machine, ioctl, 3, 0xC020462A, gpu=True) == ALLOW
    assert verdict(machine, number(machine, "clone"), 17, gpu=True) == ERRNO | errno.EPERM
