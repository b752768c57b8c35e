"""Two network namespaces joined by a veth pair, and entering them from this process.

    with Pair(kernel=False) as pair:
        with pair.peer:                    # sockets made here live in the peer's namespace
            socket.create_connection((pair.subject_ip4, 80))

The frames on the pair are real ones: every segmentation and checksum offload is off at both
ends, because a packet socket would otherwise see frames over the MTU and empty checksums.
"""

import contextlib
import ctypes
import os
import signal
import subprocess

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PREFIX = "sl-"


def command(*argv, check=True, **options):
    """Runs a set-up command, bounded in time; its output is part of the error if it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=20, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
    return done


def _enter(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """One named network namespace. As a context it moves the calling thread inside."""

    def __init__(self, name):
        self.name = name
        command("ip", "netns", "add", name)
        self._descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.ip("link", "set", "lo", "up")

    def __enter__(self):
        _enter(self._descriptor)
        return self

    def __exit__(self, *_):
        _enter(self._home)

    def ip(self, *argv, **options):
        return command("ip", "-n", self.name, *argv, **options)

    def run(self, *argv, **options):
        """A command inside, to its end."""
        return command("ip", "netns", "exec", self.name, *argv, **options)

    def sysctl(self, key, value):
        self.run("sysctl", "-q", "-w", f"{key}={value}")

    def kernel_sockets(self):
        """Lines of the kernel's own table of inet sockets in this namespace."""
        listed = self.run("ss", "-H", "-n", "-a", "-t", "-u", "-w", "-p").stdout
        return [line for line in listed.splitlines() if line.strip()]

    def remove(self):
        end_processes_of(self.name)
        os.close(self._descriptor)
        os.close(self._home)
        command("ip", "netns", "del", self.name, check=False)


def end_processes_of(name):
    """Kills what still runs inside a namespace of ours."""
    for pid in command("ip", "netns", "pids", name, check=False).stdout.split():
        with contextlib.suppress(ProcessLookupError):
            if int(pid) != os.getpid():
                os.kill(int(pid), signal.SIGKILL)


def remove_leftovers():
    """Removes namespaces of earlier runs that were killed before they could clean up."""
    for line in command("ip", "netns", "list").stdout.splitlines():
        name = line.split()[0]
        parts = name.split("-")  # sl-<what>-<pid>-<end>
        if name.startswith(_PREFIX) and len(parts) == 4 and parts[2].isdigit():
            if not os.path.exists(f"/proc/{parts[2]}"):
                end_processes_of(name)
                command("ip", "netns", "del", name, check=False)


class Pair:
    """Namespace `subject` holds the program under test, `peer` its kernel counterpart.

    On kernel sockets the subject's interface has addresses as usual. Under Sluice the kernel has
    none there, and no IPv6 on it, so that nothing but Sluice can answer. With `offloads` the pair
    is left as the kernel makes it; with link=False the namespaces are not joined at all.
    """

    interface = "sl0"
    peer_interface = "pr0"
    subject_ip4, peer_ip4 = "10.99.0.1", "10.99.0.2"
    subject_ip6, peer_ip6 = "fd99::1", "fd99::2"
    subject_mac, peer_mac = "02:99:00:00:00:01", "02:99:00:00:00:02"

    def __init__(self, kernel, what="e2e", offloads=False, link=True):
        self.kernel, self.what, self.offloads, self.link = kernel, what, offloads, link
        self.subject = self.peer = None

    def __enter__(self):
        remove_leftovers()
        try:
            self.subject = Namespace(f"{_PREFIX}{self.what}-{os.getpid()}-a")
            self.peer = Namespace(f"{_PREFIX}{self.what}-{os.getpid()}-b")
            if self.link:
                self._join()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for namespace in (self.subject, self.peer):
            if namespace is not None:
                namespace.remove()
        self.subject = self.peer = None

    def _join(self):
        self.subject.ip("link", "add", self.interface, "type", "veth", "peer", "name",
                        self.peer_interface, "netns", self.peer.name)
        ends = ((self.subject, self.interface, self.subject_mac),
                (self.peer, self.peer_interface, self.peer_mac))
        for namespace, interface, mac in ends:
            if not self.offloads:
                namespace.run("ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off",
                              "gso", "off", "gro", "off", "sg", "off")
            namespace.sysctl(f"net.ipv6.conf.{interface}.accept_dad", 0)
            namespace.ip("link", "set", interface, "address", mac, "txqueuelen", "5000")
        # The peer's reassembly is asked for 60,000-byte datagrams in quick succession.
        self.peer.sysctl("net.ipv4.ipfrag_high_thresh", 16 << 20)
        self._address(self.peer, self.peer_interface, self.peer_ip4, self.peer_ip6)
        if self.kernel:
            self._address(self.subject, self.interface, self.subject_ip4, self.subject_ip6)
        else:
            self.subject.sysctl(f"net.ipv6.conf.{self.interface}.disable_ipv6", 1)
        for namespace, interface, _ in ends:
            namespace.ip("link", "set", interface, "up")

    @staticmethod
    def _address(namespace, interface, ip4, ip6):
        namespace.ip("address", "add", f"{ip4}/24", "dev", interface)
        namespace.ip("address", "add", f"{ip6}/64", "dev", interface, "nodad")
