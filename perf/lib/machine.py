"""The machine: what it is, who else uses it, and what a measurement changes of it."""

import contextlib
import os
import platform
import re
import resource
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "../.."))
TICKS = os.sysconf("SC_CLK_TCK")
HUGEPAGES = "/proc/sys/vm/nr_hugepages"
HUGEPAGES_WANTED = 2048  # of 2 MiB, for two DPDK processes


def read(path, fallback=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return fallback


def output_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def facts():
    """What a reader needs to know of the machine and of what was measured."""
    processor = re.search(r"^model name\s*:\s*(.*)$", read("/proc/cpuinfo"), re.MULTILINE)
    changes = output_of("git", "status", "--porcelain", "--untracked-files=no")
    return {
        "processor": processor[1] if processor else platform.processor(),
        "cores": os.cpu_count(),
        "memory_mib": memory("MemTotal") // 1024,
        "kernel": platform.release(),
        "dpdk": output_of("pkg-config", "--modversion", "libdpdk"),
        "revision": output_of("git", "rev-parse", "HEAD") + (" with changes" if changes else ""),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def memory(field):
    """A field of /proc/meminfo, in KiB."""
    found = re.search(rf"^{field}:\s+(\d+)", read("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) if found else 0


def resident_kib(pid):
    """What a process has in memory of its own, hugepages not counted."""
    found = re.search(r"^VmRSS:\s+(\d+)", read(f"/proc/{pid}/status"), re.MULTILINE)
    return int(found[1]) if found else 0


def descriptors_max():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@contextlib.contextmanager
def hugepages():
    """Reserves hugepages for the block; yields whether there are enough. Puts back what was.

    They are used without a file system (--in-memory), so none needs to be mounted.
    """
    before = read(HUGEPAGES).strip()
    enough = False
    try:
        if before.isdigit():
            if int(before) < HUGEPAGES_WANTED:
                with contextlib.suppress(OSError), open(HUGEPAGES, "w", encoding="ascii") as file:
                    file.write(str(HUGEPAGES_WANTED))
            enough = int(read(HUGEPAGES, "0")) >= HUGEPAGES_WANTED
        yield enough
    finally:
        if before.isdigit() and read(HUGEPAGES).strip() != before:
            with contextlib.suppress(OSError), open(HUGEPAGES, "w", encoding="ascii") as file:
                file.write(before)


def strangers():
    """Programs like those that are measured, which somebody else runs: they spoil any figure."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        name = read(f"/proc/{pid}/comm").strip()
        if name in ("perf-server", "perf-client", "perf-raw", "dpdk-testpmd"):
            found.append(f"{name} (pid {pid})")
    return found


def prefer(pid="self"):
    """Lets a session run before all others; `nice` alone does not reach across sessions."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w",
                                            encoding="ascii") as file:
        file.write("-20")


def _times(pid):
    """(session, ticks used) of a process, or None."""
    stat = read(f"/proc/{pid}/stat")
    if not stat:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return int(fields[3]), int(fields[11]) + int(fields[12])


def _used_by(sessions):
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            times = _times(name)
            if times is not None and times[0] in sessions:
                total += times[1]
    return total / TICKS


def _used_by_all():
    """Seconds that all processors spent in programs, or that the host took; interrupts aside."""
    fields = [int(field) for field in read("/proc/stat").split("\n", 1)[0].split()[1:]]
    user, nice, system, steal = fields[0], fields[1], fields[2], fields[7]
    return (user + nice + system + steal) / TICKS


class Disturbance:
    """The share of the machine that went to others while the block ran.

        with Disturbance({server.pid}) as disturbance:
            ...                              # starts children, reaps them
        disturbance.share                    # 0.02: a fiftieth of all cores

    Ours are this process, its reaped children, and the given sessions.
    """

    def __init__(self, sessions):
        self._sessions = set(sessions)
        self.share = 0.0

    def _ours(self):
        own = resource.getrusage(resource.RUSAGE_SELF)
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = own.ru_utime + own.ru_stime + reaped.ru_utime + reaped.ru_stime
        return used + _used_by(self._sessions)

    def __enter__(self):
        self._begun, self._all, self._own = time.monotonic(), _used_by_all(), self._ours()
        return self

    def __exit__(self, *_):
        seconds = time.monotonic() - self._begun
        others = (_used_by_all() - self._all) - (self._ours() - self._own)
        self.share = max(0.0, others / (seconds * os.cpu_count())) if seconds > 0 else 0.0
