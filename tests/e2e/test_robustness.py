"""Killed at any moment, idle, and under hostile frames."""

import random
import struct

import test_redis
from harness import PYTHON, Skip, available, os, socket, test, time

KILLS = int(os.environ.get("SLUICE_E2E_KILLS", "100"))
HOSTILE_FRAMES = int(os.environ.get("SLUICE_E2E_FRAMES", "100000"))
ABUSE_SEEDS = os.environ.get("SLUICE_ABUSE_SEEDS", "1 2").split()
ABUSE_FRAMES = os.environ.get("SLUICE_ABUSE_FRAMES", "1000000000")  # all that there are
IDLE_SECONDS = 4


def kill_and_start_again(bed, kills, options=()):
    """SIGKILL at a random moment under load, again and again: the next start always works."""
    available("redis-server", "redis-benchmark")
    chance = random.Random(7)
    load = bed.peer(["sh", "-c", f"while :; do redis-benchmark -h {bed.ip4} -p "
                     f"{test_redis.PORT} -t set,get -n 1000000 -c 20 -P 4 -q; sleep 0.01; done"])
    begun = time.monotonic()
    for _ in range(kills):
        server = test_redis.start(bed, options=options)
        time.sleep(chance.uniform(0, 0.15))
        assert server.running(), f"redis ended by itself with status {server.status}"
        server.kill()
        assert time.monotonic() - begun < 140, "starting takes too long"
    load.stop()
    test_redis.start(bed, options=options)
    assert test_redis.cli(bed, "PING").strip() == "PONG"
    bed.note(f"{kills} kills, {(time.monotonic() - begun) / kills:.2f} s each")


@test
def killed_under_load_and_started_again(bed):
    kill_and_start_again(bed, KILLS)


def stays_idle(bed, options=()):
    server = test_redis.start(bed, options=options)
    test_redis.cli(bed, "PING")
    time.sleep(1)
    before = server.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    percent = 100 * (server.cpu_seconds() - before) / IDLE_SECONDS
    bed.note(f"{percent:.2f} % of a core, {server.resident_kib() // 1024} MiB resident")
    # The clock of /proc ticks every 10 ms; under 1 % of 4 s is four of these.
    assert percent <= 1.0, f"idle, yet it takes {percent:.2f} % of a core"
    assert test_redis.cli(bed, "PING").strip() == "PONG"


@test
def an_idle_redis_uses_no_cpu(bed):
    stays_idle(bed)


def link_socket(bed):
    with bed.pair.peer:
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        link.bind((bed.pair.peer_interface, 0))
    return link


def seed_frames(bed):
    """Sound frames of every protocol, to be bent by the mutator.

    They come from an address of their own: who may speak for the client's address may also take
    its traffic, by the rules of ARP and neighbour discovery, from any stack.
    """
    ether4 = bytes.fromhex((bed.pair.subject_mac + "02:99:00:00:00:66").replace(":", ""))
    me4, you4 = socket.inet_aton("10.99.0.66"), socket.inet_aton(bed.ip4)
    me6 = socket.inet_pton(socket.AF_INET6, "fd99::66")
    you6 = socket.inet_pton(socket.AF_INET6, bed.ip6)
    payloads = {
        6: struct.pack("!HHIIBBHHH", 40000, test_redis.PORT, 1, 0, 0xA0, 2, 1024, 0, 0)
        + bytes.fromhex("020405b40402080a0000000100000000010303ff"),
        17: struct.pack("!HHHH", 40000, 53, 40, 0) + b"x" * 32,
        1: struct.pack("!BBHI", 8, 0, 0, 1) + b"ping" * 10,
        2: struct.pack("!BBHI", 0x11, 100, 0, 0) + b"\x02\x7d\0\0",
        58: struct.pack("!BBHI", 135, 0, 0, 0) + you6 + b"\x01\x01" + ether4[6:],
        44: struct.pack("!BBHI", 6, 0, 1, 7) + b"y" * 64,
        0: bytes([58, 0, 5, 2, 0, 0, 1, 0]) + struct.pack("!BBHI", 130, 0, 0, 0) + bytes(20),
        43: bytes([6, 2, 0, 1]) + bytes(4) + you6 + b"z" * 32,
    }
    for protocol, payload in payloads.items():
        for fragment in (0, 0x2000, 0x2005):
            header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 9, fragment, 64,
                                 protocol, 0)
            yield ether4 + b"\x08\x00" + header + me4 + you4 + payload
        yield ether4 + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(payload), protocol,
                                                 255) + me6 + you6 + payload
    yield b"\xff" * 6 + ether4[6:] + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + \
        ether4[6:] + me4 + bytes(6) + you4


def sum_again(frame):
    """Puts the IPv4 header's checksum right, so that the frame is read further."""
    words = (len(frame) >= 34 and frame[12:14] == b"\x08\x00" and (frame[14] & 15) * 2) or 0
    if 10 <= words and len(frame) >= 14 + 2 * words:
        frame[24:26] = b"\0\0"
        total = sum(struct.unpack(f"!{words}H", frame[14:14 + 2 * words]))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        frame[24:26] = struct.pack("!H", 0xFFFF - total)


@test
def hostile_frames_do_no_harm(bed):
    """Mutants of sound frames by the ten thousand, with a client that must keep being served."""
    seed = int(os.environ.get("SLUICE_E2E_SEED", "1"))
    server, chance, seeds = test_redis.start(bed), random.Random(seed), list(seed_frames(bed))
    bed.note(f"{HOSTILE_FRAMES} frames, seed {seed}")
    with link_socket(bed) as link, bed.connect(test_redis.PORT) as client:
        for number in range(HOSTILE_FRAMES):
            frame = bytearray(chance.choice(seeds))
            for _ in range(chance.randrange(1, 9)):
                where = chance.randrange(12, len(frame))
                frame[where] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
            if chance.random() < 0.2:
                del frame[chance.randrange(14, len(frame)):]
            sum_again(frame)
            link.send(frame)
            if number % 500 == 499:
                client.sendall(b"PING\r\n")
                assert client.recv(64) == b"+PONG\r\n", f"after frame {number}"
    assert server.running(), f"redis ended with status {server.status}"
    assert test_redis.cli(bed, "PING", host=bed.ip6).strip() == "PONG"


@test
def captures_do_no_harm(bed):
    """The capture thrower, where SLUICE_ABUSE names it and SLUICE_CAPTURES its captures.

    It ends with an error as soon as the subject stops answering.
    """
    tool, captures = os.environ.get("SLUICE_ABUSE"), os.environ.get("SLUICE_CAPTURES")
    if not tool or not captures:
        raise Skip("SLUICE_ABUSE and SLUICE_CAPTURES are not set")
    for seed in ABUSE_SEEDS:
        test_redis.start(bed)
        printed = bed.run_peer([PYTHON, tool, "--iface", bed.pair.peer_interface, "--target-ip",
                                bed.ip4, "--my-ip", "10.99.0.9", "--target-ip6", bed.ip6,
                                "--tcp-port", str(test_redis.PORT), "--pcaps", captures,
                                "--seed", seed, "--max", ABUSE_FRAMES], seconds=120)
        for host in (bed.ip4, bed.ip6):
            assert test_redis.cli(bed, "PING", host=host).strip() == "PONG"
        bed.note(f"seed {seed}: {printed.splitlines()[-1]}")
        bed.stop_all()
