"""The manager's page in a real browser: signing in, doors at a glance, orders, filters, on a desktop and on a phone."""

import os
import sqlite3
from pathlib import Path

import pytest
from manager_hands import fill, give_reason, reads, sign_in

from agent.core.events import Kind, Priority
from deploy.community.news import News
from deploy.community.office import Role, sign_in_url

pytestmark = pytest.mark.slow


@pytest.fixture
def manager(browser, site):
    sign_in(browser, site)
    yield browser
    browser.leave()


def test_the_link_signs_in_once_and_leaves_no_secret_in_the_address(browser, site):
    owner = site.office.add("Chen", Role.OWNER)
    link = sign_in_url(site.url.rstrip("/"), site.office.link(owner))
    browser.open(link)
    browser.until("document.querySelector('#live-dot')?.classList.contains('good')")
    assert browser.js("location.href") == site.url
    assert "Chen" in browser.text("#me")
    browser.js("document.querySelector('#leave').click()")
    browser.until("location.pathname === '/enter'")
    browser.open(link)
    reads(browser, "#told", "used")
    browser.leave()


def test_a_link_opened_again_in_the_same_browser_is_no_obstacle(browser, site):
    link = sign_in_url(site.url.rstrip("/"), site.office.link(site.office.add("Chen", Role.OWNER)))
    for _ in range(2):
        browser.open(link)
        browser.until("document.querySelector('#live-dot')?.classList.contains('good')")
    browser.leave()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "The door is locked"),
        ({"alarms": ["DoorForcedOpen"]}, "forced open"),
        ({"alarms": ["DoorOpenTooLong"]}, "open too long"),
        ({"tamper": True}, "tampering"),
        ({"fire": True}, "Fire alarm"),
        ({"mode": "LockedDown"}, "Locked down"),
    ],
)
def test_a_door_says_at_a_glance_how_it_is(manager, site, facts, words):
    site.door("garden/gate-1", **facts)
    reads(manager, "#doors", words)


def test_what_is_amiss_around_a_door_is_a_badge(manager, site):
    health = {"guard": True, "vision": False, "camera": "ok", "store": "ok", "queue": 412}
    state = {"online": True, "door": {"mode": "Locked", "lock": "secured"}, "clock": "floor", "health": health}
    site.feed.add(News("state", "garden/gate-1", state))
    for words in ("412 events still to come", "clock not set", "face recognition is not running"):
        reads(manager, "#doors .marks", words)
    manager.js("document.querySelector('#doors summary').click()")
    reads(manager, "#doors", "clock not set: it does not know the time: visitor passes, and staff")
    site.feed.add(News("state", "garden/gate-1", {"online": False}))
    reads(manager, "#doors", "offline")
    reads(manager, "#doors", "If it stays so, go and look")
    assert manager.js("document.querySelectorAll('#doors button:not(:disabled)').length") == 0


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"stage": "fetching", "percent": 40}, "fetching 0.1.1+9b1c07aa52 (40 %)"),
        ({"stage": "waiting"}, "0.1.1+9b1c07aa52 is fetched, waits until nobody is at the door"),
        ({"stage": "refused", "why": "no-room"}, "did not take 0.1.1+9b1c07aa52: not enough room"),
        ({"stage": "rolled-back", "why": "not-well"}, "0.1.1+9b1c07aa52 was not well, the old release is back"),
    ],
)
def test_a_roll_out_shows_at_each_door_how_far_it_is_and_which_release_runs(manager, site, update, words):
    door = {"online": True, "door": {"mode": "Locked"}, "release": "0.1.0+3c2a9f0d1e"}
    site.feed.add(News("state", "garden/gate-1", {**door, "update": {"release": "0.1.1+9b1c07aa52", **update}}))
    reads(manager, "#doors .marks", words)
    manager.js("document.querySelector('#doors summary').click()")
    reads(manager, "#doors .facts", "0.1.0+3c2a9f0d1e")


