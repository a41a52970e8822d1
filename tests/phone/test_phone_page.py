"""The resident's page in a real browser: what its screen shows opens a door once, online or not, and nothing leaks."""

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import zxingcpp

from agent.core.passes import MAX_AGE_S, STEP_S, Accepted, Refusal, Rejected

pytestmark = pytest.mark.slow

KEPT = """
return new Promise((resolve, reject) => {
  const opening = indexedDB.open('door-phone', 1);
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const asking = opening.result.transaction('keys').objectStore('keys').get('pass');
    asking.onsuccess = () => { opening.result.close(); resolve(asking.result); };
  };
}).then(async (key) => {
  const tried = {};
  for (const form of ['pkcs8', 'jwk', 'raw', 'spki'])
    tried[form] = await crypto.subtle.exportKey(form, key.privateKey).then(() => 'given out', (error) => error.name);
  return {tried, fields: Object.keys(key).sort(), extractable: key.privateKey.extractable,
          usages: key.privateKey.usages, kept: {...localStorage}};
})
"""


def test_the_code_on_the_screen_opens_once_and_the_next_one_again(phone):
    phone.register()
    first = phone.code()
    answer = phone.judge(first)
    assert isinstance(answer, Accepted)
    assert (answer.person_id, answer.duress) == ("p-anna", False)
    assert len(first) == 143
    second = phone.code(after=first)
    later = phone.judge(second, book=answer.book)
    assert isinstance(later, Accepted)
    assert later.pass_id != answer.pass_id
    assert phone.judge(first, book=answer.book) == Rejected(Refusal.REPLAYED, "p-anna")
    assert phone.judge(first, utc_s=time.time() + STEP_S + MAX_AGE_S + 10) == Rejected(Refusal.EXPIRED, "p-anna")
    assert phone.browser.complaints() == []


def test_the_manager_reads_the_registration_code_as_text_or_from_the_picture(phone):
    found = zxingcpp.read_barcodes(phone.picture())
    code = phone.browser.text("#code")
    assert [one.text for one in found] == [code]
    assert len(code) == 122  # 91 bytes of SubjectPublicKeyInfo
    phone.browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    phone.browser.touch("#copy")
    phone.browser.wait("return document.querySelector('#copy-said').textContent === 'Copied'")
    assert phone.browser.run("return navigator.clipboard.readText()") == code


def test_the_private_key_cannot_be_taken_out_of_the_browser(phone):
    phone.register()
    seen = phone.browser.run(KEPT)
    assert set(seen["tried"].values()) == {"InvalidAccessError"}
    assert seen["extractable"] is False
    assert seen["usages"] == ["sign"]
    assert seen["fields"] == ["privateKey", "spki"]
    assert seen["kept"] == {"door-phone.registered": "yes"}


def test_a_reload_keeps_the_key_and_goes_straight_to_the_pass(phone):
    public = phone.register()
    phone.browser.reload()
    phone.browser.wait("return document.querySelector('#pass-qr path').hasAttribute('d')")
    assert phone.browser.shown("#pass")
    assert isinstance(phone.judge(phone.code()), Accepted)
    phone.browser.touch("#to-register")
    assert not phone.browser.shown("#pass")
    assert phone.register() == public


def test_without_any_server_the_page_still_starts_and_its_code_still_opens(browser, serve, new_phone):
    server = serve()
    phone = new_phone(server.url)
    phone.register()
    browser.run("return navigator.serviceWorker.ready.then(() => true)")
    server.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url, timeout=5)  # noqa: S310  our own loopback address
    for address in (server.url, f"{server.url}#door=garden/gate-1", f"{server.url}?from=home"):
        browser.open(address)
        browser.wait("return document.querySelector('#pass-qr path').hasAttribute('d')")
        assert isinstance(phone.judge(phone.code()), Accepted)
    assert not browser.shown("#clock")  # no network: nobody can know


def test_a_long_press_on_the_title_asks_for_help_and_nobody_sees_it(phone):
    looks = """
      const page = document.documentElement.cloneNode(true);
      page.querySelector('#pass-qr path').removeAttribute('d');
      page.querySelector('#seconds').textContent = '';
      return page.outerHTML + JSON.stringify({...localStorage}) + location.href;
    """
    phone.register()
    calm, before = phone.code(), phone.browser.run(looks)
    phone.browser.touch("#title", held_ms=1700)
    pressed = phone.code(after=phone.code(after=calm))
    answer = phone.judge(pressed)
    assert isinstance(answer, Accepted)
    assert answer.duress
    assert phone.browser.run(looks) == before
    assert len(pressed) == len(calm)
    phone.browser.reload()
    phone.browser.wait("return document.querySelector('#pass-qr path').hasAttribute('d')")
    assert not phone.judge(phone.code()).duress  # closing the page ends it


