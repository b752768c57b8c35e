"""Wrong arguments and what is missing: one clear line, status 2, nothing left behind."""

import json
import os
import re
import stat

from harness import PYTHON, Process, subprocess, test


def sluice(bed, *arguments, **environment):
    return subprocess.run([bed.sluice, *arguments], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, env=dict(os.environ, **environment))


def refuses(bed, *arguments, says, **environment):
    done = sluice(bed, *arguments, **environment)
    where = " ".join(arguments)
    assert done.returncode == 2, f"{where}: status {done.returncode}\n{done.stderr}"
    assert done.stdout == "", done.stdout
    assert done.stderr.startswith("sluice: ") and done.stderr.count("\n") == 1, done.stderr
    for text in (says,) if isinstance(says, str) else says:
        assert text in done.stderr, f"{where}: {done.stderr!r} does not say {text!r}"


@test(sluice_only=True)
def wrong_arguments(bed):
    refuses(bed, "frobnicate", says="frobnicate")
    refuses(bed, "run", "--frobnicate", says=("--frobnicate", "sluice run --help"))
    refuses(bed, "run", says="no program is given")
    refuses(bed, "ss", "--", "ls", says="sluice run [options] -- program")
    refuses(bed, "help", "frobnicate", says="frobnicate")
    refuses(bed, "ss", "--pid", "x", says="--pid")


@test(sluice_only=True)
def wrong_values(bed):
    device = ("--device", "net_null0")
    refuses(bed, "run", *device, "--address", "10.0.0.300/24", "--", "true", says="10.0.0.300/24")
    refuses(bed, "run", *device, "--mtu", "big", "--", "true", says=("--mtu", "big"))
    refuses(bed, "run", *device, "--vlan", "4095", "--", "true", says=("--vlan", "4095"))
    refuses(bed, "run", *device, "--mac", "02:00", "--", "true", says="02:00")
    refuses(bed, "run", *device, "--gateway", "10.0.0.9", "--", "true", says="10.0.0.9")
    refuses(bed, "run", *device, "--loopback", "both", "--", "true", says=("kernel", "both"))
    refuses(bed, "run", *device, "--set", "limits.socket=9", "--", "true", says="limits.sockets")
    refuses(bed, "run", *device, "--", "true", says="SLUICE_LIMITS_SOCKETS",
            SLUICE_LIMITS_SOCKET="9")
    refuses(bed, "run", "--address", "10.0.0.1/24", "--", "true", says="--device")
    refuses(bed, "run", "--device", "net_null0", "--device", "net_null1", "--address",
            "10.0.0.1/24", "--device", "net_null2", "--gateway", "bad", "--", "true", says="bad")
    refuses(bed, "run", "--", "true", says="--device")


@test(sluice_only=True)
def wrong_files(bed):
    refuses(bed, "run", "--config", "/nowhere.yaml", "--", "true", says="/nowhere.yaml")
    path = bed.path("wrong.yaml")
    with open(path, "w", encoding="ascii") as file:
        file.write("interfaces:\n  - device: net_null0\n    adresses: [10.0.0.1/24]\n")
    refuses(bed, "run", "--config", path, "--", "true", says=("wrong.yaml:3", "adresses"))
    refuses(bed, "run", "--", "true", says="wrong.yaml:3", SLUICE_CONFIG=path)
    refuses(bed, "run", "--config", "/", "--", "true", says="Is a directory")


@test(sluice_only=True)
def missing_devices(bed):
    refuses(bed, "run", "--device", "net_af_packet0,iface=nope7", "--", "true", says="nope7")
    refuses(bed, "run", "--device", "net_af_packet0", "--", "true", says="iface=")
    refuses(bed, "run", "--device", "net_frobnicate0", "--", "true", says="net_frobnicate0")
    refuses(bed, "run", "--device", "lo", "--", "true", says="net_af_packet0,iface=lo")
    refuses(bed, "run", "--device", "0000:fe:1d.7", "--", "true", says="0000:fe:1d.7")
    # What only opening it shows is said when the program makes its first socket.
    program = ("--address", "10.0.0.1/24", "--", PYTHON, "-c", "import socket; socket.socket()")
    refuses(bed, "run", "--device", "net_af_packet0,iface=lo", *program, says="'lo' is no Ethernet")
    refuses(bed, "run", "--device", "net_tap0,iface=lo", *program, says="'lo' exists and is no TAP")
    refuses(bed, "run", "--device", "net_memif0,role=sever", *program, says="sever")
    refuses(bed, "run", "--device", "net_memif0,socket=/no/dir/x,role=server", *program,
            says="mkdir -p /no/dir")


@test(sluice_only=True)
def unsuitable_programs(bed):
    device = ("run", "--device", "net_null0", "--")
    refuses(bed, *device, "no-such-program-here", says="no-such-program-here")
    refuses(bed, *device, "/etc/passwd", says="not executable")
    refuses(bed, *device, "/no/such/program", says="does not exist")
    source, static = bed.path("static.c"), bed.path("static")
    with open(source, "w", encoding="ascii") as file:
        file.write("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", static, source], check=True, timeout=60)
    refuses(bed, *device, static, says="statically linked")
    script = bed.path("script")
    with open(script, "w", encoding="ascii") as file:
        file.write(f"#!{static}\n")
    os.chmod(script, 0o755)
    refuses(bed, *device, script, says="statically linked")
    other_user = bed.path("other-user")
    subprocess.run(["cp", "/bin/true", other_user], check=True, timeout=10)
    os.chown(other_user, 65534, 65534)
    os.chmod(other_user, 0o755 | stat.S_ISUID)
    refuses(bed, *device, other_user, says="set-user-ID")


