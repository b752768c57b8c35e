"""OpenSSL's s_server and s_client, each in turn under test, a file through TLS by digest."""

from harness import available, digest, os, socket, subprocess, test

PORT = 4433
SIZE = 16 << 20


def certificate(bed):
    available("openssl")
    key, cert = bed.path("key.pem"), bed.path("cert.pem")
    if not os.path.exists(cert):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key,
                        "-out", cert, "-subj", "/CN=sluice.test", "-addext",
                        f"subjectAltName=IP:{bed.ip4},IP:{bed.ip6},IP:{bed.peer_ip4},"
                        f"IP:{bed.peer_ip6}"], check=True, capture_output=True, timeout=30)
    return key, cert


def serve(bed, start):
    key, cert = certificate(bed)
    bed.random_file("tls/file", SIZE)
    start(["openssl", "s_server", "-accept", f"{PORT}", "-key", key, "-cert", cert, "-WWW"],
          line="ACCEPT", directory=bed.path("tls"))


def fetch(bed, run, host):
    """s_client asks for the file over HTTP/1.0 and prints header and body."""
    _, cert = certificate(bed)
    _, expected = bed.random_file("tls/file", SIZE)
    request = bed.path("request")
    with open(request, "wb") as file:
        file.write(b"GET /file HTTP/1.0\r\n\r\n")
    answer = bed.path("answer")
    with open(request, "rb") as asked, open(answer, "wb") as answered:
        run(["openssl", "s_client", "-connect", f"{host}:{PORT}", "-CAfile", cert,
             "-verify_return_error", "-quiet", "-no_ign_eof", "-ign_eof"], stdin=asked,
            stdout=answered, seconds=60)
    with open(answer, "rb") as answered:
        header, body = answered.read().split(b"\r\n\r\n", 1)
    assert b"200" in header, header
    assert digest(body) == expected


@test
def server_ipv4(bed):
    serve(bed, bed.subject)
    fetch(bed, bed.run_peer, bed.ip4)


@test
def server_ipv6(bed):
    serve(bed, bed.subject)
    fetch(bed, bed.run_peer, f"[{bed.ip6}]")


@test
def client_ipv4(bed):
    serve(bed, bed.peer)
    fetch(bed, bed.run_subject, bed.peer_ip4)


@test
def client_ipv6(bed):
    serve(bed, bed.peer)
    fetch(bed, bed.run_subject, f"[{bed.peer_ip6}]")


@test
def server_to_curl(bed):
    serve(bed, bed.subject)
    _, cert = certificate(bed)
    _, expected = bed.random_file("tls/file", SIZE)
    back = bed.path("tls-back")
    bed.run_peer(["curl", "-sS", "--fail", "--http1.0", "--max-time", "60", "--cacert", cert, "-o",
                  back, bed.url(PORT, "file", socket.AF_INET, "https")], seconds=70)
    with open(back, "rb") as file:
        assert digest(file.read()) == expected
