"""Runs workloads in rounds and keeps what came out.

Every round runs each workload once on each of its beds, so that Sluice, the kernel and the raw port
alternate; which of them comes first changes from round to round. A run that others disturbed is
repeated, a few times at most.
"""

import contextlib
import os
import statistics
import subprocess
import time

from beds import Failed, NotHere

ATTEMPTS_MAX = 3


class Context:
    """What workloads know of each other in a round."""

    def __init__(self):
        self._values = {}

    def note(self, workload, bed, value):
        self._values[workload, bed] = value

    def peak(self, workload, bed):
        return self._values.get((workload, bed), 0)


class Series:
    """The runs of one workload on one bed."""

    def __init__(self, workload, bed):
        self.workload, self.bed = workload, bed
        self.runs, self.failures = [], []

    @property
    def values(self):
        return [run["value"] for run in self.runs]

    @property
    def median(self):
        return statistics.median(self.values) if self.runs else None

    @property
    def middle(self):
        """The run whose value is nearest to the median."""
        return min(self.runs, key=lambda run: abs(run["value"] - self.median), default=None)

    def by_round(self):
        return {run["round"]: run["value"] for run in self.runs}


class Measurement:
    """All series of one invocation."""

    def __init__(self, place, workloads, disturbance_max, say):
        self.place, self.workloads, self._say = place, workloads, say
        self._disturbance_max = disturbance_max
        self.series = {}  # (workload name, bed name) -> Series

    def run(self, repeats):
        for number in range(1, repeats + 1):
            context = Context()
            for workload in self.workloads:
                beds = workload.beds[::-1] if number % 2 == 0 else workload.beds
                for make in beds:
                    self._run_one(workload, make, number, repeats, context)

    def _run_one(self, workload, make, number, repeats, context):
        best, failure, name = None, None, ""
        for _ in range(ATTEMPTS_MAX):
            bed = make(self.place)
            name = bed.name
            begun = time.monotonic()
            try:
                with bed:
                    outcome = workload.run(bed, context)
            except (Failed, AssertionError, OSError, RuntimeError,
                    subprocess.SubprocessError) as error:
                failure = f"{type(error).__name__}: {error}"
                if isinstance(error, NotHere) or "Too many open files" in failure:
                    break
                self._keep_logs(workload, name)
                continue
            outcome.update(round=number, disturbance=bed.disturbance,
                           seconds=time.monotonic() - begun)
            if best is None or outcome["disturbance"] < best["disturbance"]:
                best = outcome
            if best["disturbance"] <= self._disturbance_max:
                break
        series = self.series.setdefault((workload.name, name), Series(workload, name))
        label = f"round {number}/{repeats} {workload.name:24} {name:13}"
        if best is None:
            series.failures.append(failure)
            self._say(f"{label} failed: {failure}")
            return
        series.runs.append(best)
        context.note(workload.name, name, best["value"])
        note = ""
        if best["disturbance"] > self._disturbance_max:
            note = f"  disturbed: others took {best['disturbance']:.0%}"
        self._say(f"{label} {figure(best['value'])} {workload.unit}{note}")

    def _keep_logs(self, workload, bed):
        """Puts the logs of a failed run aside, so that later runs do not bury them."""
        target = os.path.join(self.place.directory, "failed")
        os.makedirs(target, exist_ok=True)
        for name in sorted(os.listdir(self.place.logs))[-2:]:
            with contextlib.suppress(OSError):
                os.rename(os.path.join(self.place.logs, name),
                          os.path.join(target, f"{workload.name}-{bed}-{name}"))

    # -- ratios -----------------------------------------------------------------------------------

    def get(self, workload, bed):
        return self.series.get((workload, bed))

    def ratios(self, ours, theirs, scale=1.0):
        """Ours over theirs, round by round."""
        if ours is None or theirs is None:
            return []
        other = theirs.by_round()
        return [value / (other[number] * scale) for number, value in ours.by_round().items()
                if other.get(number)]


def figure(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def median_and_spread(values):
    if not values:
        return "-"
    return f"{figure(statistics.median(values))} ({figure(min(values))}-{figure(max(values))})"
