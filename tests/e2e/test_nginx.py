"""Debian's nginx, one process, under test; curl, wrk and ab on the peer's kernel sockets."""

import re

from harness import available, digest_of_file, os, socket, test

PORT = 8080
SMALL = 612
LARGE = 256 << 20

CONFIGURATION = """
daemon off;
master_process off;
error_log {root}/error.log notice;
pid {root}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile {sendfile};
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  server {{
    listen {port} backlog=1024;
    listen [::]:{port} backlog=1024;
    root {files};
  }}
}}
"""


def configure(bed, name, port=PORT, sendfile="on"):
    """Writes a configuration and the files it serves; returns nginx's command line."""
    available("nginx", "curl", "wrk", "ab")
    root = bed.fresh_directory(name)
    bed.random_file("files/small", SMALL)
    configuration = os.path.join(root, "nginx.conf")
    with open(configuration, "w", encoding="ascii") as file:
        file.write(CONFIGURATION.format(root=root, files=bed.path("files"), port=port,
                                        sendfile=sendfile))
    os.chmod(bed.path("files"), 0o755)
    return ["nginx", "-p", root, "-e", os.path.join(root, "error.log"), "-c", configuration]


def start(bed, **more):
    return bed.subject(configure(bed, "nginx", **more), port=PORT)


def fetch_and_compare(bed, name, family):
    _, expected = bed.random_file(f"files/{name}", LARGE if name == "large" else SMALL)
    back = bed.path("fetched")
    bed.run_peer(["curl", "-sS", "--fail", "--max-time", "90", "-o", back,
                  bed.url(PORT, name, family)], seconds=100)
    assert digest_of_file(back) == expected
    os.unlink(back)


def wrk(bed, family, *arguments):
    output = bed.run_peer(["wrk", "-t", "1", "-c", "50", "-d", "2s", *arguments,
                           bed.url(PORT, "small", family)])
    assert "Non-2xx" not in output and "Socket errors" not in output, output
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", output)[1])
    assert rate > 0, output
    return rate


@test
def small_file_ipv4_and_ipv6(bed):
    start(bed)
    for family in (socket.AF_INET, socket.AF_INET6):
        fetch_and_compare(bed, "small", family)


@test
def large_file_with_sendfile_ipv4(bed):
    start(bed)
    fetch_and_compare(bed, "large", socket.AF_INET)


@test
def large_file_with_writev_ipv6(bed):
    start(bed, sendfile="off")
    fetch_and_compare(bed, "large", socket.AF_INET6)


@test
def wrk_keeps_connections(bed):
    start(bed)
    bed.note(f"IPv4 {wrk(bed, socket.AF_INET):.0f}/s")
    bed.note(f"IPv6 {wrk(bed, socket.AF_INET6):.0f}/s")


@test
def wrk_closes_each_connection(bed):
    start(bed)
    bed.note(f"{wrk(bed, socket.AF_INET, '-H', 'Connection: close'):.0f}/s")


def apache_bench(bed, *arguments):
    output = bed.run_peer(["ab", "-q", *arguments, bed.url(PORT, "small")], seconds=60)
    assert re.search(r"Failed requests:\s+0\n", output), output
    assert not re.search(r"Non-2xx", output), output
    return float(re.search(r"Requests per second:\s+([0-9.]+)", output)[1])


@test
def ab_with_and_without_keepalive(bed):
    start(bed)
    bed.note(f"keep {apache_bench(bed, '-k', '-n', '20000', '-c', '100'):.0f}/s")
    bed.note(f"close {apache_bench(bed, '-n', '5000', '-c', '50'):.0f}/s")
