"""The manager's page while its server is away, silent, or does not know this browser any more: in a real browser."""

import pytest
from manager_hands import reads, sign_in

from deploy.community.office import Role

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
