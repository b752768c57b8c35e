#!/usr/bin/python3
"""Runs real, unmodified programs under Sluice against a kernel peer.

usage: run.py [--build DIR] [--kernel] [--only TEXT] [--list] [--json FILE] [--keep DIR]

  --build DIR   the Meson build directory (default: build beside the checkout's root)
  --kernel      run the programs on kernel sockets instead: proves the tests, not Sluice
  --only TEXT   only tests whose module.name contains TEXT; may be repeated
  --json FILE   write the results there
  --keep DIR    put logs and files there and keep them

Needs root, for network namespaces of its own; leaves none behind. Status 0 if every test passed.
"""

import argparse
import glob
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import harness  # noqa: E402
from namespace import Pair  # noqa: E402

TEST_SECONDS_MAX = 150


class TookTooLong(Exception):
    pass


def discover():
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    return harness.TESTS


def name_of(test):
    return f"{test.__module__.removeprefix('test_')}.{test.__name__}"


def run_one(test, bed):
    """(outcome, seconds, explanation); what the test started is gone when this returns."""
    begun, outcome, explanation = time.monotonic(), "passed", ""
    bed.notes.clear()
    signal.alarm(TEST_SECONDS_MAX)
    try:
        test(bed)
        bed.assert_no_kernel_sockets()
    except harness.Skip as reason:
        outcome, explanation = "skipped", str(reason)
    except Exception as error:  # a failed test must not end the run
        outcome = "failed"
        explanation = f"{type(error).__name__}: {error}\n" + \
            "".join(traceback.format_tb(error.__traceback__)[1:])
    finally:
        signal.alarm(0)
        bed.stop_all()
    return outcome, time.monotonic() - begun, explanation


def report(test, outcome, seconds, explanation, bed, started_ns):
    mark = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[outcome]
    notes = f"  [{'; '.join(bed.notes)}]" if bed.notes else ""
    print(f"{mark} {name_of(test)} ({seconds:.1f} s){notes}", flush=True)
    if outcome == "skipped":
        print(f"     {explanation}")
    if outcome == "failed":
        print("\n".join("     " + line for line in explanation.splitlines()))
        for name, text in bed.logs_since(started_ns):
            tail = text.splitlines()[-25:]
            print(f"     --- {name}" + "".join(f"\n     | {line[:300]}" for line in tail))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    parser.add_argument("--kernel", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--keep")
    return parser.parse_args()


def interrupted(number, _):
    raise KeyboardInterrupt(signal.Signals(number).name)


def timed_out(*_):
    raise TookTooLong(f"the test took over {TEST_SECONDS_MAX} s")


def run_all(tests, options, directory):
    results = []
    with Pair(options.kernel) as pair:
        bed = harness.Bed(pair, os.path.abspath(options.build), directory)
        for test in tests:
            started_ns = time.monotonic_ns()
            outcome, seconds, explanation = run_one(test, bed)
            report(test, outcome, seconds, explanation, bed, started_ns)
            results.append({"name": name_of(test), "outcome": outcome,
                            "seconds": round(seconds, 2), "notes": list(bed.notes)})
    return results


def main():
    options = arguments()
    tests = [test for test in discover()
             if (not options.only or any(text in name_of(test) for text in options.only))
             and not (options.kernel and test.sluice_only)]
    if options.list:
        print("\n".join(name_of(test) for test in tests))
        return 0
    if os.geteuid() != 0:
        print("run.py: needs root for network namespaces: run it with sudo", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    signal.signal(signal.SIGALRM, timed_out)
    directory = options.keep or tempfile.mkdtemp(prefix="sluice-e2e-")
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o755)
    try:
        results = run_all(tests, options, directory)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    counts = [sum(result["outcome"] == kind for result in results)
              for kind in ("passed", "failed")]
    print(f"{counts[0]} passed, {counts[1]} failed")
    return 1 if counts[1] or not counts[0] else 0


if __name__ == "__main__":
    sys.exit(main())
