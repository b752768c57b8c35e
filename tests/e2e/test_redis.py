"""Debian's redis-server under test; redis-cli and redis-benchmark on the peer's kernel sockets."""

import re

from harness import available, digest, os, receive_exactly, socket, test, until

PORT = 6379


def start(bed, *arguments, options=()):
    available("redis-server", "redis-cli", "redis-benchmark")
    return bed.subject(["redis-server", "--port", str(PORT), "--bind", "*", "-::*", "--save", "",
                        "--protected-mode", "no", "--maxclients", "2000", *arguments], port=PORT,
                       options=options)


def cli(bed, *arguments, host=None, **more):
    return bed.run_peer(["redis-cli", "-h", host or bed.ip4, "-p", str(PORT), *arguments], **more)


def benchmark(bed, *arguments, host=None, seconds=60):
    """Requests per second of each kind that redis-benchmark ran."""
    output = bed.run_peer(["redis-benchmark", "-h", host or bed.ip4, "-p", str(PORT), "--csv",
                           *arguments], seconds=seconds)
    rates = dict(re.findall(r'^"([A-Z][^"]*)","([0-9.]+)"', output, re.MULTILINE))
    assert rates, output
    return {kind: float(rate) for kind, rate in rates.items()}


def values_survive(bed, host):
    assert cli(bed, "PING", host=host).strip() == "PONG"
    path, expected = bed.random_file("redis-value", 3 << 20)
    with open(path, "rb") as value:
        assert cli(bed, "-x", "SET", "blob", host=host, stdin=value).strip() == "OK"
    assert cli(bed, "STRLEN", "blob", host=host).strip().endswith(str(3 << 20))
    got = bed.path("redis-value-back")
    with open(got, "wb") as out:
        cli(bed, "GET", "blob", host=host, stdout=out)
    with open(got, "rb") as back:
        assert digest(back.read()[:-1]) == expected  # redis-cli ends its output with a newline


@test
def set_and_get_by_digest_ipv4(bed):
    start(bed)
    values_survive(bed, bed.ip4)


@test
def set_and_get_by_digest_ipv6(bed):
    start(bed)
    values_survive(bed, bed.ip6)


@test
def benchmark_plain(bed):
    start(bed)
    rates = benchmark(bed, "-t", "set,get,lrange_100", "-n", "20000", "-d", "100")
    assert set(rates) >= {"SET", "GET"}
    bed.note(f"GET {rates['GET']:.0f}/s")


@test
def benchmark_pipelined(bed):
    start(bed)
    rates = benchmark(bed, "-t", "set,get", "-n", "200000", "-P", "16", "-r", "1000")
    bed.note(f"GET {rates['GET']:.0f}/s")


@test
def benchmark_ipv6(bed):
    start(bed)
    benchmark(bed, "-t", "set,get", "-n", "10000", host=bed.ip6)


@test
def a_thousand_connections(bed):
    start(bed)
    rates = benchmark(bed, "-t", "set,get", "-n", "30000", "-c", "1000")
    bed.note(f"GET {rates['GET']:.0f}/s")
    until(lambda: "connected_clients:1\r" in cli(bed, "INFO", "clients").replace("\n", "\r"), 10,
          "redis to see all clients leave", pause=0.2)


@test
def a_thousand_connections_at_once(bed):
    """All open at the same time, each answered, with its own bytes back."""
    start(bed)
    connections = [bed.connect(PORT) for _ in range(1000)]
    try:
        for index, connection in enumerate(connections):
            connection.sendall(b"ECHO %06d\r\n" % index)
        for index, connection in enumerate(connections):
            assert receive_exactly(connection, 12) == b"$6\r\n%06d\r\n" % index
    finally:
        for connection in connections:
            connection.close()


@test
def half_closed_client_gets_its_answer(bed):
    start(bed)
    with bed.connect(PORT) as connection:
        payload = os.urandom(200_000).hex().encode()
        connection.sendall(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(payload), payload))
        header = b"$%d\r\n" % len(payload)
        answer = receive_exactly(connection, len(header) + len(payload) + 2)
        assert digest(answer[len(header):-2]) == digest(payload)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
