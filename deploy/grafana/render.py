"""Render: draws the dashboards as SVG from a Prometheus, without a Grafana: for a look at what they would show.

``python -m deploy.grafana.render --prometheus http://127.0.0.1:9090 --minutes 60 --out pictures``
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from deploy.grafana.dashboards import FOLDER

COLUMN, LINE = 60, 30
COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#b877d9", "#f2495c", "#8ab8ff", "#c0d8ff", "#ffa6b0", "#96d98d")
FILLS = {"green": "#37872d", "orange": "#e0752d", "red": "#c4162a", "blue": "#1f60c4"}
POINTS = 120
_LABEL = re.compile(r"{{(\w+)}}")
MOST_SHOWN = 6  # of a legend
Curve = tuple[str, list[tuple[float, float]]]


def main() -> None:
    """Draw all of them."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--prometheus", default="http://127.0.0.1:9090")
    words.add_argument("--minutes", type=float, default=60)
    words.add_argument("--out", type=Path, default=Path("pictures"))
    asked = words.parse_args()
    draw_all(asked.prometheus, asked.minutes * 60, asked.out)


def draw_all(prometheus: str, seconds: float, folder: Path, window: str = "1m") -> None:
    """Draw what each dashboard shows of the last seconds into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(FOLDER.glob("*.json")):
        board = json.loads(file.read_text(encoding="utf-8"))
        (folder / f"{file.stem}.svg").write_text(_board(board, prometheus, seconds, window), encoding="utf-8")


def _board(board: dict[str, Any], prometheus: str, seconds: float, window: str) -> str:
    bottom = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in board["panels"]) * LINE + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{24 * COLUMN}" height="{bottom}" font-family="sans-serif">',
        f'<rect width="100%" height="100%" fill="#111217"/>{_text(10, 30, board["title"], 22)}',
    ]
    for panel in board["panels"]:
        place = panel["gridPos"]
        x, y = place["x"] * COLUMN + 4, place["y"] * LINE + 44
        width, height = place["w"] * COLUMN - 8, place["h"] * LINE - 8
        if panel["type"] == "row":
            parts.append(_text(x + 4, y + 18, panel["title"], 15, "#8e8e8e"))
            continue
        panel["span"] = (time.time() - seconds, time.time())
        curves = list(_curves(panel, prometheus, seconds, window))
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#181b1f" stroke="#2c3235"/>')
        parts.append(_text(x + 8, y + 17, panel["title"], 13, "#d0d0d0", width - 12))
        draw = _stat if panel["type"] == "stat" else _chart
        parts.extend(draw(panel, curves, x, y + 24, width, height - 28))
    return "\n".join([*parts, "</svg>"])


def _curves(panel: dict[str, Any], prometheus: str, seconds: float, window: str) -> Iterator[Curve]:
    now = time.time()
    for target in panel["targets"]:
        expression = (
            target["expr"].replace("$__rate_interval", window).replace("$instance", ".*").replace("$account", ".*")
        )
        words = {"query": expression, "start": now - seconds, "end": now, "step": max(1, seconds / POINTS)}
        with urlopen(f"{prometheus}/api/v1/query_range?{urlencode(words)}", timeout=30) as reply:
            for one in json.loads(reply.read())["data"]["result"]:
                labels = one["metric"]
                name = target["legendFormat"]
                for label in _LABEL.findall(name):
                    name = name.replace("{{" + label + "}}", labels.get(label, ""))
                points = [(float(at), float(value)) for at, value in one["values"] if value != "NaN"]
                if points:
                    yield name.strip(), points


def _stat(panel: dict[str, Any], curves: Sequence[Curve], x: float, y: float, width: float, height: float) -> list[str]:
    defaults = panel["fieldConfig"]["defaults"]
    recent = [(name, points[-1][1]) for name, points in curves if points[-1][0] > time.time() - 15]
    if not recent:
        return [_text(x + width / 2 - 30, y + height / 2 + 8, defaults.get("noValue", ""), 20, "#73bf69")]
    share, parts = width / len(recent), []
    for place, (name, value) in enumerate(recent):
        left = x + place * share
        parts.append(
            f'<rect x="{left + 2}" y="{y}" width="{share - 4}" height="{height}" fill="{_colour(defaults, value)}"/>'
        )
        if panel["options"]["textMode"] != "value":
            parts.append(_text(left + 8, y + 16, name, 12, "#fff", share - 12))
        words = {key: one["text"] for known in defaults.get("mappings", []) for key, one in known["options"].items()}
        shown = words.get(f"{value:g}") or _shown(value, defaults["unit"])
        parts.append(_text(left + 8, y + height - 12, shown, 24, "#fff", share - 12))
    return parts


def _chart(
    panel: dict[str, Any], curves: Sequence[Curve], x: float, y: float, width: float, height: float
) -> list[str]:
    defaults = panel["fieldConfig"]["defaults"]
    if not curves:
        return [_text(x + width / 2 - 30, y + height / 2, defaults.get("noValue", "no data"), 16, "#8e8e8e")]
    room = width * 0.68
    span = panel["span"]
    values = [value for _, points in curves for _, value in points]
    first, last = span
    low, high = min(0, *values), max(*values, 0.001)
    parts = [
        _text(x + 6, y + 12, _shown(high, defaults["unit"]), 11, "#8e8e8e"),
        _text(x + 6, y + height - 4, _shown(low, defaults["unit"]), 11, "#8e8e8e"),
    ]

    def at(moment: float, value: float) -> str:
        across = x + 60 + (moment - first) / (last - first) * (room - 66)
        return f"{across:.1f},{y + height - 6 - (value - low) / (high - low) * (height - 14):.1f}"

    for step in defaults.get("thresholds", {}).get("steps", []):
        if step["value"] is not None and low <= step["value"] <= high and step["color"] != "blue":
            ends = f"{at(first, step['value'])} {at(last, step['value'])}"
            parts.append(
                f'<polyline points="{ends}" stroke="{FILLS[step["color"]]}" stroke-dasharray="4" fill="none"/>'
            )
    ranked = sorted(curves, key=lambda curve: -curve[1][-1][1])
    for place, (name, points) in enumerate(ranked):
        colour = COLOURS[place % len(COLOURS)]
        line = " ".join(at(*point) for point in points)
        parts.append(f'<polyline points="{line}" stroke="{colour}" stroke-width="1.6" fill="none"/>')
        if place < MOST_SHOWN:
            told = f"{name}  {_shown(points[-1][1], defaults['unit'])}"
            parts.append(_text(x + room, y + 16 + place * 19, told, 12, colour, width - room - 6))
    if len(ranked) > MOST_SHOWN:
        parts.append(_text(x + room, y + 16 + MOST_SHOWN * 19, f"and {len(ranked) - MOST_SHOWN} more", 12, "#8e8e8e"))
    return parts


def _colour(defaults: dict[str, Any], value: float) -> str:
    steps = defaults["thresholds"]["steps"]
    return FILLS[[step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]]


def _shown(value: float, unit: str) -> str:
    match unit:
        case "percentunit":
            return f"{value:.0%}"
        case "s":
            if 0 < value < 1:
                return f"{value * 1000:.0f} ms"
            return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"
        case "m":
            return f"{value:.1f} min"
        case "h":
            return f"{value:.1f} h" if value < 48 else f"{value / 24:.1f} days"
        case "bytes":
            return f"{value / 2**20:.0f} MiB"
    return f"{value:,.0f}" if value == int(value) or value > 1000 else f"{value:.2f}"


def _text(x: float, y: float, words: str, size: int, colour: str = "#fff", room: float = 0) -> str:
    most = int(room / (size * 0.55)) if room else 999
    cut = words if len(words) <= most else words[: max(1, most - 1)] + "…"
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}">{escape(cut)}</text>'


if __name__ == "__main__":
    main()
