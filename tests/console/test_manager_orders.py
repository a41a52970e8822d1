"""All doors at once, alarms, a day of the past and a table of many: on the manager's page in a real browser."""

import pytest
from manager_hands import choose, fill, give_reason, press, reads, sign_in, written

from agent.core.events import Kind, Priority
from agent.core.journal import Row
from deploy.community.ingest import Chain, Taken
from deploy.community.news import News
from deploy.community.office import Role

NOON = 1_795_406_400_000  # 2026-11-23 04:00 UTC


@pytest.fixture
def manager(browser, site):
    fill(site)
    sign_in(browser, site, Role.MANAGER, "Lin")
    yield browser
    browser.leave()


def stored(site, count):
    rows = tuple(
        Row("garden/gate-1", "e" * 32, n, "b", 1, NOON + n * 1000, "ntp", str(Kind.DOORBELL if n > 1 else Kind.FIRE),
            Priority.NORMAL, {} if n > 1 else {"state": "Alarm"}, "0" * 64, f"{n:064x}")
        for n in range(1, count + 1)
    )  # fmt: skip
    with site.ledger.transaction():
        site.ledger.apply("garden/gate-1", Taken(Chain("e" * 32), rows), 1)


def test_all_doors_are_locked_down_in_one_press_and_each_one_that_is_not_is_named(manager, site):
    answers = {"garden/gate-4": {"stage": "not-sent"}, "garden/gate-3": {"stage": "refused", "reason": "too-many"}}
    site.orders._order = lambda device, action, *_: (
        site.ordered.append((device, str(action))) or answers.get(device, {"stage": "done"})
    )
    press(manager, "Lock down all doors")
    reads(manager, "#order-title", "Lock down: all doors")
    give_reason(manager)
    reads(manager, "#all-told", "2 of 4 doors have carried it out")
    assert sorted(site.ordered) == [(f"garden/gate-{n}", "lock-down") for n in range(1, 5)]
    told = manager.text("#all-told")
    assert "as soon as they are back (ending the lock-down takes it back): garden/gate-4" in told
    assert "Not carried out: garden/gate-3 (too many orders)" in told
    reads(manager, "#doors", "waits: Lock down")
    press(manager, "End lock-down everywhere")
    give_reason(manager)
    reads(manager, "#all-told", "End lock-down: 2 of 4")
    manager.until("!document.querySelector('#doors').innerText.includes('waits:')")


def test_a_door_whose_list_is_behind_says_so_at_a_glance(manager, site):
    state = {"online": True, "door": {"mode": "Locked"}, "roster": {"revision": 3, "wanted": 5, "drift": True}}
    site.feed.add(News("state", "garden/gate-2", state))
    reads(manager, "#doors", "not up to date (version 3, should be 5)")


def test_which_doors_still_believe_the_sites_old_keys_is_told_also_of_those_that_are_away(manager, site):
    """A key was stolen and replaced: where does the thief's still open?"""
    site.feed.site_keys = 1_790_000_000
    state = {"online": True, "door": {"mode": "Locked"}}
    for door, keys in (("gate-2", {"keys": 1_790_000_000}), ("gate-3", {"keys": 0}), ("gate-4", {})):
        site.feed.add(News("state", f"garden/{door}", {**state, **keys}))
    for door in ("gate-2", "gate-3"):
        site.feed.add(News("state", f"garden/{door}", {"online": False}))
    manager.js("location.reload()")
    reads(manager, "#doors", "takes no new keys")
    rows = manager.js("[...document.querySelectorAll('#doors li')].map((row) => row.textContent)")
    said = {door: next(row for row in rows if f"garden/{door}" in row) for door in ("gate-2", "gate-3", "gate-4")}
    assert {door: "still the old keys" in words for door, words in said.items()} == {
        "gate-2": False, "gate-3": True, "gate-4": False,
    }  # fmt: skip
    assert "the new ones of" in said["gate-2"]
    assert "takes no new keys" in said["gate-4"]


def test_an_alarm_stays_until_somebody_saw_to_it_and_then_says_who(manager, site):
    site.alarm("roster-drift", "the door does not have the roster it should have")
    reads(manager, "#alarms", "A door does not get its list of residents")
    press(manager, "Seen to", "#alarms")
    manager.until("!document.querySelector('#alarms').innerText.includes('list of residents')")
    manager.js("document.querySelector('#alarm-past').open = true")
    reads(manager, "#alarms-seen", "seen to by Lin")
    assert site.office.acts()[0].action == "acknowledge-alarm"


