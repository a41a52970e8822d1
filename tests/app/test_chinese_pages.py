"""The pages that people in Xiamen read say in Chinese what the English ones say, in the words of the manager's page."""

import re
from pathlib import Path

import pytest

from hardware.indicate import PATTERNS

ROOT = Path(__file__).parent.parent.parent
PAIRS = [
    ROOT / name for name in ("README.md", "deploy/HANDBOOK.md", "deploy/guide/README.md", "deploy/TROUBLESHOOTING.md")
]
WHOLE = PAIRS[1:]  # the README is shorter in Chinese; these say the same
WORDS = [ROOT / "agent/console/static" / name for name in ("words.js", "sentences.js")]
WORDS.append(ROOT / "deploy/community/page/page-words.js")
CHINESE = r"[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef]"


def chinese(page: Path) -> Path:
    return page.with_name(page.name.replace(".md", ".zh-CN.md"))


def commands(page: Path) -> set[str]:
    """What is typed or shown as it stands, without comments and names of people: those are in the page's language."""
    text = page.read_text(encoding="utf-8")
    fenced = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    lines = {re.split(r" +# ", line)[0].rstrip() for block in fenced.findall(text) for line in block.splitlines()}
    quoted = re.findall(r"`([^`]+)`", fenced.sub("", text))
    spans = {re.sub(r'"[^"]*"', '""', " ".join(span.split())) for span in quoted}
    return {told for told in lines | spans if told.isascii()}


def pairs_of_words() -> list[tuple[str, str]]:
    """What the pages say, Chinese and English, without what stands for a value."""
    found = [re.findall(r'\["((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"\]', path.read_text("utf-8")) for path in WORDS]
    return [(re.sub(r"\{\d\}", "", zh), re.sub(r"\{\d\}", "", en)) for pairs in found for zh, en in pairs]


@pytest.mark.parametrize("page", PAIRS, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_page_leads_to_the_other_language(page: Path):
    assert f"({chinese(page).name})" in page.read_text("utf-8")
    assert f"({page.name})" in chinese(page).read_text("utf-8")


@pytest.mark.parametrize("page", WHOLE, ids=lambda p: str(p.relative_to(ROOT)))
def test_both_languages_have_the_same_parts_rows_and_commands(page: Path):
    shapes = []
    for path in (page, chinese(page)):
        lines = path.read_text("utf-8").splitlines()
        shapes.append([re.match(r"#+|\||\d+\.|-|", line)[0] for line in lines if re.match(r"#+ |\||\d+\. |- ", line)])
    assert shapes[0] == shapes[1]
    assert commands(page) ^ commands(chinese(page)) == set()


@pytest.mark.parametrize("page", PAIRS, ids=lambda p: str(p.relative_to(ROOT)))
def test_chinese_sentences_have_full_width_punctuation(page: Path):
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", chinese(page).read_text("utf-8"), flags=re.DOTALL)
    assert re.findall(rf"{CHINESE}[,;:?!()\"'].{{0,10}}|.{{0,10}}[,;:?!()\"']{CHINESE}", text) == []


def test_the_handbook_says_what_the_managers_page_says():
    """Words in italics (in quotation marks in Chinese) stand on the page in that language, and are the same ones."""
    known = pairs_of_words()
    english = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", PAIRS[1].read_text("utf-8").split("\n", 3)[3])
    zh = re.findall(r"“([^”\n]+)”", chinese(PAIRS[1]).read_text("utf-8").split("\n", 3)[3])
    assert [word for word in english if not any(word in en for _, en in known)] == []
    assert [word for word in zh if not any(word in said for said, _ in known)] == []
    for pages, other, to in ((english, zh, 0), (zh, english, 1)):
        for word in pages:
            meant = [pair[to] for pair in known if word in pair[1 - to]]
            assert any(o in m for o in other for m in meant), word


@pytest.mark.parametrize(
    ("hint", "english", "zh"),
    [
        ("come-closer", "once: come closer", "闪一下停一停 | 请走近一点"),
        ("uncover-face", "twice: uncover your face", "闪两下停一停 | 请露出脸"),
        ("more-light", "three times: more light", "闪三下停一停 | 太暗"),
        ("turn-from-light", "three times: more light on it (or turn: the light is behind you", "请转个身"),
        ("look-here", "four times: look into the camera", "闪四下停一停 | 请正对摄像头"),
        ("look-again", "five times: once more", "闪五下停一停 | 请离开镜头两秒再看"),
        ("show-again", "five times: once more", "拿开五秒再出示"),
    ],
)
def test_residents_are_told_what_the_lamps_say(hint: str, english: str, zh: str):
    """As many blinks as the door shows; a changed pattern is a changed page."""
    blinks = sum(bool(lamps) for lamps, _ in PATTERNS[hint].steps)
    assert ("once", "twice", "three times", "four times", "five times")[blinks - 1] in english
    assert english in " ".join((ROOT / "deploy" / "phone" / "README.md").read_text("utf-8").split())
    assert zh in chinese(ROOT / "README.md").read_text("utf-8")
