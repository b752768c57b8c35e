"""What is measured. Each workload is a function of a bed that returns {"value": ..., more}."""

import dataclasses
import re
import time
import typing

import machine
import programs
from beds import Failed, Kernel, NotHere, Raw, Sluice, last_object, until

PORT = "7000"


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


def own(bed, server, client, need=("messages",)):
    """Runs a server and a client of ours and returns the client's result."""
    bed.serve(bed.own("perf-server", "--port", PORT, *server), "ready")
    result = bed.client_result(bed.own(
        "perf-client", "--server", bed.host, "--port", PORT, "--seed", str(bed.place.seed),
        "--seconds", str(bed.place.seconds), *client))
    if result["corrupt"] or result["errors"]:
        raise Failed(f"{bed.name}: {result['errors']} errors, {result['corrupt']} wrong answers")
    if any(result[field] == 0 for field in need):
        raise Failed(f"{bed.name}: nothing went through")
    return result


def need_descriptors(connections):
    """A socket takes a descriptor of the kernel's on every stack."""
    if connections + 100 > machine.descriptors_max():
        raise NotHere(f"a process may have {machine.descriptors_max()} descriptors on this machine")


def echo(connections, size, *more, mode="echo", spin=False):
    server = ["--mode", mode] + (["--spin"] if spin else [])

    def run(bed, _):
        need_descriptors(connections)
        result = own(bed, server, ["--mode", mode, "--connections", str(connections), "--size",
                                   str(size), *more])
        return {"value": result["rate"], "result": result}
    return run


def http(size, connections, depth=1):
    def run(bed, _):
        result = own(bed, ["--mode", "http"],
                     ["--mode", "http", "--connections", str(connections), "--size", str(size),
                      "--depth", str(depth)])
        rate = result["bits_per_second_in"] / 1e9 if size >= 1 << 20 else result["rate"]
        return {"value": rate, "result": result}
    return run


def connect(mode, *more):
    def run(bed, _):
        result = own(bed, ["--mode", mode], ["--mode", "crr", "--connections", "64", *more])
        return {"value": result["rate"], "result": result}
    return run


def bulk(direction, connections=1):
    server = {"in": "sink", "out": "source", "both": "both"}[direction]
    fields = {"in": ["bits_per_second_out"], "out": ["bits_per_second_in"],
              "both": ["bits_per_second_in", "bits_per_second_out"]}[direction]

    def run(bed, _):
        result = own(bed, ["--mode", server], ["--mode", f"bulk-{direction}", "--connections",
                                               str(connections)], need=fields)
        return {"value": sum(result[field] for field in fields) / 1e9, "result": result}
    return run


def one_way(size):
    def run(bed, _):
        own(bed, ["--mode", "udp-sink"], ["--mode", "udp-send", "--size", str(size)])
        result = bed.server_result()
        if not result.get("rate"):
            raise Failed(f"{bed.name}: nothing arrived")
        return {"value": result["rate"], "result": result}
    return run


def ideal_udp(bed, _):
    """The server's limit: the client is bare frames."""
    bed.serve(bed.own("perf-server", "--port", PORT, "--mode", "udp-echo"), "ready")
    result = bed.raw_client("--mode", "udp", "--server", bed.host, "--source", "10.99.0.2",
                            "--port", PORT, "--flows", "64", "--window", "64", "--seconds",
                            str(bed.place.seconds))
    if result["corrupt"] or not result["messages"]:
        raise Failed(f"{result['corrupt']} wrong answers of {result['messages']}")
    return {"value": result["rate"], "result": result}


def latency(mode, percent):
    """Open loop at a share of the peak that the same stack reached in this round, spinning."""
    base = [*(["--spin"] if percent else [])]

    def run(bed, context):
        peak = context.peak(f"{mode}-64-64", bed.name)
        if not peak:
            raise Failed(f"no peak of {mode}-64-64 is known on {bed.name}: run it too")
        result = own(bed, ["--mode", mode, *base],
                     ["--mode", mode, "--connections", "64", "--rate", str(peak * percent / 100),
                      "--poisson"])
        return {"value": result["latency_us"]["p50"], "latency": result["latency_us"],
                "rate": result["rate"], "unfinished": result["unfinished"],
                "lost": result["lost"]}
    return run


