"""Sends streams and datagrams to an echo server; what comes back is compared by digest.

usage: echo_client.py PORT ADDRESS...
"""

import hashlib
import os
import socket
import sys
import threading

STREAM_BYTES = 8 << 20
DATAGRAM_BYTES = (0, 1, 1000, 1472, 3000, 9000, 60000)
ATTEMPTS = 3  # of a datagram: the network may lose one


def digest(data):
    return hashlib.sha256(data).hexdigest()


def streams(family, address, port):
    data = os.urandom(STREAM_BYTES)
    with socket.create_connection((address, port), timeout=20) as connection:
        def send():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        back = bytearray()
        while piece := connection.recv(1 << 16):
            back += piece
        sender.join()
    assert digest(back) == digest(data), f"{len(back)} of {len(data)} bytes came back"
    print(f"{address}: {len(data)} bytes as a stream, {digest(data)[:16]}")


def datagrams(family, address, port):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect((address, port))
        for size in DATAGRAM_BYTES:
            data = os.urandom(size)
            for attempt in range(ATTEMPTS):
                client.send(data)
                try:
                    back = client.recv(65536)
                    break
                except TimeoutError:
                    assert attempt < ATTEMPTS - 1, f"{size} bytes never came back"
            assert digest(back) == digest(data), f"{len(back)} of {size} bytes came back"
        print(f"{address}: datagrams of {DATAGRAM_BYTES} bytes")


def main():
    port = int(sys.argv[1])
    for address in sys.argv[2:]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        streams(family, address, port)
        datagrams(family, address, port)
    print("all came back")


main()
