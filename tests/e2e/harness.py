"""What a test sees: a bed with a subject (the program under test) and a peer on kernel sockets.

    @test
    def echoes(bed):
        server = bed.subject(["socat", "TCP-LISTEN:5000", "EXEC:cat"], port=5000)
        assert bed.exchange(5000, b"hello") == b"hello"

Unless the run is with --kernel, every subject is started by `sluice run` on net_af_packet, under a
seccomp filter that forbids kernel inet sockets, and after every test the kernel's socket table of
the subject's namespace must be empty: a program that fell through to the kernel cannot pass.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import time

from process import Process, until

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
PYTHON = "/usr/bin/python3"  # Debian's, which is dynamically linked
TESTS = []


class Skip(Exception):
    """Raised by a test that does not apply to this run; it is not counted."""


def test(function=None, *, sluice_only=False):
    """Registers a test. With sluice_only it means nothing on kernel sockets."""
    def register(chosen):
        chosen.sluice_only = sluice_only
        TESTS.append(chosen)
        return chosen
    return register(function) if function else register


class Bed:
    def __init__(self, pair, build, directory):
        self.pair, self.kernel, self.build = pair, pair.kernel, build
        self.directory = directory
        self.logs = os.path.join(directory, "logs")
        os.makedirs(self.logs, exist_ok=True)
        self.ip4, self.ip6 = pair.subject_ip4, pair.subject_ip6
        self.peer_ip4, self.peer_ip6 = pair.peer_ip4, pair.peer_ip6
        self.notes = []
        self._started = []

    # -- programs ---------------------------------------------------------------------------------

    @property
    def sluice(self):
        return os.path.join(self.build, "apps", "sluice", "sluice")

    def sluice_run(self, argv, options=()):
        """The command line that starts `argv` under Sluice on the subject's interface."""
        return [self.sluice, "run", "--no-huge",
                "--device", f"net_af_packet0,iface={self.pair.interface}",
                "--address", f"{self.ip4}/24", "--address", f"{self.ip6}/64",
                *options, "--", *argv]

    def subject(self, argv, port=None, line=None, options=(), forbid_inet=True, **more):
        """Starts the program under test; returns when `port` accepts or `line` was printed."""
        name = os.path.basename(argv[0])
        if not self.kernel:
            argv = self.sluice_run(argv, options)
        process = Process(f"subject-{name}", argv, self.pair.subject, self.logs,
                          forbid_inet=forbid_inet and not self.kernel, **more)
        return self._ready(process, self.ip4, port, line)

    def embedded(self, argv, namespace, line):
        """Starts a program that links libsluice itself; returns when it has printed `line`."""
        name = os.path.basename(argv[0])
        process = Process(f"embedded-{name}", argv, namespace, self.logs, forbid_inet=True,
                          drivers_own_sockets=True)
        return self._ready(process, None, None, line)

    def peer(self, argv, port=None, line=None, **more):
        """Starts a program on kernel sockets in the peer's namespace."""
        process = Process(f"peer-{os.path.basename(argv[0])}", argv, self.pair.peer, self.logs,
                          **more)
        return self._ready(process, self.peer_ip4, port, line)

    def run_peer(self, argv, seconds=30, **more):
        """Runs a program in the peer's namespace to its end; returns what it printed."""
        return self._finish(self.peer(argv, **more), argv, seconds)

    def run_subject(self, argv, seconds=30, **more):
        """Runs the program under test to its end; returns what it printed."""
        return self._finish(self.subject(argv, **more), argv, seconds)

    def _finish(self, process, argv, seconds):
        status = process.wait(seconds)
        assert status == 0, f"{argv[0]} ended with status {status}"
        return process.log()

    def _ready(self, process, address, port, line):
        self._started.append(process)
        if line is not None:
            process.wait_for_line(line)
        if port is not None:
            until(lambda: self._accepts(address, port) or not process.running(), 30,
                  f"{process.name} to accept on port {port}")
            assert process.running(), f"{process.name} ended with status {process.status}"
        return process

    def _accepts(self, address, port):
        try:
            with self.pair.peer, socket.create_connection((address, port), timeout=0.1):
                return True
        except OSError:
            return False

    def stop_all(self):
        for process in reversed(self._started):
            process.stop()
        self._started.clear()

    def logs_since(self, started):
        """(name, text) of what programs printed since a moment of time.monotonic_ns()."""
        for name in sorted(os.listdir(self.logs)):
            if int(name.split("-")[0]) >= started:
                with open(os.path.join(self.logs, name), "rb") as log:
                    yield name, log.read().decode(errors="replace")

    # -- proof ------------------------------------------------------------------------------------

    def assert_no_kernel_sockets(self):
        """Nothing of the subject's may stand in the kernel's table, not even a TIME-WAIT."""
        if not self.kernel:
            listed = self.pair.subject.kernel_sockets()
            assert not listed, "kernel inet sockets in the subject's namespace:\n" + \
                "\n".join(listed)

    # -- the peer's side of a conversation
    # ----------------------------------------------------------

    def connect(self, port, family=socket.AF_INET, seconds=10):
        """A kernel TCP socket of the peer, connected to the subject."""
        address = self.ip4 if family == socket.AF_INET else self.ip6
        with self.pair.peer:
            return socket.create_connection((address, port), timeout=seconds)

    def connect_patiently(self, port, family=socket.AF_INET, seconds=20):
        """As connect, for a one-shot server that must not be probed before."""
        def attempt():
            with contextlib.suppress(OSError):
                return self.connect(port, family, 2)
        return until(attempt, seconds, f"port {port} to accept")

    def url(self, port, path, family=socket.AF_INET, scheme="http"):
        host = self.ip4 if family == socket.AF_INET else f"[{self.ip6}]"
        return f"{scheme}://{host}:{port}/{path}"

    def peer_url(self, port, path, family=socket.AF_INET, scheme="http"):
        host = self.peer_ip4 if family == socket.AF_INET else f"[{self.peer_ip6}]"
        return f"{scheme}://{host}:{port}/{path}"

    # -- files
    # --------------------------------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.directory, name)

    def fresh_directory(self, name):
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def random_file(self, name, size):
        """A file of `size` random bytes, made once a run; returns (path, SHA-256)."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            block = os.urandom(min(size, 1 << 20))
            with open(path, "wb") as file:
                for offset in range(0, size, len(block)):
                    # Each block differs, so that a block lost or exchanged changes the digest.
                    piece = offset.to_bytes(8, "big") + block[8:]
                    file.write(piece[:min(len(piece), size - offset)])
        return path, digest_of_file(path)

    def note(self, text):
        """A figure worth printing beside the test's name."""
        self.notes.append(text)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def digest_of_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def receive_all(connection):
    """Everything up to the peer's FIN."""
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def receive_exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(1 << 16, size - len(data)))
        assert piece, f"the peer closed after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


def available(*programs):
    for program in programs:
        assert shutil.which(program), f"{program} is not installed; scripts/test installs it"


__all__ = ["Bed", "PROGRAMS", "PYTHON", "Process", "Skip", "TESTS", "available", "digest",
           "digest_of_file", "receive_all", "receive_exactly", "socket", "subprocess", "test",
           "time", "until"]