def test_an_order_asks_for_its_reason_and_shows_the_doors_own_stages(manager, site):
    manager.js("document.querySelector('#doors summary').click()")
    manager.js("document.querySelector('#doors button.primary').click()")
    assert manager.js("document.querySelector('#order').open")
    manager.js("document.querySelector('#order-yes').click()")
    reads(manager, "#order-told", "reason")
    assert site.ordered == []
    give_reason(manager)
    reads(manager, "#doors .answer", "the door accepted")
    assert [order[:2] for order in site.ordered] == [("garden/gate-1", "open")]
    site.feed.add(News("reply", "garden/gate-1", {"stage": "energised", "id": site.answer["id"]}))
    reads(manager, "#doors .answer", "unlocked")
    site.feed.add(News("reply", "garden/gate-1", {"stage": "not-taken", "id": site.answer["id"]}))
    reads(manager, "#doors .answer", "nobody went in")


def test_a_door_is_taken_out_of_use_and_put_back(manager, site):
    """The button that is there is the one that changes something."""
    buttons = "[...document.querySelectorAll('#doors .orders button')].map(b => b.textContent)"
    manager.js("document.querySelector('#doors summary').click()")
    assert "Take out of use" in manager.js(buttons)
    manager.js(
        "[...document.querySelectorAll('#doors .orders button')].find(b => b.textContent == 'Take out of use').click()"
    )
    give_reason(manager)
    reads(manager, "#doors .answer", "the door accepted")
    assert [order[:2] for order in site.ordered] == [("garden/gate-1", "block")]
    site.door("garden/gate-1", mode="Blocked")
    reads(manager, "#doors", "Back into use")
    assert "Take out of use" not in manager.js(buttons)


def test_a_refused_order_says_why(manager, site):
    site.answer = {"stage": "refused", "reason": "LockedDown", "id": "0123456789abcdef"}
    manager.js("document.querySelector('#doors summary').click()")
    manager.js("document.querySelector('#doors button.primary').click()")
    give_reason(manager)
    reads(manager, "#doors .answer", "the door refused: locked down")


def test_strangers_are_rows_without_pictures_and_filters_show_what_they_say(manager, site):
    site.event(1, Kind.ACCESS_GRANTED, credential="face", person_id="p-1")
    site.event(2, Kind.ACCESS_DENIED_UNKNOWN, credential="face", reason="CredentialNotFound")
    site.event(3, Kind.FIRE, Priority.ALARM, state="Alarm")
    site.event(4, Kind.DOOR_MODE, state="Accessed")
    reads(manager, "#events", "Fire alarm")
    shown = {}
    for name in ("all", "people", "refused", "alarms", "technical"):
        manager.js(f"document.querySelector('#filter-{name}').click()")
        shown[name] = manager.js("document.querySelectorAll('#events li').length")
    assert shown == {"all": 3, "people": 1, "refused": 1, "alarms": 1, "technical": 4}
    assert manager.js("document.querySelectorAll('#events img').length") == 0


def test_hostile_text_stays_text(manager, site):
    site.event(1, Kind.ACCESS_DENIED, credential="phone", reason="<img src=x onerror=window.bad=1>")
    reads(manager, "#events", "<img src=x")
    assert manager.js("window.bad === undefined")
    assert manager.problems == []


def test_a_viewer_has_no_buttons_and_an_owner_adds_a_manager(browser, site):
    sign_in(browser, site, Role.VIEWER, "Viewer")
    assert browser.js("document.querySelectorAll('#doors button').length") == 0
    assert browser.js("document.querySelector('#views').hidden && document.querySelector('#csv-open').hidden")
    sign_in(browser, site, Role.OWNER, "Owner", view="managers")
    browser.js("document.querySelector('#manager-name').value = 'Wang'")
    browser.js("document.querySelector('#manager-form button').click()")
    reads(browser, "#link-text", "/enter#")
    reads(browser, "#managers", "Wang")
    reads(browser, "#acts", "added a manager")
    browser.leave()


