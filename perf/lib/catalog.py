"""All that perf/run measures, by name; with what is to be reached."""

import dataclasses
import typing

import ideal
import programs
from beds import Kernel, OverVeth, Raw, Sluice
from workloads import (bulk, connect, echo, http, latency, one_way, raw_loop, raw_one_way,
                       round_trip, scale)


@dataclasses.dataclass
class Workload:
    name: str
    unit: str
    run: typing.Callable  # (bed, context) -> {"value": number, ...}
    beds: tuple           # functions (place) -> bed; the first is Sluice's
    raw: str = ""         # the reference among the raw port's workloads, by name
    target: float = 0     # to reach, in the unit
    share: float = 0      # to reach, of the raw port
    lower: bool = False   # whether lower is better
    quick: bool = False   # whether --quick runs it
    scale: float = 1      # the raw port's figure is multiplied with this


def sluice_zero_copy(place):
    return Sluice(place, zero_copy=True)


def raw_zero_copy(place):
    return Raw(place, zero_copy=True)


NEED_HUGEPAGES = (sluice_zero_copy, raw_zero_copy)
SLUICE, KERNEL = Sluice, Kernel
BOTH = (SLUICE, KERNEL)
ALONE = (SLUICE, sluice_zero_copy)
ALL = (*ALONE, KERNEL)


def kernel_rps(place):
    return Kernel(place, rps=True)


def kernel_frames(place):
    return Kernel(place, frames=True)


def over_xdp(place):
    return OverVeth(place, xdp=True)


VETH = (OverVeth, over_xdp, kernel_frames)  # clients on the kernel's sockets


def many(connections, messages=0):
    """Sluice with room for so many connections, and so many messages under way at once."""
    limits = {"sockets": connections + 1000}
    if messages > 0:
        limits["buffers"] = 16384 + 2 * messages  # they wait on either side
    return lambda place: Sluice(place, limits=limits)


RAW_PORTS = (Raw, raw_zero_copy)
RAW = [
    Workload("raw-loop-64", "frames/s", raw_loop(64), RAW_PORTS, quick=True),
    Workload("raw-loop-64-fresh", "frames/s", raw_loop(64, "--fresh"), (Raw,)),
    Workload("raw-ping-pong-64", "us", raw_loop(1), RAW_PORTS, lower=True, quick=True),
    Workload("raw-one-way-64", "frames/s", raw_one_way(64), (Raw,)),
    Workload("raw-one-way-1500", "frames/s", raw_one_way(1500), RAW_PORTS, quick=True),
]
GIGABITS = 1500 * 8 / 1e9  # of a frame of the raw port's one-way run

# What was set as the goal: a server on one core, an ideal client on the other.
IDEAL = [
    Workload("ideal-echo-1-64", "messages/s", ideal.echo(1), ALL, target=700e3, quick=True),
    Workload("ideal-echo-64-64", "messages/s", ideal.echo(64), ALL, "raw-loop-64", 2.4e6, 0.4,
             quick=True),
    Workload("ideal-echo-64-64-callbacks", "messages/s", ideal.echo(64, "--callbacks"), (SLUICE,),
             "raw-loop-64"),
    Workload("ideal-udp-echo-64-64", "messages/s", ideal.udp_echo(), ALL, "raw-loop-64", 5e6,
             0.8, quick=True),
    Workload("ideal-udp-echo-64-64-in-place", "messages/s", ideal.udp_echo("--zero-copy"),
             ALONE, "raw-loop-64", 5e6, 0.8, quick=True),
    Workload("ideal-round-trip-tcp", "us", ideal.round_trip("echo", ["--mode", "tcp"]), ALL,
             "raw-ping-pong-64", share=1.5, lower=True, quick=True),
    Workload("ideal-round-trip-udp", "us",
             ideal.round_trip("udp-echo", ["--mode", "udp", "--window", "1"]), ALL,
             "raw-ping-pong-64", share=1.5, lower=True),
    Workload("ideal-http-keep-alive", "requests/s", ideal.http(64, 64), BOTH, "raw-loop-64",
             2.4e6, quick=True),
    Workload("ideal-http-connection-each", "requests/s", ideal.http(64, 64, True), BOTH,
             target=0.7e6, quick=True),
    Workload("ideal-http-1-mb", "Gbit/s", ideal.http(1 << 20, 8), ALL, "raw-one-way-1500", 40,
             scale=GIGABITS, quick=True),
    Workload("ideal-nginx-keep-alive", "requests/s", ideal.nginx(True), BOTH, target=0.45e6,
             quick=True),
    Workload("ideal-nginx-connection-each", "requests/s", ideal.nginx(False), BOTH,
             target=0.22e6, quick=True),
]

