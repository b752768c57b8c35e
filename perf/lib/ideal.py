"""Servers under a client that costs next to nothing: perf-raw's bare frames, so that the server's
own limit shows. On the kernel there is no such client; there our own one on kernel sockets runs.
"""

import programs
from beds import Failed, OverMemif
from workloads import PORT, own


def raw_client(bed, *arguments):
    result = bed.raw_client(*arguments, "--server", bed.host, "--source", "10.99.0.2", "--seconds",
                            str(bed.place.seconds))
    wrong = result.get("corrupt", 0) + result.get("resets", 0)
    if wrong or not result["messages"]:
        raise Failed(f"{wrong} wrong answers or resets, {result['messages']} messages")
    return result


def ideal(server, raw, client, gigabits_each=0.0):
    """`server`, `raw` and `client`: arguments of perf-server, perf-raw and perf-client."""
    def run(bed, _):
        if isinstance(bed, OverMemif):
            bed.serve(bed.own("perf-server", "--port", PORT, *server), "ready")
            result = raw_client(bed, "--port", PORT, *raw)
        else:
            result = own(bed, server, client)
        value = result["rate"] * gigabits_each if gigabits_each else result["rate"]
        return {"value": value, "result": result}
    return run


def echo(connections, *server):
    return ideal(["--mode", "echo", *server], ["--mode", "tcp", "--flows", str(connections)],
                 ["--mode", "echo", "--connections", str(connections)])


def udp_echo(*server):
    return ideal(["--mode", "udp-echo", *server],
                 ["--mode", "udp", "--flows", "64", "--window", "64"],
                 ["--mode", "udp-echo", "--connections", "64"])


def round_trip(mode, raw):
    """The median time of a message that travels alone; our client's on the kernel, which spins."""
    alone = ideal(["--mode", mode, "--spin"], [*raw, "--flows", "1"],
                  ["--mode", mode, "--connections", "1", "--spin"])

    def run(bed, context):
        result = alone(bed, context)["result"]
        value = (result["latency_us"]["p50"] if isinstance(bed, OverMemif) else
                 1e6 / result["rate"])
        return {"value": value, "result": result}
    return run


def http(size, connections, per_request=False):
    raw = ["--mode", "tcp", "--flows", str(connections), "--http", f"/{size}"]
    client = (["--mode", "crr", "--http"] if per_request else ["--mode", "http"])
    return ideal(["--mode", "http"], raw + (["--per-request"] if per_request else []),
                 [*client, "--connections", str(connections), "--size", str(size)],
                 gigabits_each=size * 8 / 1e9 if size >= 1 << 20 else 0.0)


def nginx(keep_alive):
    """nginx with the ideal client; on the kernel with wrk."""
    with_wrk = programs.nginx(keep_alive)

    def run(bed, context):
        if not isinstance(bed, OverMemif):
            return with_wrk(bed, context)
        programs.start_nginx(bed)
        result = raw_client(bed, "--mode", "tcp", "--flows", "64", "--port", programs.NGINX_PORT,
                            "--http", "/", *([] if keep_alive else ["--per-request"]))
        return {"value": result["rate"], "result": result}
    return run
