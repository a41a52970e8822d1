"""PRIVACY.md as a page for residents: one text, so that what a phone shows is what the folder says.

Knows exactly what that file uses: two headings, lists of one level, paragraphs, bold.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

SOURCE = Path(__file__).parent / "PRIVACY.md"
_HEAD = """<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<title>隐私说明 · Privacy</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="phone.css">
</head>
<body>
<nav><p><a href="./">←</a> · <a href="#zh-CN">中文</a> · <a href="#en">English</a></p></nav>
<main class="reading">
"""
_TITLE = "# "
_LANGUAGES = ("zh-CN", "en")


def page(source: str) -> bytes:
    """The page; the first title begins the Chinese part, the second the English one."""
    parts = re.split(rf"^{_TITLE}", source, flags=re.MULTILINE)[1:]
    sections = (
        f'<section id="{language}" lang="{language}">\n<h1>{_inline(title)}</h1>\n{_body(rest)}\n</section>'
        for language, (title, _, rest) in zip(_LANGUAGES, (part.partition("\n") for part in parts), strict=True)
    )
    return (_HEAD + "\n".join(sections) + "\n</main>\n</body>\n</html>\n").encode()


def _body(text: str) -> str:
    blocks = (block.strip() for block in re.split(r"\n\s*\n", text))
    return "\n".join(line for block in blocks if block for line in _block(block))


def _block(block: str) -> Iterator[str]:
    """A heading, a paragraph or a list; a line that is indented goes on with the one before."""
    lines = re.sub(r"\n\s+", " ", block).split("\n")
    for is_item, group in groupby(lines, key=lambda line: line.startswith("- ")):
        if is_item:
            yield "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in group) + "</ul>"
        else:
            text = " ".join(group)
            yield f"<h2>{_inline(text[3:])}</h2>" if text.startswith("## ") else f"<p>{_inline(text)}</p>"


def _inline(text: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text.strip()))
