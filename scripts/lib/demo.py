"""What scripts/demo shows once everything is built; see there."""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/e2e"))

import test_nginx  # noqa: E402
import test_redis  # noqa: E402
from harness import Bed, digest_of_file, socket, until  # noqa: E402
from namespace import Pair  # noqa: E402
from process import Process  # noqa: E402

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[min(1, len(CORES) - 1)]
SECONDS = 3  # of one timed run
_begun = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - _begun:5.0f} s] {text}", flush=True)


def indent(text):
    return "\n".join("          " + line for line in text.rstrip().splitlines())


# -- (a) and (b): unmodified servers against a kernel peer ----------------------------------------


def show_redis(bed):
    say("(a) redis-server under sluice run, redis-cli and redis-benchmark on kernel sockets (veth)")
    test_redis.start(bed)
    say(f"    redis-cli PING: {test_redis.cli(bed, 'PING').strip()}")
    test_redis.values_survive(bed, bed.ip4)
    say("    redis-cli SET and GET of 3 MiB: same SHA-256 over IPv4")
    test_redis.values_survive(bed, bed.ip6)
    say("    redis-cli SET and GET of 3 MiB: same SHA-256 over IPv6")
    for kind, rate in test_redis.benchmark(bed, "-t", "set,get", "-n", "50000").items():
        say(f"    redis-benchmark {kind}: {rate:,.0f} requests/s")
    prove(bed)


def show_nginx(bed):
    say("(b) nginx under sluice run, wrk and curl on kernel sockets (veth)")
    test_nginx.start(bed)
    say(f"    wrk, small file: {test_nginx.wrk(bed, socket.AF_INET):,.0f} requests/s")
    path, expected = bed.random_file("files/large", test_nginx.LARGE)
    back, begun = bed.path("back"), time.monotonic()
    bed.run_peer(["curl", "-sS", "--fail", "-o", back, bed.url(test_nginx.PORT, "large")],
                 seconds=120)
    seconds, got = time.monotonic() - begun, digest_of_file(back)
    say(f"    curl, 256 MiB in {seconds:.1f} s; SHA-256 of the file and of what curl got:")
    print(indent(f"{expected}\n{got}"))
    assert got == expected, "the file arrived changed"
    os.unlink(back)
    os.unlink(path)
    prove(bed)


def prove(bed):
    bed.assert_no_kernel_sockets()
    say("    the kernel's socket table of its namespace is empty: every socket was Sluice's")


# -- (c): the two layouts -------------------------------------------------------------------------


class Traditional:
    """Both ends on kernel sockets over a veth, pinned to one core each."""

    name = "traditional"

    def __init__(self, bed, offloads=True):
        self.bed, self._offloads = bed, offloads
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self._pair = self._stack.enter_context(
            Pair(kernel=True, what="demo", offloads=self._offloads))
        self._stack.callback(self._stop)
        self._processes = []
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def _stop(self):
        for process in reversed(self._processes):
            process.stop()

    host = Pair.subject_ip4

    def _server_command(self, argv):
        return argv

    def _client_command(self, argv):
        return argv

    def serve(self, argv, line=None):
        server = Process(f"server-{os.path.basename(argv[0])}", self._server_command(argv),
                         self._pair.subject, self.bed.logs, core=SERVER_CORE)
        self._processes.append(server)
        if line is not None:
            server.wait_for_line(line)
        return server

    def start_client(self, argv):
        client = Process(f"client-{os.path.basename(argv[0])}", self._client_command(argv),
                         self._pair.peer, self.bed.logs, core=CLIENT_CORE)
        self._processes.append(client)
        return client

    def run_client(self, argv, seconds=60):
        client = self.start_client(argv)
        status = client.wait(seconds)
        output = client.log()
        assert status == 0, f"{argv[0]} ended with status {status}:\n{output[-2000:]}"
        return output


class Virtualized(Traditional):
    """Both ends under `sluice run`, joined by shared memory (net_memif), pinned likewise."""

    name = "virtualized"

    def __enter__(self):
        self._pair = self._stack.enter_context(Pair(kernel=False, what="demo", link=False))
        self._stack.callback(self._stop)
        self._processes = []
        self._socket = self.bed.path("memif.sock")
        return self

    def _command(self, role, address, argv):
        return [self.bed.sluice, "run", "--no-huge", "--trusted-link",
                "--device", f"net_memif0,role={role},socket={self._socket}",
                "--address", f"{address}/24", "--", *argv]

    def _server_command(self, argv):
        return self._command("server", Pair.subject_ip4, argv)

    def _client_command(self, argv):
        return self._command("client", Pair.peer_ip4, argv)


def redis_server(layout):
    return layout.serve(["redis-server", "--port", "6379", "--bind", "0.0.0.0", "--save", "",
                         "--protected-mode", "no"], line="Ready to accept connections")


def redis_client(layout, requests, *options):
    return ["redis-benchmark", "-h", layout.host, "-p", "6379", "--csv", "-t", "get", "-n",
            str(requests), *options]


def measure_redis(layout, requests=300_000, options=()):
    redis_server(layout)
    output = layout.run_client(redis_client(layout, requests, *options))
    return float(re.search(r'"GET","([0-9.]+)"', output)[1])


def measure_redis_pipelined(layout):
    return measure_redis(layout, 3_000_000, ("-P", "16"))


