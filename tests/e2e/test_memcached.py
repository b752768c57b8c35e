"""memcached with four threads; every value comes back with the digest it was stored with."""

import concurrent.futures
import random

from harness import available, digest, receive_exactly, socket, test

PORT = 11211
CONNECTIONS = 64
VALUES_EACH = 12


def start(bed, options=()):
    available("memcached", "memcslap")
    return bed.subject(["memcached", "-u", "root", "-t", "4", "-c", "2000", "-m", "256", "-p",
                        str(PORT), "-l", "0.0.0.0", "-l", "::"], port=PORT, options=options)


def read_line(connection):
    line = bytearray()
    while not line.endswith(b"\r\n"):
        line += receive_exactly(connection, 1)
    return bytes(line)


def converse(bed, family, seed):
    """One connection: stores values of many sizes, then reads all of them back."""
    chance = random.Random(seed)
    with bed.connect(PORT, family) as connection:
        stored = {}
        for number in range(VALUES_EACH):
            key = b"k-%d-%d" % (seed, number)
            value = chance.randbytes(chance.choice([0, 1, 100, 1400, 8000, 70_000, 300_000]))
            connection.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
            assert read_line(connection) == b"STORED\r\n"
            stored[key] = (len(value), digest(value))
        for key, (size, expected) in stored.items():
            connection.sendall(b"get %s\r\n" % key)
            assert read_line(connection) == b"VALUE %s 0 %d\r\n" % (key, size)
            assert digest(receive_exactly(connection, size)) == expected
            assert receive_exactly(connection, 7) == b"\r\nEND\r\n"
    return len(stored)


def converse_all(bed, family):
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        stored = threads.map(lambda seed: converse(bed, family, seed), range(CONNECTIONS))
        assert sum(stored) == CONNECTIONS * VALUES_EACH


@test
def values_by_digest_ipv4(bed):
    start(bed)
    converse_all(bed, socket.AF_INET)


@test
def values_by_digest_ipv6(bed):
    start(bed)
    converse_all(bed, socket.AF_INET6)


@test
def memcslap_load(bed):
    start(bed)
    bed.run_peer(["memcslap", f"--servers={bed.ip4}:{PORT}", "--concurrency=50",
                  "--execute-number=200", "--test=get", "--initial-load=1000"], seconds=60)
