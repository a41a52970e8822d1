"""What a thumb has to meet is 44 px high on a phone and on an old tablet; text twice as large cuts nothing off."""

import pytest
from manager_hands import fill, sign_in

pytestmark = pytest.mark.slow

SMALL = (
    "[...document.querySelectorAll('button, select, summary, input, label.check, a.button')]"
    ".filter(e => e.checkVisibility() && e.type !== 'checkbox' && e.getBoundingClientRect().height < 44)"
    ".map(e => [e.id || e.innerText || e.tagName, e.getBoundingClientRect().height])"
)
CUT = (
    "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1"
    " && getComputedStyle(e).display !== 'inline' && !e.closest('svg, select, .unseen'))"
    ".map(e => e.id || e.className || e.tagName)"
)
VIEWS = ("now", "people", "managers")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (768, 1024)])
def test_every_button_of_the_managers_page_is_high_enough_for_a_thumb(browser, site, width, height):
    fill(site)
    site.alarm("duress", "p-1 pressed open under duress")
    found = {}
    for view in VIEWS:
        sign_in(browser, site, view=view, width=width, height=height, phone=True)
        browser.js("document.querySelectorAll('#doors summary').forEach((fold) => fold.click())")
        found[view] = browser.js(SMALL)
    browser.js("location.hash = 'people'; document.querySelector('#people-new').click()")
    found["person"] = browser.js(SMALL)
    browser.leave()
    assert found == {name: [] for name in (*VIEWS, "person")}


@pytest.mark.parametrize(("width", "height"), [(360, 740), (768, 1024)])
def test_every_button_of_a_doors_page_is_high_enough_for_a_thumb(browser, console, door, width, height):
    door.event("AccessControl/Denied/CredentialNotFound", credential="face", reason="CredentialNotFound")
    browser.enter(console, width=width, height=height, phone=True)
    browser.until("document.querySelector('#live-dot').classList.contains('good')")
    assert browser.js(SMALL) == []
    browser.leave()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_text_twice_as_large_cuts_nothing_off_the_managers_page(browser, site, language):
    fill(site)
    found = {}
    for view in VIEWS:
        sign_in(browser, site, language=language, view=view, width=360, height=740, phone=True)
        browser.js("document.documentElement.style.fontSize = '212.5%'")  # of theme.css's 106.25 %
        found[view] = browser.js(CUT)
    browser.leave()
    assert found == {view: [] for view in VIEWS}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_text_twice_as_large_cuts_nothing_off_a_doors_page(browser, console, door, language):
    """The facts of the door stood outside its card, one letter below the other."""
    door.event("AccessControl/Denied/CredentialNotFound", credential="face", reason="CredentialNotFound")
    browser.enter(console, f"lang={language}", width=360, height=740, phone=True)
    browser.until("document.querySelector('#live-dot').classList.contains('good')")
    browser.js("document.documentElement.style.fontSize = '212.5%'")
    assert browser.js(CUT) == []
    browser.leave()