def test_a_short_touch_of_the_title_means_nothing(phone):
    phone.register()
    phone.browser.touch("#title", held_ms=700)
    code = phone.code(after=phone.code())
    assert not phone.judge(code).duress


def test_a_link_can_bind_the_pass_to_one_door_and_the_resident_can_undo_it(browser, serve, new_phone):
    server = serve()
    phone = new_phone(f"{server.url}#door=garden/gate-2")
    phone.register()
    assert "garden/gate-2" in phone.browser.text("#door")
    assert phone.judge(phone.code()) == Rejected(Refusal.WRONG_DOOR, "p-anna")
    browser.touch("#any-door")
    browser.wait("return !document.querySelector('#door').checkVisibility()")
    assert isinstance(phone.judge(phone.code()), Accepted)
    browser.run("location.hash = 'door=<b>not a door</b>'")
    browser.wait("return location.hash === ''")
    assert not browser.shown("#door")


def test_both_languages_say_everything_and_the_choice_is_kept(phone):
    words = phone.browser.run("return import('/phone/words.js').then((module) => module.WORDS)")
    assert set(words) == {"zh-CN", "en"}
    assert words["zh-CN"].keys() == words["en"].keys()
    used = phone.browser.run("return [...document.querySelectorAll('[data-text]')].map((one) => one.dataset.text)")
    assert set(used) <= words["en"].keys()
    assert phone.browser.text("h1") == "Door pass"  # the browser's own language
    phone.browser.touch("#language")
    assert phone.browser.text("h1") == "开门码"
    phone.register()
    phone.browser.reload()
    phone.browser.wait("return document.querySelector('#pass-qr path').hasAttribute('d')")
    assert phone.browser.text("#pass .lead") == words["zh-CN"]["hold"]
    assert phone.browser.run("return [document.documentElement.lang, document.title]") == ["zh-CN", "开门码"]


@pytest.mark.parametrize("dark", [False, True])
def test_screens_of_the_pass(browser, serve, tmp_path, dark):
    """Kept in the folder DOOR_AGENT_SCREENSHOTS where that is set, both views in both languages."""
    folder = Path(os.environ.get("DOOR_AGENT_SCREENSHOTS", tmp_path))
    browser.open(serve().url, dark=dark)
    browser.wait("return document.querySelector('#code').textContent.length > 0")
    for view in ("register", "pass"):
        for language in ("en", "zh-CN"):
            assert browser.run("return document.documentElement.lang") == language
            assert browser.run("return document.documentElement.scrollWidth") <= 390
            path = browser.screenshot(folder / f"phone-{view}-{'dark' if dark else 'light'}-{language}.png")
            assert path.stat().st_size > 20_000
            browser.touch("#language")
        browser.touch("#to-pass")
        browser.wait("return document.querySelector('#pass-qr path').hasAttribute('d')")


@pytest.mark.parametrize(("ahead_s", "said"), [(120, "clock is behind"), (-120, "clock is ahead"), (0, "")])
def test_a_wrong_clock_is_named_only_when_the_server_shows_it(browser, serve, new_phone, ahead_s: int, said: str):
    new_phone(serve(ahead_s).url)
    if said:
        browser.wait("return document.querySelector('#clock').checkVisibility()")
    else:  # the look at the clock is over when its request is
        browser.wait("return performance.getEntriesByType('resource').some((one) => one.initiatorType === 'fetch')")
    assert said in browser.text("#clock")
    assert browser.shown("#clock") is bool(said)


def test_the_page_can_be_installed_and_keeps_to_its_policy(phone):
    assert phone.browser.call("Page.getInstallabilityErrors") == {"installabilityErrors": []}
    manifest = phone.browser.call("Page.getAppManifest")
    assert manifest["errors"] == []
    assert json.loads(manifest["data"])["display"] == "standalone"
    assert phone.browser.run("return navigator.serviceWorker.ready.then((one) => one.scope)").endswith("/phone/")
    assert phone.browser.complaints() == []


def test_the_screen_stays_awake_while_the_pass_is_shown(browser, serve, new_phone):
    url = serve().url
    browser.on_new_page(
        "window.asked = []; Object.defineProperty(navigator, 'wakeLock', {value: {request: (kind) => "
        "{ window.asked.push(kind); return Promise.resolve({released: false}); }}})"
    )
    phone = new_phone(url)
    phone.register()
    assert browser.wait("return window.asked.length && window.asked") == ["screen"]


def test_where_no_key_can_be_kept_the_page_says_what_to_do(browser, serve, new_phone):
    url = serve().url
    browser.on_new_page("Object.defineProperty(window, 'indexedDB', {value: undefined})")
    browser.open(url)
    browser.wait("return document.querySelector('#fault').checkVisibility()")
    assert "private window" in browser.text("#fault")
    assert not browser.shown("#pass")
