"""The report as one HTML page that needs nothing else."""

import html
import statistics

import plots
import report

STYLE = """
body { font-family: system-ui, sans-serif; margin: 2em auto; max-width: 62em; color: #212529; }
table { border-collapse: collapse; font-size: 0.9em; }
th, td { text-align: left; padding: 0.25em 0.7em; border-bottom: 1px solid #dee2e6; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.missed td:last-child { color: #c92a2a; font-weight: 600; }
pre { font-size: 0.8em; overflow-x: auto; }
h3 { margin-bottom: 0.2em; }
"""


def cell(words, number=False):
    kind = ' class="number"' if number else ""
    return f"<td{kind}>{html.escape(str(words))}</td>"


def table(measurement):
    parts = ["<table><tr><th>workload</th><th>unit</th><th>Sluice</th><th>kernel</th>"
             "<th>to kernel</th><th>raw port</th><th>to raw</th><th>to reach</th></tr>"]
    for entry in report.rows(measurement):
        best = report.best_kernel(entry)
        missed = ' class="missed"' if entry["reached"] is False else ""
        raw = report.figure(statistics.median(entry["raw"])) if entry["raw"] else "-"
        parts.append(f"<tr{missed}>" + cell(entry["workload"]) + cell(entry["unit"]) +
                     cell(report.median_and_spread(entry["sluice"]), True) +
                     cell(report.median_and_spread(entry["kernels"].get(best, [])), True) +
                     cell(report.ratio_text(entry["to_kernel"].get(best, [])), True) +
                     cell(raw, True) + cell(report.ratio_text(entry["to_raw"]), True) +
                     cell(report.target_text(entry)) + "</tr>")
    return "".join(parts) + "</table>"


def bar_plots(measurement):
    parts = []
    for entry in report.rows(measurement):
        groups = []
        named = [("sluice", entry["sluice"]), *entry["kernels"].items(), ("raw", entry["raw"])]
        for name, values in named:
            if values:
                groups.append((name, statistics.median(values), min(values), max(values)))
        if groups:
            parts.append(f"<h3>{html.escape(entry['workload'])}</h3>" +
                         plots.bars(groups, entry["unit"]))
    return "".join(parts)


def latency_plots(measurement):
    by_workload = {}
    for (name, bed), series in measurement.series.items():
        if series.middle and "latency" in series.middle:
            distribution = series.middle["latency"]["distribution"]
            by_workload.setdefault(name, {})[bed] = distribution
    return "".join(f"<h3>{html.escape(name)} % of peak</h3>{plots.percentiles(distributions)}"
                   for name, distributions in by_workload.items())


def scale_plots(measurement):
    rates, memory = {}, {}
    for (_, bed), series in measurement.series.items():
        middle = series.middle
        if middle and "connections" in middle:
            rates.setdefault(bed, []).append((middle["connections"], middle["value"]))
            memory.setdefault(bed, []).append((middle["connections"],
                                               max(0, middle["machine_bytes_each"]) / 1024))
    if not rates:
        return ""
    for curve in (*rates.values(), *memory.values()):
        curve.sort()
    return ("<h2>Connections held open</h2><h3>Echo rate</h3>" +
            plots.lines(rates, "open connections", "messages/s", x_log=True) +
            "<h3>Memory for each connection, both ends and the kernel together</h3>" +
            plots.lines(memory, "open connections", "KiB", x_log=True))


def page(measurement, machine):
    rows = "".join(f"<tr>{cell(key)}{cell(value)}</tr>" for key, value in machine.items()
                   if not isinstance(value, (dict, list)))
    latency = latency_plots(measurement)
    return ("<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Sluice, measured"
            f"</title><style>{STYLE}</style></head><body><h1>Sluice, measured</h1>"
            "<p>Medians, with the least and the most in parentheses. Ratios are medians of the "
            "ratios of each round. The kernel is its best variant.</p>" +
            table(measurement) + "<h2>Rates</h2>" + bar_plots(measurement) +
            ("<h2>Latency, open loop</h2>" + latency if latency else "") +
            scale_plots(measurement) +
            f"<h2>The machine and the run</h2><table>{rows}</table></body></html>\n")
