"""netcat and socat, under test as server and as client, TCP and UDP; files by digest."""

from harness import available, digest, digest_of_file, os, receive_all, socket, test, until

PORT = 5000
SIZE = 32 << 20
FAMILIES = ((socket.AF_INET, "4"), (socket.AF_INET6, "6"))


def receives_file(bed, argv, family, line=None):
    """Starts a one-shot listener under test that writes what it gets to its output."""
    available("nc", "socat")
    path, expected = bed.random_file("stream", SIZE)
    back = bed.path("stream-back")
    with open(back, "wb") as out:
        server = bed.subject(argv, stdout=out, line=line)
    with bed.connect_patiently(PORT, family) as connection, open(path, "rb") as file:
        connection.settimeout(30)
        connection.sendfile(file)
        connection.shutdown(socket.SHUT_WR)
        assert receive_all(connection) == b""
    assert server.wait(30) == 0
    assert digest_of_file(back) == expected


def sends_file(bed, argv, family):
    """Runs a client under test whose input is the file; the peer compares what arrives."""
    path, expected = bed.random_file("stream", SIZE)
    host = bed.peer_ip4 if family == socket.AF_INET else bed.peer_ip6
    with bed.pair.peer:
        listener = socket.create_server((host, PORT), family=family)
    with listener, open(path, "rb") as file:
        listener.settimeout(30)
        client = bed.subject(argv, stdin=file)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            assert digest(receive_all(connection)) == expected
        assert client.wait(30) == 0


@test
def netcat_listens(bed):
    for family, flag in FAMILIES:
        receives_file(bed, ["nc", "-n", "-v", f"-{flag}", "-N", "-l", str(PORT)], family,
                      line="Listening on")


@test
def netcat_connects(bed):
    for family, flag in FAMILIES:
        host = bed.peer_ip4 if family == socket.AF_INET else bed.peer_ip6
        sends_file(bed, ["nc", f"-{flag}", "-N", host, str(PORT)], family)


@test
def socat_listens(bed):
    for family, flag in FAMILIES:
        receives_file(bed, ["socat", "-d", "-d", "-u", f"TCP{flag}-LISTEN:{PORT},reuseaddr",
                            "STDOUT"], family, line="listening on")


@test
def socat_connects(bed):
    for family, flag in FAMILIES:
        host = bed.peer_ip4 if family == socket.AF_INET else f"[{bed.peer_ip6}]"
        sends_file(bed, ["socat", "-u", "STDIN", f"TCP{flag}:{host}:{PORT}"], family)


def datagrams_to(bed, argv, family, line):
    """Datagrams of several sizes to a listener under test; their bytes, in order, by digest."""
    back = bed.path("datagrams")
    with open(back, "wb") as out:
        bed.subject(argv, stdout=out, line=line)
    host = bed.ip4 if family == socket.AF_INET else bed.ip6
    sent = b""
    with bed.pair.peer, socket.socket(family, socket.SOCK_DGRAM) as client:
        client.connect((host, PORT))
        for size in (1, 100, 1400, 4000, 8000):
            data = os.urandom(size)
            client.send(data)
            sent += data
            until(lambda: os.path.getsize(back) == len(sent), 5, f"{size} bytes to arrive")
    assert digest_of_file(back) == digest(sent)


@test
def netcat_udp(bed):
    for family, flag in FAMILIES:
        datagrams_to(bed, ["nc", "-n", "-v", f"-{flag}", "-u", "-l", str(PORT)], family, "Bound on")
        bed.stop_all()


@test
def socat_udp(bed):
    for family, flag in FAMILIES:
        datagrams_to(bed, ["socat", "-d", "-d", "-b", "65536", "-u", f"UDP{flag}-RECV:{PORT}",
                           "STDOUT"], family, "starting data transfer loop")
        bed.stop_all()


@test
def socat_relays(bed):
    """Two sockets of one program at once: a relay under test between two kernel sockets."""
    data = os.urandom(4 << 20)
    with bed.pair.peer:
        listener = socket.create_server((bed.peer_ip4, PORT + 1))
    with listener:
        listener.settimeout(30)
        bed.subject(["socat", "-d", "-d", f"TCP4-LISTEN:{PORT},reuseaddr",
                     f"TCP4:{bed.peer_ip4}:{PORT + 1}"], line="listening on")
        with bed.connect_patiently(PORT) as near:
            far, _ = listener.accept()
            with far:
                near.settimeout(30)
                far.settimeout(30)
                for sender, receiver in ((near, far), (far, near)):
                    got = bytearray()
                    view = memoryview(data)
                    for start in range(0, len(data), 1 << 16):
                        sender.sendall(view[start:start + (1 << 16)])
                        got += receiver.recv(1 << 16)
                    while len(got) < len(data):
                        got += receiver.recv(1 << 16)
                    assert digest(bytes(got)) == digest(data)
