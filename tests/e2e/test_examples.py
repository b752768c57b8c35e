"""The programs of apps/examples, which link libsluice.so and are not preloaded.

The echo makes AF_INET6 sockets only, for both families, and the seccomp filter forbids all of
these to it: what answers is Sluice.
"""

import os

from harness import PROGRAMS, PYTHON, test, time, until

PORT = 7
TAP = "sltap0"
KILLS = 20
SILENCE_SECONDS = 0.1  # after which echo_flood.py says that echoes come again
FLOOD = [PYTHON, os.path.join(PROGRAMS, "echo_flood.py"), str(PORT)]
CLIENT = [PYTHON, os.path.join(PROGRAMS, "echo_client.py"), str(PORT)]


TWO_ENGINES = "progress: threads\nengine: {count: 2}\n"


def start_echo(bed, device, namespace, more="", addresses=None, queues=1):
    configuration = bed.path("echo.yaml")
    addresses = addresses or (f"{bed.ip4}/24", f"{bed.ip6}/64")
    with open(configuration, "w", encoding="ascii") as file:
        file.write(f"hugepages: never\n{more}"
                   f"interfaces:\n"
                   f"  - device: {device}\n"
                   f"    queues: {queues}\n"
                   f"    addresses: [{', '.join(addresses)}]\n")
    program = os.path.join(bed.build, "apps", "examples", "echo")
    return bed.embedded([program, configuration, str(PORT)], namespace, "ready")


def ends_in_order(process):
    process.signal_group(2)  # SIGINT
    assert process.wait(10) == 0, process.log()


@test(sluice_only=True)
def echo_on_af_packet(bed):
    process = start_echo(bed, f"net_af_packet0,iface={bed.pair.interface}", bed.pair.subject)
    printed = bed.run_peer([*CLIENT, bed.ip4, bed.ip6])
    assert "all came back" in printed
    ends_in_order(process)


@test(sluice_only=True)
def echo_on_af_packet_with_threads(bed):
    process = start_echo(bed, f"net_af_packet0,iface={bed.pair.interface}", bed.pair.subject,
                         "progress: threads\n")
    assert "all came back" in bed.run_peer([*CLIENT, bed.ip4, bed.ip6])
    ends_in_order(process)


def start_echo_on_tap(bed, **more):
    """The kernel's end of a TAP is in the namespace of the program that makes it."""
    process = start_echo(bed, f"net_tap0,iface={TAP}", bed.pair.peer,
                         addresses=("10.98.0.1/24", "'fd98::1/64'"), **more)
    bed.pair.peer.sysctl(f"net.ipv6.conf.{TAP}.accept_dad", 0)
    bed.pair.peer.ip("address", "add", "10.98.0.2/24", "dev", TAP)
    bed.pair.peer.ip("address", "add", "fd98::2/64", "dev", TAP, "nodad")
    bed.pair.peer.ip("link", "set", TAP, "up")
    return process


@test(sluice_only=True)
def echo_on_tap(bed):
    process = start_echo_on_tap(bed)
    assert "all came back" in bed.run_peer([*CLIENT, "10.98.0.1", "fd98::1"])
    listed = [line for line in bed.pair.peer.kernel_sockets() if '"echo"' in line]
    assert not listed, listed
    ends_in_order(process)


@test(sluice_only=True)
def echo_on_tap_with_two_engines(bed):
    """The kernel deals the frames as it likes, not as the engines own them."""
    process = start_echo_on_tap(bed, more=TWO_ENGINES, queues=2)
    assert "all came back" in bed.run_peer([*CLIENT, "10.98.0.1", "fd98::1"])
    ends_in_order(process)


def echoes_on_memif(bed, more="", options=(), queues=1):
    """Both ends are Sluice's: the embedded program, and an ordinary one under preload."""
    path = bed.path("echo.memif")
    process = start_echo(bed, f"'net_memif0,role=server,socket={path}'", bed.pair.subject, more,
                         queues=queues)
    client = bed.peer([bed.sluice, "run", "--no-huge",
                       "--device", f"net_memif0,role=client,socket={path}",
                       "--address", f"{bed.peer_ip4}/24", "--address", f"{bed.peer_ip6}/64",
                       *options, "--", *CLIENT, bed.ip4, bed.ip6], forbid_inet=True)
    assert client.wait(60) == 0, client.log()
    assert "all came back" in client.log()
    ends_in_order(process)
    assert not os.path.exists(path), "the memif socket is left behind"


@test(sluice_only=True)
def echo_on_memif(bed):
    echoes_on_memif(bed)


@test(sluice_only=True)
def echo_on_memif_with_two_engines(bed):
    echoes_on_memif(bed, TWO_ENGINES, ("--progress", "threads", "--engines", "2", "--queues", "2"),
                    queues=2)


def kill_and_start_again(start_flood, start):
    """SIGKILL under load: the next start always works, and the client hears from it."""
    flood = start_flood()
    for remaining in reversed(range(KILLS)):
        heard = flood.log().count("echoes come")
        process = start()
        until(lambda: flood.log().count("echoes come") > heard or not flood.running(), 20,
              "echoes after a start")
        assert flood.running(), flood.log()
        if remaining > 0:
            process.kill()
            time.sleep(2 * SILENCE_SECONDS)


@test(sluice_only=True)
def killed_on_af_packet_and_started_again(bed):
    kill_and_start_again(lambda: bed.peer([*FLOOD, bed.ip4]), lambda: start_echo(
        bed, f"net_af_packet0,iface={bed.pair.interface}", bed.pair.subject))
    assert "all came back" in bed.run_peer([*CLIENT, bed.ip4, bed.ip6])


@test(sluice_only=True)
def killed_on_memif_and_started_again(bed):
    """The server of the memif dies; the client's link comes back by itself."""
    path = bed.path("killed.memif")
    kill_and_start_again(
        lambda: bed.peer([bed.sluice, "run", "--no-huge",
                          "--device", f"net_memif0,role=client,socket={path}",
                          "--address", f"{bed.peer_ip4}/24", "--", *FLOOD, bed.ip4],
                         forbid_inet=True),
        lambda: start_echo(bed, f"'net_memif0,role=server,socket={path}'", bed.pair.subject))