def test_a_browser_that_saw_the_end_of_the_record_notices_that_it_was_cut_off(browser, site):
    sign_in(browser, site, view="managers")
    reads(browser, "#acts", "signed in")
    reads(browser, "#acts-mark", "Mark of the last row")
    assert browser.js("document.querySelector('#acts-broken').hidden")
    db = sqlite3.connect(site.folder / "managers.db")
    db.execute("DELETE FROM acts")
    db.commit()
    db.close()
    browser.js("location.hash = 'now'; location.hash = 'managers'")
    reads(browser, "#acts-broken", "cut off")
    browser.leave()


def test_everything_can_be_reached_with_the_keyboard(manager, site):
    reached = []
    for _ in range(16):
        for kind in ("keyDown", "keyUp"):
            manager.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(manager.js("document.activeElement.id || document.activeElement.tagName"))
    for name in ("leave", "language", "SUMMARY", "day", "csv-open", "filter-all", "filter-alarms"):
        assert name in reached, (name, reached)


@pytest.mark.parametrize(
    ("width", "phone", "language"), [(320, True, "en"), (390, True, "zh-CN"), (1360, False, "zh-CN")]
)
def test_nothing_runs_off_the_side(browser, site, width, phone, language):
    site.door("a-very-long-name-of-a-community/and-the-name-of-its-door-north-gate-12")
    site.event(1, Kind.ACCESS_GRANTED, credential="face", person_id="p-1")
    for view in ("now", "people", "managers"):
        sign_in(browser, site, language=language, view=view, width=width, height=800, phone=phone)
        assert browser.js("document.documentElement.scrollWidth") <= width
    assert browser.js("document.documentElement.lang") == language
    browser.leave()


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("zh-CN", False), ("zh-CN", True)])
def test_screens_of_the_managers_page(browser, site, tmp_path, language, dark):
    """Kept in the folder DOOR_AGENT_SCREENSHOTS where that is set."""
    folder = Path(os.environ.get("DOOR_AGENT_SCREENSHOTS", tmp_path))
    fill(site)
    shade = f"{'dark' if dark else 'light'}-{language}"
    for name, width, phone in (("desktop", 1360, False), ("phone", 390, True)):
        for view, where, words in (
            ("now", "#events", "陈美玲"),
            ("people", "#passes", "plumber"),
            ("managers", "#acts", "陈美玲"),
        ):
            sign_in(browser, site, language=language, view=view, width=width, height=860, phone=phone, dark=dark)
            reads(browser, where, words)
            assert browser.screenshot(folder / f"manager-{view}-{name}-{shade}.png").stat().st_size > 20_000
    browser.js("location.hash = 'now'; document.querySelector('#doors summary').click()")
    browser.js("document.querySelector('#doors button.danger').click()")
    browser.screenshot(folder / f"manager-order-phone-{shade}.png", whole=False)
    browser.js("document.querySelector('#order').close()")
    browser.leave()


def test_a_person_and_a_pass_are_made_on_the_page(browser, site):
    sign_in(browser, site, Role.MANAGER, "Lin", view="people")
    browser.js("document.querySelector('#people-new').click()")
    browser.js(
        "document.querySelector('#person-name').value = '林阿婆'; document.querySelector('#person-slow').click()"
    )
    browser.js("document.querySelector('#person-form .primary').click()")
    reads(browser, "#people", "林阿婆")
    assert [(p.name, p.extended_release) for p in site.people.roster().persons.values()] == [("林阿婆", True)]
    person = next(iter(site.people.roster().persons))
    browser.js("document.querySelector('#pass-note').value = 'plumber'")
    browser.js("document.querySelector('#pass-form .primary').click()")
    reads(browser, "#pass-link", "/phone/visitor.html#")
    browser.until("document.querySelector('#pass-picture').naturalWidth > 100")
    reads(browser, "#passes", "plumber")
    assert "Uses are counted at each door" in browser.text("#pass-honest")
    browser.js("location.hash = 'now'")
    site.event(1, Kind.ACCESS_GRANTED, credential="face", person_id=person)
    reads(browser, "#events", "林阿婆 may come in")
    assert browser.problems == []
    browser.leave()
