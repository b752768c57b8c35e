"""Unmodified programs as workloads: nginx, redis, memcached, iperf3 and their clients."""

import json
import os
import re

import machine
from beds import Failed, tail, until

NGINX_PORT = "8080"
NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log notice;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  open_file_cache max=16;
  server {{
    listen {port} backlog=4096;
    location / {{ return 200 "{body}"; }}
  }}
}}
"""


def start_nginx(bed):
    root = bed.path("nginx")
    os.mkdir(root)
    configuration = os.path.join(root, "nginx.conf")
    with open(configuration, "w", encoding="ascii") as file:
        file.write(NGINX.format(root=root, body="x" * 64, port=NGINX_PORT))
    log = os.path.join(root, "error.log")
    bed.serve(["nginx", "-p", root, "-e", log, "-c", configuration])
    until(lambda: "event method" in machine.read(log) or not bed.server.running(), 20,
          "nginx to start")
    if not bed.server.running():
        raise Failed(f"nginx: {tail(bed.server.log())}")


def nginx(keep_alive):
    def run(bed, _):
        start_nginx(bed)
        header = [] if keep_alive else ["-H", "Connection: close"]
        output = bed.run_client(["wrk", "-t", "1", "-c", "64", "-d",
                                 f"{max(1, round(bed.place.seconds))}s", *header,
                                 f"http://{bed.host}:{NGINX_PORT}/"])
        if "Non-2xx" in output or "Socket errors" in output:
            raise Failed(f"wrk: {output.strip()[-300:]}")
        return {"value": number(r"Requests/sec:\s+([0-9.]+)", output)}
    return run


def wait_until_served(bed, probe):
    """Runs a client until it succeeds: some servers do not say when they listen."""
    for _ in range(20):
        try:
            bed.run_client(probe, 10)
            return
        except Failed:
            if not bed.server.running():
                raise
    raise Failed(f"{bed.server.name} does not answer")


def redis(depth):
    def run(bed, _):
        bed.serve(["redis-server", "--port", "6379", "--bind", "0.0.0.0", "--save", "",
                   "--protected-mode", "no"], "Ready to accept connections")
        # redis-benchmark runs a number of requests, not a time.
        requests = int(bed.place.seconds * (100_000 if depth == 1 else 600_000))
        output = bed.run_client(["redis-benchmark", "-h", bed.host, "-p", "6379", "--csv", "-t",
                                 "get", "-c", "64", "-P", str(depth), "-n", str(requests)])
        return {"value": number(r'"GET","([0-9.]+)"', output)}
    return run


def memcached(bed, _):
    bed.serve(["memcached", "-u", "root", "-t", "1", "-p", "11211", "-U", "0", "-c", "1024"])
    wait_until_served(bed, ["memcping", f"--servers={bed.host}:11211"])
    output = bed.run_client(["memcaslap", "-s", f"{bed.host}:11211", "-T", "1", "-c", "64", "-t",
                             f"{max(1, round(bed.place.seconds))}s"])
    return {"value": number(r"TPS:\s*([0-9.]+)", output)}


def iperf3(bed, _):
    bed.serve(["iperf3", "-s", "--forceflush"], "Server listening")
    output = bed.run_client(["iperf3", "-c", bed.host, "-t", str(max(1, round(bed.place.seconds))),
                             "-J"])
    result = json.loads(output[output.index("{"):])
    return {"value": result["end"]["sum_received"]["bits_per_second"] / 1e9}


def number(pattern, text):
    found = re.search(pattern, text)
    if found is None:
        raise Failed(f"no figure in: {text.strip()[-300:]}")
    return float(found[1])
