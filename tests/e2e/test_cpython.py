"""CPython's own socket tests with loopback given to Sluice, against their result on the kernel.

Both runs happen at the same time, each in its own namespace. Every test whose outcome differs must
stand in cpython_differences.txt with the reason, and every line there must still be true.
"""

import xml.etree.ElementTree

from harness import PYTHON, os, test

HERE = os.path.dirname(os.path.abspath(__file__))
DIFFERENCES = os.path.join(HERE, "cpython_differences.txt")
# VM sockets are no inet sockets, and a virtual machine without a vsock loopback hangs in them.
IGNORED = "*VSOCK*"


def command(module, results, scratch):
    return [PYTHON, "-m", "test", "-v", "--timeout", "60", "-i", IGNORED, "--tempdir", scratch,
            "--junit-xml", results, module]


def outcomes(path):
    """{test: outcome} of a JUnit file."""
    found = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[case.get("name")] = min(kinds) if kinds else "passed"
    return found


def known_differences(module):
    """{test: reason} for the tests of one module."""
    known = {}
    with open(DIFFERENCES, encoding="utf-8") as file:
        for line in file:
            name, _, reason = line.strip().partition(" ")
            if name and not name.startswith("#"):
                assert reason.strip(), f"no reason given for {name}"
                if name.startswith(f"test.{module}."):
                    known[name] = reason.strip()
    return known


def same_result(bed, module, seconds):
    ours, theirs = bed.path(f"{module}-subject.xml"), bed.path(f"{module}-peer.xml")
    for path in (ours, theirs):
        if os.path.exists(path):
            os.unlink(path)
    on_kernel = bed.peer(command(module, theirs, bed.fresh_directory("scratch-peer")))
    on_sluice = bed.subject(command(module, ours, bed.fresh_directory("scratch-subject")),
                            options=["--loopback", "sluice"])
    on_kernel.wait(seconds)
    on_sluice.wait(seconds)
    assert os.path.exists(ours), "the tests under Sluice did not come to their end"
    wanted, got = outcomes(theirs), outcomes(ours)
    bed.note(f"{len(wanted)} tests, {sum(o == 'passed' for o in got.values())} passed")
    differing = {name: f"{wanted.get(name, 'absent')} on the kernel, {got.get(name, 'absent')} here"
                 for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name)}
    known = {} if bed.kernel else known_differences(module)
    surprises = [f"{name}: {how}" for name, how in sorted(differing.items()) if name not in known]
    assert not surprises, f"{len(surprises)} unlisted differences:\n" + "\n".join(surprises)
    gone = sorted(known.keys() - differing.keys())
    assert not gone, "listed as different but alike:\n" + "\n".join(gone)


@test
def test_socket(bed):
    same_result(bed, "test_socket", 120)


@test
def test_selectors(bed):
    same_result(bed, "test_selectors", 60)


@test
def test_epoll(bed):
    same_result(bed, "test_epoll", 60)


@test
def test_poll(bed):
    same_result(bed, "test_poll", 60)
