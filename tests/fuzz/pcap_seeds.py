#!/usr/bin/env python3
"""Cuts captures into seeds: each header of each frame goes to the fuzzers that read it.

  tests/fuzz/pcap_seeds.py OUTPUT [DIRECTORY]

reads every pcap and pcapng file under DIRECTORY (or $SLUICE_CAPTURES) and writes
OUTPUT/<fuzzer>/<digest>. Broken captures are read as far as they go: they are the best seeds.
"""
import hashlib
import os
import pathlib
import struct
import sys

LINK_ETHERNET, LINK_RAW, LINK_LOOP, LINK_LINUX_SLL = 1, 101, 0, 113
PCAP_MAGICS = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
SEED_BYTES_MAX = 2048
FRAMES_PER_FILE_MAX = 200


def pcap_frames(data):
    """Yields (link type, bytes) of a pcap file, in either byte order and resolution."""
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    if len(data) < 24:
        return
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        yield link, data[at + 16:at + 16 + length]
        at += 16 + length


def pcapng_frames(data):
    """Yields (link type, bytes) of the enhanced and simple packet blocks of a pcapng file."""
    order, links, at = "<", [], 0
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        kind, length = struct.unpack(order + "II", data[at:at + 8])
        if length < 12:
            return
        body = data[at + 8:at + length - 4]
        if kind == 1 and len(body) >= 2:
            links.append(struct.unpack(order + "H", body[:2])[0])
        elif kind == 6 and len(body) >= 20:
            interface, _, _, captured = struct.unpack(order + "IIII", body[:16])
            link = links[interface] if interface < len(links) else LINK_ETHERNET
            yield link, body[20:20 + captured]
        elif kind == 3 and len(body) >= 4:
            yield links[0] if links else LINK_ETHERNET, body[4:]
        at += length + -length % 4


def frames(path):
    data = path.read_bytes()
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return pcapng_frames(data)
    if data[:4] in PCAP_MAGICS:
        return pcap_frames(data)
    return iter(())


def network_layer(link, frame):
    """The bytes behind the link header."""
    if link == LINK_ETHERNET:
        at = 12
        while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        return frame[at + 2:]
    if link == LINK_LINUX_SLL:
        return frame[16:]
    return frame[4:] if link == LINK_LOOP else frame


def arrival(packet):
    """A script of the internet fuzzer: the packet arrives, addressed to the host that is fuzzed."""
    if packet[0] >> 4 == 4:
        kind, packet = b"\x08\x00", packet[:16] + bytes.fromhex("c0000202") + packet[20:]
    else:
        address = bytes.fromhex("20010db8" + "0" * 23 + "2")
        kind, packet = b"\x86\xdd", packet[:24] + address + packet[40:]
    frame = bytes.fromhex("02000000000b02000000000a") + kind + packet[:1514]
    return b"\x03\x00" + struct.pack(">H", len(frame)) + frame + b"\x03\x1d"


def seeds_of(link, frame):
    """Yields (fuzzer, bytes)."""
    if link == LINK_ETHERNET:
        yield "link", frame[:64]
    packet = network_layer(link, frame)
    if len(packet) < 20:
        return
    if packet[0] >> 4 == 4:
        yield "ipv4", packet
        protocol, transport = packet[9], packet[(packet[0] & 15) * 4:]
    elif packet[0] >> 4 == 6:
        yield "ipv6", packet
        protocol, transport = packet[6], packet[40:]
    else:
        return
    yield "internet", arrival(packet)
    if protocol in (6, 17):
        yield "transport", transport[:80]
    elif protocol == 1:
        yield "icmp", transport
    elif protocol == 2:
        yield "multicast", transport
    elif protocol == 58:
        for fuzzer in ("icmp", "ndp", "multicast"):
            yield fuzzer, transport


def main():
    source = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("SLUICE_CAPTURES", "")
    if len(sys.argv) not in (2, 3) or not os.path.isdir(source):
        print(__doc__, file=sys.stderr)
        return 2
    output, written = pathlib.Path(sys.argv[1]), 0
    for path in sorted(pathlib.Path(source).rglob("*")):
        if not path.is_file():
            continue
        for count, (link, frame) in enumerate(frames(path)):
            if count == FRAMES_PER_FILE_MAX:
                break
            for fuzzer, seed in seeds_of(link, frame):
                seed = seed[:SEED_BYTES_MAX]
                target = output / fuzzer / hashlib.sha256(seed).hexdigest()[:16]
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(seed)
                    written += 1
    print("%d seeds" % written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
