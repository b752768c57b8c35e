"""Starting programs so that none outlives the test: own session, bounded waits, killed by group.

    server = Process("server", ["nc", "-l", "5000"], namespace, logs)
    server.wait_for_line("Listening")
    server.stop()
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
# (AUDIT_ARCH, socket, io_uring_setup) of the machines that Debian's DPDK is built for here.
_SYSCALLS = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}


def inet_filter(drivers_own_sockets=False):
    """A seccomp program: socket(AF_INET or AF_INET6) fails with EACCES, io_uring with ENOSYS.

    UDP-Lite alone is allowed: it is none of Sluice's protocols and stays the kernel's. DPDK's
    drivers open an AF_INET datagram socket for the ioctls on their interfaces. Under preload it
    becomes one of another family; in an embedded program it has to be allowed, and only that.
    """
    arch, nr_socket, nr_io_uring = _SYSCALLS[platform.machine()]
    allow, deny = 0x7FFF0000, 0x00050000
    load, mask, equal, give = 0x20, 0x54, 0x15, 0x06
    datagram = socket.SOCK_DGRAM if drivers_own_sockets else -1 & 0xFFFFFFFF
    code = [
        (load, 0, 0, 4),                 # 0: seccomp_data.arch
        (equal, 1, 0, arch),
        (give, 0, 0, deny | 1),          # 2: another architecture's calls: EPERM
        (load, 0, 0, 0),                 # 3: seccomp_data.nr
        (equal, 3, 0, nr_io_uring),
        (equal, 0, 3, nr_socket),
        (load, 0, 0, 16),                # 6: the low half of the first argument
        (equal, 3, 2, socket.AF_INET),
        (give, 0, 0, deny | errno.ENOSYS),
        (give, 0, 0, allow),             # 9
        (equal, 3, 6, socket.AF_INET6),  # 10
        (load, 0, 0, 24),                # 11: that of the second, without SOCK_CLOEXEC and such
        (mask, 0, 0, 15),
        (equal, 3, 0, datagram),
        (load, 0, 0, 32),                # 14: that of the third
        (equal, 1, 0, socket.IPPROTO_UDPLITE),
        (give, 0, 0, deny | errno.EACCES),
        (give, 0, 0, allow),             # 17
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code), len(code)


def _forbid_inet(drivers_own_sockets):
    code, count = inet_filter(drivers_own_sockets)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", count, ctypes.addressof(buffer))
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


class Process:
    """A program in a namespace. Its output goes to a log; it dies with its whole session."""

    def __init__(self, name, argv, namespace, logs, forbid_inet=False, core=None, stdin=None,
                 stdout=None, environment=None, directory=None, drivers_own_sockets=False):
        self.name, self.argv = name, argv
        self.log_path = os.path.join(logs, f"{time.monotonic_ns()}-{name}.log")
        self._log = open(self.log_path, "wb")

        def prepare():
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
            if core is not None:
                os.sched_setaffinity(0, {core})
            if forbid_inet:
                _forbid_inet(drivers_own_sockets)

        self._child = subprocess.Popen(
            ["ip", "netns", "exec", namespace.name, *argv], stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or self._log, stderr=self._log, start_new_session=True,
            preexec_fn=prepare, env=dict(os.environ, **(environment or {})), cwd=directory)

    @property
    def pid(self):
        # `ip netns exec` and `sluice run` both exec in place: the pid is the program's own.
        return self._child.pid

    @property
    def stdin(self):
        return self._child.stdin

    @property
    def stdout(self):
        return self._child.stdout

    def running(self):
        return self._child.poll() is None

    @property
    def status(self):
        return self._child.returncode

    def log(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode(errors="replace")

    def wait(self, seconds):
        """Its exit status; it is an error if it has not ended by then."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds} s") from None

    def wait_for_line(self, text, seconds=20):
        until(lambda: text in self.log() or not self.running(), seconds,
              f"{self.name} to print {text!r}")
        assert text in self.log(), f"{self.name} ended with status {self.status}"

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def signal_group(self, number):
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            pass

    def stop(self):
        """SIGTERM, then SIGKILL; returns once it is gone. Never raises for a dead process."""
        if self.running():
            self.signal_group(signal.SIGTERM)
            try:
                self._child.wait(3)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self):
        self.signal_group(signal.SIGKILL)
        self._child.wait(10)
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()
        self._log.close()


def until(condition, seconds, what, pause=0.02):
    """Polls until `condition()` holds and returns its value; fails when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)