def round_trip(mode):
    """One message at a time; what the raw port's ping-pong is compared with."""
    def run(bed, _):
        result = own(bed, ["--mode", mode, "--spin"],
                     ["--mode", mode, "--connections", "1", "--spin"])
        return {"value": 1e6 / result["rate"], "result": result}
    return run


# -- connections held open ------------------------------------------------------------------------


def memory_now(server, client):
    """KiB: resident of both, and what the machine has left."""
    return (machine.resident_kib(server.pid), machine.resident_kib(client.pid),
            machine.memory("MemAvailable"))


def scale(connections):
    """Holds connections that have exchanged a message each, then lets 64 messages circulate."""
    def run(bed, _):
        need_descriptors(connections)
        ports = ["--port", PORT, "--ports", str(1 + connections // 500_000)]
        server = bed.serve(bed.own("perf-server", "--mode", "echo", *ports), "ready")
        sources = ["--source", bed.source, "--sources", str(bed.sources)] if bed.source else []
        client = bed.start_client(bed.own(
            "perf-client", "--mode", "echo", "--server", bed.host, *ports, *sources,
            "--connections", str(connections), "--window", "64", "--hold", "2", "--seconds",
            str(bed.place.seconds)))
        until(lambda: "starting" in client.log() or not client.running(), 30, "the client")
        time.sleep(0.5)
        before = memory_now(server, client)
        until(lambda: "holding" in client.log() or not client.running(),
              60 + connections / 2000, f"{connections} connections")
        time.sleep(1)
        held = memory_now(server, client)
        result = last_object(bed.finish_client(client, bed.patience()))
        if result["errors"] or result["corrupt"] or result["alive"] != connections:
            raise Failed(f"{result['errors']} errors, {result['alive']} connections alive")
        each = [(now - then) * 1024 / connections for then, now in zip(before, held)]
        return {"value": result["rate"], "result": result, "connections": connections,
                "server_bytes_each": each[0], "client_bytes_each": each[1],
                "machine_bytes_each": -each[2], "server_resident_mib": held[0] / 1024,
                "client_resident_mib": held[1] / 1024}
    return run


# -- the raw port ---------------------------------------------------------------------------------


def raw_loop(window):
    def run(bed, _):
        bed.serve_testpmd("macswap")
        result = bed.raw_client("--mode", "loop", "--size", "64", "--window", str(window),
                                "--seconds", str(bed.place.seconds))
        value = result["rate"] if window > 1 else 1e6 / max(result["rate"], 1)
        return {"value": value, "result": result}
    return run


def raw_one_way(size):
    """testpmd's txonly to testpmd's rxonly; the receiver's own figures, one a second."""
    def run(bed, _):
        receiver = bed.serve_testpmd("rxonly")
        sender = bed.serve_testpmd("txonly", role="client", size=size)
        seconds = max(3, int(bed.place.seconds))
        with machine.Disturbance({receiver.pid, sender.pid}) as disturbance:
            time.sleep(seconds + 2)
        bed.disturbance = disturbance.share
        bed.stop()
        rates = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", receiver.log())]
        rates = sorted(rate for rate in rates[2:] if rate > 0)
        if not rates:
            raise Failed("testpmd received nothing")
        return {"value": rates[len(rates) // 2], "samples": rates}
    return run


# -- the list -------------------------------------------------------------------------------------

SLUICE, KERNEL = Sluice, Kernel
BOTH = (SLUICE, KERNEL)


def kernel_rps(place):
    return Kernel(place, rps=True)


def kernel_frames(place):
    return Kernel(place, frames=True)


def many(connections):
    """Sluice with room for so many connections, and enough addresses for the client."""
    sources = 1 if connections <= 40_000 else 10

    def make(place):
        return Sluice(place, limits={"sockets": connections + 1000}, sources=sources,
                      ephemeral="5000-65500")
    return make


RAW = [
    Workload("raw-loop-64", "frames/s", raw_loop(64), (Raw,), quick=True),
    Workload("raw-ping-pong-64", "us", raw_loop(1), (Raw,), lower=True, quick=True),
    Workload("raw-one-way-64", "frames/s", raw_one_way(64), (Raw,)),
    Workload("raw-one-way-1500", "frames/s", raw_one_way(1500), (Raw,), quick=True),
]
GIGABITS = 1500 * 8 / 1e9  # of a frame of the raw port's one-way run

WORKLOADS = RAW + [
    Workload("echo-1-64", "messages/s", echo(1, 64), (*BOTH, kernel_rps), target=700e3, quick=True),
    Workload("echo-64-64", "messages/s", echo(64, 64), (*BOTH, kernel_rps), "raw-loop-64", 2.4e6,
             0.4, quick=True),
    Workload("echo-1000-64", "messages/s", echo(1000, 64), BOTH, "raw-loop-64"),
    Workload("echo-100000-64", "messages/s", echo(100_000, 64), (many(100_000),), "raw-loop-64"),
    Workload("echo-1-1400", "messages/s", echo(1, 1400), BOTH),
    Workload("echo-64-1400", "messages/s", echo(64, 1400), BOTH),
    Workload("echo-1000-1400", "messages/s", echo(1000, 1400), BOTH),
    Workload("echo-100000-1400", "messages/s", echo(100_000, 1400), (many(100_000),)),
    Workload("udp-echo-64-64", "messages/s", echo(64, 64, mode="udp-echo"), BOTH, "raw-loop-64",
             5e6, 0.8, quick=True),
    Workload("udp-echo-64-1400", "messages/s", echo(64, 1400, mode="udp-echo"), BOTH),
    Workload("udp-echo-ideal-client", "messages/s", ideal_udp, (SLUICE,), "raw-loop-64", 5e6, 0.8,
             quick=True),
    Workload("udp-one-way-64", "datagrams/s", one_way(64), BOTH, "raw-one-way-64"),
    Workload("udp-one-way-1400", "datagrams/s", one_way(1400), BOTH, "raw-one-way-1500"),
    Workload("crr", "connections/s", connect("crr"), BOTH, quick=True),
    Workload("bulk-in", "Gbit/s", bulk("in"), (*BOTH, kernel_frames), "raw-one-way-1500",
             share=0.45, scale=GIGABITS, quick=True),
    Workload("bulk-out", "Gbit/s", bulk("out"), (*BOTH, kernel_frames), "raw-one-way-1500",
             share=0.45, scale=GIGABITS),
    Workload("bulk-both", "Gbit/s", bulk("both"), (*BOTH, kernel_frames), "raw-one-way-1500",
             scale=GIGABITS),
    Workload("http-keep-alive", "requests/s", http(64, 64), BOTH, "raw-loop-64", 2.4e6,
             quick=True),
    Workload("http-connection-each", "requests/s", connect("http", "--http"), BOTH, "", 0.7e6,
             quick=True),
    Workload("http-1-mb", "Gbit/s", http(1 << 20, 8), BOTH, "raw-one-way-1500", 40,
             scale=GIGABITS),
    Workload("nginx-keep-alive", "requests/s", programs.nginx(True), BOTH, "", 0.45e6, quick=True),
    Workload("nginx-connection-each", "requests/s", programs.nginx(False), BOTH, "", 0.22e6),
    Workload("redis-get", "requests/s", programs.redis(1), BOTH),
    Workload("redis-get-pipelined", "requests/s", programs.redis(16), BOTH),
    Workload("memcached", "operations/s", programs.memcached, BOTH),
    Workload("iperf3", "Gbit/s", programs.iperf3, (*BOTH, kernel_frames), "raw-one-way-1500",
             scale=GIGABITS),
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
