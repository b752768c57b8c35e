"""The results as JSON and as a text table."""

import json
import os
import statistics

from measure import figure, median_and_spread


def kernel_series(measurement, workload):
    """The kernel's variants that were measured, by name."""
    return {bed: series for (name, bed), series in measurement.series.items()
            if name == workload.name and bed.startswith("kernel")}


def variants(measurement, workload):
    """How ports were set up for a workload: "" or "-zero-copy"; what beds' names end with."""
    found = [bed.removeprefix("sluice") for name, bed in measurement.series
             if name == workload.name and bed.startswith("sluice")]
    return sorted(found) or [""]


def row(measurement, workload, variant):
    """What the table says of a workload of Sluice's. The raw port it stands beside is set up in the
    same way."""
    ours = measurement.get(workload.name, f"sluice{variant}")
    raw = measurement.get(workload.raw, f"raw{variant}") if workload.raw else None
    kernels = kernel_series(measurement, workload)
    raw_ratios = measurement.ratios(ours, raw, workload.scale)
    reached = None
    if ours is not None and ours.runs and (workload.target or workload.share):
        reached = True
        if workload.target:
            reached = ours.median >= workload.target
        if workload.share and raw_ratios:
            ratio = statistics.median(raw_ratios)
            reached = reached and (ratio <= workload.share if workload.lower
                                   else ratio >= workload.share)
    return {
        "workload": workload.name + variant.replace("-", " ", 1), "unit": workload.unit,
        "sluice": ours.values if ours else [],
        "kernels": {bed: series.values for bed, series in kernels.items()},
        "raw": [value * workload.scale for value in raw.values] if raw else [],
        "to_raw": raw_ratios,
        "to_kernel": {bed: measurement.ratios(ours, series) for bed, series in kernels.items()},
        "target": workload.target, "share": workload.share, "lower_is_better": workload.lower,
        "reached": reached,
        "failures": ours.failures if ours else [],
        "disturbance": max([run["disturbance"] for run in ours.runs], default=0) if ours else 0,
    }


def rows(measurement):
    return [row(measurement, workload, variant) for workload in measurement.workloads
            if workload.name not in raw_names(measurement)
            for variant in variants(measurement, workload)]


def raw_names(measurement):
    return {workload.name for workload in measurement.workloads
            if workload.name.startswith("raw-")}


def write_json(measurement, machine, path):
    runs = [{"workload": name, "bed": bed, "unit": series.workload.unit,
             "lower_is_better": series.workload.lower, "runs": series.runs,
             "failures": series.failures}
            for (name, bed), series in measurement.series.items()]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "rows": rows(measurement), "series": runs}, file, indent=1)
        file.write("\n")


def ratio_text(ratios):
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def target_text(entry):
    parts = []
    if entry["target"]:
        parts.append(f">= {figure(entry['target'])}")
    if entry["share"]:
        parts.append(f"{'<=' if entry['lower_is_better'] else '>='} {entry['share']:g} raw")
    if entry["reached"] is not None:
        parts.append("yes" if entry["reached"] else "NO")
    return ", ".join(parts) or "-"


def table(measurement):
    """Lines of text: each workload with its ratios."""
    lines = [("workload", "unit", "sluice", "kernel", "/kernel", "raw", "/raw", "target")]
    for entry in rows(measurement):
        best = best_kernel(entry)
        lines.append((
            entry["workload"], entry["unit"],
            median_and_spread(entry["sluice"]) if entry["sluice"] else
            ("failed" if entry["failures"] else "-"),
            median_and_spread(entry["kernels"].get(best, [])) +
            (f" {best.removeprefix('kernel-')}" if best and best != "kernel" else ""),
            ratio_text(entry["to_kernel"].get(best, [])),
            figure(statistics.median(entry["raw"])) if entry["raw"] else "-",
            ratio_text(entry["to_raw"]), target_text(entry)))
    for (name, bed), series in measurement.series.items():
        if bed.startswith("raw"):
            lines.append((name + bed.removeprefix("raw").replace("-", " ", 1),
                          series.workload.unit, "", "", "", median_and_spread(series.values), "",
                          ""))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in lines]
    return [text[0], "  ".join("-" * width for width in widths), *text[1:]]


def best_kernel(entry):
    """The kernel's best variant: what Sluice is compared with."""
    known = {bed: statistics.median(values) for bed, values in entry["kernels"].items() if values}
    if not known:
        return ""
    choose = min if entry["lower_is_better"] else max
    return choose(known, key=known.get)


def latency_lines(measurement):
    lines = []
    for (name, bed), series in measurement.series.items():
        middle = series.middle
        if middle and "latency" in middle:
            latency = middle["latency"]
            cells = "  ".join(f"{key} {latency[key]:9.1f}"
                              for key in ("p50", "p90", "p99", "p99.9", "p99.99", "max"))
            lines.append(f"{name:22} {bed:8} {cells}  at {figure(middle['rate'])}/s")
    return ["", "latency in microseconds, open loop", *lines] if lines else []


def scale_lines(measurement):
    lines = []
    for (name, bed), series in measurement.series.items():
        middle = series.middle
        if middle and "connections" in middle:
            lines.append(
                f"{name:16} {bed:8} {figure(middle['value']):>10} messages/s"
                f"  bytes each: server {middle['server_bytes_each']:,.0f}, client "
                f"{middle['client_bytes_each']:,.0f}, machine {middle['machine_bytes_each']:,.0f}"
                f"  resident {middle['server_resident_mib']:.0f} + "
                f"{middle['client_resident_mib']:.0f} MiB")
    return ["", "connections held open", *lines] if lines else []


def text(measurement, machine):
    head = [f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, DPDK "
            f"{machine['dpdk']}, hugepages: {'yes' if machine['hugepages'] else 'no'}",
            f"revision {machine['revision']}, {machine['time']}, seed {machine['seed']}",
            "median (least-most); ratios are medians over rounds; the kernel's best variant", ""]
    return "\n".join(head + table(measurement) + latency_lines(measurement) +
                     scale_lines(measurement)) + "\n"


def write_all(measurement, machine, directory, page):
    write_json(measurement, machine, os.path.join(directory, "perf.json"))
    with open(os.path.join(directory, "perf.txt"), "w", encoding="utf-8") as file:
        file.write(text(measurement, machine))
    with open(os.path.join(directory, "perf.html"), "w", encoding="utf-8") as file:
        file.write(page)
