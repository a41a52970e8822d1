"""A day of one door on one self-contained page: what happened, whether the journal holds, hour by hour."""

from __future__ import annotations

import datetime as dt
import html
import json
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.core.events import Priority
from agent.core.journal import originals
from agent.journal.report import listed
from agent.journal.verify import VerifyReport, opened, verify

_HIDDEN = ("receipt", "detail")
_STYLE = """body{font:16px/1.5 system-ui,"Noto Sans CJK SC",sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccd;padding:.25rem .5rem;text-align:left;
vertical-align:top}td:first-child{white-space:nowrap;font-variant-numeric:tabular-nums}.bad{color:#b3161b;font-weight:600}
.good{color:#12703c}.alarm{background:#fdeaea}svg{width:100%;max-width:40rem}rect{fill:#0b57b0}small{color:#586474}
td,p{overflow-wrap:anywhere}@media print{a{color:inherit}tr{break-inside:avoid}body{margin:0;max-width:none}}"""


def day_report(path: Path, day: dt.date, timezone: str) -> str:
    """The page as HTML text. Times are local (`timezone` is an IANA name); ≈ marks those of a clock that was not set.

    Raises:
        StoreError: there is no journal, or it can't be read.
    """
    zone = ZoneInfo(timezone)
    rows = []
    for row in listed(path):
        local = dt.datetime.fromisoformat(row["time"]).astimezone(zone)
        if local.date() == day:
            rows.append((local, row))
    here = {(row["epoch"], row["seq"]) for _, row in rows}
    rows = [(at, r) for at, r in rows if not any(name[:2] in here for name in originals(r["body"]))]
    report = verify(path)
    hours = Counter(local.hour for local, _ in rows)
    kinds = Counter(row["kind"] for _, row in rows)
    with opened(path) as store:
        doors = " ".join(sorted({epoch.device for epoch in store.epochs}))
    title = f"{doors} · {day.isoformat()}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _verdict(report),
        f"<h2>按小时 · By hour ({timezone})</h2>{_bars(hours)}",
        "<h2>种类 · Kinds</h2><table>",
        *(f"<tr><td>{n}</td><td>{html.escape(k)}</td></tr>" for k, n in kinds.most_common()),
        f"</table><h2>事件 · Events ({len(rows)})</h2>",
        *(() if rows else ("<p>这一天没有记录 · Nothing was written on this day.</p>",)),
        "<table><tr><th>时间 Time</th><th>#</th><th>种类 Kind</th><th>内容 Content</th><th>SHA-256</th></tr>",
        *(_line(local, row) for local, row in rows),
        "</table>",
    ]
    head = f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"


def _verdict(report: VerifyReport) -> str:
    if report.ok:
        return (
            f'<p class="good">日志完整 · The journal holds: {report.rows} rows in {report.epochs} epochs, '
            f"{report.skipped} declared as dropped.</p>"
        )
    lines = (f"row {b.seq} of epoch {b.epoch[:8] or '?'}: {b.why}" for b in report.bad)
    return f'<p class="bad">日志不可信 · Not to be believed from: {html.escape("; ".join(lines))}</p>'


def _bars(hours: Counter[int]) -> str:
    most = max(hours.values(), default=1)
    bars = []
    for hour in range(24):
        height = 80 * hours[hour] / most
        bars.append(
            f'<rect x="{hour * 10 + 1}" y="{85 - height:.1f}" width="8" height="{height:.1f}">'
            f"<title>{hour}:00: {hours[hour]}</title></rect>"
        )
        if hour % 3 == 0:
            bars.append(f'<text x="{hour * 10 + 1}" y="97" font-size="7">{hour}</text>')
    words = ", ".join(f"{hour}:00: {hours[hour]}" for hour in sorted(hours))
    return f'<svg viewBox="0 0 240 100" role="img" aria-label="{words}">{"".join(bars)}</svg>'


def _line(local: dt.datetime, row: dict[str, Any]) -> str:
    trusted = "" if row["clock"] in ("ntp", "rtc") else " ≈"
    body = {k: v for k, v in row["body"].items() if k not in _HIDDEN}
    words = " ".join(f"{k}={v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)}" for k, v in body.items())
    marked = ' class="alarm"' if row["priority"] == max(Priority) else ""
    return (
        f"<tr{marked}><td>{local:%H:%M:%S}{trusted}</td><td>{row['seq']}</td><td>{html.escape(row['kind'])}</td>"
        f"<td>{html.escape(words)}</td><td><small>{row['hash'][:12]}</small></td></tr>"
    )
