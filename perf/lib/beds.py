"""What the two programs of a measurement stand on: Sluice over net_memif or, with a client on the
kernel's sockets, over a veth; the kernel over a veth; or the raw port. The same calls start a
server and run a client on each.

    with Sluice(place) as bed:
        bed.serve(bed.own("perf-server", "--mode", "echo"), "ready")
        result = bed.client_result(bed.own("perf-client", "--mode", "echo", "--server", bed.host))
    bed.disturbance                       # share of the machine that others had meanwhile

Each process has its session, its core and its namespace; leaving the block ends all of them.
"""

import contextlib
import dataclasses
import json
import os
import sys
import tempfile

import machine

sys.path.insert(0, os.path.join(machine.ROOT, "tests", "e2e"))

from namespace import Pair  # noqa: E402
from process import Process, until  # noqa: E402

START_SECONDS = 30
STARTED = "packet forwarding - ports=1"  # says testpmd


class Failed(Exception):
    """A measurement that could not be made; the text says why."""


class NotHere(Failed):
    """A measurement that this machine does not allow: trying again is of no use."""


@dataclasses.dataclass
class Place:
    """Where measurements happen."""

    build: str
    directory: str  # for files and logs
    server_core: int
    client_core: int
    hugepages: bool
    seconds: float
    seed: int

    def program(self, name):
        return os.path.join(self.build, "perf", name)

    @property
    def logs(self):
        path = os.path.join(self.directory, "logs")
        os.makedirs(path, exist_ok=True)
        return path

    @property
    def sluice(self):
        return os.path.join(self.build, "apps", "sluice", "sluice")


class Bed:
    """What all beds share. `limits` are those of sluice.yaml(5)."""

    name = ""
    host = Pair.subject_ip4

    def __init__(self, place, limits=None):
        self.place, self.limits = place, limits or {}
        self.disturbance = 0.0
        self.server = None
        self._stack = contextlib.ExitStack()
        self._processes = []

    def __enter__(self):
        with self._stack:
            self.directory = self._stack.enter_context(
                tempfile.TemporaryDirectory(dir=self.place.directory))
            os.chmod(self.directory, 0o755)
            self.pair = self._stack.enter_context(self._network())
            self._stack.callback(self.stop)
            self._prepare()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def _network(self):
        raise NotImplementedError

    def _prepare(self):
        pass

    def path(self, name):
        return os.path.join(self.directory, name)

    def stop(self):
        # The server first: a memif peer that polls must not see the other end go.
        for process in self._processes:
            process.stop()

    # -- processes --------------------------------------------------------------------------------

    def _command(self, role, argv):
        """The command line that puts a program on this bed; role: server or client."""
        raise NotImplementedError

    def own(self, name, *arguments):
        """The command line of a program of ours."""
        return [self.place.program(name), *arguments]

    def _start(self, role, argv, **more):
        namespace, core = ((self.pair.subject, self.place.server_core) if role == "server" else
                           (self.pair.peer, self.place.client_core))
        name = os.path.basename(argv[0])
        descriptors = machine.descriptors_max()
        limited = ["prlimit", f"--nofile={descriptors}:{descriptors}", *self._command(role, argv)]
        process = Process(f"{self.name}-{role}-{name}", limited, namespace, self.place.logs,
                          core=core, **more)
        machine.prefer(process.pid)
        self._processes.append(process)
        return process

    def serve(self, argv, line=None, **more):
        self.server = self._start("server", argv, **more)
        if line is not None:
            until(lambda: line in self.server.log() or not self.server.running(), START_SECONDS,
                  f"{self.server.name} to print {line!r}")
        if not self.server.running():
            raise Failed(f"{self.server.name}: {tail(self.server.log())}")
        return self.server

    def start_client(self, argv, **more):
        return self._start("client", argv, **more)

    def finish_client(self, client, seconds):
        """Waits for its end, and watches meanwhile who else uses the machine."""
        with machine.Disturbance({self.server.pid} if self.server else ()) as disturbance:
            status = client.wait(seconds)
        self.disturbance = max(self.disturbance, disturbance.share)
        log = client.log()
        if status != 0:
            raise Failed(f"{client.name} ended with status {status}: {tail(log)}")
        return log

    def run_client(self, argv, seconds=None, **more):
        """Its output; `seconds` bounds it."""
        return self.finish_client(self.start_client(argv, **more), seconds or self.patience())

    def client_result(self, argv, seconds=None):
        """The JSON object that a program of ours prints."""
        return last_object(self.run_client(argv, seconds))

    def server_result(self):
        """Ends the server; the JSON object that it prints."""
        self.server.stop()
        return last_object(self.server.log())

    def patience(self):
        return 60 + 10 * self.place.seconds


