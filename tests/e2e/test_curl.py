"""curl as the program under test, fetching from and sending to kernel servers."""

import test_nginx
from harness import PROGRAMS, PYTHON, digest_of_file, os, socket, test

PORT = test_nginx.PORT
LARGE = 64 << 20


def serve(bed):
    bed.peer(test_nginx.configure(bed, "nginx-peer"), port=PORT)


def fetch_and_compare(bed, family):
    serve(bed)
    _, expected = bed.random_file("files/curl", LARGE)
    back = bed.path("curl-back")
    bed.run_subject(["curl", "-sS", "--fail", "--max-time", "60", "-o", back,
                     bed.peer_url(PORT, "curl", family)], seconds=70)
    assert digest_of_file(back) == expected


@test
def large_file_ipv4(bed):
    fetch_and_compare(bed, socket.AF_INET)


@test
def large_file_ipv6(bed):
    fetch_and_compare(bed, socket.AF_INET6)


@test
def ten_files_in_parallel(bed):
    serve(bed)
    expected, argv = {}, ["curl", "-sS", "--fail", "--parallel", "--parallel-immediate",
                          "--max-time", "60"]
    for number in range(10):
        name, back = f"part-{number}", bed.path(f"part-back-{number}")
        expected[back] = bed.random_file(f"files/{name}", (1 << 20) + number)[1]
        argv += ["-o", back, bed.peer_url(PORT, name)]
    bed.run_subject(argv, seconds=70)
    for back, wanted in expected.items():
        assert digest_of_file(back) == wanted


@test
def upload(bed):
    """The other direction: the program under test sends 64 MiB."""
    path, expected = bed.random_file("files/curl", LARGE)
    bed.peer([PYTHON, os.path.join(PROGRAMS, "upload_server.py"), "8001"], line="ready")
    output = bed.run_subject(["curl", "-sS", "--fail", "--max-time", "60", "-T", path,
                              bed.peer_url(8001, "upload")], seconds=70)
    assert output.strip() == expected


@test
def refused_and_unreachable(bed):
    """A closed port is refused at once; an address that nobody has is reported, not hung on."""
    closed = bed.subject(["curl", "-sS", "--max-time", "10", bed.peer_url(9, "")])
    assert closed.wait(15) == 7, closed.log()
    nobody = bed.subject(["curl", "-sS", "--max-time", "10", "http://10.99.0.77:80/"])
    assert nobody.wait(15) == 7, nobody.log()
