"""The manager's page while its server is away, silent, or does not know this browser any more: in a real browser."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from manager_hands import reads, sign_in

from deploy.community.feed import Feed
from deploy.community.office import Role
from deploy.community.page import serve

SHUT = "window.realFetch = fetch; window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); 0"


@pytest.fixture
def manager(browser, site):
    sign_in(browser, site, Role.MANAGER, "Lin")
    reads(browser, "#doors", "The door is locked")
    yield browser
    browser.leave()


def test_a_door_is_not_shown_as_it_was_before_the_connection_was_lost(manager):
    """It went on in green as “locked”; only a word at the top of the page said otherwise."""
    manager.js("document.querySelector('#doors summary').click()")
    manager.js(SHUT)
    manager.js("source.onerror()")
    reads(manager, "#deaf", "no connection to the server")
    reads(manager, "#doors", "before: The door is locked")
    assert manager.js("document.querySelectorAll('#doors .dot.good').length") == 0
    assert manager.js("document.querySelectorAll('#doors button:not(:disabled)').length") == 0
    assert "Lock\nunknown" in manager.text("#doors .facts")
    manager.js("window.fetch = window.realFetch")
    reads(manager, "#live", "live")
    manager.until("document.querySelector('#deaf').hidden")
    assert "before:" not in manager.text("#doors")


def test_a_connection_that_only_fell_silent_counts_as_lost(manager):
    """A phone that lost its Wi-Fi hears of no error for minutes: the page called itself live."""
    manager.js(SHUT)
    manager.js("const real = Date.now; Date.now = () => real() + 50000; 0")
    reads(manager, "#live", "connection lost")


def test_a_browser_without_a_network_says_so_at_once(manager):
    manager.js(SHUT)
    manager.js("window.dispatchEvent(new Event('offline'))")
    assert "connection lost" in manager.text("#live")


def test_a_server_that_was_started_again_is_found_by_itself_and_shows_what_is_so_now(manager, site):
    port = urlsplit(site.url).port
    site.feed.close()
    site.server.close()
    reads(manager, "#deaf", "no connection to the server")
    site.feed = Feed([], [])
    site.door("garden/gate-1", mode="LockedDown")
    site.server = serve(replace(site.parts, feed=site.feed), "127.0.0.1", port)
    reads(manager, "#doors", "Locked down: nobody is let in")
    manager.until("document.querySelector('#deaf').hidden")
    assert "before:" not in manager.text("#doors")


def test_before_the_first_answer_nothing_is_called_empty(manager):
    """On a slow line the page began with: no door has reported to this server yet."""
    never = "window.fetch = () => new Promise(() => {});"
    asked = manager.call("Page.addScriptToEvaluateOnNewDocument", source=never)["identifier"]
    try:
        manager.js("location.hash = 'now'; window.isFromBefore = true; location.reload()")
        manager.until("!window.isFromBefore && document.readyState === 'complete'")
        reads(manager, "#live", "connecting")
        told = manager.text("main")
    finally:
        manager.call("Page.removeScriptToEvaluateOnNewDocument", identifier=asked)
    assert "No door has reported" not in told
    assert "Nothing yet" not in told
