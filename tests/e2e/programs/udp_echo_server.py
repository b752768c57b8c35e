"""udp_echo_server.py PORT: echoes datagrams on both families until it is ended."""

import selectors
import socket
import sys

selector = selectors.DefaultSelector()
for family in (socket.AF_INET, socket.AF_INET6):
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    receiver.bind(("", int(sys.argv[1])))
    receiver.setblocking(False)
    selector.register(receiver, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        data, sender = key.fileobj.recvfrom(65536)
        key.fileobj.sendto(data, sender)