def tail(log):
    return " | ".join(log.strip().splitlines()[-4:])[-600:]


def last_object(log):
    for line in reversed(log.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise Failed(f"no result: {tail(log)}")


class Kernel(Bed):
    """Kernel sockets over a veth. The receiver's softirq runs on the sender's core unless `rps`
    spreads it; with `frames` segmentation offloads are off and the veth carries real frames."""

    def __init__(self, place, limits=None, rps=False, frames=False):
        super().__init__(place, limits)
        self.rps, self.frames = rps, frames
        self.name = "kernel" + ("-rps" if rps else "") + ("-frames" if frames else "")

    def _network(self):
        return Pair(kernel=True, what="perf", offloads=not self.frames)

    def _prepare(self):
        for namespace, interface in ((self.pair.subject, Pair.interface),
                                     (self.pair.peer, Pair.peer_interface)):
            namespace.sysctl("net.ipv4.ip_local_port_range", "10000 65000")
            namespace.sysctl("net.core.somaxconn", "4096")
            if self.rps:
                namespace.run("sh", "-c",
                              f"echo 3 > /sys/class/net/{interface}/queues/rx-0/rps_cpus")

    def _command(self, role, argv):
        return argv

    def own(self, name, *arguments):
        return [*super().own(name, *arguments), "--kernel"]


# What net_memif's zero copy needs beside hugepages: memory that is handed to the peer as few files.
ZERO_COPY_EAL = ["--single-file-segments"]


def raw_eal(place, role, device):
    """EAL options of a program that uses DPDK without Sluice."""
    core = place.server_core if role == "server" else place.client_core
    memory = ["--in-memory"] if place.hugepages else ["--no-huge"]
    if "zero-copy" in device:
        memory += ZERO_COPY_EAL
    return ["--lcores", f"(0,1)@{core}", "--no-pci", *memory, "-m", "512",
            "--file-prefix", f"perf-{os.getpid()}-{role}", "--log-level", "4",
            "--vdev", f"{device},socket-abstract=no"]


class OverMemif(Bed):
    """Two DPDK processes that share memory; the namespaces are empty and joined by nothing.

    Without `zero_copy` both ends copy, each what it sends and what it receives. With it the
    server's end is memif's client, whose packets lie in memory that its peer sees: the peer copies,
    as a card would.
    """

    def __init__(self, place, limits=None, zero_copy=False):
        super().__init__(place, limits)
        self.zero_copy = zero_copy
        if zero_copy:
            self.name += "-zero-copy"

    def _network(self):
        return Pair(kernel=False, what="perf", link=False)

    @property
    def socket(self):
        return self.path("memif.sock")

    def device(self, role):
        if not self.zero_copy:
            return f"net_memif0,role={role},socket={self.socket}"
        ends = {"server": "role=client,zero-copy=yes", "client": "role=server"}
        return f"net_memif0,{ends[role]},socket={self.socket}"

    def raw_eal(self, role):
        return raw_eal(self.place, role, self.device(role))

    def raw_client(self, *arguments, seconds=None, then=None):
        """Runs perf-raw against the server, which it outlives: see WaitForEnd in raw.cc. `then` is
        called when its port has started, for a server that must find it."""
        argv = [self.place.program("perf-raw"), *self.raw_eal("client"), "--", *arguments]
        client = self._start_raw(argv)
        if then is not None:
            until(lambda: "port started" in client.log() or not client.running(), START_SECONDS,
                  f"{client.name} to start its port")
            then()
        with machine.Disturbance({self.server.pid, client.pid}) as disturbance:
            until(lambda: "\n{" in "\n" + client.log() or not client.running(),
                  seconds or self.patience(), f"{client.name} to finish")
        self.disturbance = max(self.disturbance, disturbance.share)
        result = last_object(client.log())
        self.server.stop()
        return result

    def _start_raw(self, argv):
        return Bed._start(self, "client", argv)


def sluice_settings(place, role, device, addresses):
    """What stands in sluice.yaml; where it says nothing, Sluice's defaults hold."""
    return {
        "name": f"perf-{role}",
        "hugepages": "require" if place.hugepages else "never",
        "interfaces": [{"device": device, "addresses": addresses,
                        "trusted_link": device.startswith("net_memif")}],
        "ephemeral_ports": "10000-65000",
        "eal_arguments": ZERO_COPY_EAL if "zero-copy" in device else [],
    }


class OnSluice(Bed):
    """What runs on Sluice: programs of ours embed it, others run under `sluice run`."""

    def _write(self, role, device, address):
        settings = sluice_settings(self.place, role, device, [f"{address}/24"])
        settings["run_directory"] = self.path(f"run-{role}")
        settings["limits"] = self.limits
        # Our own programs embed Sluice, and have one thread.
        for name, more in ((role, {}), (f"{role}-own", {"descriptors": "own", "callers": "one"})):
            with open(self.path(f"{name}.yaml"), "w", encoding="ascii") as file:
                json.dump(settings | more, file, indent=1)  # JSON is YAML

    def _on_sluice(self, role, argv):
        if argv[0].startswith(self.place.build):
            return [*argv, "--config", self.path(f"{role}-own.yaml")]
        return [self.place.sluice, "run", "--config", self.path(f"{role}.yaml"), "--", *argv]


class Sluice(OverMemif, OnSluice):
    """Both ends on Sluice, or the client's on the bare port."""

    name = "sluice"

    def _prepare(self):
        self._write("server", self.device("server"), Pair.subject_ip4)
        if not self.zero_copy:
            self._write("client", self.device("client"), Pair.peer_ip4)

    def _command(self, role, argv):
        is_raw = os.path.basename(argv[0]) == "perf-raw"
        return argv if is_raw else self._on_sluice(role, argv)


class OverVeth(OnSluice):
    """The server on Sluice over net_af_packet or, with `xdp`, net_af_xdp; the client on the
    kernel's sockets; between them a veth that carries real frames: no offloads."""

    def __init__(self, place, xdp=False):
        super().__init__(place)
        self.driver = "net_af_xdp" if xdp else "net_af_packet"
        self.name = "sluice-af-xdp" if xdp else "sluice"

    def _network(self):
        return Pair(kernel=False, what="perf")

    def _prepare(self):
        self._write("server", f"{self.driver}0,iface={Pair.interface}", Pair.subject_ip4)

    def own(self, name, *arguments):
        more = ["--kernel"] if name == "perf-client" else []
        return [*super().own(name, *arguments), *more]

    def _command(self, role, argv):
        return self._on_sluice(role, argv) if role == "server" else argv


class Raw(OverMemif):
    """testpmd as the server's end."""

    name = "raw"

    def _command(self, role, argv):
        return argv

    def serve_testpmd(self, mode, role="server", size=64):
        argv = ["dpdk-testpmd", *self.raw_eal(role), "--", "--auto-start", "--stats-period", "1",
                "--total-num-mbufs", "16384", "--rxd", "1024", "--txd", "1024",
                "--forward-mode", mode, "--txpkts", str(size)]
        # Memif's client that connects before the server has started its port never gets its link,
        # and testpmd as the client ends if there is no server.
        if role == "server":
            return self.serve(argv, STARTED)
        client = self.start_client(argv)
        until(lambda: STARTED in client.log() or not client.running(), START_SECONDS,
              f"{client.name} to start")
        return client
