"""Plots as inline SVG, without any library: bars, and lines over linear or logarithmic axes."""

import html
import math

COLORS = {"sluice": "#0b7285", "kernel": "#868e96", "kernel-rps": "#adb5bd",
          "kernel-frames": "#ced4da", "raw": "#e8590c"}
OTHER_COLORS = ("#5f3dc4", "#2b8a3e", "#c92a2a", "#e67700")
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def color_of(name, index=0):
    return COLORS.get(name, OTHER_COLORS[index % len(OTHER_COLORS)])


def text(x, y, words, anchor="start", fill="#212529"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">'
            f"{html.escape(str(words))}</text>")


def short(value):
    """3 significant digits, with k, M, G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.3g}"


def svg(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" {FONT}>' + "".join(parts) + "</svg>")


def bars(groups, unit):
    """groups: [(label, value, least, most)], longest first or not; one bar each."""
    left, room, step = 130, 420, 24
    largest = max((most for _, _, _, most in groups), default=0) or 1
    parts = []
    for index, (label, value, least, most) in enumerate(groups):
        y = 6 + index * step
        width = room * value / largest
        parts.append(text(left - 8, y + 13, label, "end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="16" '
                     f'fill="{color_of(label, index)}"/>')
        a, b = left + room * least / largest, left + room * most / largest
        parts.append(f'<path d="M{a:.1f} {y + 8} H{b:.1f}" stroke="#212529"/>')
        parts.append(text(left + max(width, b - left) + 6, y + 13, f"{short(value)} {unit}"))
    return svg(left + room + 150, 12 + step * len(groups), parts)


class Axis:
    """Maps values to places along one side of the plot."""

    def __init__(self, values, begin, end, logarithmic):
        self.log = logarithmic
        values = [value for value in values if value > 0] if logarithmic else [0, *values]
        self.low, self.high = (min(values), max(values)) if values else (1, 10)
        if logarithmic:
            self.low = 10 ** math.floor(math.log10(self.low))
            self.high = max(10 ** math.ceil(math.log10(self.high)), self.low * 10)
        elif self.high <= self.low:
            self.high = self.low + 1
        self.begin, self.end = begin, end

    def place(self, value):
        if self.log:
            value = max(value, self.low)
            share = math.log10(value / self.low) / math.log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self):
        if self.log:
            count = round(math.log10(self.high / self.low))
            return [self.low * 10 ** i for i in range(count + 1)]
        step = 10 ** math.floor(math.log10(self.high - self.low))
        step = next(s for s in (step / 5, step / 2, step, step * 2)
                    if (self.high - self.low) / s <= 6)
        return [i * step for i in range(int(self.high / step) + 1)]


def lines(curves, x_label, y_label, x_log=False, y_log=False, y_ticks=None):
    """curves: {name: [(x, y), ...]}. y_ticks: [(y, text)] instead of computed ones."""
    width, height, left, right, top, bottom = 720, 320, 70, 150, 14, 44
    xs = [x for points in curves.values() for x, _ in points]
    ys = [y for points in curves.values() for _, y in points]
    if not xs:
        return ""
    x_axis = Axis(xs, left, width - right, x_log)
    y_axis = Axis(ys + [y for y, _ in y_ticks or ()], height - bottom, top, y_log)
    parts = [f'<path d="M{left} {top} V{height - bottom} H{width - right}" fill="none" '
             'stroke="#495057"/>']
    for tick in x_axis.ticks():
        x = x_axis.place(tick)
        parts.append(f'<path d="M{x:.1f} {top} V{height - bottom}" stroke="#e9ecef"/>')
        parts.append(text(x, height - bottom + 16, short(tick), "middle"))
    for tick, words in y_ticks or [(tick, short(tick)) for tick in y_axis.ticks()]:
        y = y_axis.place(tick)
        parts.append(f'<path d="M{left} {y:.1f} H{width - right}" stroke="#e9ecef"/>')
        parts.append(text(left - 6, y + 4, words, "end"))
    for index, (name, points) in enumerate(curves.items()):
        color = color_of(name, index)
        path = " ".join(f"{x_axis.place(x):.1f},{y_axis.place(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" '
                     'stroke-width="1.8"/>')
        if len(points) <= 12:
            parts += [f'<circle cx="{x_axis.place(x):.1f}" cy="{y_axis.place(y):.1f}" r="3" '
                      f'fill="{color}"/>' for x, y in points]
        y = top + 16 + 18 * index
        parts.append(f'<rect x="{width - right + 12}" y="{y - 9}" width="12" height="4" '
                     f'fill="{color}"/>')
        parts.append(text(width - right + 30, y - 3, name))
    parts.append(text((left + width - right) / 2, height - 8, x_label, "middle"))
    parts.append(text(left, top - 3, y_label))
    return svg(width, height, parts)


def percentiles(distributions):
    """distributions: {name: [[microseconds, share], ...]}: latency over the number of nines."""
    curves = {}
    for name, points in distributions.items():
        curves[name] = [(nines(share), value) for value, share in points if value > 0]
    ticks = [(0, "0"), (nines(0.5), "50 %"), (1, "90 %"), (2, "99 %"), (3, "99.9 %"),
             (4, "99.99 %"), (5, "99.999 %")]
    limit = max((x for points in curves.values() for x, _ in points), default=1)
    swapped = {name: [(y, x) for x, y in points] for name, points in curves.items()}
    return lines(swapped, "latency, microseconds", "share of messages", x_log=True,
                 y_ticks=[tick for tick in ticks if tick[0] <= limit + 1])


def nines(share):
    return -math.log10(max(1 - share, 1e-6))
