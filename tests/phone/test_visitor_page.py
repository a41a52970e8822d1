"""The visitor's page in a real browser: what the link holds is drawn, and nothing of it goes to the server."""

import time

import cv2
import numpy as np
import pytest
import zxingcpp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.community.people import People
from deploy.community.visitor_passes import PassDesk


@pytest.fixture
def desk(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "pass.key").write_bytes(key)
    return PassDesk(People(tmp_path / "people"), tmp_path / "pass.key")


def test_a_link_becomes_the_code_that_a_door_reads_in_both_languages(browser, serve, desk):
    now_s = int(time.time())
    made = desk.issue(["garden/gate-1"], now_s, now_s + 3600, 2)
    address = serve().url.removesuffix("/phone/")
    browser.open(made.link(address))
    browser.wait("return document.querySelector('#pass-qr path').getAttribute('d')?.length > 100")
    picture = cv2.imdecode(np.frombuffer(browser.picture(), np.uint8), cv2.IMREAD_COLOR)
    assert [found.text for found in zxingcpp.read_barcodes(picture)] == [made.text]
    assert not browser.shown("#notnow")
    assert browser.text("#uses") == "Good for 2 openings at each door."
    browser.touch("#language")
    assert "每扇门可用 2 次" in browser.text("#uses")
    assert browser.text("h1") == "访客通行码"
    asked = browser.run("return performance.getEntriesByType('resource').map((one) => one.name).join()")
    assert made.text not in asked
    browser.open(f"{address}/phone/visitor.html#%%%rubbish")
    browser.wait("return document.querySelector('#fault').checkVisibility()")
    assert browser.complaints() == []


@pytest.mark.parametrize(("later_s", "words"), [(7200, "This pass is over"), (-7200, "not valid yet")])
def test_a_pass_that_no_door_takes_now_says_so_before_somebody_stands_outside(browser, serve, desk, later_s, words):
    """The code was drawn as if it were good."""
    now_s = int(time.time())
    made = desk.issue([], now_s, now_s + 3600, 1)
    browser.on_new_page(f"const real = Date.now; Date.now = () => real() + {later_s * 1000};")
    try:
        browser.open(made.link(serve().url.removesuffix("/phone/")))
        browser.wait("return document.querySelector('#notnow').checkVisibility()")
        assert words in browser.text("#notnow")
    finally:
        browser.forget()