def measure_nginx(layout):
    command = test_nginx.configure(layout.bed, "nginx-demo")
    layout.serve(command)
    until(lambda: "start worker" in nginx_log(layout.bed) or "using the" in nginx_log(layout.bed),
          20, "nginx to start")
    output = layout.run_client(["wrk", "-t", "1", "-c", "50", "-d", f"{SECONDS}s",
                                f"http://{layout.host}:{test_nginx.PORT}/small"])
    assert "Non-2xx" not in output and "Socket errors" not in output, output
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", output)[1])


def nginx_log(bed):
    path = os.path.join(bed.path("nginx-demo"), "error.log")
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as log:
        return log.read()
    return ""


def measure_iperf3(layout):
    layout.serve(["iperf3", "-s", "--forceflush"], line="Server listening")
    output = layout.run_client(["iperf3", "-c", layout.host, "-t", str(SECONDS), "-J"])
    result = json.loads(output[output.index("{"):])
    return result["end"]["sum_received"]["bits_per_second"] / 1e9


WORKLOADS = (
    ("redis GET, 50 clients", "requests/s", measure_redis, True),
    ("redis GET, pipeline of 16", "requests/s", measure_redis_pipelined, True),
    ("nginx small file, wrk -c 50", "requests/s", measure_nginx, True),
    ("iperf3, one TCP stream", "Gbit/s", measure_iperf3, True),
    ("iperf3, kernel sends real frames", "Gbit/s", measure_iperf3, False),
)


def compare(bed, repeats):
    say("(c) traditional: kernel sockets over veth; virtualized: both ends under sluice run over "
        "net_memif")
    say(f"    server on core {SERVER_CORE}, client on core {CLIENT_CORE}, {repeats} alternating "
        "runs of each")
    rows = []
    for name, unit, measure, offloads in WORKLOADS:
        rates = {"traditional": [], "virtualized": []}
        for repeat in range(repeats):
            layouts = [Traditional(bed, offloads), Virtualized(bed)]
            # What comes first changes, so that neither profits from a warm or a rested machine.
            for layout in layouts[::-1] if repeat % 2 else layouts:
                with layout:
                    rate = measure(layout)
                rates[layout.name].append(rate)
                say(f"    {name}, run {repeat + 1}, {layout.name}: {figure(rate)} {unit}")
        rows.append({"workload": name, "unit": unit, **rates})
    return rows


def show_tables(bed):
    """(d): the live socket table of both ends, while they talk."""
    say("(d) sluice ss of both processes while redis-benchmark runs over net_memif")
    with Virtualized(bed) as layout:
        server = redis_server(layout)
        client = layout.start_client(redis_client(layout, 100_000_000, "-c", "5"))
        for process in (server, client):
            def table(pid=process.pid):
                return subprocess.run([bed.sluice, "ss", "-a", "--pid", str(pid)], timeout=20,
                                      capture_output=True, text=True)
            until(lambda: table().stdout.count("connected") + table().stdout.count("ing") >= 5
                  or not process.running(), 20, "the sockets to show")
            done = table()
            assert done.returncode == 0, done.stderr
            say(f"    {process.name}:")
            print(indent(done.stdout))


# -- the table ------------------------------------------------------------------------------------


def figure(rate):
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.2f}"


def median_and_spread(rates):
    return f"{figure(statistics.median(rates))} ({figure(min(rates))}-{figure(max(rates))})"


def ratios(row):
    return [ours / theirs for ours, theirs in zip(row["virtualized"], row["traditional"])]


def print_table(rows):
    print()
    print("| workload | traditional | virtualized | ratio |")
    print("| --- | --- | --- | --- |")
    for row in rows:
        times = ratios(row)
        print(f"| {row['workload']}, {row['unit']} | {median_and_spread(row['traditional'])} "
              f"| {median_and_spread(row['virtualized'])} "
              f"| {statistics.median(times):.2f} ({min(times):.2f}-{max(times):.2f}) |")
    print("\nmedian (least-most) of alternating runs; the ratio is the median over pairs of runs.")
    print(f"measured on {machine()['processor']}, {os.cpu_count()} cores, Linux "
          f"{platform.release()}")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo.read(), re.MULTILINE)
    return {"processor": model[1] if model else platform.processor(), "cores": os.cpu_count(),
            "kernel": platform.release(), "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def interrupted(number, _):
    raise KeyboardInterrupt(signal.Signals(number).name)


def run(options, directory):
    build = os.path.abspath(options.build)
    with Pair(kernel=False, what="demo") as pair:
        bed = Bed(pair, build, directory)
        for part in (show_redis, show_nginx):
            try:
                part(bed)
            finally:
                bed.stop_all()
    rows = compare(bed, options.repeats)
    show_tables(bed)
    print_table(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "rows": rows}, file, indent=1)
    say("done")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--json")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    directory = tempfile.mkdtemp(prefix="sluice-demo-")
    os.chmod(directory, 0o755)
    try:
        run(options, directory)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        logs = os.path.join(directory, "logs")
        for name in sorted(os.listdir(logs))[-2:] if os.path.isdir(logs) else ():
            with open(os.path.join(logs, name), encoding="utf-8", errors="replace") as log:
                print(f"--- the end of {name}\n{log.read()[-1500:]}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
