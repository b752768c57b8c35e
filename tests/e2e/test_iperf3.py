"""iperf3, Debian's, as server and as client: TCP, UDP, reversed, eight streams, both families."""

import json

from harness import available, test

PORT = 5201


def run_client(bed, start, host, *arguments):
    """Runs a client with `start`; returns (megabits a second received, its JSON)."""
    output = start(["iperf3", "-c", host, "-p", str(PORT), "-J", "-t", "1", *arguments],
                   seconds=40)
    result = json.loads(output[output.index("{"):])
    assert "error" not in result, result["error"]
    end = result["end"]
    received = end.get("sum_received") or end["sum"]
    assert received["bytes"] > 0, output
    return received["bits_per_second"] / 1e6, result


def udp_was_delivered(result):
    """At a rate that both ends carry easily almost nothing may be lost."""
    total = result["end"]["sum"]
    assert total["packets"] > 500, total
    assert total["lost_percent"] < 5, total


CASES = {
    "tcp": (),
    "tcp_reversed": ("-R",),
    "tcp_eight_streams": ("-P", "8"),
    "tcp_eight_streams_reversed": ("-P", "8", "-R"),
    "udp": ("-u", "-b", "50M", "-l", "1400"),
    "udp_reversed": ("-u", "-b", "50M", "-l", "1400", "-R"),
    "udp_fragmented": ("-u", "-b", "50M", "-l", "8000"),
}


def sweep(bed, run, host, cases):
    for name in cases:
        rate, result = run_client(bed, run, host, *CASES[name])
        if "-u" in CASES[name]:
            udp_was_delivered(result)
        bed.note(f"{name} {rate:.0f} Mb/s")


def serve_subject(bed):
    available("iperf3")
    # No probing with a connection: the server would take it for a client.
    bed.subject(["iperf3", "-s", "-p", str(PORT), "--forceflush"], line="Server listening")


def serve_peer(bed):
    available("iperf3")
    bed.peer(["iperf3", "-s", "-p", str(PORT), "--forceflush"], line="Server listening")


@test
def server_tcp(bed):
    serve_subject(bed)
    sweep(bed, bed.run_peer, bed.ip4, [name for name in CASES if name.startswith("tcp")])


@test
def server_udp(bed):
    serve_subject(bed)
    sweep(bed, bed.run_peer, bed.ip4, [name for name in CASES if name.startswith("udp")])


@test
def server_ipv6(bed):
    serve_subject(bed)
    sweep(bed, bed.run_peer, bed.ip6, ["tcp", "tcp_reversed", "udp", "udp_reversed"])


@test
def client_tcp(bed):
    serve_peer(bed)
    sweep(bed, bed.run_subject, bed.peer_ip4, [name for name in CASES if name.startswith("tcp")])


@test
def client_udp(bed):
    serve_peer(bed)
    sweep(bed, bed.run_subject, bed.peer_ip4, [name for name in CASES if name.startswith("udp")])


@test
def client_ipv6(bed):
    serve_peer(bed)
    sweep(bed, bed.run_subject, bed.peer_ip6, ["tcp", "tcp_reversed", "udp", "udp_reversed"])
