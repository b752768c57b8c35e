"""Programs under `progress: threads`: a thread of Sluice's own runs the engine."""

import test_dns
import test_memcached
import test_observe
import test_python
import test_redis
import test_robustness
from harness import socket, test

THREADS = ("--set", "progress=threads")
TWO_ENGINES = THREADS + ("--engines", "2", "--queues", "2")
KILLS = 20


@test(sluice_only=True)
def redis(bed):
    test_redis.start(bed, options=THREADS)
    for host in (bed.ip4, bed.ip6):
        test_redis.values_survive(bed, host)
    rates = test_redis.benchmark(bed, "-t", "set,get,lrange_100", "-n", "20000", "-d", "100")
    pipelined = test_redis.benchmark(bed, "-t", "get", "-n", "200000", "-P", "16")
    test_redis.benchmark(bed, "-t", "set,get", "-n", "30000", "-c", "1000")
    bed.note(f"GET {rates['GET']:.0f}/s, in a pipeline {pipelined['GET']:.0f}/s")


@test(sluice_only=True)
def an_idle_redis_uses_no_cpu(bed):
    test_robustness.stays_idle(bed, THREADS)


@test(sluice_only=True)
def killed_under_load_and_started_again(bed):
    test_robustness.kill_and_start_again(bed, KILLS, THREADS)


@test(sluice_only=True)
def threaded_http_server(bed):
    test_python.serve_files(bed, bed.subject, "::", options=THREADS)
    for family in (socket.AF_INET, socket.AF_INET6):
        test_python.fetch_many(bed, family)


@test(sluice_only=True)
def memcached(bed):
    test_memcached.start(bed, THREADS)
    for family in (socket.AF_INET, socket.AF_INET6):
        test_memcached.converse_all(bed, family)


@test(sluice_only=True)
def memcached_on_two_engines(bed):
    server = test_memcached.start(bed, TWO_ENGINES)
    with bed.connect(test_memcached.PORT, socket.AF_INET):
        for family in (socket.AF_INET, socket.AF_INET6):
            test_memcached.converse_all(bed, family)
        sockets = test_observe.snapshot(bed, server.pid)["sockets"]
    for status in ("listening", "connected"):
        engines = {s["engine"] for s in sockets if s["status"] == status}
        assert engines <= {0, 1} and (status == "connected" or len(engines) == 2), engines


@test(sluice_only=True)
def redis_on_two_engines_and_one_queue(bed):
    test_redis.start(bed, options=THREADS + ("--engines", "2"))
    for host in (bed.ip4, bed.ip6):
        test_redis.values_survive(bed, host)
    test_redis.benchmark(bed, "-t", "set,get,lrange_100", "-n", "20000", "-d", "100")


@test(sluice_only=True)
def datagrams_on_two_engines(bed):
    test_dns.serve(bed)
    for server in (bed.peer_ip4, bed.peer_ip6):
        for _ in range(8):
            answer = bed.run_subject(["dig", f"@{server}", "+short", "four.sluice.test", "A"],
                                     seconds=20, options=TWO_ENGINES)
            assert answer.split() == ["192.0.2.7"]
