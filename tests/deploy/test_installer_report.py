"""The installer's report: what it says is so, nothing breaks out of its page, and the label's code can be read."""

import json
import re
import xml.dom.minidom

import cv2
import numpy as np
import pytest
import zxingcpp

from deploy.provision import report
from deploy.provision.conversation import Outcome
from deploy.provision.provision import Done

FACTS = {
    "site": "garden", "door": "door-3", "release": "0.1.0+ab", "board": "Raspberry Pi 5", "system": "trixie",
    "host_key": "SHA256:abc", "host_key_words": "acid acorn", "minutes": 1.0,
}  # fmt: skip
STEP = {"name": "clock", "found": "1970", "expected": "now", "did": "set", "state": "did", "why": "certificates"}


def result(ok: bool, **more) -> dict:  # noqa: FBT001  a result's first word
    return {"name": "camera", "ok": ok, "found": "dark", "expected": "light", "do_this": "switch the light on"} | more


def page(*results: dict, **facts) -> str:
    tested = {"tested": {"at": "noon", "results": list(results)}} if results else {}
    return report.page(Done(Outcome([STEP], [], {"steps": 1, "steps_done": 1, "seconds": 9, **tested}), FACTS | facts))


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ((result(ok=True),), "every check is well"),
        ((result(ok=True), result(ok=False)), "some checks need a hand"),
        ((), "not tested yet"),
    ],
)
def test_only_what_was_tested_and_well_is_called_so(results, words):
    text = page(*results)
    assert words in text
    assert ("every check is well" in text) is (words == "every check is well")


def test_advice_stands_beside_what_is_not_well_and_nowhere_else():
    assert "switch the light on" in page(result(ok=False))
    assert "switch the light on" not in page(result(ok=True))


def test_nothing_that_a_device_says_breaks_out_of_the_page():
    evil = '<script>alert("x")</script>&amp;\'"'
    text = page(result(ok=False, found=evil, do_this=evil, name=evil), board=evil, system=evil)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    body = text[text.index("<h1>") : text.index("</html>")]
    xml.dom.minidom.parseString(f"<page>{body.replace('<br>', '<br/>')}</page>")  # noqa: S318  our own, as well formed as XML


def test_the_page_needs_nothing_from_outside_and_speaks_both_languages():
    text = page(result(ok=True))
    assert not re.search(r"(src|href)=|url\(|@import", text)
    for word in ("现场测试", "安装步骤", "门框标签", "全部正常"):
        assert word in text


def test_the_labels_code_reads_back_and_holds_no_address():
    text = report.label_text(FACTS)
    picture = np.full((80, 80), 255, np.uint8)
    for x, y, width, height in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+Z", report.qr_svg(text)):
        picture[int(y) + 4 : int(y) + 4 + int(height), int(x) + 4 : int(x) + 4 + int(width)] = 0
    large = cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    [found] = zxingcpp.read_barcodes(large)
    assert found.text == text == "DOOR garden/door-3 SHA256:abc"


def test_both_files_are_written_and_the_json_has_the_same(tmp_path):
    done = Done(Outcome([STEP], [], {"t": "end", "steps": 1, "steps_done": 1, "seconds": 9}), FACTS)
    html_path, json_path = report.write(done, tmp_path / "report-door-3")
    assert html_path.read_text().startswith("<!doctype html>")
    said = json.loads(json_path.read_text())
    assert (said["door"], said["steps_done"], said["steps_taken"]) == ("door-3", 1, [STEP])
    assert "t" not in said
