"""The rows of the bench for people: a table in Markdown, and a plot in SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from rasura_agent.bench.runs import Row

__all__ = ["plot", "table"]

_ROW_HEIGHT, _LABEL_WIDTH, _BAR_WIDTH, _BAR_HEIGHT = 46, 190, 560, 14
_OURS, _LIMIT = "#1f6feb", "#9aa4ae"


def table(rows: Sequence[Row], cipher_s_per_gb: float | None) -> str:
    """A Markdown table; below it what the cipher costs by itself."""
    heads = "Medium|Drives|Pass|Ours MB/s|Device MB/s|by|Ratio|of fio|CPU s/GB|theirs|Peak MB|Peers MB/s"
    lines = [f"| {heads.replace('|', ' | ')} |", "|---|--:|---|--:|--:|---|--:|--:|--:|--:|--:|---|"]
    for row in rows:
        fio = row.programs_mb_s.get("fio")
        of_fio = f"{row.ours_mb_s / fio:.2f}" if fio else ""
        peers = ", ".join(f"{name} {speed:.0f}" for name, speed in row.peers_mb_s.items())
        lines.append(
            f"| {row.medium} | {row.drives} | {row.name} | {row.ours_mb_s:.0f} | {row.limit_mb_s:.0f} "
            f"| {row.limit_tool} | {row.ratio:.2f} | {of_fio} "
            f"| {row.cpu_s_per_gb:.3f} | {row.limit_cpu_s_per_gb:.3f} "
            f"| {row.peak_rss_mb:.0f} | {peers} |"
        )
    if cipher_s_per_gb is not None:
        lines.append(f"\nAES-256-CTR by itself (`openssl speed`, 1 MiB): {cipher_s_per_gb:.3f} CPU s/GB.")
    return "\n".join(lines) + "\n"


def plot(rows: Sequence[Row]) -> str:
    """Bars: ours over the device's limit, a pair a row."""
    most = max((max(row.ours_mb_s, row.limit_mb_s) for row in rows), default=1.0)
    height, width = 40 + _ROW_HEIGHT * len(rows), _LABEL_WIDTH + _BAR_WIDTH + 90
    box = f'width="{width}" height="{height}"'
    names = f'<tspan fill="{_OURS}">Rasura</tspan> and <tspan fill="{_LIMIT}">the device by itself</tspan>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">',
        f'<rect {box} fill="white"/>',
        f'<text x="{_LABEL_WIDTH}" y="20">{names}, MB/s</text>',
    ]
    for number, row in enumerate(rows):
        top = 34 + number * _ROW_HEIGHT
        label = escape(f"{row.medium}, {row.drives} x {row.name}")
        parts.append(f'<text x="{_LABEL_WIDTH - 8}" y="{top + 18}" text-anchor="end">{label}</text>')
        bars = ((row.ours_mb_s, _OURS, f"{row.ratio:.2f}"), (row.limit_mb_s, _LIMIT, row.limit_tool))
        for line, (speed, colour, note) in enumerate(bars):
            at, length = top + line * (_BAR_HEIGHT + 2), speed / most * _BAR_WIDTH
            parts.append(
                f'<rect x="{_LABEL_WIDTH}" y="{at}" width="{length:.1f}" height="{_BAR_HEIGHT}" '
                f'fill="{colour}"/><text x="{_LABEL_WIDTH + length + 4:.1f}" y="{at + 11}">'
                f"{speed:.0f} ({escape(note)})</text>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"
