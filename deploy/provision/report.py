"""The installer's report: one HTML page that prints, and the label for the door frame with its QR code."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zxingcpp

from deploy.pki import write_file
from deploy.provision.provision import Done

_STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em; color: #16202a }
table { border-collapse: collapse; width: 100%; margin: 1em 0 } td, th { text-align: left; padding: .3em .6em;
border-bottom: 1px solid #cfd6dd; vertical-align: top } .bad { color: #a11212; font-weight: 600 } .ok { color: #0a6b3d }
.label { border: 2px solid #16202a; display: inline-flex; gap: 1.2em; align-items: center; padding: .8em 1.2em;
break-inside: avoid } .label svg { width: 34mm; height: 34mm } .label b { font-size: 1.5em } code { font-size: .9em }
@media print { body { margin: 0 } a { color: inherit } }
"""  # noqa: E501  style sheets have their own lines


def label_text(facts: Mapping[str, Any]) -> str:
    """What the label's code says: which door, and the SSH key by which its device is known. No secret, no address."""
    return f"DOOR {facts['site']}/{facts['door']} {facts['host_key']}"


def qr_svg(text: str) -> str:
    """A QR code as SVG, black on white."""
    svg: str = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_svg()
    return svg[svg.index("<svg") :]


def page(done: Done) -> str:
    """The report as one HTML page without anything from outside."""
    facts, end = done.facts, done.outcome.end
    tested = end.get("tested", {})
    results = tested.get("results", [])
    title = f"{facts['site']} / {facts['door']}"
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{_(title)}</title><style>{_STYLE}</style>
<h1>{_(title)}</h1><p>{time.strftime("%Y-%m-%d %H:%M")} · {_(facts["board"])} · {_(facts["system"])} · release
<code>{_(facts["release"])}</code></p><p class="{"ok" if well(results) else "bad"}">{_verdict(results)}</p>
<h2>Tested at the door · 现场测试 <small>{_(tested.get("at", ""))}</small></h2>{_results(results)}
<h2>Set up · 安装步骤 <small>{end.get("steps_done", 0)} / {end.get("steps", 0)}, {end.get("seconds", 0)} s</small></h2>
{_steps(done.outcome.steps)}
<h2>Known by · 设备指纹</h2><p><code>{_(facts["host_key_words"])}</code><br><code>{_(facts["host_key"])}</code></p>
<h2>Label for the door frame · 门框标签</h2>
<div class="label">{qr_svg(label_text(facts))}<div><b>{_(facts["door"])}</b><br>
{_(facts["site"])}<br><small>{_(facts["host_key_words"])}</small></div></div></html>
"""


def well(results: list[Mapping[str, Any]]) -> bool:
    """Whether the door was tested and nothing was found; what was not looked at is not well."""
    return bool(results) and all(one["ok"] for one in results)


def _verdict(results: list[Mapping[str, Any]]) -> str:
    if not results:
        return "not tested yet: run provision again · 尚未测试：请再运行一次 provision"
    return (
        "every check is well · 全部正常"
        if well(results)
        else "some checks need a hand, see below · 有项目需要处理，见下表"
    )


def write(done: Done, out: Path) -> tuple[Path, Path]:
    """OUT.html and OUT.json; returns their paths."""
    html_path, json_path = out.with_name(out.name + ".html"), out.with_name(out.name + ".json")
    write_file(html_path, page(done).encode(), 0o644)
    write_file(json_path, json.dumps(as_json(done), indent=1, ensure_ascii=False).encode(), 0o644)
    return html_path, json_path


def as_json(done: Done) -> dict[str, Any]:
    """The same for programs."""
    return {**done.facts, **{k: v for k, v in done.outcome.end.items() if k != "t"}, "steps_taken": done.outcome.steps}


def _results(results: list[Mapping[str, Any]]) -> str:
    rows = "".join(map(_result, results))
    head = "<tr><th></th><th>what · 项目</th><th>found · 发现</th><th>expected, do this · 应为，处理</th></tr>"
    return f"<table>{head}{rows}</table>"


def _result(one: Mapping[str, Any]) -> str:
    mark = '<td class="ok">well · 正常</td>' if one["ok"] else '<td class="bad">look · 处理</td>'
    advice = "" if one["ok"] else f"<br>{_(one['do_this'])}"
    return f"<tr>{mark}<td>{_(one['name'])}</td><td>{_(one['found'])}</td><td>{_(one['expected'])}{advice}</td></tr>"


def _steps(steps: list[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{_(one['name'])}</td><td>{_(one['found'])}</td><td>{_(one['expected'])}</td>"
        f"<td>{_(one['did'] or one['state'])}</td><td>{_(one['why'])}</td></tr>"
        for one in steps
    )
    words = ("step · 步骤", "found · 发现", "expected · 应为", "did · 已做", "why · 原因")
    head = f"<tr>{''.join(f'<th>{word}</th>' for word in words)}</tr>"
    return f"<table>{head}{rows}</table>"


def _(text: object) -> str:
    return html.escape(str(text))
