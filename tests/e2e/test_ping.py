"""The kernel's ping against a program under test that does nothing but wait."""

import re

from harness import available, test
from test_redis import start


def ping(bed, host, size, *arguments, count=10):
    """ping compares the payload of each answer; returns the mean round trip where it has one."""
    output = bed.run_peer(["ping", "-n", "-c", str(count), "-i", "0.05", "-W", "2", "-s", str(size),
                           *arguments, host])
    assert f"{count} received" in output and "wrong data" not in output, output
    mean = re.search(r"= [0-9.]+/([0-9.]+)/", output)
    return f"{mean[1]} ms" if mean else "answered"


def ping_all(bed, host):
    available("ping")
    start(bed)
    for size in (0, 56, 1452, 1472, 3000, 60_000):
        mean = ping(bed, host, size)
        bed.note(f"{size} B {mean}")


@test
def ipv4(bed):
    ping_all(bed, bed.ip4)


@test
def ipv6(bed):
    ping_all(bed, bed.ip6)


@test
def flood(bed):
    start(bed)
    for host in (bed.ip4, bed.ip6):
        output = bed.run_peer(["ping", "-n", "-q", "-f", "-c", "2000", "-s", "200", host])
        assert "2000 received" in output, output
