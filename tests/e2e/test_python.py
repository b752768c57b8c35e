"""Python 3: http.server with threads, urllib as client, asyncio as echo server and client."""

import concurrent.futures
import urllib.request

from harness import PROGRAMS, PYTHON, digest, os, receive_all, socket, test

HTTP_PORT = 8000
ECHO_PORT = 7007
FILE_BYTES = 3 << 20


def serve_files(bed, start, address, **more):
    bed.random_file("web/file", FILE_BYTES)
    start([PYTHON, "-u", "-m", "http.server", "--bind", address, "--directory", bed.path("web"),
           str(HTTP_PORT)], line="Serving HTTP", **more)


def fetch_many(bed, family, count=40):
    _, expected = bed.random_file("web/file", FILE_BYTES)

    def fetch(_):
        with bed.pair.peer, urllib.request.urlopen(bed.url(HTTP_PORT, "file", family),
                                                   timeout=30) as answer:
            return digest(answer.read())

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert set(threads.map(fetch, range(count))) == {expected}


@test
def threaded_http_server_ipv4(bed):
    serve_files(bed, bed.subject, "0.0.0.0")
    fetch_many(bed, socket.AF_INET)


@test
def threaded_http_server_ipv6(bed):
    serve_files(bed, bed.subject, "::")
    fetch_many(bed, socket.AF_INET6)


def urllib_client(bed, family):
    """One program, eight threads, each with connections of its own."""
    serve_files(bed, bed.peer, "::")
    _, expected = bed.random_file("web/file", FILE_BYTES)
    output = bed.run_subject([PYTHON, os.path.join(PROGRAMS, "fetch.py"),
                              bed.peer_url(HTTP_PORT, "file", family), "40"])
    assert output.split() == [expected] * 40, output


@test
def urllib_client_ipv4(bed):
    urllib_client(bed, socket.AF_INET)


@test
def urllib_client_ipv6(bed):
    urllib_client(bed, socket.AF_INET6)


def echo_through(bed, family, size):
    """Sends and receives at the same time, so that neither side's buffers can hide a stall."""
    data = os.urandom(size)
    with bed.connect(ECHO_PORT, family) as connection, \
            concurrent.futures.ThreadPoolExecutor(1) as sender:
        connection.settimeout(30)

        def send():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sent = sender.submit(send)
        assert digest(receive_all(connection)) == digest(data)
        sent.result()


@test
def asyncio_echo_server(bed):
    bed.subject([PYTHON, os.path.join(PROGRAMS, "asyncio_echo_server.py"), str(ECHO_PORT)],
                port=ECHO_PORT)
    for family in (socket.AF_INET, socket.AF_INET6):
        echo_through(bed, family, 20 << 20)
        with concurrent.futures.ThreadPoolExecutor(32) as threads:
            list(threads.map(lambda _: echo_through(bed, family, 100_000), range(100)))


@test
def asyncio_echo_client(bed):
    bed.peer([PYTHON, os.path.join(PROGRAMS, "asyncio_echo_server.py"), str(ECHO_PORT)],
             port=ECHO_PORT)
    for host in (bed.peer_ip4, bed.peer_ip6):
        output = bed.run_subject([PYTHON, os.path.join(PROGRAMS, "asyncio_echo_client.py"), host,
                                  str(ECHO_PORT), "100", "200000"], seconds=60)
        assert "100 echoes are right" in output, output


@test
def datagrams_of_every_size(bed):
    """UDP through a Python program, up to the largest datagram there is, both families."""
    bed.subject([PYTHON, os.path.join(PROGRAMS, "udp_echo_server.py"), str(ECHO_PORT)],
                line="ready")
    largest = {socket.AF_INET: 65507, socket.AF_INET6: 65527}
    for family, host in ((socket.AF_INET, bed.ip4), (socket.AF_INET6, bed.ip6)):
        with bed.pair.peer, socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect((host, ECHO_PORT))
            for size in (0, 1, 17, 1452, 1472, 1473, 3000, 9000, 60_000, largest[family]):
                data = os.urandom(size)
                client.send(data)
                assert digest(client.recv(65536)) == digest(data), f"{size} bytes"