def test_the_keyboard_stays_on_an_alarm_while_more_happens_and_goes_to_the_next_one_after_it(manager, site):
    """Each event drew the alarms anew, and whoever had reached a button stood at the top of the page again."""
    site.alarm("roster-drift", "the door does not have the roster it should have")
    reads(manager, "#alarms", "list of residents")
    manager.js("document.querySelector('#alarms .seen').focus()")
    site.event(30, Kind.DOORBELL)
    reads(manager, "#events", "The bell rang")
    focused = "document.activeElement.closest('#alarms li')?.innerText ?? document.activeElement.tagName"
    assert "list of residents" in manager.js(focused)
    manager.js("document.activeElement.click()")
    manager.until("!document.querySelector('#alarms').innerText.includes('list of residents')")
    assert "Door is silent" in manager.js(focused)


def test_how_long_a_door_is_silent_is_told_in_the_pages_language(browser, site):
    """The Chinese page said: nothing heard for 185 s."""
    site.alarm("silence", "nothing heard for 185 s")
    sign_in(browser, site, Role.MANAGER, "Lin", language="zh-CN")
    reads(browser, "#alarms", "门没有消息 · 当时已 3 分钟没有消息")
    browser.leave()


def test_alarms_from_before_the_page_was_opened_are_there(browser, site):
    site.alarm("fork", "an epoch is not the one that came before")
    site.feed._entries.clear()  # the server was started again since
    sign_in(browser, site, Role.MANAGER, "Lin")
    reads(browser, "#alarms", "History forked")
    browser.leave()


def test_a_silent_alarm_says_what_it_is_only_to_whoever_unfolds_it(manager, site):
    site.alarm("duress", "p-1 pressed open under duress, and it did not open")
    site.event(20, Kind.DURESS, Priority.ALARM, person_id="p-1", opened=True)
    for where in ("#alarms", "#events"):
        reads(manager, where, "Silent alarm")
        assert "duress" not in manager.text(where)
    assert "Silent alarm" not in manager.text("#heard")
    for where in ("#alarms", "#events"):
        manager.js(f"document.querySelector('{where} details summary').click()")
        reads(manager, where, "陈美玲")
        assert "Call the police first" in manager.text(where)
    site.event(21, Kind.DOORBELL)  # what is being read stays unfolded when more happens
    reads(manager, "#events", "The bell rang")
    assert manager.js("[...document.querySelectorAll('details details, li details')].filter(d => d.open).length") >= 2


def test_a_day_of_the_past_is_read_to_its_first_event_and_a_filter_finds_what_is_far_back(manager, site):
    stored(site, 1300)
    choose(manager, "#day", "2026-11-23")
    manager.until("document.querySelectorAll('#events li').length === 500")
    manager.js("document.querySelector('#events-more').click()")
    manager.until("document.querySelectorAll('#events li').length === 1000")
    press(manager, "Alarms", "#filters")
    reads(manager, "#events", "Fire alarm")
    assert manager.js("document.querySelector('#events-more').hidden")
    press(manager, "Back to live")
    reads(manager, "#events", "The door has been open too long")
    assert manager.js("document.querySelector('#day').value === '' && document.querySelector('#day-live').hidden")
    assert manager.problems == []


def test_days_are_exported_as_one_table(manager, site):
    stored(site, 3)
    press(manager, "Export…")
    choose(manager, "#export-from", "2026-11-24")
    choose(manager, "#export-to", "2026-11-23")
    reads(manager, "#export-told", "must not be after")
    assert manager.js("document.querySelector('#csv').hidden")
    choose(manager, "#export-from", "2026-11-22")
    choose(manager, "#export-door", "garden/gate-1")
    asked = manager.js("document.querySelector('#csv').href")
    assert "from=2026-11-22&days=2&" in asked
    assert asked.endswith("&door=garden%2Fgate-1")
    lines = manager.js("fetch(document.querySelector('#csv').href).then(r => r.text())").splitlines()
    assert len(lines) == 4
    written(manager, lambda: site.office.acts()[0].action == "export")
