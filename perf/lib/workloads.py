"""How things are measured: each of these makes a function of a bed (and of what other workloads
found in the same round) that returns {"value": ..., more}."""

import re
import time

import machine
from beds import Failed, NotHere, OverMemif, last_object, until

PORT = "7000"
PORT_CONNECTIONS = 40_000  # to one port of the server: the client has no more ports than 60,000


def own(bed, server, client, need=("messages",)):
    """Runs a server and a client of ours and returns the client's result."""
    bed.serve(bed.own("perf-server", "--port", PORT, *server), "ready")
    result = bed.client_result(bed.own(
        "perf-client", "--server", bed.host, "--port", PORT, "--seed", str(bed.place.seed),
        "--seconds", str(bed.place.seconds), *client))
    if result["corrupt"] or result["errors"]:
        raise Failed(f"{bed.name}: {result['errors']} errors, {result['corrupt']} wrong answers, "
                     f"first: {result.get('first_error', 'none')}")
    if any(result[field] == 0 for field in need):
        raise Failed(f"{bed.name}: nothing went through")
    return result


def need_descriptors(bed, connections):
    if not isinstance(bed, OverMemif) and connections + 100 > machine.descriptors_max():
        raise NotHere(f"a process may have {machine.descriptors_max()} descriptors on this machine")


def echo(connections, size, *more, mode="echo", spin=False):
    ports = (["--ports", str(1 + connections // PORT_CONNECTIONS)]
             if connections > PORT_CONNECTIONS else [])
    server = ["--mode", mode, *ports] + (["--spin"] if spin else [])

    def run(bed, _):
        need_descriptors(bed, connections)
        result = own(bed, server, ["--mode", mode, "--connections", str(connections), "--size",
                                   str(size), *ports, *more])
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
        need_descriptors(bed, connections)
        ports = ["--port", PORT, "--ports", str(1 + connections // PORT_CONNECTIONS)]
        server = bed.serve(bed.own("perf-server", "--mode", "echo", *ports), "ready")
        client = bed.start_client(bed.own(
            "perf-client", "--mode", "echo", "--server", bed.host, *ports, "--connections",
            str(connections), "--window", "64", "--hold", "2", "--seconds",
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
            raise Failed(f"{result['errors']} errors, {result['alive']} connections alive, first: "
                         f"{result.get('first_error', 'none')}")
        each = [(now - then) * 1024 / connections for then, now in zip(before, held)]
        return {"value": result["rate"], "result": result, "connections": connections,
                "server_bytes_each": each[0], "client_bytes_each": each[1],
                "machine_bytes_each": -each[2], "server_resident_mib": held[0] / 1024,
                "client_resident_mib": held[1] / 1024}
    return run


# -- the raw port ---------------------------------------------------------------------------------


def raw_loop(window, *more):
    def run(bed, _):
        def serve():
            bed.serve_testpmd("macswap")

        if not bed.zero_copy:
            serve()
        result = bed.raw_client("--mode", "loop", "--size", "64", "--window", str(window),
                                "--seconds", str(bed.place.seconds), *more,
                                then=serve if bed.zero_copy else None)
        value = result["rate"] if window > 1 else result["latency_us"]["p50"]
        return {"value": value, "result": result}
    return run


def raw_one_way(size):
    """testpmd's txonly to testpmd's rxonly; the receiver's own figures, one a second."""
    def run(bed, _):
        ends = [("server", "rxonly"), ("client", "txonly")]
        pids = {bed.serve_testpmd(mode, role, size).pid
                for role, mode in (ends[::-1] if bed.zero_copy else ends)}
        seconds = max(3, int(bed.place.seconds))
        with machine.Disturbance(pids) as disturbance:
            time.sleep(seconds + 2)
        bed.disturbance = disturbance.share
        bed.stop()
        rates = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", bed.server.log())]
        rates = sorted(rate for rate in rates[2:] if rate > 0)
        if not rates:
            raise Failed("testpmd received nothing")
        return {"value": rates[len(rates) // 2], "samples": rates}
    return run
