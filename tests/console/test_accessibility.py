"""axe-core, run in Chromium on every page, desktop and phone size: no serious finding, in light and in dark."""

from importlib.resources import files

import pytest
from flask import Flask, redirect
from manager_hands import fill, sign_in
from test_demo_page import Demo

from agent.cli.demo_page import make_app
from agent.console.local import LocalServer
from deploy.phone.serve import blueprint
from tests.community.manager_site import Page

pytestmark = pytest.mark.slow

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
SIZES = [(1360, False, False), (390, True, True)]  # width, phone, dark: each colour scheme once


def findings(browser) -> list[tuple[str, str, list]]:
    """Rule, impact and places of everything that axe finds and calls moderate or worse."""
    browser.js(f"{AXE};0")
    rules = '["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]'
    found = browser.js(f"axe.run(document, {{runOnly: {rules}, iframes: false}}).then(r => r.violations)")
    return [
        (v["id"], v["impact"], [(n["target"], n["html"][:120]) for n in v["nodes"]])
        for v in found
        if v["impact"] != "minor"
    ]


def test_axe_finds_what_it_should(browser):
    """A page with a fault that everybody knows: without this, an audit that does nothing would pass."""
    browser.open("data:text/html,<html lang=en><title>x</title><main><h1>x</h1><img src=x><input></main>")
    assert {"image-alt", "label"} <= {rule for rule, _, _ in findings(browser)}


@pytest.mark.parametrize(("width", "phone", "dark"), SIZES)
def test_the_console(browser, console, door, hall_picture, width, phone, dark):
    door.board.put_picture(hall_picture)
    door.event("AccessControl/Denied/CredentialNotFound", credential="face", reason="CredentialNotFound")
    door.event("Door/State/DoorAlarm", 3, state="DoorForcedOpen")
    door.door(alarms=["DoorForcedOpen"])
    browser.enter(console, width=width, height=860, phone=phone, dark=dark)
    browser.until("document.querySelector('#live-dot').classList.contains('good')")
    browser.until("document.querySelector('#picture').src")
    assert findings(browser) == []
    browser.leave()


@pytest.mark.parametrize(("width", "phone", "dark"), SIZES)
def test_the_console_in_chinese_while_somebody_is_enrolled(browser, console, door, width, phone, dark):
    door.board.update(enrolment={"state": "collecting", "hint": "Come closer", "collected": 2, "wanted": 5})
    browser.enter(console, "lang=zh-CN", width=width, height=860, phone=phone, dark=dark)
    browser.until("document.querySelectorAll('#enrol-dots .done').length === 2")
    assert browser.text("#enrol-hint") == "请走近一点"
    assert findings(browser) == []
    browser.leave()


@pytest.mark.parametrize(("width", "phone", "dark"), SIZES)
@pytest.mark.parametrize("page", ["visitor.html?lang=en", "visitor.html?lang=zh-CN", "privacy.html"])
def test_the_visitors_and_the_privacy_page(browser, page, width, phone, dark):
    app = Flask("phone")
    app.register_blueprint(blueprint())
    server = LocalServer(app, "127.0.0.1", 0, 4, "phone")
    try:
        browser.open(f"{server.url}phone/{page}", width=width, height=860, phone=phone, dark=dark)
        browser.until("document.querySelector('h1').innerText.length > 3")
        assert findings(browser) == []
        browser.leave()
    finally:
        server.close()


@pytest.mark.parametrize(("width", "phone", "dark", "language"), [(*SIZES[0], "en"), (*SIZES[1], "zh-CN")])
def test_the_managers_page(browser, tmp_path, width, phone, dark, language):
    site = Page(tmp_path)
    try:
        fill(site)
        for view in ("now", "people", "managers"):
            sign_in(browser, site, language=language, view=view, width=width, height=860, phone=phone, dark=dark)
            if view == "now":
                browser.js("document.querySelectorAll('#doors summary').forEach(e => e.click())")
            assert findings(browser) == [], view
        browser.js("location.hash = 'now'; document.querySelector('#doors button.danger').click()")
        assert findings(browser) == []
        browser.js("document.querySelector('#order').close(); document.querySelector('#csv-open').click()")
        assert findings(browser) == []
        browser.js("document.querySelector('#export').close(); document.querySelector('#leave').click()")
        browser.until("location.pathname === '/enter' && document.querySelector('#language')?.innerText")
        assert findings(browser) == []
        browser.leave()
    finally:
        site.close()


@pytest.mark.parametrize(("width", "phone", "dark"), SIZES)
def test_the_phone_page(browser, width, phone, dark):
    app = Flask("phone")
    app.register_blueprint(blueprint())
    app.add_url_rule("/", view_func=lambda: redirect("/phone/"))
    server = LocalServer(app, "127.0.0.1", 0, 4, "phone")
    try:
        browser.open(f"{server.url}phone/", width=width, height=860, phone=phone, dark=dark)
        browser.until("document.querySelector('#code').textContent.length > 0")
        assert findings(browser) == []
        browser.js("document.querySelector('#to-pass').click()")
        browser.until("document.querySelector('#to-pass').closest('section, main, div').hidden || true")
        assert findings(browser) == []
        browser.leave()
    finally:
        server.close()


@pytest.mark.parametrize(("width", "phone", "dark"), SIZES)
def test_the_demos_page(browser, console, width, phone, dark):
    server = LocalServer(make_app(Demo(console)), "127.0.0.1", 0, 4, "demo")
    try:
        browser.open(f"{server.url}?lang=en", width=width, height=860, phone=phone, dark=dark)
        browser.until("document.querySelector('#act-resident')?.getAttribute('aria-disabled') === 'false'")
        assert findings(browser) == []
        browser.leave()
    finally:
        server.close()
