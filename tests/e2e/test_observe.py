"""`sluice ss` of a running redis under load, against `ss` on the peer's side."""

import json
import re

import test_redis
from harness import subprocess, test, until

CONNECTIONS = 50

# Every part of a socket table entry.
FIELDS = {"id", "slot", "generation", "descriptor", "process_id", "type", "protocol", "family",
          "local", "remote", "device", "status", "activity", "blocking", "event_mask", "readiness",
          "options", "send_queue", "receive_queue", "connection_queue"}


def snapshot(bed, pid):
    done = subprocess.run([bed.sluice, "ss", "--json", "--pid", str(pid)], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def established_on_peer(bed):
    """{(remote, local)} as the kernel at the other end sees them."""
    listed = bed.pair.peer.run("ss", "-H", "-n", "-t", "state", "established", "dport", "=",
                               f":{test_redis.PORT}").stdout
    return {(line.split()[3], line.split()[2]) for line in listed.splitlines()}


@test(sluice_only=True)
def agrees_with_the_peer(bed):
    server = test_redis.start(bed)
    load = bed.peer(["redis-benchmark", "-h", bed.ip4, "-p", str(test_redis.PORT), "-t", "set,get",
                     "-c", str(CONNECTIONS), "-n", "100000000", "-q"])
    connections = [bed.connect(test_redis.PORT) for _ in range(3)]
    until(lambda: len(established_on_peer(bed)) >= CONNECTIONS + 3, 20, "all clients to connect",
          pause=0.2)
    document = snapshot(bed, server.pid)
    sockets = document["sockets"]
    seen = {(endpoint(entry["local"]["address"], entry["local"]["port"]),
             endpoint(entry["remote"]["address"], entry["remote"]["port"]))
            for entry in sockets if entry["status"] == "connected"}
    assert seen == established_on_peer(bed)
    for entry in sockets:
        assert FIELDS <= entry.keys(), FIELDS - entry.keys()
    assert len({entry["id"] for entry in sockets}) == len(sockets)
    assert any(entry["status"] == "listening" and entry["local"]["port"] == test_redis.PORT
               for entry in sockets)
    assert document["pid"] == server.pid
    assert load.running()
    for connection in connections:
        connection.close()


@test(sluice_only=True)
def text_shows_every_socket(bed):
    server = test_redis.start(bed)
    with bed.connect(test_redis.PORT):
        document = snapshot(bed, server.pid)
        done = subprocess.run([bed.sluice, "ss", "-a", "--extended", "--pid", str(server.pid)],
                              capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\bid:", done.stdout)) == len(document["sockets"]), done.stdout
