"""The proof itself: a program that asks the kernel for an inet socket does not get one."""

import sys

from harness import PYTHON, Process, test

_ASK = """
import errno, socket, sys
for family in (socket.AF_INET, socket.AF_INET6):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(family, kind)
            sys.exit(f"got a kernel socket {family} {kind}")
        except OSError as error:
            assert error.errno == errno.EACCES, error
socket.socketpair()
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
"""


@test
def kernel_inet_sockets_are_forbidden(bed):
    """Runs without Sluice on purpose: here the filter is what is tested."""
    process = Process("ask", [PYTHON, "-c", _ASK], bed.pair.subject, bed.logs, forbid_inet=True)
    try:
        assert process.wait(20) == 0, process.log()
    finally:
        process.stop()


@test
def a_kernel_socket_is_seen_in_the_table(bed):
    """The second proof can fail too: a kernel listener in the namespace shows up."""
    code = ("import socket; s = socket.create_server(('', 7)); "
            "print('up', flush=True); s.accept()")
    process = Process("listen", [PYTHON, "-c", code], bed.pair.subject, bed.logs)
    try:
        process.wait_for_line("up")
        assert any(":7 " in line for line in bed.pair.subject.kernel_sockets()), sys.argv
    finally:
        process.stop()
