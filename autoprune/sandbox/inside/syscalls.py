"""The system calls of a jailed process: an allow-list with conditions on arguments.

All other calls fail with EPERM, which Python raises as PermissionError in the candidate's own line. Numbers are per
architecture (None: no such call). The list is what CPython, glibc and torch on the CPU use to compute, to start
threads, and to read files, which Landlock restricts.
"""

from dataclasses import dataclass

MACHINES = ("x86_64", "aarch64")

CLONE_THREAD = 0x00010000
CLONE_NEW_NAMESPACES = 0x7E020000
O_WRITING = 0o1103  # O_WRONLY | O_RDWR | O_CREAT | O_TRUNC
TERMINAL_IOCTLS = (0x5401, 0x5450, 0x5451, 0x541B)  # TCGETS (isatty), FIONCLEX, FIOCLEX, FIONREAD
FCNTL_COMMANDS = (0, 1, 2, 3, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC: none that sends signals
PRCTL_OPTIONS = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA
ARCH_PRCTL_OPTIONS = (0x1021, 0x1022, 0x1023)  # ARCH_{GET_XCOMP_SUPP,GET_XCOMP_PERM,REQ_XCOMP_PERM}: AMX tiles


@dataclass(frozen=True)
class Check:
    """The low 32 bits of argument `argument`, and-ed with `mask`, must be one of `values`.

    `whole` also demands that the high 32 bits are zero (a null pointer).
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    whole: bool = False


OWN_PROCESS = Check(0, (-1,))
"""Stands for "the first argument is this process's id"; filled in when the filter is built."""

# name: (x86_64, aarch64)
PLAIN: dict[str, tuple[int | None, int | None]] = {
    "futex": (202, 98),
    "read": (0, 63),
    "write": (1, 64),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "brk": (12, 214),
    "sched_yield": (24, 124),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "pread64": (17, 67),
    "readv": (19, 65),
    "preadv": (295, 69),
    "writev": (20, 66),
    "pwrite64": (18, 68),
    "close": (3, 57),
    "lseek": (8, 62),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fstat": (5, 80),
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrandom": (318, 278),
    "getcpu": (309, 168),
    "sched_getaffinity": (204, 123),
    "getrlimit": (97, 163),
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "exit": (60, 93),
    "exit_group": (231, 94),
}

CHECKED: dict[str, tuple[tuple[int | None, int | None], tuple[Check, ...]]] = {
    # Threads of this process, never a new process or namespace.
    "clone": ((56, 220), (Check(0, (CLONE_THREAD,), CLONE_THREAD), Check(0, (0,), CLONE_NEW_NAMESPACES))),
    # Reading only, whatever the file system allows.
    "open": ((2, None), (Check(1, (0,), O_WRITING),)),
    "openat": ((257, 56), (Check(2, (0,), O_WRITING),)),
    # FIOSETOWN and F_SETOWN let the kernel send signals to other processes; TIOCSTI types into the user's terminal.
    "ioctl": ((16, 29), (Check(1, TERMINAL_IOCTLS),)),
    "fcntl": ((72, 25), (Check(1, FCNTL_COMMANDS),)),
    "prctl": ((157, 167), (Check(0, PRCTL_OPTIONS),)),
    "arch_prctl": ((158, None), (Check(0, ARCH_PRCTL_OPTIONS),)),
    # abort() signals its own process; other processes are excluded.
    "tgkill": ((234, 131), (OWN_PROCESS,)),
    # Reading its own limits only.
    "prlimit64": ((302, 261), (Check(0, (0,)), Check(2, (0,), whole=True))),
}

DEVICE_CALLS = frozenset({"ioctl", "open", "openat"})
"""Unchecked for a GPU's driver, in containers only."""

# Their arguments are in memory, which a filter cannot read: glibc falls back to clone and openat.
NOT_IMPLEMENTED: dict[str, tuple[int | None, int | None]] = {"clone3": (435, 435), "openat2": (437, 437)}
