"""Sends datagrams to an echo server, whether it is there or not, until it is stopped.

usage: echo_flood.py PORT ADDRESS

Prints a line whenever echoes begin to come (again).
"""

import socket
import sys
import time

SILENCE_SECONDS = 0.1


def converse(client, last_echo):
    """Sends and receives once; returns when the last echo came."""
    try:
        client.send(b"x" * 1000)
        client.recv(2000)
    except OSError:  # nothing came, or nobody is there
        return last_echo
    if time.monotonic() - last_echo > SILENCE_SECONDS:
        print("echoes come", flush=True)
    return time.monotonic()


def main():
    port, address = int(sys.argv[1]), sys.argv[2]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    last_echo = 0
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(0.002)
        while True:
            try:
                client.connect((address, port))
                break
            except OSError:  # the link is down
                time.sleep(0.01)
        while True:
            last_echo = converse(client, last_echo)


main()
