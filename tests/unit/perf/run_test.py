#!/usr/bin/env python3
"""perf/run without running anything: rounds, repetition of disturbed runs, ratios, the report."""

import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
sys.path.insert(0, os.path.join(ROOT, "perf", "lib"))
sys.dont_write_bytecode = True

import machine  # noqa: E402
import page  # noqa: E402
import plots  # noqa: E402
import programs  # noqa: E402
import report  # noqa: E402
from beds import Failed, NotHere, last_object  # noqa: E402
from catalog import WORKLOADS, Workload  # noqa: E402
from measure import Measurement  # noqa: E402


class FakePlace:
    def __init__(self, directory):
        self.directory, self.logs = directory, directory


def fake_bed(name, disturbances=()):
    """A bed on which nothing runs; its runs were disturbed as given, one after the other."""
    pending = list(disturbances)

    class Fake:
        def __init__(self, _):
            self.name, self.disturbance = name, 0.0

        def __enter__(self):
            self.disturbance = pending.pop(0) if pending else 0.0
            return self

        def __exit__(self, *_):
            pass
    return Fake


def measured(workloads, repeats=1, limit=0.05):
    with tempfile.TemporaryDirectory() as directory:
        measurement = Measurement(FakePlace(directory), workloads, limit, lambda text: None)
        measurement.run(repeats)
    return measurement


def values(*given):
    """A workload's function that finds these values, one after the other."""
    pending = list(given)

    def run(_bed, _context):
        value = pending.pop(0)
        if isinstance(value, Exception):
            raise value
        return {"value": value}
    return run


class Rounds(unittest.TestCase):
    def test_beds_alternate_and_change_their_order(self):
        order = []

        def run(bed, _):
            order.append(bed.name)
            return {"value": 1}
        measured([Workload("w", "x", run, (fake_bed("sluice"), fake_bed("kernel")))], repeats=2)
        self.assertEqual(order, ["sluice", "kernel", "kernel", "sluice"])

    def test_a_disturbed_run_is_repeated_and_the_calmest_is_kept(self):
        bed = fake_bed("sluice", [0.5, 0.2, 0.3])
        series = measured([Workload("w", "x", values(1, 2, 3), (bed,))]).get("w", "sluice")
        self.assertEqual(series.values, [2])
        self.assertEqual(series.runs[0]["disturbance"], 0.2)

    def test_a_calm_run_is_not_repeated(self):
        bed = fake_bed("sluice", [0.5, 0.01])
        series = measured([Workload("w", "x", values(1, 2), (bed,))]).get("w", "sluice")
        self.assertEqual(series.values, [2])

    def test_a_failure_is_tried_again_but_what_the_machine_forbids_is_not(self):
        again = Workload("again", "x", values(Failed("no"), 7), (fake_bed("sluice"),))
        forbidden = Workload("forbidden", "x", values(NotHere("no"), 7), (fake_bed("sluice"),))
        measurement = measured([again, forbidden])
        self.assertEqual(measurement.get("again", "sluice").values, [7])
        self.assertEqual(measurement.get("forbidden", "sluice").values, [])
        self.assertIn("no", measurement.get("forbidden", "sluice").failures[0])

    def test_ratios_are_of_the_same_round(self):
        def run(bed, _):
            return {"value": next(rates[bed.name])}
        rates = {"sluice": iter([10, 40, 90]), "kernel": iter([5, 10, 30])}
        beds = (fake_bed("sluice"), fake_bed("kernel"))
        measurement = measured([Workload("w", "x", run, beds)], repeats=3)
        self.assertEqual(measurement.ratios(measurement.get("w", "sluice"),
                                            measurement.get("w", "kernel")), [2, 4, 3])

    def test_a_workload_sees_the_peak_of_the_round(self):
        seen = []

        def look(bed, context):
            seen.append(context.peak("peak", bed.name))
            return {"value": 1}
        beds = (fake_bed("sluice"),)
        measured([Workload("peak", "x", values(5, 6), beds), Workload("look", "x", look, beds)], 2)
        self.assertEqual(seen, [5, 6])


