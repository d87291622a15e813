"""Run Python with the network cut off: `python tools/offline.py -m pytest ...`

On Linux the process moves to a network namespace of its own, in which only loopback exists, and
COURSE_OFFLINE=1 tells the tests so. Other systems have no such thing: there it says so and goes on.
"""

import ctypes
import os
import socket
import struct
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1  # linux/sockios.h, linux/if.h


def cut_off() -> None:
    """Leave this process loopback and nothing else; OSError where the system does not allow it."""
    import fcntl  # not on Windows

    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    flags = CLONE_NEWNET if user == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if user != 0:
        with open("/proc/self/setgroups", "w") as file:
            file.write("deny")
        for name, number in (("uid_map", user), ("gid_map", group)):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(f"{number} {number} 1")
    with socket.socket() as loopback:
        fcntl.ioctl(loopback, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


if __name__ == "__main__":
    try:
        cut_off()
        os.environ["COURSE_OFFLINE"] = "1"
    except (ImportError, AttributeError, OSError) as error:
        print(f"The network stays on: this system does not let it be cut off ({error}).", flush=True)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
