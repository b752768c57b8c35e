#!/usr/bin/env python3
"""Writes the seed corpora, tests/fuzz/corpus/<fuzzer>/<name>, from the headers spelled out here.

  tests/fuzz/make_corpus.py           # write them
  tests/fuzz/make_corpus.py --check   # status 1 if what is there differs
"""
import pathlib
import sys

A4, B4 = "c0000201", "c0000202"
A6, B6 = "20010db8" + "0" * 23 + "1", "20010db8" + "0" * 23 + "2"
GROUP6 = "ff02" + "0" * 26 + "fb"
LINK6 = "fe80" + "0" * 27 + "1"
MACS = "02000000000b02000000000a"

IPV4 = "45000020000140004011b6c8" + A4 + B4
TCP = "d43100500102030400000000"


def ipv6(next_header, payload):
    return "60000000%04x%s40%s%s%s" % (len(payload) // 2, next_header, A6, B6, payload)


def arrive(frame, operation="00"):
    """One step of the internet fuzzer's script: a frame arrives, and its checksums are repaired."""
    return "%s%04x%s" % (operation, len(frame) // 2, frame)


def ether4(protocol, payload, tail="4000"):
    total = 20 + len(payload) // 2
    return MACS + "0800" + "4500%04x0001%s40%s0000" % (total, tail, protocol) + A4 + B4 + payload


def ether6(next_header, payload):
    return MACS + "86dd" + ipv6(next_header, payload).replace("3a40", "3aff", 1)


ARP = MACS + "0806" + "0001080006040001" + "02000000000a" + A4 + "0" * 12 + B4
SOLICIT = "8700000000000000" + B6 + "010102000000000a"
ADVERTISE = ("86000000 40c00708 00007530 000003e8 030440c0 00015180 00003840 00000000"
             "20010db8000000000000000000000000").replace(" ", "")
INTERNET = {
    "arp": "00" + arrive(ARP),
    "echo": "00" + arrive(ether4("01", "0800000012340007" + "61626364")),
    "echo_of_zeros": "00" + arrive(ether4("01", "0800" + "0" * 12)),
    "echo6": "00" + arrive(ether6("3a", "8000000012340007" + "61626364")),
    "udp_refused": "00" + arrive(ether4("11", "0035d431000c000061626364")) + "0314",
    "fragments": "00" + arrive(ether4("11", "0035d43100180000" + "61" * 8, "2000"), "10") + "04"
                 + arrive(ether4("11", "62" * 8, "0002")),
    "fragments6": "00" + arrive(ether6("2c", "1100000100000001" + "0035d43100100000"))
                  + arrive(ether6("2c", "1100000800000001" + "62" * 8)) + "031d",
    "solicit": "03" + "0316" + arrive(ether6("3a", SOLICIT)),
    "advertise": "03" + "0316" + arrive(ether6("3a", ADVERTISE)) + "031c",
    "too_big": "00" + arrive(ether4("01", "0304000000000578" + IPV4 + "0035d431000c0000")),
    "options": "00" + arrive(ether6("00", "3a00050200000100" + "8000000012340007")),
    "send": "00" + "0400000100" + "0000" + "0401000fa0" + "0001" + "0407000fa0" + "0000" + "031c",
    "unresolved": "00" + "04080001000000" + "04090001000000" + "031c" + "031d",
    "groups": "00" + "060005" + "0000" + "06000b" + "0000" + "031a"
              + arrive(ether4("02", "1164000000000000")) + "031a" + "060305" + "0000",
    "settings": "00" + "0707010a" + "07080203" + "07030109" + "0700" + "00" + "07400000" + "031a",
}


# The operations of the stack fuzzer, in the order of Script::kOperations.
STACK_OPERATIONS = """
    open bind listen connect accept close shutdown duplicate names poll select epoll control wait
    callback callbacks send send_to send_message send_messages send_file receive receive_message
    receive_messages allocate send_lent receive_lent set get file device raw repaired datagram syn
    segment answer error echo peer network elapse elapse_long settle""".split()


def stack(config, *steps):
    """A script: the configuration's bits, and operations with their arguments in hexadecimal."""
    script = "%04x" % config
    for step in steps:
        name, _, arguments = step.partition(" ")
        script += "%02x" % STACK_OPERATIONS.index(name) + arguments.replace(" ", "")
    return script


# Slot 0 connects to the peer, which answers; slot 0 listens and slot 1 accepts from the peer.
CONNECT = ["open 04", "connect 00 800400", "settle"]
CONNECT6 = ["open 05", "connect 00 800500", "settle"]
LISTEN = ["open 04", "bind 00 000c00", "listen 00 04"]
ACCEPT = LISTEN + ["syn 00 00 00 00 00", "answer 00 00 00", "accept 00 00"]
LOOP = LISTEN + ["open 04", "connect 01 000200", "settle", "accept 00 00"]
UDP = ["open 06", "bind 00 000c01"]
ANSWERS, OFFLOADS, MANY, BARE, PLAIN, COPIES = 1, 2 | 4, 8, 16, 64, 256
TINY_REGION, TINY_POOL, TINY_TABLES = 1024, 2048, 4096
STACK = {
    "connect": stack(ANSWERS, *CONNECT, "send 00 03 00", "answer 00 01 03 00", "receive 00 05 00",
                     "shutdown 00 01", "answer 00 0c 00", "close 00", "elapse_long 07"),
    "connect6": stack(ANSWERS | OFFLOADS | MANY, *CONNECT6, "send 00 0f 00", "settle",
                      "answer 00 01 05 00", "receive 00 05 00", "close 00", "elapse_long 05"),
    "connect_blocking": stack(ANSWERS, "open 00", "connect 00 800400", "send 00 0c 03",
                              "receive 00 03 06", "close 00"),
    "refused": stack(BARE, *CONNECT, "segment 00 00 04 00 00 00", "get 00 10 00", "close 00"),
    "simultaneous": stack(0, *CONNECT, "segment 00 00 05 00 00", "shutdown 00 01",
                          "answer 00 00 00", "answer 00 0c 00", "elapse_long 07"),
    "silent": stack(0, *CONNECT, "elapse_long 08", "get 00 10 00", "connect 00 800400"),
    "accept": stack(0, *ACCEPT, "answer 00 01 03 00", "receive 01 05 00", "send 01 0b 00",
                    "answer 00 00 00", "answer 00 0c 00", "close 01", "answer 00 00 00",
                    "close 00", "elapse_long 07"),
    "listens_again": stack(0, *ACCEPT, "syn 00 00 00 01 00", "answer 01 00 00", "shutdown 00 00",
                           "listen 00 04", "syn 00 00 00 02 00", "answer 02 00 00", "accept 00 00",
                           "answer 02 01 03 00", "receive 02 05 00"),
    "backlog": stack(TINY_TABLES, *LISTEN, "syn 00 00 00 00 00", "syn 00 00 00 01 00",
                     "syn 00 00 00 02 00", "answer 00 00 00", "answer 01 00 00", "answer 02 00 00",
                     "accept 00 00", "accept 00 00", "elapse_long 06"),
    "losses": stack(0, *ACCEPT, "send 01 0c 00", "settle", "segment 00 c0 00 10 00 1a 00",
                    "segment 00 c0 00 10 01 3c 1a 00", "segment 00 c0 00 10 00 3c 00",
                    "segment 00 c0 00 10 00 3c 00", "elapse 17", "segment 00 00 00 10 00 1a 00",
                    "answer 00 00 00", "elapse_long 03", "answer 00 00 00"),
    "holes": stack(0, *ACCEPT, "segment 00 09 00 02 03 00", "segment 00 08 00 02 03 00",
                   "answer 00 01 05 00", "answer 00 01 05 00", "receive 01 0b 00"),
    "urgent": stack(ANSWERS, *CONNECT, "segment 00 00 07 06 03 0002 00", "receive 00 03 03",
                    "receive 00 03 00", "send 00 00 02"),
    "window": stack(PLAIN, *ACCEPT, "peer 02 0000", "answer 00 00 00", "send 01 0b 00",
                    "elapse_long 06", "peer 02 ffff", "answer 00 00 00", "answer 00 00 00"),
    "half_closed": stack(ANSWERS, *CONNECT, "answer 00 0d 03 00", "send 00 03 00",
                         "receive 00 05 00", "receive 00 05 00", "close 00"),
    "orphan": stack(0, *ACCEPT, "send 01 0c 00", "close 01", "elapse_long 0a"),
    "keep_alive": stack(ANSWERS, *CONNECT, "set 00 02 00", "set 00 16 00", "elapse_long 05",
                        "peer 00", "elapse_long 09"),
    "loop": stack(0, *LOOP, "send 01 0c 00", "settle", "receive 02 0c 00", "send 02 05 00",
                  "receive 01 05 00", "close 01", "receive 02 05 00", "close 02", "elapse_long 07"),
    "loop_full": stack(TINY_REGION, *LOOP, "send 01 0f 00", "send 02 0f 00", "settle",
                       "send 01 0f 00", "receive 02 0f 00", "receive 01 0f 00", "settle"),
    "datagrams": stack(0, *UDP, "datagram 00 01 00 03 00 00", "receive_message 00 3f 80 05 00",
                       "send_to 00 800400 03 00", "send_to 00 800400 0d 00"),
    "datagrams6": stack(OFFLOADS, "open 07", "bind 00 000d01", "datagram 01 01 00 03 00 00",
                        "datagram 01 01 00 0b 00 43", "set 00 40 00", "receive 00 0b 00",
                        "send_to 00 800500 05 00"),
    "refused_datagram": stack(0, "open 06", "set 00 2b 00", "connect 00 800400", "send 00 03 00",
                              "error 00 32 0000 00", "receive_message 00 ff 80 05 05 04",
                              "receive 00 03 00"),
    "reused": stack(0, *CONNECT, "answer 00 00 00", "shutdown 00 01", "answer 00 0c 00",
                    "segment 00 00 05 00 00", "segment 00 00 00 00 00", "open 04",
                    "bind 01 000c00", "connect 01 800400", "segment 00 00 05 08 00"),
    "too_big": stack(0, *ACCEPT, "send 01 0c 00", "settle", "error 00 41 0250 00", "elapse 15"),
    "groups": stack(0, *UDP, "set 00 32 0a 00 00", "elapse 17", "send_to 00 000a01 03 00",
                    "settle", "receive 00 05 00", "set 00 33 0a 00 00", "elapse 17"),
    "control": stack(0, *UDP, "send_message 00 03 800400 02 00 00000000c0000202 00000000 07 0040"
                     " 01 05 00", "set 00 23 06", "send_to 00 800400 0b 00"),
    "epoll": stack(ANSWERS, *CONNECT, "epoll 00", "control 01 00 00 2005", "wait 01 04",
                   "answer 00 01 03 00", "wait 01 14", "poll 02 00 ffff 01 0001", "control 01 00 0a"
                   " 0001", "select 00 03 01 00", "close 00", "wait 01 04"),
    "callback": stack(ANSWERS, *CONNECT, "callback 00 00 0005", "callbacks", "answer 00 01 03 00",
                      "callbacks", "callback 00 02 0005", "callbacks"),
    "lent": stack(ANSWERS, *CONNECT, "allocate", "allocate", "send_lent 00 00 00 03 00", "settle",
                  "answer 00 01 05 00", "receive_lent 00 73", "receive 00 05 00",
                  "receive_lent 00 f3", "send_lent 00 00 f0 05 00"),
    "file": stack(ANSWERS | MANY, *CONNECT, "send_file 00 0c", "settle", "send_file 00 0b"),
    "duplicates": stack(0, *LOOP, "duplicate 01 00", "close 01", "send 03 03 00", "duplicate 02 83",
                        "file 00 04", "names 00 10", "names 02 50", "device 00 00",
                        "device 00 e5"),
    "starved": stack(TINY_POOL | COPIES, *ACCEPT, "send 01 0f 00", "settle", "network 01 00",
                     "answer 00 01 05 00", "answer 00 01 05 00", "elapse 12", "network 81 00"),
    "echo": stack(0, "echo 01 03 00", "echo 01 0b 83", "echo 00 03 00"),
    "link_down": stack(0, *ACCEPT, "send 01 05 00", "network 00 00", "elapse_long 02",
                       "network 80 00", "elapse_long 02", "answer 00 00 00"),
    "frames": stack(0, *UDP, "raw 00 %04x" % (len(ARP) // 2) + ARP,
                    "repaired 00 0020" + IPV4 + "03e80035000c0000" + "61626364"),
}


CORPUS = {
    "link": {
        "ipv4": MACS + "0800" + IPV4,
        "vlan": MACS + "8100006486dd",
        "service_vlan": MACS + "88a8000781000064" + "0800",
        "arp_request": MACS + "0806" + "0001080006040001" + "02000000000a" + A4 + "0" * 12 + B4,
        "arp_reply": "0001080006040002" + "02000000000a" + A4 + "02000000000b" + B4,
    },
    "ipv4": {
        "udp": IPV4 + "0035d431000c0000" + "61626364",
        "router_alert": "46000018 00000000 40020000" + A4 + "e0000016" + "94040000",
        "source_route": "48000020 00000000 40060000" + A4 + B4 + "0183070401020304" + "89030400",
        "record_route_copied": "48000020 00000000 40060000" + A4 + B4 + "07030401" + "83030401"
                               + "94040000",
        "first_fragment": "4500001c0001200040110000" + A4 + B4 + "0011223344556677",
        "last_fragment": "4500001c0001000140110000" + A4 + B4 + "0011223344556677",
    },
    "ipv6": {
        "tcp": ipv6("06", TCP + "5002ffff00000000"),
        "all_extensions": ipv6("00", "2b00050200000100" + "3c00000000000000" + "2c00010400000000"
                               + "1100000012345678" + "0035003500080000"),
        "fragment": ipv6("3c", "2c00010400000000" + "11000009deadbeef" + "0011223344556677"),
        "unknown_options": ipv6("3c", "060000001e020000"),
        "option_discard": ipv6("3c", "060000005e020000"),
        "option_report": ipv6("3c", "060000009e020000"),
        "routing_left": ipv6("2b", "0600000100000000"),
        "none": ipv6("3b", ""),
    },
    "transport": {
        "udp": "0035d431000abeef6869",
        "tcp_syn": TCP + "a002ffff00000000" + "020405b40402080a112233440000000001030307",
        "tcp_ack": TCP + "8010ffff00000000" + "0101080a0000000100000002",
        "tcp_sack": TCP + "f010ffff00000000" + "0101080a0000000100000002" + "0101051a"
                    + "00000064 00000096 000000c8 000000fa 0000012c 0000015e",
        "tcp_reset": TCP + "5014000000000000",
        "options_unknown": "fd0600010203" + "020405b4" + "0101",
        "options_bad": "020405b403000101",
    },
    "icmp": {
        "echo": "0800000012340007" + "61626364",
        "echo6": "8000000012340007" + "61626364",
        "too_big": "0304000000000578" + "450005dc 00014000 40060000" + A4 + B4 + "d43100500a0b0c0d",
        "too_big6": "0200000000000500" + ipv6("06", TCP + "5002ffff00000000"),
        "unreachable6": "0104000000000000" + ipv6("2c", "1100000101020304" + "0035d43100080000"),
        "parameter": "0c00000015000000" + IPV4 + "0035d431000c0000",
    },
    "internet": INTERNET,
    "stack": STACK,
    "ndp": {
        "router_solicitation": "8500000000000000" + "010102000000000a",
        "router_advertisement": "86000000 40c00708 00007530 000003e8" + "010102000000000c"
                                + "05010000000005dc" + "030440c0000151800000384000000000"
                                + "20010db8000100000000000000000000"
                                + "1903000000000e10" + "20010db8" + "0" * 22 + "35",
        "neighbor_solicitation": "8700000000000000" + LINK6 + "010102000000000a",
        "neighbor_advertisement": "88000000e0000000" + LINK6 + "020102000000000b",
        "redirect": "8900000000000000" + LINK6 + B6 + "020102000000000b",
    },
    "multicast": {
        "igmp_v1_query": "1100eeff00000000",
        "igmp_v2_query": "11640c9ae0000101",
        "igmp_v3_query": "118a0000e80101010a7d0002" + A4 + B4,
        "igmp_v2_report": "16000000e0000101",
        "igmp_v3_report": "220000000000000204000000e000010105000002e8010101" + A4 + B4,
        "mld_v1_query": "8200000027100000" + "0" * 32,
        "mld_v2_query": "8200000081230000" + GROUP6 + "0a7d0001" + A6,
        "mld_v1_done": "8400000000000000" + GROUP6,
        "mld_v2_report": "8f0000000000000202000000" + GROUP6 + "06000001" + GROUP6 + A6,
    },
    "address": {
        "ipv4": b"192.0.2.1".hex(),
        "ipv4_prefix": b"192.0.2.0/24".hex(),
        "ipv6": b"2001:db8::1:0:0:1".hex(),
        "ipv6_prefix": b"2001:db8::/32".hex(),
        "ipv6_dotted": b"64:ff9b::192.0.2.1".hex(),
        "mapped": b"::ffff:192.0.2.1".hex(),
        "mac": b"02:00:00:ab:cd:01".hex(),
    },
}


def main():
    check = sys.argv[1:] == ["--check"]
    root = pathlib.Path(__file__).resolve().parent / "corpus"
    wrong = []
    for fuzzer, seeds in CORPUS.items():
        for name, digits in seeds.items():
            path = root / fuzzer / name
            data = bytes.fromhex(digits)
            if check:
                if not path.exists() or path.read_bytes() != data:
                    wrong.append(str(path))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    for path in wrong:
        print(path + ": differs from make_corpus.py")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