class Reports(unittest.TestCase):
    def setUp(self):
        points = [[1.0, 0.1], [2.0, 0.5], [9.0, 0.99], [50.0, 1.0]]
        latency = {key: 2.0 for key in ("p50", "p90", "p99", "p99.9", "p99.99", "max")}

        def timed(bed, _):
            return {"value": 2.0, "rate": 5, "latency": {**latency, "distribution": points}}

        def held(bed, _):
            return {"value": 9e5, "connections": 1000, "server_bytes_each": 900,
                    "client_bytes_each": 900, "machine_bytes_each": 2500,
                    "server_resident_mib": 50, "client_resident_mib": 50}
        ours, theirs = fake_bed("sluice"), fake_bed("kernel")
        slow = fake_bed("kernel-rps")
        self.measurement = measured([
            Workload("raw-loop", "frames/s", values(100), (fake_bed("raw"),)),
            Workload("rate", "x/s", values(50, 20, 10), (ours, theirs, slow), "raw-loop", 60, 0.4),
            Workload("time", "us", timed, (ours, theirs), lower=True),
            Workload("held", "x/s", held, (ours,)),
            Workload("broken", "x/s", values(*[Failed("<broken>")] * 3), (ours,)),
        ])
        self.about = {"processor": "p", "cores": 2, "kernel": "k", "dpdk": "d", "hugepages": True,
                      "revision": "r", "time": "t", "seed": 1}

    def test_each_way_to_set_a_port_up_stands_beside_the_raw_port_set_up_likewise(self):
        measurement = measured([
            Workload("raw-loop", "x/s", values(100, 10), (fake_bed("raw"),
                                                          fake_bed("raw-zero-copy"))),
            Workload("rate", "x/s", values(50, 8, 1), (fake_bed("sluice"),
                                                       fake_bed("sluice-zero-copy"),
                                                       fake_bed("kernel")), "raw-loop")])
        self.assertEqual([(row["workload"], row["to_raw"]) for row in report.rows(measurement)],
                         [("rate", [0.5]), ("rate zero-copy", [0.8])])

    def test_rows_have_ratios_and_say_what_was_reached(self):
        row = next(r for r in report.rows(self.measurement) if r["workload"] == "rate")
        self.assertEqual(row["to_raw"], [0.5])
        self.assertEqual(row["to_kernel"], {"kernel": [2.5], "kernel-rps": [5.0]})
        self.assertEqual(report.best_kernel(row), "kernel")
        self.assertFalse(row["reached"])  # half of the raw port is enough, 50 of 60 is not

    def test_the_text_shows_every_workload(self):
        text = report.text(self.measurement, self.about)
        for name in ("rate", "time", "held", "broken", "raw-loop"):
            self.assertIn(name, text)
        self.assertIn("failed", text)

    def test_the_page_is_whole_and_needs_nothing_else(self):
        text = page.page(self.measurement, self.about)
        body = text[text.index("<body>"):text.index("</html>")]
        tree = xml.etree.ElementTree.fromstring(body)
        drawings = [node for node in tree.iter() if node.tag.endswith("svg")]
        self.assertGreaterEqual(len(drawings), 5)
        for reference in ("src=", "href=", "<script", "@import"):
            self.assertNotIn(reference, text)

    def test_everything_is_written(self):
        with tempfile.TemporaryDirectory() as directory:
            report.write_all(self.measurement, self.about, directory, "page")
            self.assertEqual(sorted(os.listdir(directory)), ["perf.html", "perf.json", "perf.txt"])


class Pieces(unittest.TestCase):
    def test_every_reference_to_the_raw_port_exists(self):
        names = {workload.name for workload in WORKLOADS}
        self.assertEqual(len(names), len(WORKLOADS))
        for workload in WORKLOADS:
            self.assertIn(workload.raw, names | {""})

    def test_logarithmic_axes_begin_and_end_at_powers_of_ten(self):
        axis = plots.Axis([3, 700], 0, 100, True)
        self.assertEqual(axis.ticks(), [1, 10, 100, 1000])
        self.assertAlmostEqual(axis.place(1), 0)
        self.assertAlmostEqual(axis.place(1000), 100)

    def test_linear_axes_have_few_ticks(self):
        for most in (1, 7, 23, 999, 1e6, 8.2e9):
            ticks = plots.Axis([most], 0, 100, False).ticks()
            self.assertLessEqual(len(ticks), 8)
            self.assertGreaterEqual(len(ticks), 3)

    def test_the_last_object_of_a_log_is_the_result(self):
        self.assertEqual(last_object('ready\n{"a": 1}\nnoise\n{"a": 2}\n'), {"a": 2})
        with self.assertRaises(Failed):
            last_object("ready\n")

    def test_a_figure_that_is_not_there_is_an_error(self):
        self.assertEqual(programs.number(r"TPS: ([0-9]+)", "x TPS: 12"), 12)
        with self.assertRaises(Failed):
            programs.number(r"TPS: ([0-9]+)", "nothing")

    def test_what_we_use_is_no_disturbance(self):
        with machine.Disturbance({os.getsid(0)}) as disturbance:
            pass
        self.assertGreaterEqual(disturbance.share, 0)


if __name__ == "__main__":
    unittest.main()