@test(sluice_only=True)
def no_privilege(bed):
    """As nobody, without capabilities, on an interface that exists."""
    argv = [bed.sluice, "run", "--device", f"net_af_packet0,iface={bed.pair.interface}",
            "--address", "10.0.0.1/24", "--", "true"]
    process = Process("unprivileged", ["setpriv", "--reuid", "65534", "--regid", "65534",
                                       "--clear-groups", *argv], bed.pair.subject, bed.logs)
    try:
        status = process.wait(20)
        # Where the build tree is closed to other users it cannot even be started.
        if "Permission denied" not in process.log():
            assert status == 2, process.log()
            assert "CAP_NET_RAW" in process.log() and "sudo" in process.log(), process.log()
    finally:
        process.stop()


@test(sluice_only=True)
def configurations_agree(bed):
    """Flags, a file and the environment say the same, and what is printed is taken back."""
    flags = sluice(bed, "run", "--print-config", "--device", "net_null0", "--address",
                   "10.0.0.1/24", "--address", "fd00::1/64", "--gateway", "10.0.0.254", "--slaac",
                   "--vlan", "7", "--mtu", "1400", "--route", "10.7.0.0/16,10.0.0.9",
                   "--spin-us", "20", "--no-huge", "--eal", "--log-level=7", "--name", "x")
    assert flags.returncode == 0, flags.stderr
    path = bed.path("printed.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(flags.stdout)
    again = sluice(bed, "run", "--print-config", "--config", path)
    assert again.stdout == flags.stdout
    inline = sluice(bed, "run", "--print-config", SLUICE_CONFIG_INLINE=flags.stdout)
    assert inline.stdout == flags.stdout
    single = sluice(bed, "run", "--print-config", "--config", path, SLUICE_ENGINE_SPIN_US="21")
    assert single.stdout == flags.stdout.replace("spin_us: 20", "spin_us: 21")


@test(sluice_only=True)
def becomes_the_program(bed):
    """Same process, same status, arguments and environment untouched."""
    argv = [bed.sluice, "run", "--device", "net_null0", "--", "sh", "-c",
            'test "$1" = "--" && echo $$ && exit 7', "sh", "--"]
    process = Process("becomes", argv, bed.pair.subject, bed.logs)
    try:
        assert process.wait(20) == 7, process.log()
        assert process.log().split() == [str(process.pid)]
    finally:
        process.stop()


@test(sluice_only=True)
def large_frames_find_their_memory(bed):
    """What DPDK reserves by itself is enough for packets of this size, as many as by default."""
    path = bed.path("large.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("hugepages: never\n"
                   "interfaces: [{device: net_null0, mtu: 9000, addresses: [192.0.2.1/24]}]\n")
    done = sluice(bed, "run", "--config", path, "--",
                  PYTHON, "-c", "import socket; socket.socket()")
    assert done.returncode == 0, done.stderr


@test(sluice_only=True)
def help_and_version(bed):
    for arguments in (("--help",), ("help",), ("help", "run"), ("run", "--help"), ("ss", "--help"),
                      ("doctor", "--help"), ("version",), ("--version",)):
        done = sluice(bed, *arguments)
        assert done.returncode == 0 and done.stdout and not done.stderr, arguments


@test(sluice_only=True)
def doctor_speaks_json(bed):
    done = sluice(bed, "doctor", "--json")
    assert done.returncode in (0, 1), done.stderr
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert {"privilege", "processor", "hugepages", "DPDK", "library"} <= findings.keys()
    assert findings["privilege"]["state"] == "ok"
    text = sluice(bed, "doctor")
    assert text.stdout.count("to mend:") == sum(bool(f["remedy"]) for f in findings.values())


@test(sluice_only=True)
def ss_of_nobody(bed):
    refuses(bed, "ss", "--pid", "4000000", says="4000000")
    refuses(bed, "ss", "--name", "no-such-name", says="no-such-name")
    empty = bed.fresh_directory("nobody")
    done = sluice(bed, "ss", "--json", "--run-directory", empty)
    assert done.returncode == 0 and json.loads(done.stdout) == []


@test(sluice_only=True)
def manual_lists_every_setting(bed):
    """sluice.yaml(5) names exactly the keys that there are."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "../../apps/sluice/man/sluice.yaml.5"), encoding="utf-8") as page:
        documented = set(re.findall(r"^\.It Cm (\w+) :", page.read(), re.MULTILINE))
    printed = sluice(bed, "run", "--print-config", "--device", "net_null0", "--mac",
                     "02:00:00:00:00:01", "--address", "10.0.0.1/24", "--gateway", "10.0.0.2",
                     "--route", "10.7.0.0/16,10.0.0.9", "--kernel-prefix", "10.8.0.0/16", "--eal",
                     "x", "--name", "x", "--capture", "x").stdout
    keys = set(re.findall(r"^[ -]*(\w+):", printed, re.MULTILINE))
    sections = {"interfaces", "engine", "limits", "tcp"}  # headings; `routes` is also a limit
    assert keys - sections == documented, keys ^ documented
