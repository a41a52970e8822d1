"""What a manager types is not lost, not done twice and undoes nothing of a colleague's: in a real browser."""

import json

import pytest
from manager_hands import press, reads, sign_in, written

from deploy.community.office import Role, sign_in_url


@pytest.fixture
def manager(browser, site):
    site.people.put({"id": "p-1", "name": "陈美玲", "groups": ["tower-a"]})
    sign_in(browser, site, Role.MANAGER, "Lin", view="people")
    reads(browser, "#people", "陈美玲")
    yield browser
    browser.leave()


def end_sessions(site):
    site.office._run("DELETE FROM sessions")


def test_a_sign_in_that_ends_in_the_middle_of_a_form_leaves_what_was_typed_and_goes_on_after_the_next(manager, site):
    """The page left for the sign-in page, with everything that somebody had typed."""
    press(manager, "Add a person")
    manager.js("document.querySelector('#person-name').value = '林阿婆'")
    end_sessions(site)
    press(manager, "Save", "#person")
    reads(manager, "#person-told", "Your sign-in has ended")
    assert manager.js("document.querySelector('#person-name').value") == "林阿婆"
    link = sign_in_url(site.url.rstrip("/"), site.office.link(site.office.named("Lin")))
    manager.js(f"fetch('/api/enter', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, "
               f"body: {json.dumps(json.dumps({'token': link.partition('#')[2]}))}}}).then(r => r.status)")  # fmt: skip
    press(manager, "Save", "#person")
    reads(manager, "#people", "林阿婆")


def test_a_sign_in_that_ends_otherwise_leads_to_the_sign_in_page_which_says_why(manager, site):
    end_sessions(site)
    manager.js("showPeople()")
    manager.until("location.pathname === '/enter'")
    reads(manager, "#told", "Your sign-in has ended")


def test_two_managers_who_change_the_same_person_undo_nothing_of_each_other(manager, site):
    """Whoever saved last wrote every field as the form had shown it: somebody switched off meanwhile came in again."""
    press(manager, "Change", "#people")
    site.people.put({"id": "p-1", "enabled": False, "second_factor": True})
    manager.js("document.querySelector('#person-name').value = '陈美玲 3号楼'")
    press(manager, "Save", "#person")
    reads(manager, "#people", "3号楼")
    found = site.people.roster().persons["p-1"]
    assert (found.name, found.enabled, found.second_factor) == ("陈美玲 3号楼", False, True)
    assert site.office.acts()[0].reason == "name"
    manager.js("location.hash = 'managers'")
    reads(manager, "#acts", "changed a person · 陈美玲 3号楼 · name")


def test_a_second_press_while_the_answer_is_on_its_way_makes_nothing_twice(manager, site):
    for open_, field, form in (("Add a person", "#person-name", "#person-form"), (None, "#pass-note", "#pass-form")):
        if open_:
            press(manager, open_)
        manager.js(f"document.querySelector('{field}').value = '林阿婆'")
        manager.js(f"for (const _ of [1, 2, 3]) document.querySelector('{form}').requestSubmit()")
    reads(manager, "#passes", "林阿婆")
    reads(manager, "#people", "林阿婆")
    assert len(site.passes.passes()) == 1
    assert len(site.people.roster().persons) == 2


def test_another_tab_that_signed_in_anew_does_not_make_this_one_useless(manager, site):
    """Every press was answered with “not from this page” until somebody thought of reloading."""
    link = sign_in_url(site.url.rstrip("/"), site.office.link(site.office.named("Lin")))
    manager.js(f"fetch('/api/enter', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, "
               f"body: {json.dumps(json.dumps({'token': link.partition('#')[2]}))}}}).then(r => r.status)")  # fmt: skip
    manager.js("document.querySelector('#pass-note').value = 'plumber'")
    press(manager, "Make a pass")
    written(manager, lambda: len(site.passes.passes()) == 1)


def test_what_the_server_refuses_is_told_in_the_pages_language_with_what_to_do(manager, site):
    """English, ids and command lines stood on the Chinese page; a lost connection was “Failed to fetch”."""
    manager.js("document.querySelector('#language').click()")
    said = manager.js(
        "Promise.all([['/api/people', {name: 'x'.repeat(300)}], ['/api/people', {id: 'p-9', name: 'x'}],"
        " ['/api/people', {name: 'x', phone_code: 'abc'}],"
        " ['/api/passes', {doors: [], for_s: 7200, uses: 999, note: ''}],"
        " ['/api/managers/1/link', {}], ['/api/doors/garden/nowhere/list', {groups: ['*']}],"
        " ['/api/people', {name: 'x', groups: ['g'.repeat(99)]}], ['/api/people/p-9', {}, 'DELETE']]"
        ".map((asked) => askServer(...asked).then(() => 'done', (error) => error.message)))"
    )
    assert not [
        words for words in said if "没有接受" in words or not any("一" <= letter <= "鿿" for letter in words)
    ], said
    manager.js("window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); 0")
    told = manager.js("askServer('/api/people', {name: 'x'}).catch((error) => error.message)")
    assert "不知道有没有办成" in told


def test_the_reason_of_an_order_that_was_not_given_does_not_stand_in_the_next(manager):
    manager.js("askOrder('garden/gate-1', 'lock-down')")
    manager.js("document.querySelector('#order-reason').value = 'burglars'")
    press(manager, "Cancel", "#order")
    manager.js("askOrder('garden/gate-1', 'open')")
    assert manager.js("document.querySelector('#order-reason').value") == ""
