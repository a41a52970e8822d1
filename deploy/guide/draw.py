"""Draws the guide's wiring pictures in two languages: `python -m deploy.guide.draw` writes them beside this file.

A test holds the committed pictures against this script.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
INK, RED, BLUE, GREEN, GRAY = "#16202a", "#b3261e", "#1457a8", "#0a6b3d", "#6b7680"
WORDS: Final = {
    "supply": ("12 V supply\nof the lock", "门锁电源\n12 V"),
    "call": ("call point /\nfire panel, N/C", "消防联动 / 破玻按钮\n常闭"),
    "exit-nc": ("exit button,\nsecond contact, N/C", "出门按钮\n第二组触点，常闭"),
    "relay-nc": ("relay of the\ndoor agent, N/C", "门禁继电器\n常闭 NC"),
    "relay-no": ("relay of the\ndoor agent, N/O", "门禁继电器\n常开 NO"),
    "magnet": ("magnet\n(fail-safe)", "磁力锁\n（断电开锁）"),
    "strike": ("strike\n(fail-secure)", "阴极锁\n（断电锁闭）"),
    "handle": ("inside: a handle that\nopens without power", "室内执手：\n断电也能机械开门"),
    "cut": ("either red part opens the door by itself, with no computer", "红色任一处断开即开门，不经过计算机"),
    "diode": ("diode across the coil,\nstripe to +", "线圈两端并联二极管\n色环接正极"),
    "inside": ("all of this on the secure side\nof the wall", "以上全部装在\n室内安全侧"),
    "pi": ("Raspberry Pi\n3.3 V pins", "树莓派\n3.3 V 引脚"),
    "contact": ("door contact to ground,\nclosed while shut", "门磁接地\n关门时闭合"),
    "exit": ("exit button,\nfirst contact, to ground", "出门按钮\n第一组触点，接地"),
    "fire": ("fire panel's N/C\nrelay to ground", "消防联动常闭\n触点接地"),
    "tamper": ("case switch to ground,\nclosed while shut", "防拆开关接地\n合盖时闭合"),
    "relay": ("relay board\n(transistor or optocoupler)", "继电器模块\n（三极管或光耦）"),
    "resistor": (
        "10 kOhm to ground (active-high)\nor to 3.3 V (active-low)",
        "10 kΩ 接地（高电平有效）\n或接 3.3 V（低电平有效）",
    ),
    "pull": (
        "1 to 4.7 kOhm to 3.3 V at each input\nwhen its wire is longer than 1 m",
        "导线超过 1 米时，每路输入\n加 1–4.7 kΩ 上拉至 3.3 V",
    ),
    "title-egress": ("1. Egress first: the lock's power loop", "一、先接逃生回路：门锁供电"),
    "title-secure": ("2. Strike: fail-secure", "二、阴极锁：断电锁闭"),
    "title-pins": ("3. The Pi's pins", "三、树莓派接线"),
}  # fmt: skip


@dataclass
class Picture:
    """Shapes collected on one sheet; `zh` picks the language."""

    width: int
    height: int
    zh: bool
    shapes: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, word: str, *, size: int = 14, color: str = INK, bold: bool = False) -> None:
        """Centred lines."""
        for number, line in enumerate(self._said(word).split("\n")):
            weight = ' font-weight="600"' if bold else ""
            self.shapes.append(
                f'<text x="{x:g}" y="{y + number * size * 1.25:g}" font-size="{size}" fill="{color}"{weight} '
                f'text-anchor="middle">{escape(line)}</text>'
            )

    def box(self, x: float, y: float, w: float, h: float, word: str, *, color: str = INK) -> None:
        """A part."""
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" fill="#fff" '
            f'stroke="{color}" stroke-width="2"/>'
        )
        lines = self._said(word).count("\n") + 1
        self.text(x + w / 2, y + h / 2 + 5 - (lines - 1) * 8.75, word, color=color)

    def wire(self, *points: tuple[float, float], color: str = INK, dashed: bool = False) -> None:
        """A wire through these points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = ' stroke-dasharray="6 5"' if dashed else ""
        self.shapes.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.5"{dash}/>')

    def svg(self) -> str:
        """The sheet."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            'font-family="system-ui, Noto Sans CJK SC, sans-serif">\n'
            f'<rect width="{self.width}" height="{self.height}" fill="#f7f9fb"/>\n'
            + "\n".join(self.shapes)
            + "\n</svg>\n"
        )

    def _said(self, word: str) -> str:
        return WORDS[word][self.zh] if word in WORDS else word


def egress(sheet: Picture) -> None:
    """The loop of a magnet: supply, call point, exit button, relay, lock, in series."""
    sheet.text(430, 34, "title-egress", size=20, bold=True)
    parts = (("supply", INK), ("call", RED), ("exit-nc", RED), ("relay-nc", BLUE), ("magnet", GREEN))
    for number, (word, color) in enumerate(parts):
        sheet.box(20 + number * 168, 80, 148, 64, word, color=color)
        if number:
            sheet.wire((number * 168, 112), (20 + number * 168, 112), color=RED)
    sheet.wire((766, 144), (766, 200), (94, 200), (94, 144))
    sheet.text(430, 168, "cut", color=RED)
    sheet.text(430, 228, "diode", size=12, color=GRAY)


def secure(sheet: Picture) -> None:
    """A strike needs power to open: normally open contact, and a handle that needs none."""
    sheet.text(430, 34, "title-secure", size=20, bold=True)
    for x, word, color in ((20, "supply", INK), (230, "relay-no", BLUE), (440, "strike", GREEN), (650, "handle", RED)):
        sheet.box(x, 80, 190 if word == "handle" else 170, 64, word, color=color)
    sheet.wire((190, 112), (230, 112), color=RED)
    sheet.wire((400, 112), (440, 112), color=RED)
    sheet.wire((610, 112), (650, 112), dashed=True, color=GRAY)
    sheet.wire((525, 144), (525, 190), (105, 190), (105, 144))
    sheet.text(315, 214, "diode", size=12, color=GRAY)


def pins(sheet: Picture) -> None:
    """What goes to which pin; the numbers are those of the site file's template."""
    sheet.text(430, 34, "title-pins", size=20, bold=True)
    sheet.box(350, 70, 160, 290, "pi")
    left = (("contact", "GPIO22"), ("exit", "GPIO23"), ("fire", "GPIO24"), ("tamper", "GPIO25"))
    for number, (word, pin) in enumerate(left):
        y = 70 + number * 74
        sheet.box(20, y, 210, 56, word, color=RED if word in {"exit", "fire"} else INK)
        sheet.wire((230, y + 28), (350, y + 28))
        sheet.text(290, y + 22, pin, size=12, color=GRAY)
    sheet.box(630, 100, 210, 60, "relay", color=BLUE)
    sheet.wire((510, 130), (630, 130), color=BLUE)
    sheet.text(570, 124, "GPIO17", size=12, color=GRAY)
    sheet.text(735, 190, "resistor", size=12, color=GRAY)
    sheet.text(720, 270, "pull", size=12, color=GRAY)
    sheet.text(720, 340, "inside", size=13, color=GREEN, bold=True)


SHEETS: Final = {"egress": (egress, 250), "fail-secure": (secure, 236), "pins": (pins, 384)}


def pictures() -> Iterator[tuple[str, str]]:
    """(file name, SVG)."""
    for name, (draw, height) in SHEETS.items():
        for zh in (False, True):
            sheet = Picture(860, height, zh)
            draw(sheet)
            yield f"{name}{'.zh-CN' if zh else ''}.svg", sheet.svg()


if __name__ == "__main__":
    for file, text in pictures():
        (HERE / file).write_text(text)
