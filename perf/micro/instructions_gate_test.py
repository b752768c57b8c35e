#!/usr/bin/env python3
"""Tests scripts/instructions: that it counts the same twice, and fails what is 4 % dearer.

usage: instructions_gate_test.py GATE BUILD"""
import json
import pathlib
import subprocess
import sys
import tempfile

MODE = "udp-sink"  # the shortest
PASSED, DEARER, SKIPPED = 0, 1, 77


def run(gate, build, baseline, *arguments):
    ran = subprocess.run(
        [sys.executable, gate, "--build", build, "--baseline", str(baseline), "--modes", MODE,
         *arguments], capture_output=True, text=True, check=False)
    print(ran.stdout + ran.stderr)
    return ran


def write_scaled(baseline, path, factor):
    doctored = json.loads(json.dumps(baseline))
    for figures in doctored.values():
        figures["instructions_per_request"][MODE] *= factor
    path.write_text(json.dumps(doctored), encoding="utf-8")


def main():
    gate, build = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        accepted, doctored = pathlib.Path(folder, "accepted"), pathlib.Path(folder, "doctored")
        accepting = run(gate, build, accepted, "--accept")
        if accepting.returncode == SKIPPED:
            return SKIPPED
        assert accepting.returncode == PASSED
        same = run(gate, build, accepted)
        assert same.returncode == PASSED and "+0.00%" in same.stdout, "two runs differ"
        baseline = json.loads(accepted.read_text(encoding="utf-8"))

        write_scaled(baseline, doctored, 0.96)
        dearer = run(gate, build, doctored)
        assert dearer.returncode == DEARER and "--accept" in dearer.stdout, "4 % dearer passed"
        write_scaled(baseline, doctored, 0.98)
        assert run(gate, build, doctored).returncode == PASSED, "2 % dearer failed"
        write_scaled(baseline, doctored, 1.04)
        cheaper = run(gate, build, doctored)
        assert cheaper.returncode == PASSED and "cheaper: " + MODE in cheaper.stdout

        for figures in baseline.values():
            figures["compiler"] = "another"
        doctored.write_text(json.dumps(baseline), encoding="utf-8")
        assert run(gate, build, doctored).returncode == SKIPPED
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
