"""What a manager does on the page, and a community on a usual afternoon."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.core.events import Kind, Priority
from deploy.community.news import News
from deploy.community.office import Role, sign_in_url


def sign_in(browser, site, role=Role.OWNER, name="陈美玲", language="en", view="", **size):
    """Through the one-time link, as a person does."""
    known = {m.name: m for m in site.office.managers()}
    manager = known.get(name) or site.office.add(name, role)
    link = sign_in_url(site.url.rstrip("/"), site.office.link(manager)).replace("/enter#", f"/enter?lang={language}#")
    browser.open(link, **size)
    browser.until("document.querySelector('#live-dot')?.classList.contains('good')")
    if view:
        browser.js(f"location.hash = '{view}'")
        browser.until(f"!document.querySelector('#view-{view}').hidden")


def reads(browser, selector, words):
    browser.until(f"document.querySelector({selector!r})?.innerText.includes({words!r})")


def give_reason(browser):
    browser.js("document.querySelector('#order-reason').value = 'delivery'")
    browser.js("document.querySelector('#order-yes').click()")


def press(browser, words, within="body"):
    """The button that a person would find by its words."""
    found = f"[...document.querySelectorAll('{within} button, {within} a')].find(b => b.innerText.trim() === {words!r})"
    browser.until(f"{found} !== undefined")
    browser.js(f"{found}.click()")


def type_into(browser, selector, text):
    """Every letter is an input event, as from a keyboard."""
    browser.js(
        f"(field => {{ for (const part of {[text[: n + 1] for n in range(len(text))]!r}) {{ field.value = part;"
        f" field.dispatchEvent(new Event('input', {{bubbles: true}})); }} }})(document.querySelector({selector!r}))"
    )


def choose(browser, selector, value):
    """A date, an entry of a list."""
    browser.js(
        f"(field => {{ field.value = {value!r}; field.dispatchEvent(new Event('change', {{bubbles: true}})); }})"
        f"(document.querySelector({selector!r}))"
    )


def written(browser, condition: Callable[[], bool]):
    """What a press came to on the server."""
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s, "nothing came of it"
        browser.js("0")


def fill(site):
    """A community of four doors on a usual afternoon."""
    site.people.put({"id": "p-1", "name": "陈美玲", "groups": ["tower-a"]})
    site.people.put({"id": "p-2", "name": "Wang Fang", "kind": "staff", "extended_release": True})
    site.people.set_door("garden/gate-1", ["*"])
    now_s = int(time.time())
    site.passes.issue(["garden/gate-1"], now_s, now_s + 7200, 1, note="plumber")
    site.door("garden/gate-1")
    site.door("garden/gate-2", mode="LockedDown")
    health = {"guard": True, "vision": True, "camera": "dark", "store": "ok", "queue": 412}
    facts = {"mode": "Locked", "lock": "secured", "contact": "open", "alarms": ["DoorOpenTooLong"]}
    state = {"online": True, "door": facts, "clock": "floor", "health": health, "roster": {"epoch": 3, "persons": 214}}
    site.feed.add(News("state", "garden/gate-3", state))
    site.feed.add(News("state", "garden/gate-4", {"online": False}))
    site.event(1, Kind.ACCESS_GRANTED, credential="face", person_id="p-1")
    site.event(2, Kind.ACCESS_TAKEN, credential="face", person_id="p-1")
    site.event(3, Kind.ACCESS_DENIED_UNKNOWN, credential="face", reason="CredentialNotFound", device="garden/gate-2")
    site.event(4, Kind.ACCESS_DENIED, credential="phone", reason="Replayed")
    site.event(5, Kind.REQUEST_TO_EXIT)
    site.event(6, Kind.DOOR_ALARM, Priority.ALARM, state="DoorOpenTooLong", device="garden/gate-3")
    site.event(7, Kind.ACCESS_GRANTED, credential="remote", actor="manager-1")
    site.alarm("silence", "nothing heard for 185 s", "garden/gate-4")
