"""The seccomp filter of the local back ends, assembled here: no library, no compiler.

A list of system calls that lead out of a sandbox or into rarely tested kernel code is refused with
EPERM; everything else passes. Namespaces cannot be made, terminals cannot be typed into, and other
architectures' calls end the process.
"""

import platform
import struct

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = 1, 38
LOAD, JUMP_EQ, JUMP_GE, JUMP_SET, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER_AT, ARCH_AT, ARGUMENT_0, ARGUMENT_1 = 0, 4, 16, 24
NAMESPACE_FLAGS = 0x7E020080
"""CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | NEWTIME."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

# name: (number on x86_64, number on aarch64); None where the architecture has no such call
REFUSED: dict[str, tuple[int | None, int]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "process_vm_writev": (311, 271),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
    "iopl": (172, -1),
    "ioperm": (173, -1),
}
WITHOUT_NAMESPACES: dict[str, tuple[int, int]] = {
    "ioprio_set": (251, 30),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
}
"""Refused as well where the agent shares the host's IPC and network namespaces: Landlock."""
SELF_ONLY: dict[str, tuple[int, int]] = {
    "prlimit64": (302, 261),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
}
"""Allowed for the caller itself (process id 0) only: the kernel asks for the same user and no more,
and that the supervisor, or under Landlock the host process, may have."""
SETPRIORITY = (141, 140)
SOCKETPAIR = (53, 199)
CONNECTED_KINDS = (1, 5)
"""SOCK_STREAM and SOCK_SEQPACKET. A datagram pair can send to any socket file, /dev/log for one."""
CLONE, CLONE3, IOCTL = (56, 220), (435, 435), (16, 29)
SCHED_SETAFFINITY = (203, 122)
X32_BIT = 0x40000000


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def supported() -> bool:
    """Whether there is a filter for this machine's architecture."""
    return platform.machine() in ("x86_64", "aarch64")


def filter_program(
    *, sockets: bool, affinity: bool, segments: bool = True, machine: str | None = None
) -> bytes:
    """Assemble the filter.

    Args:
        sockets: Whether socket(2) and System V and POSIX IPC may be used. Landlock cannot keep
            UDP, Unix sockets or IPC in, so there they may not; a connected
            socketpair(2) always may.
        affinity: Whether sched_setaffinity(2) may be called; not when it enforces `cpus`.
        segments: Whether System V shared memory may be made; not where nothing counts it.
        machine: "x86_64" or "aarch64"; this machine's by default.

    Returns:
        Packed `struct sock_filter` instructions.
    """
    arm = (machine or platform.machine()) == "aarch64"
    column = 1 if arm else 0
    refused = [numbers[column] for numbers in REFUSED.values()]
    if not sockets:
        refused += [numbers[column] for numbers in WITHOUT_NAMESPACES.values()]
    elif not segments:
        refused.append(WITHOUT_NAMESPACES["shmget"][column])
    refused += [] if affinity else [SCHED_SETAFFINITY[column]]
    program = [
        _instruction(LOAD, ARCH_AT),
        _instruction(JUMP_EQ, AARCH64 if arm else X86_64, 1, 0),
        _instruction(RETURN, KILL),
        _instruction(LOAD, NUMBER_AT),
    ]
    if not arm:
        program += [_instruction(JUMP_GE, X32_BIT, 0, 1), _instruction(RETURN, ERRNO | ENOSYS)]
    for number in refused:
        if number is not None and number >= 0:
            program += [_instruction(JUMP_EQ, number, 0, 1), _instruction(RETURN, ERRNO | EPERM)]
    self_only = [numbers[column] for numbers in SELF_ONLY.values()]
    self_only += [] if sockets else [SCHED_SETAFFINITY[column]]
    for number in self_only:
        program += [
            _instruction(JUMP_EQ, number, 0, 4),
            _instruction(LOAD, ARGUMENT_0),
            _instruction(JUMP_EQ, 0, 1, 0),
            _instruction(RETURN, ERRNO | EPERM),
            _instruction(RETURN, ALLOW),
        ]
    if not sockets:
        program += [
            _instruction(JUMP_EQ, SOCKETPAIR[column], 0, 6),
            _instruction(LOAD, ARGUMENT_1),
            _instruction(AND, 0xF),
            _instruction(JUMP_EQ, CONNECTED_KINDS[0], 2, 0),
            _instruction(JUMP_EQ, CONNECTED_KINDS[1], 1, 0),
            _instruction(RETURN, ERRNO | EPERM),
            _instruction(RETURN, ALLOW),
        ]
    program += [
        _instruction(JUMP_EQ, SETPRIORITY[column], 0, 6),
        _instruction(LOAD, ARGUMENT_0),
        _instruction(JUMP_EQ, 0, 0, 2),
        _instruction(LOAD, ARGUMENT_1),
        _instruction(JUMP_EQ, 0, 1, 0),
        _instruction(RETURN, ERRNO | EPERM),
        _instruction(RETURN, ALLOW),
        # clone3 hides its flags behind a pointer: say it does not exist, and libc uses clone
        _instruction(JUMP_EQ, CLONE3[column], 0, 1),
        _instruction(RETURN, ERRNO | ENOSYS),
        _instruction(JUMP_EQ, CLONE[column], 0, 4),
        _instruction(LOAD, ARGUMENT_0),
        _instruction(JUMP_SET, NAMESPACE_FLAGS, 0, 1),
        _instruction(RETURN, ERRNO | EPERM),
        _instruction(RETURN, ALLOW),
        _instruction(JUMP_EQ, IOCTL[column], 0, 4),
        _instruction(LOAD, ARGUMENT_1),
        _instruction(JUMP_EQ, TIOCSTI, 1, 0),
        _instruction(JUMP_EQ, TIOCLINUX, 0, 1),
        _instruction(RETURN, ERRNO | EPERM),
        _instruction(RETURN, ALLOW),
    ]
    return b"".join(program)