# Both ends on the same stack.
WORKLOADS = RAW + IDEAL + [
    Workload("echo-1-64", "messages/s", echo(1, 64), (*BOTH, kernel_rps), quick=True),
    Workload("echo-64-64", "messages/s", echo(64, 64), (*BOTH, kernel_rps), "raw-loop-64",
             quick=True),
    Workload("echo-1000-64", "messages/s", echo(1000, 64), BOTH, "raw-loop-64"),
    Workload("echo-100000-64", "messages/s", echo(100_000, 64), (many(100_000, 100_000),),
             "raw-loop-64"),
    Workload("echo-64-64-pipelined", "messages/s", echo(64, 64, "--depth", "16"), BOTH),
    Workload("echo-1-1400", "messages/s", echo(1, 1400), BOTH),
    Workload("echo-64-1400", "messages/s", echo(64, 1400), BOTH),
    Workload("echo-1000-1400", "messages/s", echo(1000, 1400), BOTH),
    Workload("echo-100000-1400", "messages/s", echo(100_000, 1400), (many(100_000, 100_000),)),
    Workload("udp-echo-64-64", "messages/s", echo(64, 64, mode="udp-echo"), BOTH, "raw-loop-64",
             quick=True),
    Workload("udp-echo-64-1400", "messages/s", echo(64, 1400, mode="udp-echo"), BOTH),
    Workload("udp-one-way-64", "datagrams/s", one_way(64), BOTH, "raw-one-way-64"),
    Workload("udp-one-way-1400", "datagrams/s", one_way(1400), BOTH, "raw-one-way-1500"),
    Workload("crr", "connections/s", connect("crr"), BOTH, quick=True),
    Workload("bulk-in", "Gbit/s", bulk("in"), (*BOTH, kernel_frames), "raw-one-way-1500",
             share=0.45, scale=GIGABITS, quick=True),
    Workload("bulk-out", "Gbit/s", bulk("out"), (*BOTH, kernel_frames), "raw-one-way-1500",
             share=0.45, scale=GIGABITS),
    Workload("bulk-both", "Gbit/s", bulk("both"), (*BOTH, kernel_frames), "raw-one-way-1500",
             scale=GIGABITS),
    Workload("http-keep-alive", "requests/s", http(64, 64), BOTH, "raw-loop-64", quick=True),
    Workload("http-connection-each", "requests/s", connect("http", "--http"), BOTH),
    Workload("http-1-mb", "Gbit/s", http(1 << 20, 8), BOTH, "raw-one-way-1500",
             scale=GIGABITS),
    Workload("nginx-keep-alive", "requests/s", programs.nginx(True), BOTH),
    Workload("nginx-connection-each", "requests/s", programs.nginx(False), BOTH),
    Workload("redis-get", "requests/s", programs.redis(1), BOTH),
    Workload("redis-get-pipelined", "requests/s", programs.redis(16), BOTH),
    Workload("memcached", "operations/s", programs.memcached, BOTH),
    Workload("iperf3", "Gbit/s", programs.iperf3, (*BOTH, kernel_frames), "raw-one-way-1500",
             scale=GIGABITS),
    Workload("veth-nginx-keep-alive", "requests/s", programs.nginx(True), VETH),
    Workload("veth-redis-get", "requests/s", programs.redis(1), VETH),
    Workload("veth-round-trip-tcp", "us", round_trip("echo"), VETH, lower=True),
    Workload("veth-bulk-in", "Gbit/s", bulk("in"), VETH),
    Workload("veth-bulk-out", "Gbit/s", bulk("out"), VETH),
    Workload("round-trip-tcp", "us", round_trip("echo"), BOTH, "raw-ping-pong-64", share=1.5,
             lower=True, quick=True),
    Workload("round-trip-udp", "us", round_trip("udp-echo"), BOTH, "raw-ping-pong-64", share=1.5,
             lower=True),
]
WORKLOADS += [
    Workload(f"latency-{mode}-{percent}", "us", latency(mode, percent), BOTH, "raw-ping-pong-64",
             share=1.5 if percent == 10 else 0, lower=True, quick=percent == 10)
    for mode in ("echo", "udp-echo") for percent in (10, 50, 80)]
WORKLOADS += [
    Workload(f"scale-{count}", "messages/s", scale(count),
             (many(count), Kernel) if count <= 10_000 else (many(count),), quick=count == 1000)
    for count in (1000, 10_000, 100_000, 1_000_000)]
