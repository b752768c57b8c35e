"""count.py FILE...: counts the tests in Meson's testlog.json files and the end-to-end results.

Prints one line for each file and a last line "N passed, N failed". One Meson test may hold many
tests: Catch2's test cases and TAP's lines are counted one by one. Status 1 if anything failed or
if a file holds no test at all.
"""

import json
import os
import re
import sys

_CATCH_ALL = re.compile(r"All tests passed \(.* in (\d+) test cases?\)")
_CATCH_SOME = re.compile(r"^test cases:\s*(\d+)(.*)$", re.MULTILINE)
_TAP = re.compile(r"^(not )?ok\b(.*)$", re.MULTILINE)
_GOOD = ("OK", "EXPECTEDFAIL")


def count_meson_test(record):
    """(passed, failed, skipped) of one line of testlog.json."""
    output, good = record.get("stdout") or "", record["result"] in _GOOD
    if record["result"] in ("SKIP", "IGNORED"):
        return 0, 0, 1
    if all_passed := _CATCH_ALL.findall(output):
        passed, failed = sum(map(int, all_passed)), 0
    elif some := _CATCH_SOME.findall(output):
        failed = sum(int(n) for _, rest in some for n in re.findall(r"(\d+) failed", rest))
        passed = sum(int(total) for total, _ in some) - failed
    elif tap := [line for line in _TAP.findall(output) if "# SKIP" not in line[1]]:
        failed = sum(bool(negative) for negative, _ in tap)
        passed = len(tap) - failed
    else:
        return (1, 0, 0) if good else (0, 1, 0)
    # A test that printed good results and then crashed has failed all the same.
    return passed, failed + (not good and failed == 0), 0


def count_file(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if path.endswith("e2e.json"):
        outcomes = [result["outcome"] for result in json.loads(text)]
        return tuple(outcomes.count(kind) for kind in ("passed", "failed", "skipped"))
    records = [count_meson_test(json.loads(line)) for line in text.splitlines() if line.strip()]
    return tuple(map(sum, zip(*records))) if records else (0, 0, 0)


def main():
    totals = [0, 0]
    for path in sys.argv[1:]:
        if os.path.exists(path):
            passed, failed, skipped = count_file(path)
        else:
            passed, failed, skipped = 0, 0, 0
        if passed + failed == 0:
            print(f"{path}: no test ran")
            failed = 1
        print(f"{path}: {passed} passed, {failed} failed, {skipped} skipped")
        totals[0] += passed
        totals[1] += failed
    print(f"{totals[0]} passed, {totals[1]} failed")
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
