"""The manager's page of a whole estate: twenty doors, hundreds of people, thousands of events, in a real browser."""

import time

import pytest
from manager_hands import choose, press, reads, sign_in, type_into
from test_manager_orders import NOON, stored

from agent.core.events import Kind
from deploy.community.news import News
from deploy.community.office import Role

DOORS = [f"garden/gate-{n}" for n in range(1, 21)]


@pytest.fixture
def estate(site):
    for name in DOORS:
        site.door(name)
    return site


@pytest.fixture
def manager(browser, estate):
    sign_in(browser, estate, Role.MANAGER, "Lin")
    yield browser
    assert browser.problems == []
    browser.leave()


def test_doors_stand_in_the_order_in_which_people_count(manager):
    names = manager.js("[...document.querySelectorAll('#doors strong')].map((name) => name.textContent)")
    assert names == DOORS


def test_which_door_is_offline_since_when_is_told_without_unfolding_it(manager, estate):
    """It said only: offline."""
    estate.feed.add(News("state", "garden/gate-7", {"online": False}))
    reads(manager, "#doors li:nth-child(7)", "offline, last word ")
    today = manager.js("document.querySelectorAll('#doors li')[6].querySelector('.badge').textContent")
    estate.feed._doors["garden/gate-7"]["heard_ms"] = NOON - 400 * 86_400_000
    manager.js("location.reload()")
    reads(manager, "#doors li:nth-child(7) .badge", "2025")  # a year ago is not last month
    assert "2026" not in today


def test_one_door_of_many_is_read_alone_live_and_on_a_day_of_the_past(manager, estate):
    stored(estate, 3)
    for n in (1, 2, 3):
        estate.event(n, Kind.DOORBELL, device=f"garden/gate-{n}")
    manager.until("document.querySelectorAll('#events li').length === 3")
    choose(manager, "#event-door", "garden/gate-2")
    manager.until("document.querySelectorAll('#events li').length === 1")
    reads(manager, "#events", "garden/gate-2")
    choose(manager, "#day", "2026-11-23")
    reads(manager, "#no-events", "Nothing on that day")
    choose(manager, "#event-door", "garden/gate-1")
    manager.until("document.querySelectorAll('#events li').length === 3")
    press(manager, "Export…")
    assert "&door=garden%2Fgate-1" in manager.js("document.querySelector('#csv').href")


def test_hundreds_of_people_do_not_stand_in_the_way_of_what_is_below_them(manager, estate):
    """A visitor's pass was a minute of scrolling away on a phone."""
    for number in range(120):
        estate.people.put({"id": f"p-{number}", "name": f"住户 {number}", "groups": ["tower-a"]})
    manager.js("location.hash = 'people'")
    reads(manager, "#people-count", "120 in all")
    shown = "[...document.querySelectorAll('#people strong')].map((name) => name.textContent)"
    assert manager.js(shown) == [f"住户 {number}" for number in range(50)]
    for _ in range(2):
        press(manager, "Show more")
    assert len(manager.js(shown)) == 120
    assert manager.js("document.querySelector('#people-more').hidden")
    type_into(manager, "#people-find", "住户 119")
    assert manager.js(shown) == ["住户 119"]
    reads(manager, "#people-count", "1 in all")


def test_whoever_was_saved_is_in_sight_among_hundreds_and_the_keyboard_goes_on_there(manager, estate):
    """The list was drawn anew from its top: was she saved? And the keyboard began again at the top of the page."""
    for number in range(120):
        estate.people.put({"id": f"p-{number}", "name": f"住户 {number}", "groups": ["tower-a"]})
    manager.js("location.hash = 'people'")
    reads(manager, "#people-count", "120 in all")
    press(manager, "Add a person")
    manager.js("document.querySelector('#person-name').value = '住户 999'")
    press(manager, "Save", "#person")
    reads(manager, "#people-done", "Saved: 住户 999")
    assert "住户 999" in manager.js("document.activeElement.closest('#people li').innerText")
    assert manager.js("document.querySelectorAll('#people li').length") == 1  # the next of the family is near


def test_a_warning_about_many_doors_stays_short(manager):
    reads(manager, "#lists-missing", "garden/gate-4, garden/gate-5 and others, 20 doors in all")
    assert "garden/gate-6" not in manager.text("#lists-missing")


def test_what_has_no_date_because_it_was_today_gets_one_at_midnight(manager, estate):
    at_ms = int(time.time() * 1000)
    row = {"epoch": "e", "seq": 1, "kind": str(Kind.DOORBELL), "priority": 1, "clock": "ntp", "at_clock": "ntp"}
    estate.feed.add(News("event", DOORS[0], {**row, "wall_ms": at_ms, "at_ms": at_ms, "body": {}}))
    manager.until("document.querySelector('#events time') !== null")
    assert "/" not in manager.text("#events time")
    manager.js("const real = Date.now; Date.now = () => real() + 86400000; 0")
    manager.until("document.querySelector('#events time').textContent.includes('/')")


def test_times_are_the_doors_own_wherever_the_readers_device_believes_to_be(browser, estate):
    """A volunteer's old computer stood in another time zone: last night was this afternoon."""
    stored(estate, 1)
    browser.call("Emulation.setTimezoneOverride", timezoneId="America/New_York")
    try:
        sign_in(browser, estate, Role.MANAGER, "Lin")
        choose(browser, "#day", "2026-11-23")
        reads(browser, "#events time", "11/23 12:00:01")
    finally:
        browser.call("Emulation.setTimezoneOverride", timezoneId="")
        browser.leave()


def test_a_door_that_catches_up_on_a_month_pushes_nothing_of_now_off_the_page(manager, estate):
    """The alarm that ran ahead of them was gone as soon as 300 old rows had come."""
    now_ms = time.time_ns() // 1_000_000
    row = {"epoch": "f", "kind": str(Kind.DOORBELL), "clock": "ntp", "at_clock": "ntp", "body": {}}
    told = {**row, "seq": 900, "priority": 3, "wall_ms": now_ms, "at_ms": now_ms, "kind": str(Kind.DURESS)}
    estate.feed.add(News("preview", "garden/gate-2", told))
    reads(manager, "#events li:first-child", "garden/gate-2")
    for n in range(310):
        estate.event(n, Kind.DOORBELL)
    manager.until("document.querySelectorAll('#events li').length >= 300")
    reads(manager, "#events li:first-child", "garden/gate-2")
    reads(manager, "#events li:nth-child(2)", "garden/gate-1")
