"""dig under test against a kernel dnsmasq."""

from harness import available, test


def serve(bed):
    available("dig", "dnsmasq")
    bed.peer(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
              "--no-hosts", "--user=root", "--pid-file=", "--log-facility=-", "--bind-interfaces",
              "--except-interface=lo", f"--interface={bed.pair.peer_interface}",
              "--host-record=four.sluice.test,192.0.2.7,2001:db8::7",
              *(f"--host-record=many.sluice.test,192.0.2.{host}" for host in range(1, 200))],
             line="started")


def dig(bed, server, *arguments):
    return bed.run_subject(["dig", f"@{server}", "+short", "+tries=3", "+time=3", *arguments],
                           seconds=20).split()


@test
def answers_over_udp(bed):
    serve(bed)
    for server in (bed.peer_ip4, bed.peer_ip6):
        assert dig(bed, server, "four.sluice.test", "A") == ["192.0.2.7"]
        assert dig(bed, server, "four.sluice.test", "AAAA") == ["2001:db8::7"]


@test
def answers_over_tcp(bed):
    serve(bed)
    for server in (bed.peer_ip4, bed.peer_ip6):
        assert dig(bed, server, "+tcp", "four.sluice.test", "A") == ["192.0.2.7"]


@test
def truncated_answer_is_asked_again_over_tcp(bed):
    serve(bed)
    answers = dig(bed, bed.peer_ip4, "+bufsize=512", "many.sluice.test", "A")
    assert sorted(answers) == sorted(f"192.0.2.{host}" for host in range(1, 200))
