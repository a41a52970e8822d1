"""The demo's page: buttons do what they say or say why not; both framed pages follow the language."""

import threading

import pytest

from agent.cli.demo_page import make_app
from agent.console.local import LocalServer


class Demo:
    """DemoControls that note what was pressed."""

    def __init__(self, console=None):
        self.pressed = []
        self._console = console
        self.console_url = console.url if console else "http://127.0.0.1:1/"
        self.held = 12

    def act(self, name):
        self.pressed.append(name)
        return {"ok": name != "fire_on", "why": "the bell is out of order"}

    def capabilities(self):
        ready = {name: {"ready": True, "why": ""} for name in ("resident", "fire_on", "something_new")}
        return {**ready, "print": {"ready": False, "why": "the paper is wet"}}

    def addresses(self):
        return {"console": self.console_url, "server": f"{self.console_url}static/icon.svg"}

    def counters(self):
        return {"written": 12, "epoch": "e2", "held": {"e1": 40, "e2": self.held}, "kills": 3}

    def console(self, query):
        return self._console.link(query)

    def enter(self):
        return f"{self.console_url}static/icon.svg#secret"


@pytest.fixture
def demo(console):
    return Demo(console)


@pytest.fixture
def address(demo):
    server = LocalServer(make_app(demo), "127.0.0.1", 0, 4, "demo")
    yield server.url
    server.close()


@pytest.fixture
def page(browser, address):
    browser.open(f"{address}?lang=en", width=1500)
    browser.until("document.querySelector('#act-resident')?.getAttribute('aria-disabled') === 'false'")
    yield browser
    browser.leave()


def press(page, name):
    page.js(f"document.querySelector('#act-{name}').click()")


def told(page, text):
    page.until(f"document.querySelector('#told').textContent.includes({text!r})")


def test_a_button_acts_and_a_failure_is_told(page, demo):
    press(page, "resident")
    told(page, "Resident")
    page.until("!document.querySelector('.busy')")
    press(page, "fire_on")
    told(page, "Fire alarm: did not work. the bell is out of order")
    assert demo.pressed == ["resident", "fire_on"]


def test_a_button_that_is_not_ready_says_why_and_does_nothing(page, demo):
    press(page, "print")
    told(page, "the paper is wet")
    press(page, "phone_pass")
    told(page, "Phone pass: It comes with a later release.")
    assert demo.pressed == []
    assert page.js("document.querySelector('#act-print').title") == "the paper is wet"


def test_the_counters_compare_the_same_journal_and_say_what_is_missing(page, demo):
    page.until("document.querySelector('#counters').textContent.includes('nothing lost')")
    assert "3 processes killed" in page.text("#counters")
    demo.held = 9
    page.until("document.querySelector('#counters').textContent.includes('3 on their way')")


def test_only_the_demo_page_itself_gets_a_sign_in_link(demo):
    client = make_app(demo).test_client()
    assert client.get("/server", base_url="http://127.0.0.1", headers={"Sec-Fetch-Site": "none"}).status_code == 403
    found = client.get("/server?lang=en", base_url="http://127.0.0.1", headers={"Sec-Fetch-Site": "same-origin"})
    assert found.location == f"{demo.console_url}static/icon.svg?lang=en#secret"
    assert client.get("/console", base_url="http://127.0.0.1", headers={"Sec-Fetch-Site": "none"}).status_code == 403


def test_the_framed_console_is_signed_in_by_the_demo(browser, address, door):
    """Its stream answers a session only."""
    followed, wait = threading.Event(), door.wait
    door.wait = lambda *asked: followed.set() or wait(*asked)
    browser.open(f"{address}?lang=en", width=1500)
    assert followed.wait(20)
    browser.leave()


def test_a_capability_that_the_page_does_not_know_gets_a_button_too(page, demo):
    press(page, "something_new")
    page.until("!document.querySelector('.busy')")
    assert demo.pressed == ["something_new"]


def test_the_console_is_in_the_frame_and_follows_the_language(page):
    assert "embed=1" in page.js("document.querySelector('#console').src")
    page.js("document.querySelector('#language').click()")
    page.until("document.querySelector('#console').src.includes('lang=zh-CN')")
    assert page.text("#act-resident") == "住户"
    assert page.problems == []


@pytest.mark.parametrize(
    "headers", [{}, {"X-Requested-By": "demo-page", "Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_no_other_site_can_press_a_button(headers):
    demo = Demo()
    client = make_app(demo).test_client()
    assert client.post("/api/act/resident", base_url="http://127.0.0.1", headers=headers).status_code == 403
    assert demo.pressed == []


def test_localhost_is_sent_to_the_address_that_the_frames_allow():
    client = make_app(Demo()).test_client()
    assert client.get("/", base_url="http://localhost:8470").location == "http://127.0.0.1:8470/"
    assert client.get("/", base_url="http://evil.example:8470").status_code == 403
